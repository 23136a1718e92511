"""CSV (RFC 4180) -> rows. An empty cell is a value that was not measured; ``""`` is an empty text. Pure.

Nothing is done about texts that a spreadsheet would take for a formula: what is read is what was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path
from typing import TypeAlias

from twin.store.line_parser import LONGEST_LINE
from twin.store.transfer.rows import Cell, Found, Row, Tally, fitted, implausible
from twin.store.transfer.tables import KIND, TIME, Columns, columns_of
from twin.vocab.errors import InputError, Place
from twin.vocab.schema import Field

_CELL = re.compile(r'(?:"((?:[^"]++|"")*+)"|([^",\n]*+))(,|\Z)')
_WHOLE = re.compile(r"-?\d{1,20}\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
Convert: TypeAlias = "Callable[[str, bool], Cell | None]"


class BadCellError(ValueError):
    """A cell that can't be read; ``column`` counts characters from 1."""

    def __init__(self, column: int, reason: str) -> None:
        super().__init__(reason)
        self.column = column


class CsvReader:
    """A ``RowReader`` of the lines below a header."""

    precision = ""

    def __init__(self, columns: Columns, present: int) -> None:
        self._kind = columns.spec.name
        self._keys = columns.spec.keys
        self._names = columns.names
        self._converts = [_convert(name, columns) for name in columns.names]
        self._present = present

    def read(self, buffer: bytes, line: int, *, final: bool, tally: Tally) -> Iterator[Found]:  # noqa: ARG002 - nothing is unmapped
        start = 0
        while start < len(buffer):
            end = _line_end(buffer, start, final=final)
            if end is None:
                return
            first = buffer.find(b"\n", start, end)
            found = self._found(buffer, line, start, end)
            if found.problem and first >= 0:  # a stray quote spoils its own line only
                end = first
                found = self._found(buffer, line, start, end)
            yield found
            line += 1 + buffer.count(b"\n", start, end)
            start = end + 1

    def _found(self, buffer: bytes, line: int, start: int, end: int) -> Found:
        place = (line, start, min(end + 1, len(buffer)))
        try:
            text = buffer[start:end].decode().removesuffix("\r")
        except UnicodeDecodeError as problem:
            return Found(*place, column=problem.start + 1, problem="is not UTF-8")
        if not text:
            return Found(*place)
        try:
            row = self._row(text)
        except BadCellError as problem:
            return Found(*place, column=problem.column, problem=str(problem))
        reason = implausible(row.kind, row.at, row.values, self._present)
        if reason or not row.values:
            return Found(*place, problem=reason)
        return Found(*place, row)

    def _row(self, text: str) -> Row:
        given: dict[str, Cell] = {}
        for name, convert, (column, cell, quoted) in self._cells(text):
            try:
                value = convert(cell, quoted)
            except ValueError as problem:
                raise BadCellError(column, f"{name}: {problem}") from None
            if value is not None:
                given[name] = value
        at = given.pop(TIME)
        given.pop(KIND, None)
        return Row(self._kind, tuple(str(given.pop(key)) for key in self._keys), int(at), given)

    def _cells(self, text: str) -> Iterator[tuple[str, Convert, tuple[int, str, bool]]]:
        cells = list(_split(text))
        if len(cells) != len(self._names):
            raise BadCellError(1, f"{len(cells)} cells, not {len(self._names)}")
        return zip(self._names, self._converts, cells, strict=True)


def csv_head(raw: bytes, file: Path, kind: str | None) -> tuple[Columns, int]:
    """From a file's first bytes: what its columns are, and at which byte the lines below begin.

    Raises:
        UsageError, InputError: the header, or the kind in the first row, does not say.
    """
    skipped = 3 if raw.startswith(b"\xef\xbb\xbf") else 0
    end = raw.find(b"\n")
    end = len(raw) if end < 0 else end
    try:
        names = [cell for _, cell, _ in _split(raw[skipped:end].decode().removesuffix("\r"))]
    except ValueError as problem:
        raise InputError(Place(file, 1), f"is not a header of CSV: {problem}") from problem
    return columns_of(names, file, wanted=kind, told=_first_kind(raw[end + 1 :], names)), min(end + 1, len(raw))


def _first_kind(below: bytes, names: list[str]) -> str | None:
    if KIND not in names:
        return None
    try:
        cells = list(_split(below.partition(b"\n")[0].decode().removesuffix("\r")))
        return cells[names.index(KIND)][1]
    except (ValueError, IndexError):
        return None


def _line_end(buffer: bytes, start: int, *, final: bool) -> int | None:
    """Where the record that begins at ``start`` ends: at the first line break outside quotes."""
    quotes, seen = 0, start
    while True:
        end = buffer.find(b"\n", seen)
        quotes += buffer.count(b'"', seen, len(buffer) if end < 0 else end)
        if end < 0:
            return len(buffer) if final or len(buffer) - start >= LONGEST_LINE else None
        if quotes % 2 == 0:
            return end
        seen = end + 1


def _split(text: str) -> Iterator[tuple[int, str, bool]]:
    """(column, text, whether it stood in quotes) of each cell."""
    at = 0
    while True:
        found = _CELL.match(text, at)
        if found is None:
            raise BadCellError(at + 1, "a quote stands where none can")
        quoted = found[1] is not None
        yield at + 1, found[1].replace('""', '"') if quoted else found[2], quoted
        if not found[3]:
            return
        at = found.end()


def _convert(name: str, columns: Columns) -> Convert:
    if name == TIME:
        return _time
    if name == KIND:
        return _only(columns.spec.name)
    if name in columns.spec.keys:
        return _key
    return _of_field(columns.spec.fields[name])


def _time(text: str, _quoted: bool) -> int:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not an ISO 8601 time") from None
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def _only(kind: str) -> Convert:
    def same(text: str, _quoted: bool) -> str:
        if text != kind:
            raise ValueError(f"{text[:40]!r} among rows of {kind}: one kind a file")
        return text

    return same


def _key(text: str, quoted: bool) -> str:
    if not text and not quoted:
        raise ValueError("is empty")
    return text


def _of_field(wanted: Field) -> Convert:
    def text_of(text: str, quoted: bool) -> Cell | None:
        return text if text or quoted else None

    def number_of(text: str, _quoted: bool) -> Cell | None:
        return fitted(_number(text), wanted) if text else None

    return text_of if wanted.type == "str" else number_of


def _number(text: str) -> float:
    """Whole numbers stay whole."""
    if _WHOLE.match(text):
        return int(text)
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a number") from None
    if not isfinite(value):
        raise ValueError(f"{text[:40]!r} is not a finite number")
    return value
