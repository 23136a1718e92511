"""Pure: the walked columns of one table side by side, and what a profile's sources make of them cell by cell.

A source of one row may look at the row's own instance, or at the one that its index and columns spell (a join).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from collectors.profiles import PLACEHOLDER, Source, Table
from collectors.profiles import Value as Wanted
from collectors.snmp.index import parse_index, split_index
from collectors.snmp.wire import Column, Oid, Value, dotted
from collectors.subjects import ColumnType

MOST_CLIMBS = 12
MOST_PLACES = 300  # after the decimal point: what a float can hold
LEAST_DBM = -40.0  # SFF-8472: the least a transceiver can tell is 0.1 uW
_EMPTY = Column()
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Walked:
    """The columns of one device as walked in one round, in order or by instance."""

    def __init__(self, columns: dict[Oid, Column] | None = None) -> None:
        self.columns = {} if columns is None else columns
        self.idle: frozenset[Oid] = frozenset()  # not walked, because it would give the table now read nothing
        self._by_instance: dict[Oid, Mapping[Oid, Value]] = {}

    def of(self, oid: Oid) -> Column:
        return self.columns.get(oid, _EMPTY)

    def by_instance(self, oid: Oid) -> Mapping[Oid, Value]:
        if oid not in self._by_instance:
            column = self.of(oid)
            self._by_instance[oid] = dict(zip(column.instances, column.values, strict=True))
        return self._by_instance[oid]

    def add(self, columns: Mapping[Oid, Column]) -> None:
        self.columns.update(columns)
        for oid in columns:
            self._by_instance.pop(oid, None)

    def has(self, source: Source) -> bool:
        """Whether all it needs was walked, found or not."""
        columns, idle = self.columns, self.idle
        for oid in source.oids:  # noqa: SIM110 - asked a hundred times a device and round: a generator is slower
            if oid not in columns and oid not in idle:
                return False
        return True


@dataclass
class Sheet:
    """One table's rows: instances that fit the index, and the index parts and columns known so far by name."""

    walked: Walked
    table: Table
    instances: Sequence[Oid]
    known: dict[str, Sequence[Any]]
    _arcs: dict[str, list[Oid]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.instances)

    def along(self, oid: Oid) -> Sequence[Value | None]:
        """A column's values row by row; None where it has no such instance."""
        column = self.walked.of(oid)
        if column.instances is self.instances or column.instances == self.instances:
            return column.values
        if not column.values:
            return [None] * len(self.instances)
        found = self.walked.by_instance(oid)
        return [found.get(instance) for instance in self.instances]

    def arcs(self, name: str, row: int) -> Oid | None:
        """The sub-identifiers that an index part or a column's value stands for; None for what can't be one."""
        if name in self.table.index:
            if not self._arcs:
                split = [split_index(self.table.index, instance) or {} for instance in self.instances]
                self._arcs = {part: [arcs[part] for arcs in split] for part in self.table.index}
            return self._arcs[name][row]
        return _arcs_of(self.known[name][row])


def _arcs_of(value: Any) -> Oid | None:
    if isinstance(value, tuple):
        return value
    if isinstance(value, int | float):
        return (int(value),) if value >= 0 else None
    if isinstance(value, IPv4Address | IPv6Address):
        return tuple(value.packed)
    if isinstance(value, str | bytes):
        octets = value.encode() if isinstance(value, str) else value
        return (len(octets), *octets)
    return None


def sheet_of(table: Table, wanted: Mapping[str, Wanted], walked: Walked) -> Sheet:
    """All instances of the columns that are not joined, in order. Those that do not fit the index are left out."""
    known = walked.columns
    own = [known[oid] for value in wanted.values() for oid in value.own if oid in known]
    columns = [column for column in own if column.instances]
    instances: Sequence[Oid] = columns[0].instances if columns else ()
    if any(column.instances is not instances and column.instances != instances for column in columns):
        instances = sorted({instance for column in columns for instance in column.instances})
    if [part.kind for part in table.index.values()] == ["int"]:
        if not all(len(instance) == 1 for instance in instances):
            instances = [instance for instance in instances if len(instance) == 1]
        return Sheet(walked, table, instances, {next(iter(table.index)): [instance[0] for instance in instances]})
    parsed = [parse_index(table.index, instance) for instance in instances]
    if None in parsed:
        instances = [instance for instance, parts in zip(instances, parsed, strict=True) if parts is not None]
    fitting = [parts for parts in parsed if parts is not None]
    return Sheet(walked, table, instances, {name: [parts[name] for parts in fitting] for name in table.index})


