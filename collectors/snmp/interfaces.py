"""Pure: the interface table as read -> samples, and how other tables find an interface.

An interface is named by ifName (ifDescr where that is empty or shared), never by ifIndex. Of those whose names are all
shared with others the only one that is up keeps the name; otherwise they name no series and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from collectors.snmp.numbers import Ints, Numbers, every, width
from collectors.snmp.rows import Reading, TableRead
from collectors.snmp.sheet import text_of
from twin.vocab.blocks import Block, Column, Mask

_OCTETS = ("in_octets", "out_octets")
_PACKETS = ("in_packets", "out_packets")


@dataclass(frozen=True)
class Interfaces:
    """The named interfaces of one device: their names, and which rows of ``table`` they are."""

    table: TableRead
    rows: Sequence[int] = ()
    names: Sequence[str] = ()

    @cached_property
    def by_index(self) -> Mapping[int, str]:
        indexes = self.table.columns.get("index", ())
        return {indexes[row]: name for row, name in zip(self.rows, self.names, strict=True)}

    @cached_property
    def by_name(self) -> Mapping[str, int]:
        """Name -> row of the table."""
        return dict(zip(self.names, self.rows, strict=True))

    @cached_property
    def spoken(self) -> Mapping[str, str]:
        """What an interface is called, names and descriptions that are no other's name -> name."""
        descriptions = self.table.columns.get("description") or [None] * len(self.table)
        tally = Counter(descriptions)
        told = {text: name for name, row in self.by_name.items() if (text := descriptions[row]) and tally[text] == 1}
        return told | {name: name for name in self.names}

    @property
    def left_out(self) -> dict[str, int]:
        """Names that several interfaces have, and how many of those have no name of their own."""
        names = self.table.columns.get("name", ())
        counts = {name: sum(names[row] is None for row in rows) for name, rows in self.table.shared.items()}
        return {name: count for name, count in counts.items() if count and name not in self.outlived}

    @property
    def outlived(self) -> dict[str, int]:
        """Names that several interfaces have of which one is up and keeps it, and how many those are."""
        return {name: len(rows) for name, rows in self.table.shared.items() if self.by_name.get(name) in rows}

    @property
    def renamed(self) -> dict[str, int]:
        """Names that several interfaces have, and how many of those are called otherwise."""
        names = self.table.columns.get("name", ())
        counts = {name: sum(names[row] is not None for row in rows) for name, rows in self.table.shared.items()}
        return {name: count for name, count in counts.items() if count}

    @property
    def nameless(self) -> int:
        """How many interfaces have no name at all."""
        shared = {row for rows in self.table.shared.values() for row in rows}
        return sum(n is None and row not in shared for row, n in enumerate(self.table.columns.get("name", ())))

    def value(self, name: str, column: str) -> Any:
        """One cell of a named interface; None if not given."""
        row = self.by_name[name]
        if column in self.table.numbers:
            numbers = self.table.numbers[column]
            return int(numbers.values[row]) if numbers.valid[row] else None
        return self.table.columns[column][row] if column in self.table.columns else None

    def find(self, said: Any) -> str:
        """What an ifIndex, an OID that ends in one, or a text (a name, or one that begins with a name) means, or ""."""
        if isinstance(said, tuple):
            return self.by_index.get(said[-1], "") if said else ""
        if isinstance(said, int):
            return self.by_index.get(said, "")
        return self._named_in(text_of(said) or "" if isinstance(said, bytes) else said or "")

    def _named_in(self, text: str) -> str:
        if text in self.spoken:
            return self.spoken[text]
        words = [word.rstrip(":,") for word in text.split()]
        beginnings = [" ".join(words[:count]) for count in range(len(words) - 1, 0, -1)]
        return next((self.spoken[said] for said in (*beginnings, *words) if _tells(said) and said in self.spoken), "")


def _tells(said: str) -> bool:
    """A bare number in a sensor's name is rarely that of a port."""
    return any(c.isalpha() for c in said) and any(c.isdigit() for c in said)


def interfaces_of(reading: Reading) -> Interfaces:
    """Those that have a name of their own."""
    table = next(iter(reading.tables_of("interface")), None)
    if table is None:
        return Interfaces(TableRead("interfaces", "interface", (), {}, {}))
    names = _names(table)
    if None not in names:
        return Interfaces(table, range(len(names)), names)
    rows = [row for row, name in enumerate(names) if name is not None]
    return Interfaces(table, rows, [names[row] for row in rows])


def _names(table: TableRead) -> Sequence[Any]:
    """Of those whose names are all shared, the only one that is administratively up keeps the name.

    Agents may go on showing an interface that is no more beside the one that was made in its place (net-snmp does for
    five minutes); its ifIndex in the samples says which of the two they are of.
    """
    names: list[Any] = list(table.columns["name"])
    status = table.numbers.get("admin_status")
    if status is None:
        return names
    for name, rows in table.shared.items():
        nameless = [row for row in rows if names[row] is None]
        up = [row for row in nameless if status.valid[row] and status.values[row] == 1]
        if len(up) == 1 and name not in names:
            names[up[0]] = name
    return names


def interface_block(device: str, interfaces: Interfaces, uptime_cs: int | None) -> Block | None:
    """Counters as read, octets and packets of one width; each row carries sysUpTime."""
    table, count = interfaces.table, len(interfaces.rows)
    if not count:
        return None
    rows = None if count == len(table) else np.array(interfaces.rows)
    fields = {name: Column(numbers.values, numbers.valid) for name, numbers in table.numbers.items()}
    fields |= _counters(table.numbers, len(table))
    fields["index"] = Column(np.array(table.columns["index"], dtype=np.int64), every(len(table)))
    given = {name: column if rows is None else column.take(rows) for name, column in fields.items()}
    if uptime_cs is not None:
        given["uptime_cs"] = Column(np.full(count, uptime_cs, dtype=np.int64), every(count))
    names: np.ndarray[Any, Any] = np.empty(count, dtype=object)
    names[:] = interfaces.names
    keys = {"device": np.full(count, device, dtype=object), "interface": names}
    measured = {name: column for name, column in given.items() if column.valid is every(count) or column.valid.any()}
    return Block("interface", keys, np.full(count, table.at), measured)


def _counters(numbers: Mapping[str, Numbers], count: int) -> dict[str, Column]:
    """Octets and packets of one width: the narrower if in and out differ (a Counter64 modulo 2^32 counts the same)."""
    counters = {name: numbers[name] for name in (*_OCTETS, *_PACKETS) if name in numbers}
    if len(counters) == 4 and all(column.bits is width(count, 64) for column in counters.values()):
        return {"counter_bits": Column(width(count, 64), every(count))}
    narrow, told = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for column in (counters[name] for name in _OCTETS if name in counters):
        narrow |= column.valid & (column.bits == 32)
        told |= column.valid & (column.bits > 0)
    bits = np.where(narrow, 32, 64)
    fitted = {name: _narrowed(column, narrow, bits) for name, column in counters.items()}
    return fitted | {"counter_bits": Column(bits, told)}


def _narrowed(numbers: Numbers, narrow: Mask, bits: Ints) -> Column:
    fits = (numbers.bits == 0) | (numbers.bits >= bits)
    return Column(np.where(narrow, numbers.values & 0xFFFFFFFF, numbers.values), numbers.valid & fits)
