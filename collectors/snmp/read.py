"""Reading one device as its profile says: which objects, in which order, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from collectors.failures import PollError
from collectors.profiles import Profile, ProfileSet, Table
from collectors.profiles import Value as Wanted
from collectors.snmp.memory import Memory, TableMemory, one_of
from collectors.snmp.rows import Attempt, Cut, Reading, System, TableRead, attempt
from collectors.snmp.sheet import Walked, cells_of, sheet_of, text_of
from collectors.snmp.walk import OUT_OF_TIME
from collectors.snmp.wire import Agent, Column, Oid, Value
from collectors.subjects import SCALARS
from twin.vocab.inventory import Device, SnmpAccess
from twin.vocab.time import instant, now

SYS_DESCR = (1, 3, 6, 1, 2, 1, 1, 1, 0)
SYS_OBJECT_ID = (1, 3, 6, 1, 2, 1, 1, 2, 0)
SYS_UPTIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)
SYS_NAME = (1, 3, 6, 1, 2, 1, 1, 5, 0)
_SCALAR = Table("route", {}, {})
_EMPTY = Column()


@dataclass
class Reader:
    """Reads one device once. After ``run`` was cut off by a deadline, ``reading`` holds what came until then.

    ``memory`` is the device's own, from round to round; after ``until`` (time.monotonic) nothing more is asked.
    """

    agent: Agent
    device: Device
    profiles: ProfileSet
    round: Literal["fast", "full"]
    memory: Memory
    until: float = math.inf
    _system: System | None = None
    _scalars: dict[str, Any] = field(default_factory=dict)
    _tables: dict[str, TableRead] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _at: np.datetime64 = field(default_factory=lambda: instant(now()))
    _values: int = 0
    _cut: list[Cut] = field(default_factory=list)
    _pending: dict[str, Table] = field(default_factory=dict)
    _walked: Walked = field(default_factory=Walked)

    async def run(self) -> None:
        """Read everything the profile wants in this round.

        Raises:
            PollError: the agent did not even tell its system group.
        """
        profile, told = await self._identify()
        wanted = {name: table for name, table in profile.tables.items() if self._is_due(table.round)}
        self._pending = dict(wanted)
        self._take_scalars(profile, told)
        await self._look_at_empty(wanted)
        for name, table in wanted.items():
            if time.monotonic() > self.until:
                self.cut_short(OUT_OF_TIME)
            elif name in self._pending and not self._is_needless(table):
                await self._try_table(name, table, told)
            self._pending.pop(name, None)

    def cut_short(self, reason: str) -> None:
        """All that was not yet read is left out, because of ``reason``."""
        left = {name: table for name, table in self._pending.items() if not self._is_needless(table)}
        self._cut += [Cut(name, table.subject, reason) for name, table in left.items()]
        self._pending.clear()

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

    @property
    def _is_full(self) -> bool:
        return self.round == "full"

    def _is_due(self, round_: str) -> bool:
        return self._is_full or round_ != "full"

    def _is_needless(self, table: Table) -> bool:
        return any(self._gave_something(other) for other in table.unless)

    def _gave_something(self, name: str) -> bool:
        return name in self._scalars or bool(name in self._tables and len(self._tables[name]))

    async def _get(self, oids: list[Oid]) -> Mapping[Oid, Value]:
        found = await self.agent.get(list(dict.fromkeys(oids)))
        self._at = instant(now())
        self._values += len(found)
        return found

    async def _identify(self) -> tuple[Profile, Mapping[Oid, Value]]:
        """Its system group and, if its profile is known already, the scalars in the same response."""
        known = self.memory.profile
        system = [SYS_OBJECT_ID, SYS_UPTIME, *([SYS_DESCR, SYS_NAME] if self._is_full or known is None else [])]
        found = await self._get(system + (self._scalar_oids(known) if known else []))
        if not found:
            raise PollError("refused", "the agent shows no system group: is its view restricted?")
        self._system = self._system_of(found)
        profile = self._profile_of(self._system)
        if known is profile:
            self.memory.system = self._system
            return profile, found
        self.memory.forget()
        if known is not None and not self._is_full:
            return await self._identify()
        self.memory.profile, self.memory.system = profile, self._system
        oids = self._scalar_oids(profile)
        return profile, (await self._get(oids) if oids else {})

    def _profile_of(self, system: System) -> Profile:
        before, known = self.memory.system, self.memory.profile
        if known and before and (before.object_id, before.description) == (system.object_id, system.description):
            return known
        return self.profiles.choose(system.object_id, self.device.profiles, system.description)

    def _system_of(self, found: Mapping[Oid, Value]) -> System:
        object_id, uptime = found.get(SYS_OBJECT_ID), found.get(SYS_UPTIME)
        before = self.memory.system if SYS_DESCR not in found and not self._is_full else None
        return System(
            name=before.name if before else text_of(found.get(SYS_NAME)) or "",
            description=before.description if before else text_of(found.get(SYS_DESCR)) or "",
            object_id=object_id if isinstance(object_id, tuple) else (),
            uptime_cs=uptime if isinstance(uptime, int) else None,
        )

    def _scalar_oids(self, profile: Profile) -> list[Oid]:
        due = [value for value in profile.scalars.values() if self._is_due(value.round)]
        oids = [oid for value in due for source in value.sources for oid in source.oids]
        counts = [oid for table in profile.tables.values() if self._is_due(table.round) for oid in table.count]
        absent = frozenset() if self._is_full else self.memory.absent
        return [oid for oid in dict.fromkeys(oids + counts) if oid not in absent]

    def _take_scalars(self, profile: Profile, told: Mapping[Oid, Value]) -> None:
        due = {name: value for name, value in profile.scalars.items() if self._is_due(value.round)}
        oids = frozenset[Oid]().union(*(value.oids for value in due.values()))
        self.memory.absent = one_of(oids.difference(told))
        due = {name: value for name, value in due.items() if value.oids & told.keys()}
        columns = {oid: Column(((),), (told[oid],)) if oid in told else _EMPTY for oid in oids}
        sheet = sheet_of(_SCALAR, due, Walked(columns))
        for name, value in due.items():
            given = cells_of(value, SCALARS[name], sheet).values
            if len(given) and given[0] is not None:
                self._scalars[name] = given[0]

    async def _try_table(self, name: str, table: Table, told: Mapping[Oid, Value]) -> None:
        for oid in table.count:
            if isinstance(number := told.get(oid), int):
                self._counts[name] = number
        if self._counts.get(name, 0) > self._access.max_rows:
            return
        try:
            await self._read_table(name, table)
        except PollError as problem:
            self._cut.append(Cut(name, table.subject, problem.reason))
            del self._pending[name]
            if problem.status == "silent":
                self.cut_short("not asked for after that")

    async def _read_table(self, name: str, table: Table) -> None:
        """Walk first sources and what was of use before, then what fills the gaps they leave."""
        wanted = table.values if self._is_full else table.values_between
        before = self.memory.tables.get(name, TableMemory())
        self._recall(wanted, before)
        cuts, asked, at = len(self._cut), set[Oid](), self._at
        missing = self._not_walked([*_first(wanted), *(o for v in wanted.values() for o in v.oids & before.useful)])
        if not missing and not any(self._walked.of(oid).values for value in wanted.values() for oid in value.oids):
            return
        tried: Attempt | None = None
        while tried is None or missing:
            if missing:
                asked |= set(missing)
                at = await self._walk(name, table, missing, before.rows)
            tried = attempt(name, table, wanted, self._walked)
            self._tables[name] = replace(tried.table, at=at)
            missing = [oid for oid in self._not_walked(tried.missing) if oid not in asked]
        if asked and len(self._cut) == cuts:
            self._remember(name, wanted, before, tried, asked)

    def _not_walked(self, oids: Iterable[Oid]) -> list[Oid]:
        known, idle = self._walked.columns, self._walked.idle
        return [oid for oid in dict.fromkeys(oids) if oid not in known and oid not in idle]

    def _recall(self, wanted: Mapping[str, Wanted], before: TableMemory) -> None:
        """In fast rounds kept columns serve as they were, and those that gave nothing are not walked again."""
        self._walked.idle = frozenset() if self._is_full else before.idle
        kept = [value for value in wanted.values() if value.round == "kept" and not self._is_full]
        for value in kept:
            here = value.oids & self.memory.kept.keys() - self._walked.columns.keys()
            self._walked.add({oid: self.memory.kept[oid] for oid in here})

    async def _look_at_empty(self, wanted: Mapping[str, Table]) -> None:
        """The tables that were empty before, all at once: most still are, and one request tells it of them all."""
        tables = self.memory.tables
        empty = [table for name, table in wanted.items() if name in tables and not tables[name].rows]
        oids = self._not_walked(oid for table in empty if not table.count for oid in _first(table.values))
        if len(empty) < 2 or not oids or not self._is_full:
            return
        try:
            walk = await self.agent.walk(oids, rows=1, max_rows=self._access.max_rows, until=self.until)
        except PollError:
            return  # each is then asked for by itself, and what goes wrong is said of it
        self._values += len(walk)
        self._walked.add({} if walk.cut else walk.columns)

    async def _walk(self, name: str, table: Table, oids: list[Oid], rows: int) -> np.datetime64:
        walk = await self.agent.walk(oids, rows=rows, max_rows=self._access.max_rows, until=self.until)
        self._values += len(walk)
        self._cut += [Cut(name, table.subject, cut) for cut in walk.cut]
        self._walked.add(walk.columns)
        return walk.at

    def _remember(
        self, name: str, wanted: Mapping[str, Wanted], before: TableMemory, tried: Attempt, asked: set[Oid]
    ) -> None:
        """A column that was of use before does not become idle in a fast round: agents' tables are empty at times."""
        vain = frozenset(asked) - tried.used
        idle = vain if self._is_full else before.idle | (vain - before.useful)
        useful = tried.used if self._is_full else before.useful | tried.used
        rows = max(len(self._walked.of(oid).values) for oid in asked)
        self.memory.tables[name] = TableMemory(rows, one_of(useful), one_of(idle))
        for value in wanted.values():
            if value.round == "kept":
                self.memory.kept |= {oid: self._walked.of(oid) for oid in value.oids & self._walked.columns.keys()}


def _first(wanted: Mapping[str, Wanted]) -> list[Oid]:
    """The columns to begin with: joined ones are of use only once there are rows."""
    return [oid for value in wanted.values() if not value.sources[0].at for oid in value.sources[0].oids]