@dataclass(frozen=True)
class Cells:
    """One column row by row (None = not given), the sources that gave something, and what to walk to fill the gaps.

    ``shared``: of a ``unique`` value, what several rows gave, and which rows; none of them kept it.
    """

    values: Sequence[Any]
    used: tuple[Source, ...] = ()
    missing: tuple[Oid, ...] = ()
    shared: Mapping[Any, Sequence[int]] = field(default_factory=dict)


def cells_of(wanted: Wanted, kind: ColumnType, sheet: Sheet) -> Cells:
    """The first source that has a value for a row gives it, as ``kind``."""
    found: list[Any] = [None] * len(sheet)
    gaps: Sequence[int] = range(len(sheet))
    partial = wanted.unique or any(source.when for source in wanted.sources)
    used: list[Source] = []
    shared: dict[Any, list[int]] = {}
    for source in wanted.sources:
        if used or partial:
            gaps = _gaps(found, source, sheet)
        if not gaps and (len(sheet) or source.at):
            continue
        if not sheet.walked.has(source):
            return Cells(found, tuple(used), source.oids, shared)
        given = _given(source, kind, sheet, gaps)
        if given.count(None) < len(given):
            used.append(source)
        if len(gaps) == len(sheet):
            found = given
        else:
            for row, value in zip(gaps, given, strict=True):
                found[row] = value
        if wanted.unique:
            shared |= _unshare(found)
    return Cells(found, tuple(used), (), shared)


def _gaps(found: Sequence[Any], source: Source, sheet: Sheet) -> Sequence[int]:
    """The rows without a value that the source serves."""
    if None not in found:
        return ()
    gaps = [row for row, value in enumerate(found) if value is None]
    return [row for row in gaps if _serves(source, sheet, row)] if source.when else gaps


def _given(source: Source, kind: ColumnType, sheet: Sheet, rows: Sequence[int]) -> list[Any]:
    if source.is_plain_text and kind == "text":
        raws = sheet.along(source.own)
        return [text_of(raws[row]) for row in rows]
    return [typed(kind, _cell(source, sheet, row)) for row in rows]


def _unshare(found: list[Any]) -> dict[Any, list[int]]:
    """What several rows have is taken from all of them."""
    if len(set(found)) == len(found):
        return {}
    rows: dict[Any, list[int]] = {}
    for row, value in enumerate(found):
        rows.setdefault(value, []).append(row)
    shared = {value: of for value, of in rows.items() if len(of) > 1 and value is not None}
    found[:] = [None if value in shared else value for value in found]
    return shared


def _cell(source: Source, sheet: Sheet, row: int) -> Any:
    if source.text:
        return _meant(source, _filled(source.text, sheet, row))
    place = _place(source, sheet, row)
    raw = None if place is None else sheet.walked.by_instance(source.own).get(place)
    return None if raw is None or place is None else _meant(source, read_value(source, raw, place, sheet.walked))


def _serves(source: Source, sheet: Sheet, row: int) -> bool:
    return all(spelled(sheet.known[name][row]) in values for name, values in source.when.items())


def _place(source: Source, sheet: Sheet, row: int) -> Oid | None:
    """The instance a source looks at: the row's own, or the one ``at`` spells, or that of a container above."""
    if not source.at:
        return sheet.instances[row]
    spelling = [(int(name),) if name.isdigit() else sheet.arcs(name, row) for name in source.at]
    arcs = [part for part in spelling if part is not None]
    if len(arcs) < len(spelling):
        return None
    objects = sheet.walked.by_instance(source.own)
    rest = tuple(arc for part in arcs[1:] for arc in part)
    for _ in range(MOST_CLIMBS if source.climb else 1):
        if (place := arcs[0] + rest) in objects:
            return place
        container = sheet.walked.by_instance(source.climb).get(arcs[0]) if source.climb else None
        if not isinstance(container, int):
            return None
        arcs[0] = (container,)
    return None


def _filled(text: str, sheet: Sheet, row: int) -> str | None:
    """A text whose placeholders are filled in; None if one of them has nothing to say."""
    said = {name: spelled(sheet.known[name][row]) for name in PLACEHOLDER.findall(text)}
    return PLACEHOLDER.sub(lambda found: said[found[1]], text) if all(said.values()) else None


