"""A recording: read-only, in OID order, without secrets, and it says when it is not all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.failures import PollError
from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.record import ROOTS, SECRET, Recording, record
from collectors.snmp.wire import Column, Oid, Value, Walk
from tests.bench.agents import V2C, Agents, Setup, devices
from tests.bench.recordings import lines_of, objects_of, recordings, write_encoded
from tests.collectors.tupled import walk_columns
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c, SnmpV3

MIB2 = (1, 3, 6, 1, 2, 1)
ENTERPRISES = (1, 3, 6, 1, 4, 1)
OLD = Device("r1", "192.0.2.1", SnmpAccess(SnmpV2c(Secret("s3cret"))))
NEW = Device(
    "r1",
    "192.0.2.1",
    SnmpAccess(SnmpV3("u", auth_passphrase=Secret("auth-phrase"), privacy_passphrase=Secret("priv-phrase"))),
)
Canned = Callable[[Mapping[Oid, Value]], "object"]
ABSENT = pytest.param(None, marks=pytest.mark.skip(reason="no recordings beside the checkout (../shared/data/snmp)"))
SMALL = [path for path in recordings() if path.stat().st_size < 300_000]
RECORDINGS = [pytest.param(path, id=path.name.partition(".")[0]) for path in SMALL] or [ABSENT]


def recorded(agent: object, device: Device = OLD, roots: Sequence[Oid] = (MIB2, ENTERPRISES)) -> Recording:
    return asyncio.run(record(agent, device, roots, most=100, until=math.inf))  # type: ignore[arg-type]


def test_each_value_gets_the_tag_it_needs(canned_agent: Canned) -> None:
    values: list[Value] = [-1, 2**31 - 1, 2**31, 2**64 - 1, b"eth0", b"", b"a\nb", b" padded", b"\xff", (1, 3, 6)]
    table: dict[Oid, Value] = {(*MIB2, 1, i): value for i, value in enumerate(values)}
    lines = [line.removeprefix("1.3.6.1.2.1.1.") for line in recorded(canned_agent(table)).lines]
    assert lines == [
        "0|2|-1",
        "1|2|2147483647",
        "2|66|2147483648",
        "3|70|18446744073709551615",
        "4|4|eth0",
        "5|4|",
        "6|4x|610a62",
        "7|4x|20706164646564",
        "8|4x|ff",
        "9|6|1.3.6",
    ]


class Telling:
    """An agent that tells types."""

    def __init__(self, agent: object, types: Mapping[Oid, int]) -> None:
        self.types: dict[Oid, int] | None = None
        self._agent, self._told = agent, types

    async def walk(self, columns: Sequence[Oid], **limits: float) -> object:
        assert self.types is not None
        self.types.update(self._told)
        return await self._agent.walk(columns, **limits)  # type: ignore[attr-defined]


def test_an_engine_that_tells_types_gives_the_tags(canned_agent: Canned) -> None:
    values: list[Value] = [5, 6, 7, 8, b"\xc0\x00\x02\x01", b"text", b"\x9f\x78\x04\x00\x00\x00\x00"]
    tags = [65, 66, 67, 70, 64, 4, 68]
    table: dict[Oid, Value] = {(*MIB2, 9, i): value for i, value in enumerate(values)}
    agent = Telling(canned_agent(table), dict(zip(table, tags, strict=True)))
    lines = [line.removeprefix("1.3.6.1.2.1.9.") for line in recorded(agent).lines]
    assert lines == ["0|65|5", "1|66|6", "2|67|7", "3|70|8", "4|64|192.0.2.1", "5|4|text", "6|68x|9f780400000000"]


@pytest.mark.parametrize("hidden", SECRET, ids=lambda oid: ".".join(map(str, oid)))
def test_nothing_below_a_secret_object_is_kept(canned_agent: Canned, hidden: Oid) -> None:
    taken = recorded(canned_agent({(*hidden, 1): b"x", (*MIB2, 1): 1}), roots=[(1, 3, 6, 1)])
    assert taken.lines == ("1.3.6.1.2.1.1|2|1",)
    assert taken.withheld == 1


@pytest.mark.parametrize(
    ("device", "secret"), [(OLD, b"s3cret"), (NEW, b"auth-phrase"), (NEW, b"priv-phrase")], ids=["v2c", "auth", "priv"]
)
def test_what_the_device_was_asked_with_is_kept_out_of_values_and_indexes(
    canned_agent: Canned, device: Device, secret: bytes
) -> None:
    table: dict[Oid, Value] = {
        (*MIB2, 1): b"community " + secret,
        (*MIB2, 2, len(secret), *secret): 1,
        (*MIB2, 3, 70_000): 2,
    }
    assert recorded(canned_agent(table), device).lines == ("1.3.6.1.2.1.3.70000|2|2",)


class Failing:
    """Answers the first root, then not."""

    def __init__(self, agent: object, fine: int) -> None:
        self.agent, self.fine, self.asked = agent, fine, 0

    async def walk(self, columns: Sequence[Oid], **limits: float) -> object:
        self.asked += 1
        if self.asked > self.fine:
            raise PollError("silent", "no answer")
        return await self.agent.walk(columns, **limits)  # type: ignore[attr-defined]


def test_a_device_that_falls_silent_leaves_what_came_and_is_not_asked_again(canned_agent: Canned) -> None:
    agent = Failing(canned_agent({(*MIB2, 1): 1}), fine=1)
    taken = recorded(agent, roots=(MIB2, (1, 3, 6, 1, 3), ENTERPRISES))
    assert taken.lines == ("1.3.6.1.2.1.1|2|1",)
    assert taken.cut == ("1.3.6.1.3: no answer: nothing asked for after that",)
    assert agent.asked == 2


def test_a_device_that_never_answers_is_a_failure(canned_agent: Canned) -> None:
    with pytest.raises(PollError, match="no answer"):
        recorded(Failing(canned_agent({}), fine=0))


def test_more_values_than_wanted_are_said_to_be_cut(canned_agent: Canned) -> None:
    taken = recorded(canned_agent({(*MIB2, 1, i): i for i in range(200)}))
    assert len(taken.lines) == 100
    assert "has more than 100 rows" in taken.cut[0]


class Looping:
    """Repeats itself after one of its objects."""

    def __init__(self, table: Mapping[Oid, Value], loop: Oid) -> None:
        self.table, self.loop = table, loop

    async def walk(self, columns: Sequence[Oid], **limits: float) -> Walk:
        return await walk_columns(self.bulk, columns, repetitions=4, **limits)  # type: ignore[arg-type]

    async def get(self, oids: Sequence[Oid]) -> Mapping[Oid, Value]:
        return {oid: self.table[oid] for oid in oids if oid in self.table}

    async def bulk(self, oids: Sequence[Oid], repetitions: int) -> list[tuple[Oid, Value | None]]:
        ordered = sorted(self.table)
        later = [oid for oid in ordered if oid > oids[0]][:repetitions]
        answer: list[tuple[Oid, Value | None]] = [(oid, self.table[oid]) for oid in later] or [(oids[0], None)]
        return [
            (self.loop, 0) if before == self.loop else pair
            for before, pair in zip([*oids[:1], *later], answer, strict=False)
        ]


def test_what_lies_behind_a_loop_is_recorded_too() -> None:
    """In the next rows, columns, tables and groups."""
    first = [(*ENTERPRISES, 9, 1, 1, 1, column, row) for column in (1, 2) for row in (1, 2, 3)]
    later = [(*ENTERPRISES, 9, 1, 2, 1, 1, 1), (*ENTERPRISES, 9, 33, 1, 1, 1, 7), (*ENTERPRISES, 30, 1)]
    agent = Looping(dict.fromkeys([*first, *later], 1), loop=first[1])
    taken = recorded(agent, roots=[ENTERPRISES])
    assert [line.split("|")[0] for line in taken.lines] == [".".join(map(str, oid)) for oid in [*first, *later]]
    assert "does not increase" in taken.cut[0]


def test_an_agent_that_loops_for_ever_is_left_after_a_while() -> None:
    class Endless:
        asked = 0

        async def get(self, oids: Sequence[Oid]) -> Mapping[Oid, Value]:
            return {}

        async def walk(self, columns: Sequence[Oid], **limits: float) -> Walk:
            self.asked += 1
            one = Column(((self.asked, 1),), (1,))
            return Walk({columns[0]: one}, np.datetime64("2026-11-25"), ("goes on and on",))

    agent = Endless()
    assert recorded(agent, roots=[ENTERPRISES]).cut == ("goes on and on",)
    assert agent.asked < 10_000


@pytest.mark.parametrize("path", RECORDINGS)
def test_a_device_that_plays_a_recording_is_recorded_alike(path: Path, tmp_path: Path) -> None:
    """Every object, type and value. Where an object is too large for the agent, the rest."""
    objects = objects_of(lines_of(path))
    write_encoded(objects, tmp_path / "objects")
    with Agents(Setup(recording=tmp_path / "objects")) as agents:
        (device,) = devices(1, agents.port, V2C)
        taken = asyncio.run(by_fast_engine(device))
    told = objects_of(line.encode() for line in taken.lines)
    kept = {oid: value for oid, value in objects.items() if any(oid[: len(root)] == root for root in ROOTS)}
    assert told.items() <= objects.items()
    assert len(kept) - len(told) - taken.withheld <= len(taken.cut)


async def by_fast_engine(device: Device) -> Recording:
    engine = FastEngine()
    agent = await engine.agent(device)
    try:
        return await record(agent, device, ROOTS, most=10**6, until=math.inf)
    finally:
        agent.close()
        await engine.close()


@given(st.dictionaries(st.tuples(*[st.integers(0, 3)] * 3), st.binary(max_size=4), min_size=1))
def test_lines_are_ascii_in_oid_order_one_a_value(table: dict[Oid, bytes]) -> None:
    class Agent:
        async def walk(self, columns: Sequence[Oid], **limits: float) -> object:
            objects = sorted((*MIB2, *oid) for oid in table)

            async def bulk(oids: Sequence[Oid], repetitions: int) -> list[tuple[Oid, Value | None]]:
                later = [oid for oid in objects if oid > oids[0]][:repetitions]
                return [(oid, table[oid[len(MIB2) :]]) for oid in later] or [(oids[0], None)]

            return await walk_columns(bulk, columns, repetitions=5, **limits)  # type: ignore[arg-type]

    lines = recorded(Agent(), roots=[MIB2]).lines
    oids = [tuple(map(int, line.split("|")[0].split("."))) for line in lines]
    assert oids == sorted((*MIB2, *oid) for oid in table)
    assert all(line.isascii() and line.isprintable() for line in lines)
