"""Line protocol as others write it, read strictly: bytes of many lines -> points, each bad line with its reason. Pure.

The grammar is InfluxDB's (docs.influxdata.com, "Line protocol"): escapes ``\\,`` ``\\=`` ``\\ `` outside text and
``\\"`` ``\\\\`` within; text may hold line breaks; integers end in i, unsigned ones in u; NaN and infinity are none.
Stricter than the server: a tag or field that stands twice, and a line without time, are errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import TypeAlias

Value: TypeAlias = "int | float | str | bool"
LONGEST_LINE = 16 << 20
_LONGEST_QUOTE = 40
_WORD = r"(?:[^,= \\]++|\\[,= ]?)++"
_MEASUREMENT = re.compile(r"(?:[^, \\]++|\\[, ]?)++")
_TAG = re.compile(rf",({_WORD})=({_WORD})")
_HEAD_AND_GAP = re.compile(r"((?:[^ \\]++|\\[, =]?)*+) ++")
_FIELD = re.compile(
    rf"({_WORD})=(?:(-?\d{{1,19}})i|(\d{{1,20}})u|(-?(?:\d++\.?\d*+|\.\d++)(?:[eE][-+]?\d++)?)"
    r'|"((?:[^"\\]++|\\.)*+)"|(t|T|true|True|TRUE)|(f|F|false|False|FALSE))(?=[, ]|\Z)',
    re.DOTALL,
)
_TIME = re.compile(r" +(?:(-?\d{1,19}) *)?\Z")
_CLOSED = re.compile(rb'(?:[^"\\]++|\\.)*+"', re.DOTALL)
_INT, _UINT, _FLOAT, _TEXT, _TRUE = 2, 3, 4, 5, 6


@dataclass(frozen=True, slots=True)
class Point:
    """One line. ``time`` is in whatever unit the file uses."""

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, Value]
    time: int


class LineError(ValueError):
    """A line that is none: at which column (from 1) and why. ``unclosed``: a text begun there is still open."""

    def __init__(self, column: int, reason: str, *, unclosed: bool = False) -> None:
        super().__init__(f"column {column}: {reason}")
        self.column = column
        self.reason = reason
        self.unclosed = unclosed


@dataclass(frozen=True, slots=True)
class Parsed:
    """What stands in bytes ``start`` to ``end`` (line break included), on line ``line``; None: blank or a comment."""

    line: int
    start: int
    end: int
    outcome: Point | LineError | None


def parse_lines(buffer: bytes, line: int, *, final: bool) -> Iterator[Parsed]:
    """Each line of a buffer whose first line is number ``line``, up to the last complete one (``final``: to its end).

    A text that is never closed spoils its own line only.
    """
    start = 0
    while start < len(buffer):
        end = buffer.find(b"\n", start)
        if end < 0 and not final:
            return
        found = _outcome(buffer, start, len(buffer) if end < 0 else end, final=final)
        if found is None:
            return
        end, outcome = found
        yield Parsed(line, start, min(end + 1, len(buffer)), outcome)
        line += 1 + buffer.count(b"\n", start, end)
        start = end + 1


def _outcome(buffer: bytes, start: int, end: int, *, final: bool) -> tuple[int, Point | LineError | None] | None:
    """Where the line ends and what it is; None: more of the buffer is needed to tell."""
    first: tuple[int, LineError] | None = None
    while True:
        outcome = _parsed(buffer[start:end])
        if not isinstance(outcome, LineError):
            return end, outcome
        first = first or (end, outcome)
        if not outcome.unclosed:
            return first
        opened = start + _octets(buffer[start:end], outcome.column)
        closed = _CLOSED.match(buffer, opened)
        whole = None if closed is None else buffer.find(b"\n", closed.end())
        if whole is None or whole < 0:
            if not final and len(buffer) - start < LONGEST_LINE:
                return None
            if whole is None:
                return first
            whole = len(buffer)
        end = whole


def _octets(line: bytes, column: int) -> int:
    """How many octets the first ``column`` characters take."""
    return len(line.decode()[:column].encode())


def _parsed(raw: bytes) -> Point | LineError | None:
    try:
        text = raw.decode().removesuffix("\r")
    except UnicodeDecodeError as problem:
        return LineError(len(raw[: problem.start].decode(errors="replace")) + 1, "is not UTF-8")
    if not text or text.isspace() or text.lstrip().startswith("#"):
        return None
    try:
        return parse_line(text)
    except LineError as problem:
        return problem


def parse_line(text: str) -> Point:
    """One line without its line break.

    Raises:
        LineError: it is not line protocol.
    """
    found = _HEAD_AND_GAP.match(text)
    if found is None:
        raise LineError(len(text) + 1, "the fields are missing")
    measurement, tags = _head(found[1])
    fields, end = _fields(text, found.end())
    stamp = _TIME.match(text, end)
    if stamp is None:
        raise LineError(end + 1, "no time" if end == len(text) else f"{_quote(text, end)} is not a time")
    if stamp[1] is None:
        raise LineError(end + 1, "no time")
    return Point(measurement, tags, fields, int(stamp[1]))


@lru_cache(maxsize=1 << 16)
def _head(text: str) -> tuple[str, Mapping[str, str]]:
    """Measurement and tags; most lines of a file begin like an earlier one."""
    found = _MEASUREMENT.match(text)
    if found is None:
        raise LineError(1, "the measurement is missing")
    tags: dict[str, str] = {}
    at = found.end()
    while at < len(text):
        tag = _TAG.match(text, at)
        if tag is None:
            raise LineError(at + 1, f"{_quote(text, at)} is not a tag: ,name=value")
        name = _unescaped(tag[1])
        if name in tags:
            raise LineError(at + 2, f"tag {name} stands twice")
        tags[name] = _unescaped(tag[2])
        at = tag.end()
    return re.sub(r"\\([, ])", r"\1", found[0]), tags


def _fields(text: str, start: int) -> tuple[dict[str, Value], int]:
    fields: dict[str, Value] = {}
    at = start
    while True:
        found = _FIELD.match(text, at)
        if found is None:
            raise _bad_field(text, at)
        name = _unescaped(found[1])
        if name in fields:
            raise LineError(at + 1, f"field {name} stands twice")
        fields[name] = _value(found, at)
        at = found.end()
        if text[at : at + 1] != ",":
            return fields, at
        at += 1


def _value(found: re.Match[str], at: int) -> Value:
    kind = found.lastindex or 0
    text = found[kind]
    if kind in (_INT, _UINT):
        number = int(text)
        if not (-(2**63) <= number < 2**63 if kind == _INT else number < 2**64):
            raise LineError(at + 1, f"{text} does not fit 64 bits")
        return number
    if kind == _FLOAT:
        return _finite(text, at)
    if kind == _TEXT:
        return re.sub(r'\\(["\\])', r"\1", text) if "\\" in text else text
    return kind == _TRUE


def _finite(text: str, at: int) -> float:
    value = float(text)
    if not isfinite(value):
        raise LineError(at + 1, f"{text} is too large for a number")
    return value


def _bad_field(text: str, at: int) -> LineError:
    name = re.compile(f"{_WORD}=").match(text, at)
    if name is None:
        return LineError(at + 1, f"{_quote(text, at)} is not a field: name=value")
    value = name.end()
    if text[value : value + 1] == '"' and re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL).match(text, value) is None:
        return LineError(value + 1, "a text is not closed by a quote", unclosed=True)
    return LineError(value + 1, f"{_quote(text, value)} is no number, text or boolean")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text) if "\\" in text else text


def _quote(text: str, at: int) -> str:
    """The word that stands there, shortened."""
    word = re.split(r"[, ]", text[at : at + _LONGEST_QUOTE], maxsplit=1)[0]
    return repr(word) if word else "nothing"
