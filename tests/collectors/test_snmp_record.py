"""A recording: read-only, in OID order, without secrets, and it says when it is not all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.failures import PollError
from collectors.snmp.record import SECRET, Recording, record
from collectors.snmp.wire import Oid, Value
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c, SnmpV3

MIB2 = (1, 3, 6, 1, 2, 1)
ENTERPRISES = (1, 3, 6, 1, 4, 1)
OLD = Device("r1", "192.0.2.1", SnmpAccess(SnmpV2c(Secret("s3cret"))))
NEW = Device(
    "r1",
    "192.0.2.1",
    SnmpAccess(SnmpV3("u", auth_passphrase=Secret("auth-phrase"), privacy_passphrase=Secret("priv-phrase"))),
)
Agents = Callable[[Mapping[Oid, Value]], "object"]


def recorded(agent: object, device: Device = OLD, roots: Sequence[Oid] = (MIB2, ENTERPRISES)) -> Recording:
    return asyncio.run(record(agent, device, roots, most=100, until=math.inf))  # type: ignore[arg-type]


def test_each_value_gets_the_tag_it_needs(canned_agent: Agents) -> None:
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


def test_an_engine_that_tells_types_gives_the_tags(canned_agent: Agents) -> None:
    values: list[Value] = [5, 6, 7, 8, b"\xc0\x00\x02\x01", b"text", b"\x9f\x78\x04\x00\x00\x00\x00"]
    tags = [65, 66, 67, 70, 64, 4, 68]
    table: dict[Oid, Value] = {(*MIB2, 9, i): value for i, value in enumerate(values)}
    agent = Telling(canned_agent(table), dict(zip(table, tags, strict=True)))
    lines = [line.removeprefix("1.3.6.1.2.1.9.") for line in recorded(agent).lines]
    assert lines == ["0|65|5", "1|66|6", "2|67|7", "3|70|8", "4|64|192.0.2.1", "5|4|text", "6|68x|9f780400000000"]


@pytest.mark.parametrize("hidden", SECRET, ids=lambda oid: ".".join(map(str, oid)))
def test_nothing_below_a_secret_object_is_kept(canned_agent: Agents, hidden: Oid) -> None:
    taken = recorded(canned_agent({(*hidden, 1): b"x", (*MIB2, 1): 1}), roots=[(1, 3, 6, 1)])
    assert taken.lines == ("1.3.6.1.2.1.1|2|1",)
    assert taken.withheld == 1


@pytest.mark.parametrize(
    ("device", "secret"), [(OLD, b"s3cret"), (NEW, b"auth-phrase"), (NEW, b"priv-phrase")], ids=["v2c", "auth", "priv"]
)
def test_what_the_device_was_asked_with_is_kept_out_of_values_and_indexes(
    canned_agent: Agents, device: Device, secret: bytes
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


def test_a_device_that_falls_silent_leaves_what_came_and_is_not_asked_again(canned_agent: Agents) -> None:
    agent = Failing(canned_agent({(*MIB2, 1): 1}), fine=1)
    taken = recorded(agent, roots=(MIB2, (1, 3, 6, 1, 3), ENTERPRISES))
    assert taken.lines == ("1.3.6.1.2.1.1|2|1",)
    assert taken.cut == ("1.3.6.1.3: no answer: nothing asked for after that",)
    assert agent.asked == 2


def test_a_device_that_never_answers_is_a_failure(canned_agent: Agents) -> None:
    with pytest.raises(PollError, match="no answer"):
        recorded(Failing(canned_agent({}), fine=0))


def test_more_values_than_wanted_are_said_to_be_cut(canned_agent: Agents) -> None:
    taken = recorded(canned_agent({(*MIB2, 1, i): i for i in range(200)}))
    assert len(taken.lines) == 100
    assert "has more than 100 rows" in taken.cut[0]


@given(st.dictionaries(st.tuples(*[st.integers(0, 3)] * 3), st.binary(max_size=4), min_size=1))
def test_lines_are_ascii_in_oid_order_one_a_value(table: dict[Oid, bytes]) -> None:
    from collectors.snmp.walk import walk_columns

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
