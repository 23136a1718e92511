"""Reading one device as its profile says: which objects, in which order, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field

import numpy as np

from collectors.failures import PollError
from collectors.profiles import Profile, ProfileSet, Round, Table
from collectors.profiles import Value as Wanted
from collectors.snmp.rows import Cut, Reading, Rows, System, evaluate, rows_of, text_of
from collectors.snmp.walk import OUT_OF_TIME
from collectors.snmp.wire import Agent, Oid, Value
from collectors.subjects import Subject
from twin.vocab.inventory import Device, SnmpAccess
from twin.vocab.time import instant, now

SYS_DESCR = (1, 3, 6, 1, 2, 1, 1, 1, 0)
SYS_OBJECT_ID = (1, 3, 6, 1, 2, 1, 1, 2, 0)
SYS_UPTIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)
SYS_NAME = (1, 3, 6, 1, 2, 1, 1, 5, 0)
FIRST_GUESS = 8  # rows of a table never seen before

Sizes = MutableMapping[tuple[str, str], int]


@dataclass
class Reader:
    """Reads one device once. After ``run`` was cut off by a deadline, ``reading`` holds what came until then.

    ``sizes`` remembers the rows of each (device, table) between rounds, so that requests fit the table;
    after ``until`` (time.monotonic) nothing more is asked.
    """

    agent: Agent
    device: Device
    profiles: ProfileSet
    round: Round
    sizes: Sizes
    until: float = math.inf
    _system: System | None = None
    _scalars: dict[str, int | str] = field(default_factory=dict)
    _tables: dict[str, Rows] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _at: np.datetime64 = field(default_factory=lambda: instant(now()))
    _values: int = 0
    _cut: list[Cut] = field(default_factory=list)
    _pending: dict[str, Table] = field(default_factory=dict)

    async def run(self) -> None:
        """Read everything the profile wants in this round.

        Raises:
            PollError: the agent did not even tell its system group.
        """
        self._system, profile = await self._identify()
        wanted = {name: table for name, table in profile.tables.items() if self._is_due(table.round)}
        self._pending = dict(wanted)
        counts = await self._read_scalars(profile, wanted)
        for name, table in wanted.items():
            if time.monotonic() > self.until:
                self.cut_short(OUT_OF_TIME)
            elif name in self._pending and not self._is_needless(table):
                await self._try_table(name, table, counts)
            self._pending.pop(name, None)

    def cut_short(self, reason: str) -> None:
        """All that was not yet read is left out, because of ``reason``."""
        left = {name: table for name, table in self._pending.items() if not self._is_needless(table)}
        self._cut += [Cut(name, table.subject, reason) for name, table in left.items()]
        self._pending.clear()

    async def _try_table(self, name: str, table: Table, counts: Mapping[Oid, Value]) -> None:
        try:
            await self._read_table(name, table, counts)
        except PollError as problem:
            self._cut.append(Cut(name, table.subject, problem.reason))
            del self._pending[name]
            if problem.status == "silent":
                self.cut_short("not asked for after that")

    def _is_needless(self, table: Table) -> bool:
        return any(self._gave_something(other) for other in table.unless)

    @property
    def reading(self) -> Reading | None:
        """What came, or None while not even the system group did."""
        if self._system is None:
            return None
        return Reading(
            self._system, self._scalars, self._tables, self._counts, self._at, self._values, tuple(self._cut)
        )

    @property
    def _access(self) -> SnmpAccess:
        if self.device.snmp is None:
            raise PollError("error", "no SNMP access configured")
        return self.device.snmp

    def _is_due(self, round_: Round) -> bool:
        return self.round == "full" or round_ == "fast"

    def _gave_something(self, name: str) -> bool:
        return name in self._scalars or bool(name in self._tables and self._tables[name].rows)

    async def _get(self, oids: list[Oid]) -> Mapping[Oid, Value]:
        found = await self.agent.get(oids)
        self._at = instant(now())
        self._values += len(found)
        return found

    async def _identify(self) -> tuple[System, Profile]:
        found = await self._get([SYS_DESCR, SYS_OBJECT_ID, SYS_UPTIME, SYS_NAME])
        object_id, uptime = found.get(SYS_OBJECT_ID), found.get(SYS_UPTIME)
        if not found:
            raise PollError("refused", "the agent shows no system group: is its view restricted?")
        system = System(
            name=text_of(found.get(SYS_NAME, b"")) or "",
            description=text_of(found.get(SYS_DESCR, b"")) or "",
            object_id=object_id if isinstance(object_id, tuple) else (),
            uptime_cs=uptime if isinstance(uptime, int) else None,
        )
        return system, self.profiles.choose(system.object_id, self.device.profiles, system.description)

    async def _read_scalars(self, profile: Profile, wanted: Mapping[str, Table]) -> Mapping[Oid, Value]:
        due = {name: value for name, value in profile.scalars.items() if self._is_due(value.round)}
        oids = [oid for value in due.values() for source in value.sources for oid in source.oids]
        counts = [oid for table in wanted.values() for oid in table.count]
        if not oids and not counts:
            return {}
        found = await self._get(list(dict.fromkeys(oids + counts)))
        columns: dict[Oid, dict[Oid, Value]] = {oid: {(): value} for oid, value in found.items()}
        for name, value in due.items():
            result, _ = evaluate(value, (), columns)
            if result is not None:
                self._scalars[name] = result
        return found

    async def _read_table(self, name: str, table: Table, counts: Mapping[Oid, Value]) -> None:
        for oid in table.count:
            if isinstance(number := counts.get(oid), int):
                self._counts[name] = number
        if self._counts.get(name, 0) > self._access.max_rows:
            return
        wanted = {key: column for key, column in table.values.items() if self._is_due(column.round)}
        columns: dict[Oid, dict[Oid, Value]] = {}
        at = self._at
        for depth in range(max(len(column.sources) for column in wanted.values())):
            if missing := _missing(wanted, columns, depth):
                at = await self._walk(name, table.subject, missing, columns)
        rows = rows_of(table, wanted, columns)
        self.sizes[self.device.name, name] = len(rows)
        self._tables[name] = Rows(table.subject, rows, at)

    async def _walk(
        self, name: str, subject: Subject, oids: list[Oid], columns: dict[Oid, dict[Oid, Value]]
    ) -> np.datetime64:
        guess = self.sizes.get((self.device.name, name), FIRST_GUESS)
        walk = await self.agent.walk(oids, rows=guess, max_rows=self._access.max_rows, until=self.until)
        self._values += len(walk)
        self._cut += [Cut(name, subject, cut) for cut in walk.cut]
        for oid, column in walk.columns.items():
            columns[oid] = dict(zip(column.instances, column.values, strict=True))
        return walk.at


def _missing(wanted: Mapping[str, Wanted], columns: Mapping[Oid, Mapping[Oid, Value]], depth: int) -> list[Oid]:
    """The columns still to walk: the first sources, then those that fill the gaps the earlier ones left."""
    instances = {instance for column in columns.values() for instance in column}
    oids = [
        oid
        for value in wanted.values()
        if len(value.sources) > depth and (depth == 0 or any(evaluate(value, i, columns)[0] is None for i in instances))
        for oid in value.sources[depth].oids
    ]
    return [oid for oid in dict.fromkeys(oids) if oid not in columns]
