"""Recordings of agents -> samples and observed state. A new oddity is a new pair of files in cases/."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from collectors.profiles import ProfileSet
from collectors.snmp.decode import Decoded, decode
from collectors.snmp.index import Part, parse_index
from collectors.snmp.memory import Memory
from collectors.snmp.read import Reader
from collectors.snmp.wire import Oid, Value
from twin.vocab.inventory import Device, SnmpAccess
from twin.vocab.plain import to_plain

CASES = sorted((Path(__file__).parent / "cases").glob("*.snmprec"))
Table = dict[Oid, Value]


def read(agent: Any, profiles: ProfileSet, access: SnmpAccess, round_: Any = "full") -> Decoded:
    reader = Reader(agent, Device("dut", "192.0.2.1", access), profiles, round_, Memory())
    asyncio.run(reader.run())
    assert reader.reading is not None
    return decode("dut", reader.reading)


def told(decoded: Decoded) -> dict[str, Any]:
    """All of it but the times, as JSON."""
    rows = {b.kind: [{k: v for k, v in row.items() if k != "at"} for row in b.rows()] for b in decoded.blocks}
    return {"blocks": to_plain(rows), "observed": to_plain(decoded.observed), "flags": list(decoded.flags)}


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_recording_is_decoded_as_expected(
    case: Path,
    profiles: ProfileSet,
    v2c: SnmpAccess,
    canned_agent: Callable[[Table], Any],
    recording: Callable[[Path], Table],
) -> None:
    decoded = read(canned_agent(recording(case)), profiles, v2c)
    assert told(decoded) == json.loads(case.with_suffix(".json").read_text())


@pytest.fixture
def everything(recording: Callable[[Path], Table]) -> Table:
    return recording(Path(__file__).parent / "cases" / "everything.snmprec")


def test_a_fast_round_reads_counters_only(
    profiles: ProfileSet, v2c: SnmpAccess, canned_agent: Callable[[Table], Any], everything: Table
) -> None:
    agent = canned_agent(everything)
    decoded = read(agent, profiles, v2c, "fast")
    assert {block.kind for block in decoded.blocks} == {"interface", "device"}
    assert not any(oid[:7] in {(1, 3, 6, 1, 2, 1, 15), (1, 0, 8802, 1, 1, 2, 1)} for oid in agent.asked)


def test_32_bit_counters_are_not_walked_where_64_bit_ones_are_there(
    profiles: ProfileSet, v2c: SnmpAccess, canned_agent: Callable[[Table], Any], everything: Table
) -> None:
    agent = canned_agent(everything)
    read(agent, profiles, v2c)
    assert (1, 3, 6, 1, 2, 1, 2, 2, 1, 10) not in agent.asked


def test_a_large_routing_table_is_counted_and_not_walked(
    profiles: ProfileSet, v2c: SnmpAccess, canned_agent: Callable[[Table], Any], everything: Table
) -> None:
    agent = canned_agent(everything | {(1, 3, 6, 1, 2, 1, 4, 24, 3, 0): 900_000})
    decoded = read(agent, profiles, v2c)
    assert decoded.observed
    assert decoded.observed.routes == {"all": 900_000}
    assert (1, 3, 6, 1, 2, 1, 4, 24, 4, 1, 7) not in agent.asked
    assert decoded.documents == {}


CIDR, INET = (1, 3, 6, 1, 2, 1, 4, 24, 4, 1, 7), (1, 3, 6, 1, 2, 1, 4, 24, 7, 1, 9)
COUNT_OF_CIDR = (1, 3, 6, 1, 2, 1, 4, 24, 3, 0)


def test_the_routing_table_is_a_document_in_order(
    profiles: ProfileSet, v2c: SnmpAccess, canned_agent: Callable[[Table], Any], everything: Table
) -> None:
    direct = {(*CIDR, 10, 0, 0, 0, 255, 255, 255, 252, 0, 0, 0, 0, 0): 2, COUNT_OF_CIDR: 4}
    text = read(canned_agent(everything | direct), profiles, v2c).documents["routes"]
    assert text.splitlines() == [
        "10.0.0.0/30 direct local",
        "10.1.0.0/16 via 10.0.0.2 ospf",
        "10.2.0.0/16 via 10.0.0.2 ospf",
        "10.3.0.0/16 via 10.0.0.2 bgp",
    ]
    assert read(canned_agent(everything), profiles, v2c, "fast").documents == {}


def test_the_newer_routing_table_has_both_families(
    profiles: ProfileSet, v2c: SnmpAccess, canned_agent: Callable[[Table], Any], everything: Table
) -> None:
    older = {oid: value for oid, value in everything.items() if oid[:9] != CIDR[:9] and oid != COUNT_OF_CIDR}
    six = (0x20, 1, 0xD, 0xB8, *(0,) * 12)
    newer = {
        (*INET, 1, 4, 10, 9, 0, 0, 16, 2, 0, 0, 1, 4, 10, 0, 0, 2): 14,
        (*INET, 2, 16, *six, 32, 2, 0, 0, 2, 16, *six[:15], 1): 13,
        (*INET, 1, 4, 10, 8, 0, 0, 30, 2, 0, 0, 0, 0): 2,
        (*INET, 1, 4, 10, 7, 0, 0, 99, 2, 0, 0, 0, 0): 2,  # no such length
    }
    text = read(canned_agent(older | newer), profiles, v2c).documents["routes"]
    assert text.splitlines() == [
        "10.8.0.0/30 direct local",
        "10.9.0.0/16 via 10.0.0.2 bgp",
        "2001:db8::/32 via 2001:db8::1 ospf",
    ]


def test_a_sample_carries_the_time_of_its_response_and_sysuptime(
    profiles: ProfileSet, v2c: SnmpAccess, canned_agent: Callable[[Table], Any], everything: Table
) -> None:
    block = next(b for b in read(canned_agent(everything), profiles, v2c).blocks if b.kind == "interface")
    assert len(set(block.at.tolist())) == 1
    assert block.fields["uptime_cs"].values.tolist() == [123456, 123456]


INDEXES: dict[str, tuple[Mapping[str, str], Oid, dict[str, Any] | None]] = {
    "one number": ({"i": "int"}, (7,), {"i": 7}),
    "octets": ({"i": "int", "o": "octets"}, (7, 2, 65, 66), {"i": 7, "o": b"AB"}),
    "no octets": ({"o": "octets"}, (0,), {"o": b""}),
    "too short": ({"a": "address"}, (10, 0, 0), None),
    "too long": ({"i": "int"}, (7, 8), None),
    "length runs past the end": ({"o": "octets"}, (9, 1), None),
    "not octets": ({"o": "octets"}, (1, 256), None),
    "anything": ({"r": "rest"}, (1, 2, 3), {"r": (1, 2, 3)}),
    "octets of one length": ({"m": "octets(2)", "i": "int"}, (65, 66, 7), {"m": b"AB", "i": 7}),
    "text": ({"t": "text", "u": "rest_text"}, (1, 65, 66, 67), {"t": "A", "u": "BC"}),
    "an object": ({"o": "oid", "i": "int"}, (2, 1, 3, 7), {"o": (1, 3), "i": 7}),
    "IPv4": ({"v": "int", "p": "inet"}, (7, 1, 4, 10, 0, 0, 1), {"v": 7, "p": IPv4Address("10.0.0.1")}),
    "IPv6 with a zone": ({"p": "inet"}, (4, 20, *[0] * 15, 1, 0, 0, 0, 9), {"p": IPv6Address("::1")}),
    "IPv6, no length": ({"p": "inet_bare", "i": "int"}, (2, *[0] * 15, 1, 7), {"p": IPv6Address("::1"), "i": 7}),
    "a name is no address": ({"p": "inet"}, (16, 1, 65), None),
    "type and length disagree": ({"p": "inet"}, (1, 16, *[0] * 16), None),
}


@pytest.mark.parametrize(("parts", "instance", "expected"), INDEXES.values(), ids=INDEXES.keys())
def test_an_index_reads_as_the_profile_says_or_not_at_all(
    parts: Mapping[str, str], instance: Oid, expected: dict[str, Any] | None
) -> None:
    assert parse_index({name: Part.parse(kind) for name, kind in parts.items()}, instance) == expected
