"""What is remembered of a device between rounds, so that each round asks for what was of use and for nothing else."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache

from collectors.profiles import Profile
from collectors.snmp.rows import System
from collectors.snmp.wire import Column, Oid

FIRST_GUESS = 8  # rows of a table never seen before


@dataclass(frozen=True)
class TableMemory:
    """How many rows a table had, which of its columns were of use, and which were asked for in vain."""

    rows: int = FIRST_GUESS
    useful: frozenset[Oid] = frozenset()
    idle: frozenset[Oid] = frozenset()


@dataclass
class Memory:
    """One device's. ``absent``: scalars it does not have; ``kept``: columns that serve until the next full round."""

    system: System | None = None
    profile: Profile | None = None
    absent: frozenset[Oid] = frozenset()
    tables: dict[str, TableMemory] = field(default_factory=dict)
    kept: dict[Oid, Column] = field(default_factory=dict)

    def forget(self) -> None:
        """It has become another device."""
        self.profile, self.system, self.absent = None, None, frozenset()
        self.tables, self.kept = {}, {}


Memories = MutableMapping[str, Memory]


@lru_cache(maxsize=4096)
def one_of(oids: frozenset[Oid]) -> frozenset[Oid]:
    """The same set as one object: thousands of devices of one kind remember the same columns."""
    return oids
