"""A file of samples into a store: in bounded memory, bad lines set aside, resumable, nothing doubled."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import numpy as np

from twin.store.protocols import Batch, Writer
from twin.store.transfer.line_rows import Mapped, own_lines
from twin.store.transfer.mapping import MappingFile
from twin.store.transfer.marks import Mark, only_one, read_mark, write_mark
from twin.store.transfer.refused import Aside
from twin.store.transfer.sources import CHUNK, Chunk, Format, Source, csv_source, format_of, line_source, parquet_source
from twin.vocab.errors import UsageError
from twin.vocab.time import instant, to_datetime

Tell: TypeAlias = "Callable[[float, float, str], None]"
"""Told how far it is: octets (Parquet: rows) done, of how many, and what is done."""
_NAMED = 8


@dataclass(frozen=True)
class ImportPlan:
    """How a file is read. ``mapping`` None: lines are nettwin's own; ``precision`` "": found out.

    ``rename``: what others call a device -> its name here. ``marks``: a folder for marks and refused lines.
    """

    marks: Path
    format: Format | None = None
    mapping: MappingFile | None = None
    kind: str | None = None
    precision: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Imported:
    """What became of a file. ``unmapped``, ``left_out``: name -> how many values (of a whole measurement: lines).

    ``examples``: the first reasons why lines were refused; ``refused_file``: where those lines are.
    """

    file: Path
    format: Format
    rows: int
    values: int
    refused: int
    examples: tuple[str, ...]
    refused_file: Path | None
    first: datetime | None
    last: datetime | None
    unmapped: dict[str, int]
    left_out: dict[str, int]
    resumed: bool


def import_file(store: Writer | None, file: Path, plan: ImportPlan, present: datetime, tell: Tell) -> Imported:
    """Bring one file's samples into the store (None: only look).

    Cut off at any moment, the same call goes on where it was; after its end, it imports the file anew. A sample that
    is there already is replaced.

    Raises:
        UsageError: the file can't be read, or nothing in it can be stored: the first reason, with its place.
        InputError: its columns are not those of a kind.
        StoreError: the store failed, or another process imports this file.
    """
    began = int(instant(present).astype(np.int64))
    if store is None:
        return _useful(_read(file, plan, Mark("", began), _Target(), tell))
    plan.marks.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = plan.marks / f"{file.name}-{_fingerprint(file, plan, tell)}.mark"
    with only_one(path.with_suffix(".lock"), str(file)):
        known = read_mark(path)
        mark = known or Mark(f"import-{secrets.token_hex(8)}", began)
        write_mark(path, mark)
        done = _read(file, plan, mark, _Target(store, path), tell)
        path.unlink()
    return replace(_useful(done), resumed=known is not None)


@dataclass(frozen=True)
class _Target:
    """Where samples and then the mark go; nowhere when only looking."""

    store: Writer | None = None
    path: Path = Path()

    def take(self, chunk: Chunk, mark: Mark) -> None:
        if self.store and chunk.blocks:
            self.store.write(chunk.blocks, Batch(mark.run, mark.number))

    def reached(self, mark: Mark) -> None:
        if self.store:
            write_mark(self.path, mark)


def _read(file: Path, plan: ImportPlan, mark: Mark, target: _Target, tell: Tell) -> Imported:
    source = _source(file, plan, mark)
    aside = Aside(target.path.with_suffix(".refused") if target.store else None, file, source.head)
    aside.begin(mark.refused_size)
    for chunk in source.chunks(mark.offset, mark.line):
        target.take(chunk, mark)
        sizes = aside.add(chunk.refused)
        mark = replace(_advanced(mark, chunk), precision=source.precision, refused_size=sizes)
        target.reached(mark)
        tell(source.done(), source.size, f"{mark.rows:,} rows")
    return Imported(
        file,
        source.format,
        mark.rows,
        mark.values,
        mark.refused,
        tuple(aside.examples),
        aside.written,
        _time(mark.first_us),
        _time(mark.last_us),
        mark.unmapped,
        mark.left_out,
        resumed=False,
    )


def _source(file: Path, plan: ImportPlan, mark: Mark) -> Source:
    form = plan.format or format_of(file)
    if form == "csv":
        return csv_source(file, plan.kind, mark.present_us)
    if form == "parquet":
        return parquet_source(file, plan.kind, mark.present_us)
    translate = Mapped(plan.mapping, plan.rename) if plan.mapping else own_lines
    return line_source(file, translate, mark.precision or plan.precision, mark.present_us)


def _fingerprint(file: Path, plan: ImportPlan, tell: Tell) -> str:
    """Of the file's content and of how it is read."""
    how = (plan.format, plan.mapping, plan.kind, plan.precision, sorted(plan.rename.items()), CHUNK)
    digest = sha256(repr(how).encode())
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            while piece := stream.read(CHUNK):
                digest.update(piece)
                tell(0, size, f"reading, {stream.tell() / size:.0%}")
    except OSError as problem:
        raise UsageError(f"{file}: can't be read: {problem.strerror}") from problem
    return digest.hexdigest()[:16]


def _advanced(mark: Mark, chunk: Chunk) -> Mark:
    times = [int(t) for b in chunk.blocks for t in (b.at.min().astype(np.int64), b.at.max().astype(np.int64))]
    times += [t for t in (mark.first_us, mark.last_us) if t is not None]
    return replace(
        mark,
        number=mark.number + 1,
        offset=chunk.offset,
        line=chunk.line,
        rows=mark.rows + sum(len(b) for b in chunk.blocks),
        values=mark.values + sum(int(c.valid.sum()) for b in chunk.blocks for c in b.fields.values()),
        refused=mark.refused + len(chunk.refused),
        first_us=min(times, default=None),
        last_us=max(times, default=None),
        unmapped=dict(Counter(mark.unmapped) + chunk.tally.unmapped),
        left_out=dict(Counter(mark.left_out) + chunk.tally.left_out),
    )


def _useful(done: Imported) -> Imported:
    if done.rows:
        return done
    if done.refused:
        raise UsageError(f"{done.examples[0]}; all {done.refused:,} lines are refused")
    if done.unmapped or done.left_out:
        names = [*done.unmapped, *done.left_out][:_NAMED]
        raise UsageError(f"{done.file}: nothing in it is mapped ({', '.join(names)}): name a mapping with --map")
    raise UsageError(f"{done.file}: holds no rows")


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else to_datetime(np.datetime64(micros, "us"))
