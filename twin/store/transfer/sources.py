"""A file as chunks of blocks: what is written in one go, and where the next one begins.

Where a chunk ends depends only on the file and on where it begins: a chunk that is read again is the same chunk.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, TypeAlias, cast

from twin.store.line_parser import LONGEST_LINE
from twin.store.transfer.csv_rows import CsvReader, csv_head
from twin.store.transfer.line_rows import LineReader, Translate
from twin.store.transfer.parquet_rows import parquet_head, parquet_slices
from twin.store.transfer.rows import Row, RowReader, Tally, blocks_of
from twin.store.transfer.tables import Columns
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError

Format: TypeAlias = Literal["line", "csv", "parquet"]
CHUNK = 8 << 20
_HEAD = 1 << 16
OWN_HEADER = b"# nettwin line protocol, times in us\n"
_DATABASES = re.compile(rb"(?:#[^\n]*\n)*?# DDL\n(?:[^\n]*\n)*?# DML\n")
_SUFFIXES: dict[str, Format] = {
    ".lp": "line", ".line": "line", ".influx": "line", ".csv": "csv", ".parquet": "parquet",
}  # fmt: skip


@dataclass(frozen=True)
class Refused:
    """A line (Parquet: row) that was not stored, and why."""

    line: int
    column: int | None
    reason: str
    raw: bytes


@dataclass
class Chunk:
    """What is written in one go; ``offset`` (octets unpacked, Parquet: rows) and ``line`` begin the next one."""

    offset: int
    line: int
    blocks: Sequence[Block] = ()
    refused: list[Refused] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


class Source(Protocol):
    """A file that can be read from any chunk on. ``head``: what must stand before its lines for them to be read."""

    format: Format
    size: int
    head: bytes

    @property
    def precision(self) -> str: ...

    def chunks(self, offset: int, line: int) -> Iterator[Chunk]:
        """From a place where one began (0 and 1: from the start)."""
        ...

    def done(self) -> int:
        """How much of ``size`` is behind."""
        ...


def format_of(path: Path) -> Format:
    """By the name, else by how the file begins.

    Raises:
        UsageError: it can't be read.
    """
    name = path.name.removesuffix(".gz")
    if (known := _SUFFIXES.get(Path(name).suffix.lower())) is not None:
        return known
    start = first_octets(path)
    if start.startswith(b"PAR1"):
        return "parquet"
    header = start.partition(b"\n")[0]
    return "csv" if b"," in header and b"=" not in header and b"time" in header else "line"


def first_octets(path: Path) -> bytes:
    """What the file begins with, unpacked."""
    with opened(path) as (stream, _):
        return stream.read(_HEAD)


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """(the file unpacked, the file itself).

    Raises:
        UsageError: it can't be read, or its gzip is damaged or cut off.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            yield (cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw), raw
    except (OSError, EOFError, zlib.error) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise UsageError(f"{path}: can't be read: {reason}") from problem


class TextSource:
    """Line protocol or CSV, plain or gzip."""

    def __init__(self, path: Path, form: Format, reader: RowReader, head: bytes = b"") -> None:
        self.format = form
        self.size = path.stat().st_size
        self.head = head
        self._path = path
        self._reader = reader
        self._done = 0

    @property
    def precision(self) -> str:
        return self._reader.precision

    def done(self) -> int:
        return self._done

    def chunks(self, offset: int, line: int) -> Iterator[Chunk]:
        if offset == 0:
            offset, line = len(self.head), line + self.head.count(b"\n")
        with opened(self._path) as (stream, raw):
            stream.seek(offset)  # gzip: reads on to there
            buffer = b""
            while True:
                chunk, buffer = self._next(stream, buffer, offset, line)
                if chunk.offset == offset:
                    return
                offset, line, self._done = chunk.offset, chunk.line, raw.tell()
                yield chunk

    def _next(self, stream: BinaryIO, buffer: bytes, offset: int, line: int) -> tuple[Chunk, bytes]:
        """The lines that end in the next ``CHUNK`` octets; if the first is longer than that, it alone."""
        size = CHUNK
        while True:
            buffer += stream.read(max(0, size - len(buffer)))
            final = len(buffer) < size
            chunk = self._chunk(buffer[:size], offset, line, final=final)
            if chunk.offset == offset and size >= LONGEST_LINE:
                chunk = self._chunk(buffer[:size], offset, line, final=True)
            if chunk.offset > offset or final:
                return chunk, buffer[chunk.offset - offset :]
            size *= 2

    def _chunk(self, buffer: bytes, offset: int, line: int, *, final: bool) -> Chunk:
        chunk = Chunk(offset, line)
        rows: list[Row] = []
        end = 0
        for found in self._reader.read(buffer, line, final=final, tally=chunk.tally):
            end = found.end
            if found.row is not None:
                rows.append(found.row)
            elif found.problem is not None:
                raw = buffer[found.start : found.end]
                chunk.refused.append(Refused(found.line, found.column, found.problem, raw))
        chunk.blocks = blocks_of(rows)
        chunk.offset, chunk.line = offset + end, line + buffer.count(b"\n", 0, end)
        return chunk


class TableSource:
    """Parquet."""

    format: Format = "parquet"
    precision = ""

    def __init__(self, path: Path, columns: Columns, rows: int, present: int) -> None:
        self.size = rows
        self.head = (",".join(columns.names) + "\n").encode()
        self._path = path
        self._columns = columns
        self._present = present
        self._done = 0

    def done(self) -> int:
        return self._done

    def chunks(self, offset: int, line: int) -> Iterator[Chunk]:
        for part in parquet_slices(self._path, self._columns, offset, self._present):
            offset += part.rows
            line = offset + 1
            self._done = offset
            refused = [Refused(row, None, reason, text.encode() + b"\n") for row, reason, text in part.refused]
            yield Chunk(offset, line, [part.block] if len(part.block) else [], refused)


def csv_source(path: Path, kind: str | None, present: int) -> TextSource:
    """Raises UsageError or InputError if the header does not say what the columns are."""
    start = first_octets(path)
    columns, below = csv_head(start, path, kind)
    return TextSource(path, "csv", CsvReader(columns, present), start[:below])


def line_source(path: Path, translate: Translate, precision: str, present: int) -> TextSource:
    """``precision`` "": told by the file itself. What influx_inspect writes begins with statements for a server."""
    start = first_octets(path)
    if start.startswith(OWN_HEADER):
        return TextSource(path, "line", LineReader(translate, present, "us"), OWN_HEADER)
    preamble = _DATABASES.match(start)
    reader = LineReader(translate, present, precision)
    return TextSource(path, "line", reader, preamble[0] if preamble else b"")


def parquet_source(path: Path, kind: str | None, present: int) -> TableSource:
    """Raises UsageError or InputError if its columns are not those of a kind."""
    columns, rows = parquet_head(path, kind)
    return TableSource(path, columns, rows, present)
