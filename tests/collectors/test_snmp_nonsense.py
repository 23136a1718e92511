"""Agents that answer nonsense of every type: a device is decoded all the same, and what is stored fits the schema."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors import chain
from collectors.profiles import Profile, load_profiles
from collectors.snmp.decode import decode
from collectors.snmp.memory import Memory
from collectors.snmp.read import SYS_OBJECT_ID, Reader
from collectors.snmp.wire import Oid, Value
from twin.store.samples import accepted
from twin.vocab.inventory import Device, SnmpAccess

PROFILES = load_profiles(Path(__file__).parents[2] / "configs" / "profiles")
_TEXTS = [b"", b"\0", b"\xff\xfe", b"Te1/1", b"nan", b"1e999 C", b"-inf", b"23.5 C", b"a" * 300, b"\x0a\x00\x00\x01"]
_NUMBERS = [0, 1, 2, 3, 6, 14, -1, -(2**31), 2**31, 2**32 - 1, 2**63, 2**64 - 1]
_OBJECTS: list[Oid] = [(), (0, 0), (1, 3, 6, 1, 2, 1, 2, 2, 1, 1, 1), (1, 3, 6, 1, 2, 1, 25, 2, 1, 2), (1, 2**32 - 1)]
VALUES: list[Value] = [*_NUMBERS, *_TEXTS, *_OBJECTS]
INSTANCES: list[Oid] = [
    (0,), (1,), (2,), (11,), (2**32 - 1,), (1, 0), (1, 1), (1, 2), (0, 1, 1), (10, 0, 0, 1), (10, 0, 0, 1, 0),
    (1, 4, 10, 0, 0, 1), (2, 16, *[0] * 15, 1), (1, 1, 4, 10, 0, 0, 1), (3, 65, 66, 67), (9, 9), (4, 300, 1, 1, 1),
]  # fmt: skip


def columns_of(profile: Profile) -> list[Oid]:
    values = [
        *profile.scalars.values(),
        *(value for table in profile.tables.values() for value in table.values.values()),
    ]
    return sorted({oid for value in values for oid in value.oids})


def table_of(profile: Profile, dice: Random) -> dict[Oid, Value]:
    """Some cells of the profile's columns, and rows over many columns, as on good days."""
    columns = columns_of(profile)
    cells = [(dice.choice(columns), dice.choice(INSTANCES)) for _ in range(40)]
    for instance in dice.sample(INSTANCES, 3):
        cells += [(column, instance) for column in dice.sample(columns, len(columns) // 2)]
    return {(*column, *instance): dice.choice(VALUES) for column, instance in cells}


@pytest.mark.parametrize("name", [profile.name for profile in PROFILES])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_nonsense_is_decoded(
    name: str, v2c: SnmpAccess, canned_agent: Callable[[dict[Oid, Value]], Any], seed: int
) -> None:
    dice, profile = Random(seed), PROFILES[name]
    device, memory = Device("dut", "192.0.2.1", v2c, profiles=(name,)), Memory()
    for round_ in ("full", "fast"):
        table = table_of(profile, dice) | {SYS_OBJECT_ID: (1, 3)}
        reader = Reader(canned_agent(table), device, PROFILES, "full" if round_ == "full" else "fast", memory)
        asyncio.run(reader.run())
        assert reader.reading is not None
        decoded = decode("dut", reader.reading)
        blocks, _ = chain.run_all(decoded.blocks, (chain.drop_unnamed, chain.drop_repeated))
        accepted(blocks)
