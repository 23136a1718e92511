"""Rows on their way in: one at a time, checked, gathered by kind, and turned into blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import polars as pl

from twin.store.frames import AT, frame_schema, to_block
from twin.vocab.blocks import Block
from twin.vocab.schema import KINDS, Field

Cell: TypeAlias = "int | float | str"
FIVE_MINUTES_US = 300_000_000
LATEST_US = 7_258_118_400_000_000  # 2200-01-01


@dataclass(frozen=True, slots=True)
class Row:
    """One sample: its keys in the kind's order, UTC microseconds since 1970, and what was measured."""

    kind: str
    keys: tuple[str, ...]
    at: int
    values: Mapping[str, Cell]


def fitted(value: float | str | bool, wanted: Field) -> Cell:
    """A value in a field's type; an unsigned counter keeps its 64 bits.

    Raises:
        ValueError: it does not fit; the reason alone.
    """
    if wanted.type == "str":
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not text")
        return value
    if isinstance(value, str | bool):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 - input, not a programming error
    if wanted.type == "float":
        return float(value)
    return _whole(value)


def _whole(value: float) -> int:
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(f"{value!r} is not a whole number")
        value = int(value)
    if not -(2**63) <= value < 2**64:
        raise ValueError(f"{value} does not fit 64 bits")
    return value - 2**64 if value >= 2**63 else value


def implausible(kind: str, at: int, values: Mapping[str, Cell], present: int) -> str | None:
    """Why a row can't be what it says, if so. ``present``: UTC microseconds since 1970."""
    if not 0 <= at < LATEST_US:
        return "its time is outside the years 1970 to 2199"
    if kind != "interface_rate":
        return None
    if at > present:
        return "its time is not past: history is what was"
    if at % FIVE_MINUTES_US:
        return "its time is not on a 5-minute mark: rates are 5-minute means"
    negative = [name for name, value in values.items() if isinstance(value, float) and value < 0]
    return f"{negative[0]} is negative" if negative else None


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in bytes ``start`` to ``end`` of a buffer, on line ``line``: a row, or why it is refused.

    Neither: nothing is stored of it (blank, a comment, not mapped).
    """

    line: int
    start: int
    end: int
    row: Row | None = None
    column: int | None = None
    problem: str | None = None


@dataclass
class Tally:
    """What was read and not stored, by name: values of unmapped fields, and of those a mapping leaves out."""

    unmapped: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


class RowReader(Protocol):
    """A text format. ``precision``: the unit of its times, "" while not known (or if they say it themselves)."""

    precision: str

    def read(self, buffer: bytes, line: int, *, final: bool, tally: Tally) -> Iterator[Found]:
        """Each line of a buffer whose first one is number ``line``, up to the last complete one (``final``: all)."""
        ...


@dataclass
class Gathered:
    """Rows of one kind, column by column."""

    kind: str
    keys: list[tuple[str, ...]] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    values: list[Mapping[str, Cell]] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.keys.append(row.keys)
        self.at.append(row.at)
        self.values.append(row.values)

    def block(self) -> Block:
        """All of them; fields that none has are left out."""
        spec = KINDS[self.kind]
        names = [name for name in spec.fields if any(name in row for row in self.values)]
        schema = frame_schema(self.kind, names)
        columns = [
            pl.Series(key, list(texts), pl.String)
            for key, texts in zip(spec.keys, zip(*self.keys, strict=True), strict=True)
        ]
        columns.append(pl.Series("at", self.at, pl.Int64).cast(AT))
        columns += [pl.Series(name, [row.get(name) for row in self.values], schema[name]) for name in names]
        return to_block(self.kind, pl.DataFrame(columns), names)


def blocks_of(rows: Sequence[Row]) -> list[Block]:
    """Rows -> one block a kind."""
    gathered: dict[str, Gathered] = {}
    for row in rows:
        gathered.setdefault(row.kind, Gathered(row.kind)).add(row)
    return [found.block() for found in gathered.values()]
