"""Where an export goes: a stream, one file, or a folder with a file (Parquet: files) for each kind and day."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Protocol

import polars as pl

from twin.store.place import sync
from twin.store.transfer.encode import body, head, table
from twin.store.transfer.manifest import ExportPlan, Manifest, Part, read_manifest, write_manifest
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError

SUFFIXES = {"line": ".lp", "csv": ".csv", "parquet": ".parquet"}


class Output(Protocol):
    """Takes an export's days, one after another."""

    def begin(self, fresh: Manifest) -> Manifest:
        """What was done of it before, or ``fresh``.

        Raises:
            UsageError: something else lies there.
        """
        ...

    def day(self, done: Manifest, kind: str, day: date, blocks: Iterator[Block], fields: Sequence[str]) -> Manifest:
        """One kind's day, whole or not at all; what is done after it."""
        ...

    def finish(self, done: Manifest) -> None:
        """The export is whole."""
        ...

    def forget(self) -> None:
        """There was nothing to export: leave nothing."""
        ...


class Stream:
    """Standard output, or whatever takes bytes. Nothing can be resumed."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink

    def begin(self, fresh: Manifest) -> Manifest:
        self._sink.write(b"")
        return fresh

    def day(self, done: Manifest, kind: str, day: date, blocks: Iterator[Block], fields: Sequence[str]) -> Manifest:  # noqa: ARG002 - the day stands in the rows
        rows = done.rows
        for block in blocks:
            if rows == 0:
                self._sink.write(head(done.plan.format, kind, fields))
            self._sink.write(body(done.plan.format, block, fields))
            rows += len(block)
        return replace(done, units=done.units + 1, rows=rows)

    def finish(self, done: Manifest) -> None:  # noqa: ARG002 - part of the protocol
        self._sink.flush()

    def forget(self) -> None:
        """Nothing was written."""


class OneFile:
    """Text in one file, gzip if its name ends in .gz. Until it is whole it is called ``NAME.partial``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.partial")
        self._manifest = path.with_name(f"{path.name}.export")
        self._packed = path.suffix == ".gz"

    def begin(self, fresh: Manifest) -> Manifest:
        if self._path.exists():
            raise UsageError(f"{self._path}: is there already; name another")
        done = read_manifest(self._manifest, fresh.plan) or fresh
        with self._partial.open("ab") as file:
            file.truncate(done.size)
        return done

    def day(self, done: Manifest, kind: str, day: date, blocks: Iterator[Block], fields: Sequence[str]) -> Manifest:  # noqa: ARG002 - the day stands in the rows
        rows = done.rows
        with self._partial.open("ab") as file:
            for block in blocks:
                top = head(done.plan.format, kind, fields) if rows == 0 else b""
                file.write(self._pack(top + body(done.plan.format, block, fields)))
                rows += len(block)
            file.flush()
            os.fsync(file.fileno())
            done = replace(done, units=done.units + 1, rows=rows, size=file.tell())
        write_manifest(self._manifest, done)
        return done

    def finish(self, done: Manifest) -> None:  # noqa: ARG002 - part of the protocol
        self._partial.rename(self._path)
        sync([self._path.parent])
        self._manifest.unlink(missing_ok=True)

    def forget(self) -> None:
        self._partial.unlink(missing_ok=True)
        self._manifest.unlink(missing_ok=True)

    def _pack(self, text: bytes) -> bytes:
        return gzip.compress(text, 6, mtime=0) if self._packed else text


class Folder:
    """``KIND/DAY.csv`` and so on, each whole or not there, and ``export.json``, which says what is there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest = path / "export.json"

    def begin(self, fresh: Manifest) -> Manifest:
        self.path.mkdir(parents=True, exist_ok=True)
        known = read_manifest(self._manifest, fresh.plan)
        if known is None and any(self.path.iterdir()):
            raise UsageError(f"{self.path}: the folder holds something else; name an empty or new one")
        if known is None:
            write_manifest(self._manifest, fresh)
        return known or fresh

    def day(self, done: Manifest, kind: str, day: date, blocks: Iterator[Block], fields: Sequence[str]) -> Manifest:
        (self.path / kind).mkdir(exist_ok=True)
        for stale in (self.path / kind).glob(f"{day}*"):
            stale.unlink()
        write = self._tables if done.plan.format == "parquet" else self._text
        parts = write(done.plan, kind, day, blocks, fields)
        sync([self.path / kind, self.path])
        rows = done.rows + sum(part.rows for part in parts.values())
        done = replace(done, units=done.units + 1, rows=rows, parts=done.parts | parts)
        write_manifest(self._manifest, done)
        return done

    def finish(self, done: Manifest) -> None:
        write_manifest(self._manifest, replace(done, finished=True))

    def forget(self) -> None:
        self._manifest.unlink()
        for folder in (*(entry for entry in self.path.iterdir() if entry.is_dir()), self.path):
            with suppress(OSError):  # what others put there stays
                folder.rmdir()

    def _text(
        self, plan: ExportPlan, kind: str, day: date, blocks: Iterator[Block], fields: Sequence[str]
    ) -> dict[str, Part]:
        rows = 0
        name = f"{kind}/{day}{SUFFIXES[plan.format]}"
        with _whole(self.path / name) as file:
            for block in blocks:
                file.write((b"" if rows else head(plan.format, kind, fields)) + body(plan.format, block, fields))
                rows += len(block)
        return self._parts({name: rows})

    def _tables(
        self, _plan: ExportPlan, kind: str, day: date, blocks: Iterator[Block], fields: Sequence[str]
    ) -> dict[str, Part]:
        """A file a block: to a Parquet file nothing can be added."""
        rows = {}
        for i, block in enumerate(blocks):
            name = f"{kind}/{day}-{i:03}.parquet"
            with _whole(self.path / name) as file:
                table(block, fields).write_parquet(file, compression="zstd", compression_level=3)
            rows[name] = len(block)
        return self._parts(rows)

    def _parts(self, rows: dict[str, int]) -> dict[str, Part]:
        for name in [name for name, count in rows.items() if count == 0]:
            (self.path / name).unlink()
        return {name: Part(count, _hash(self.path / name)) for name, count in rows.items() if count}


class OneTable:
    """One Parquet file, made of the parts of a folder beside it once all are there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts = Folder(path.with_name(f"{path.name}.parts"))

    def begin(self, fresh: Manifest) -> Manifest:
        if self._path.exists():
            raise UsageError(f"{self._path}: is there already; name another")
        return self._parts.begin(fresh)

    def day(self, done: Manifest, kind: str, day: date, blocks: Iterator[Block], fields: Sequence[str]) -> Manifest:
        return self._parts.day(done, kind, day, blocks, fields)

    def finish(self, done: Manifest) -> None:
        self._parts.finish(done)
        partial = self._path.with_name(f"{self._path.name}.partial")
        pl.scan_parquet([self._parts.path / name for name in done.parts]).sink_parquet(
            partial, compression="zstd", compression_level=3
        )
        sync([partial])
        partial.rename(self._path)
        sync([self._path.parent])
        shutil.rmtree(self._parts.path)

    def forget(self) -> None:
        self._parts.forget()


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that is there only once it is whole and on disk."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def _hash(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
