"""Pure: the walked columns of a table -> named columns of values, as the profile says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from collectors.profiles import Source, Table
from collectors.profiles import Value as Wanted
from collectors.snmp.numbers import Numbers, numbers_of
from collectors.snmp.sheet import Cells, Sheet, Walked, cells_of, keeps, sheet_of
from collectors.snmp.wire import Oid, dotted
from collectors.subjects import FORMS, INTERFACE_NUMBERS, Subject

Row = Mapping[str, Any]
_UNTIMED = np.datetime64("NaT", "us")


@dataclass(frozen=True)
class TableRead:
    """A table as read: rows that count, in index order, and when the agent's last response for it came (UTC).

    ``columns``: index parts, helpers and columns by name, row by row, None = not given; ``numbers``: an interface
    table's counters and gauges. ``shared``: names that several rows had, and which rows; none kept it.
    """

    name: str
    subject: Subject
    instances: Sequence[Oid]
    columns: Mapping[str, Sequence[Any]]
    numbers: Mapping[str, Numbers]
    shared: Mapping[str, Sequence[int]] = field(default_factory=dict)
    at: np.datetime64 = _UNTIMED

    def __len__(self) -> int:
        return len(self.instances)

    def rows(self) -> list[Row]:
        """As dictionaries, what was not given left out."""
        return [
            {name: values[row] for name, values in self.columns.items() if values[row] is not None}
            for row in range(len(self))
        ]

    def called(self, row: int) -> str:
        """What to call a row that has no name."""
        return f"{self.name} {dotted(self.instances[row])}"


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
    scalars: Mapping[str, Any]
    tables: Mapping[str, TableRead]
    counts: Mapping[str, int]
    at: np.datetime64
    values: int
    cut: tuple[Cut, ...] = ()

    def tables_of(self, subject: Subject) -> list[TableRead]:
        return [table for table in self.tables.values() if table.subject == subject]

    def of(self, subject: Subject) -> list[Row]:
        return [row for table in self.tables_of(subject) for row in table.rows()]


@dataclass(frozen=True)
class Attempt:
    """What the columns walked so far make of a table: what of them was of use, and what is still to walk."""

    table: TableRead
    used: frozenset[Oid]
    missing: tuple[Oid, ...]


def attempt(name: str, table: Table, wanted: Mapping[str, Wanted], walked: Walked) -> Attempt:
    """The table from what was ``walked``; rows that do not count are left out."""
    sheet = sheet_of(table, wanted, walked)
    form = FORMS[table.subject]
    numbers: dict[str, Numbers] = {}
    told: list[Cells | Numbers] = []
    shared: dict[str, Sequence[int]] = {}
    for key, value in wanted.items():
        if table.subject == "interface" and key in INTERFACE_NUMBERS:
            numbers[key] = numbers_of(value, sheet)
            told.append(numbers[key])
            continue
        cells = cells_of(value, form.columns.get(key, "any"), sheet)
        sheet.known[key] = cells.values
        told.append(cells)
        shared |= cells.shared
    missing = dict.fromkeys(oid for cells in told for oid in cells.missing if oid not in walked.columns)
    used: list[Source] = [source for cells in told for source in cells.used]
    read = TableRead(name, table.subject, sheet.instances, sheet.known, numbers, shared)
    return Attempt(_counting(table, sheet, read), _oids(used), tuple(missing))


def _oids(sources: Sequence[Source]) -> frozenset[Oid]:
    return frozenset(oid for source in sources for oid in source.oids)


def _counting(table: Table, sheet: Sheet, read: TableRead) -> TableRead:
    """Without the rows that the profile filters out, or that lack what their subject needs."""
    if table.subject == "interface" and not (table.only or table.skip):
        return read
    needs = () if table.subject == "interface" else FORMS[table.subject].needs
    whole = [all(read.columns[name][row] is not None for name in needs) for row in range(len(sheet))]
    if all(whole) and not (table.only or table.skip):
        return read
    rows = [row for row in range(len(sheet)) if whole[row] and keeps(table, sheet.known, row)]
    mask = np.isin(np.arange(len(sheet)), rows)
    columns = {name: [values[row] for row in rows] for name, values in read.columns.items()}
    numbers = {name: column.take(mask) for name, column in read.numbers.items()}
    instances = [read.instances[row] for row in rows]
    place = {row: number for number, row in enumerate(rows)}
    shared = {name: [place[row] for row in of if row in place] for name, of in read.shared.items()}
    return TableRead(read.name, read.subject, instances, columns, numbers, shared)
