"""Pure: what was walked -> rows of named values, as the profile says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, TypeAlias

import numpy as np

from collectors.profiles import Source, Table
from collectors.profiles import Value as Wanted
from collectors.snmp.index import Part, parse_index
from collectors.snmp.wire import Oid, Value, dotted
from collectors.subjects import Subject

Columns: TypeAlias = Mapping[Oid, Mapping[Oid, Value]]


@dataclass(frozen=True)
class Row:
    """One row: index parts and columns by name (unmeasured ones left out), and the width of its counters."""

    values: Mapping[str, Any]
    bits: Mapping[str, int] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


@dataclass(frozen=True)
class Rows:
    """A table as read: its rows, and when the agent's last response for it came (UTC)."""

    subject: Subject
    rows: tuple[Row, ...]
    at: np.datetime64


@dataclass(frozen=True)
class System:
    """The system group (RFC 3418)."""

    name: str
    description: str
    object_id: Oid
    uptime_cs: int | None


@dataclass(frozen=True)
class Cut:
    """A table that was not read to its end, or not at all, and why."""

    table: str
    subject: Subject
    reason: str


@dataclass(frozen=True)
class Reading:
    """All that one agent said in one round.

    ``counts``: how many rows the agent says a table has (known even if it was not walked);
    ``cut``: tables that are not all there is; ``values``: how many varbinds were read.
    """

    system: System
    scalars: Mapping[str, int | str]
    tables: Mapping[str, Rows]
    counts: Mapping[str, int]
    at: np.datetime64
    values: int
    cut: tuple[Cut, ...] = ()

    def of(self, subject: Subject) -> list[Row]:
        return [row for table in self.tables.values() if table.subject == subject for row in table.rows]


def evaluate(wanted: Wanted, instance: Oid, columns: Columns) -> tuple[Any, int | None]:
    """The value of the first source that has one, and its counter width; (None, None) if none has."""
    for source in wanted.sources:
        value = _from_source(source, instance, columns)
        if value is not None:
            return value, source.bits
    return None, None


def _from_source(source: Source, instance: Oid, columns: Columns) -> Any:
    raw = columns.get(source.own, {}).get(instance)
    if raw is None:
        return None
    if source.type != "int":
        return _CONVERT[source.type](raw)
    if not isinstance(raw, int) or raw in source.unknown:
        return None
    total = raw + sum(_number(columns, oid, instance) for oid in source.plus)
    total -= sum(_number(columns, oid, instance) for oid in source.minus)
    for oid in source.times:
        total *= _number(columns, oid, instance)
    if source.bits:
        return total % 2**source.bits
    return total if source.scale == 1.0 else round(total * source.scale)


def _number(columns: Columns, oid: Oid, instance: Oid) -> int:
    value = columns.get(oid, {}).get(instance, 0)
    return value if isinstance(value, int) else 0


def text_of(raw: Value) -> str | None:
    """Octets as UTF-8 text, padding removed; empty text counts as not given."""
    if not isinstance(raw, bytes):
        return None
    return raw.decode("utf-8", "replace").strip("\0 \t\r\n") or None


def _number_in_text(raw: Value) -> int | None:
    words = (text_of(raw) or "").split()
    try:
        return int(float(words[0])) if words else None
    except (ValueError, OverflowError):
        return None


def _address(raw: Value) -> IPv4Address | None:
    return IPv4Address(raw) if isinstance(raw, bytes) and len(raw) == 4 else None


_CONVERT: Mapping[str, Any] = {
    "text": text_of,
    "octets": lambda raw: raw if isinstance(raw, bytes) else None,
    "address": _address,
    "oid": lambda raw: raw if isinstance(raw, tuple) else None,
    "number_text": _number_in_text,
}


def rows_of(table: Table, wanted: Mapping[str, Wanted], columns: Columns) -> tuple[Row, ...]:
    """Columns side by side, in index order. Instances whose index does not fit the profile are left out."""
    instances = sorted({suffix for column in columns.values() for suffix in column})
    rows = (_row(table.index, wanted, instance, columns) for instance in instances)
    return tuple(row for row in rows if row is not None and _counts(table, row))


def _counts(table: Table, row: Row) -> bool:
    return all(_spelled(row.get(name)) in values for name, values in table.only.items()) and not any(
        _spelled(row.get(name)) in values for name, values in table.skip.items()
    )


def _spelled(value: Any) -> str:
    """As profiles write it: "" for none, object identifiers with dots."""
    if value is None:
        return ""
    return dotted(value) if isinstance(value, tuple) else str(value)


def _row(index: Mapping[str, Part], wanted: Mapping[str, Wanted], instance: Oid, columns: Columns) -> Row | None:
    values = parse_index(index, instance)
    if values is None:
        return None
    bits: dict[str, int] = {}
    for name, column in wanted.items():
        value, width = evaluate(column, instance, columns)
        if value is not None:
            values[name] = value
        if width is not None:
            bits[name] = width
    return Row(values, bits)