def read_value(source: Source, raw: Value, place: Oid, walked: Walked) -> Any:
    """A raw value as the source's type and arithmetic make it; None for what is not of that type."""
    if source.type == "text":
        return _picked(source, text_of(raw))
    if source.type == "octets":
        return raw if isinstance(raw, bytes) else None
    if source.type == "oid":
        return raw if isinstance(raw, tuple) else None
    if source.type == "address":
        return _address(raw)
    number = _number_in_text(source, raw) if source.type == "number_text" else raw
    if not isinstance(number, int | float) or number in source.unknown:
        return None
    return _computed(source, number, place, walked)


def _computed(source: Source, number: float, place: Oid, walked: Walked) -> float | None:
    def other(oid: Oid) -> int:
        value = walked.by_instance(oid).get(place, 0)
        return value if isinstance(value, int) else 0

    if source.signed and number >= 2 ** (source.signed - 1):
        number -= 2**source.signed
    if source.high:
        number = number % 2**32 + (other(source.high) << 32)
    number += sum(other(oid) for oid in source.plus) - sum(other(oid) for oid in source.minus)
    for oid in source.times:
        number *= other(oid)
    if source.scale_code or source.precision:
        code = other(source.scale_code) if source.scale_code else 9
        precision = other(source.precision) if source.precision else 0
        if not (1 <= code <= 17 and -8 <= precision <= 9):
            return None
        number = _decimal(number * 10.0 ** (3 * (code - 9) - precision))
    if source.exponent:
        number = _decimal(number * 10.0 ** -min(max(other(source.exponent), 0), MOST_PLACES))
    if source.scale != 1.0:
        number = _decimal(number * source.scale)
    return _converted(source, number + source.add if source.add else number)


def _decimal(number: float) -> float:
    """Without the dust of binary fractions: 282 tenths are 28.2."""
    return float(f"{number:.12g}")


def _converted(source: Source, number: float) -> float:
    if source.convert == "watts_to_dbm":
        return max(LEAST_DBM, 10.0 * math.log10(number * 1000.0)) if number > 0 else LEAST_DBM
    if source.convert == "fahrenheit_to_celsius":
        return (number - 32.0) / 1.8
    if source.convert == "ieee754_single":
        return float(struct.unpack(">f", (int(number) % 2**32).to_bytes(4, "big"))[0])
    return number % 2**source.bits if source.bits else number


def _meant(source: Source, value: Any) -> Any:
    if value is None:
        return None
    if source.values:
        return source.values.get(spelled(value))
    if source.contains:
        said = spelled(value).lower()
        return next((meaning for word, meaning in source.contains.items() if word.lower() in said), None)
    return value


def typed(kind: ColumnType, value: Any) -> Any:
    """A value as the column stores it; None if it can't be one."""
    if kind == "any" or value is None:
        return value
    if kind == "text":
        return spelled(value) or None
    if kind == "int" and isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    return number if kind == "float" else typed("int", round(number))


def spelled(value: Any) -> str:
    """As profiles write it: "" for none, object identifiers with dots, octets as text, 2.0 as 2."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, tuple):
        return dotted(value)
    return (text_of(value) or "") if isinstance(value, bytes) else str(value)


def keeps(table: Table, known: Mapping[str, Sequence[Any]], row: int) -> bool:
    """Whether ``only`` and ``skip`` let a row count."""
    return all(spelled(known[name][row]) in values for name, values in table.only.items()) and not any(
        spelled(known[name][row]) in values for name, values in table.skip.items()
    )


def text_of(raw: Value | None) -> str | None:
    """Octets as UTF-8 text, padding removed; empty text counts as not given."""
    if not isinstance(raw, bytes):
        return None
    return _short_text(raw) if len(raw) <= 64 else _text(raw)


def _text(raw: bytes) -> str | None:
    return raw.decode("utf-8", "replace").strip("\0 \t\r\n") or None


@lru_cache(maxsize=2**17)
def _short_text(raw: bytes) -> str | None:
    """The same text of thousands of devices (interface names) is one object."""
    return _text(raw)


def _picked(source: Source, text: str | None) -> str | None:
    if text is None or source.pattern is None:
        return text
    found = source.pattern.search(text[:255])
    return (found[1] or None) if found else None


def _number_in_text(source: Source, raw: Value) -> float | None:
    found = _NUMBER.search(_picked(source, text_of(raw)) or "")
    if found is None:
        return None
    number = float(found[0])
    return int(number) if number.is_integer() else number


def _address(raw: Value) -> IPv4Address | IPv6Address | None:
    if not isinstance(raw, bytes):
        return None
    if len(raw) == 4:
        return IPv4Address(raw)
    return IPv6Address(raw) if len(raw) == 16 else None
