"""What is asked of a device, round after round: nothing twice, nothing in vain, and everything anew in full rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from collectors.failures import PollError
from collectors.profiles import ProfileSet, load_profiles
from collectors.snmp.decode import Decoded, decode
from collectors.snmp.memory import Memory
from collectors.snmp.read import SYS_OBJECT_ID, SYS_UPTIME, Reader
from collectors.snmp.wire import Oid, Value, parse_oid
from twin.vocab.inventory import Device, SnmpAccess

Table = dict[Oid, Value]
IF_NAME, IF_DESCR = parse_oid("1.3.6.1.2.1.31.1.1.1.1"), parse_oid("1.3.6.1.2.1.2.2.1.2")
HC_IN, IN_32, SPEED, OLD_SPEED = (
    parse_oid(text)
    for text in ("1.3.6.1.2.1.31.1.1.1.6", "1.3.6.1.2.1.2.2.1.10", "1.3.6.1.2.1.31.1.1.1.15", "1.3.6.1.2.1.2.2.1.5")
)
HR_PROCESSOR = parse_oid("1.3.6.1.2.1.25.3.3.1.2")
UCD_CPU = parse_oid("1.3.6.1.4.1.2021.11.50.0")
ACME = """
schema_version: "1"
name: acme
verified: unverified
extends: [generic]
system_object_ids: [1.3.6.1.4.1.99]
tables:
  processors:
    subject: processor
    round: fast
    index: {entity: int}
    columns:
      name: {round: kept, sources: [{oid: 1.3.6.1.2.1.47.1.1.1.1.7, at: [entity], type: text}]}
      load_percent: {sources: [{oid: 1.3.6.1.4.1.99.1.2}]}
"""
CARDS = """
schema_version: "1"
name: cards
verified: unverified
extends: [generic]
system_object_ids: [1.3.6.1.4.1.98]
tables:
  processors:
    subject: processor
    round: fast
    index: {card: int}
    columns:
      name: {sources: [{oid: 1.3.6.1.2.1.2.2.1.2, at: [card], type: text}]}
      load_percent: {sources: [{oid: 1.3.6.1.4.1.99.1.2}]}
"""
ISIS_STATE = parse_oid("1.3.6.1.2.1.138.1.6.1.1.2")
BGP_STATE = parse_oid("1.3.6.1.2.1.15.3.1.2")
ENTITY_NAME, ACME_LOAD = parse_oid("1.3.6.1.2.1.47.1.1.1.1.7"), parse_oid("1.3.6.1.4.1.99.1.2")


@dataclass
class Site:
    """One device polled again and again; ``asked`` is what its agent was asked in the last round."""

    table: Table
    access: SnmpAccess
    profiles: ProfileSet
    make_agent: Callable[[Table], Any]
    memory: Memory = field(default_factory=Memory)
    asked: list[Oid] = field(default_factory=list)
    gets: list[list[Oid]] = field(default_factory=list)
    walks: list[list[Oid]] = field(default_factory=list)

    def poll(self, round_: Literal["fast", "full"]) -> Decoded:
        agent = self.make_agent(self.table)
        self.gets, get = [], agent.get
        self.walks, walk = [], agent.walk

        async def noted(oids: list[Oid]) -> Mapping[Oid, Value]:
            self.gets.append(list(oids))
            told: Mapping[Oid, Value] = await get(oids)
            return told

        async def noted_walk(columns: list[Oid], **limits: Any) -> Any:
            self.walks.append(list(columns))
            return await walk(columns, **limits)

        agent.get, agent.walk = noted, noted_walk
        reader = Reader(agent, Device("dut", "192.0.2.1", self.access), self.profiles, round_, self.memory)
        asyncio.run(reader.run())
        self.asked = agent.asked
        assert reader.reading is not None
        return decode("dut", reader.reading)

    def walked(self, column: Oid) -> bool:
        return any(oid[: len(column)] == column for oid in self.asked)


@pytest.fixture
def profiles(tmp_path: Path) -> ProfileSet:
    shipped = Path(__file__).parents[2] / "configs" / "profiles" / "generic.yaml"
    (tmp_path / "generic.yaml").write_text(shipped.read_text())
    (tmp_path / "acme.yaml").write_text(ACME)
    (tmp_path / "cards.yaml").write_text(CARDS)
    return load_profiles(tmp_path)


@pytest.fixture
def site(
    profiles: ProfileSet,
    v2c: SnmpAccess,
    canned_agent: Callable[[Table], Any],
    recording: Callable[[Path], Table],
) -> Site:
    table = recording(Path(__file__).parent / "cases" / "everything.snmprec")
    table[SYS_OBJECT_ID] = parse_oid("1.3.6.1.4.1.7.1")
    return Site(table, v2c, profiles, canned_agent)


def interface(decoded: Decoded) -> list[dict[str, Any]]:
    return next((block.rows() for block in decoded.blocks if block.kind == "interface"), [])


def test_a_known_device_is_asked_for_clock_and_scalars_in_one_request(site: Site) -> None:
    site.poll("fast")
    assert len(site.gets) == 2
    site.poll("fast")
    (get,) = site.gets
    assert {SYS_OBJECT_ID, SYS_UPTIME, UCD_CPU} <= set(get)
    assert interface(site.poll("fast"))


def test_scalars_it_does_not_have_are_asked_for_again_in_full_rounds_only(site: Site) -> None:
    del site.table[UCD_CPU]
    site.poll("fast")
    site.poll("fast")
    assert UCD_CPU not in site.gets[0]
    site.table[UCD_CPU] = 5
    site.poll("full")
    assert UCD_CPU in site.gets[0]
    site.poll("fast")
    assert UCD_CPU in site.gets[0]


def test_what_gave_nothing_is_walked_again_in_full_rounds_only(site: Site) -> None:
    del site.table[UCD_CPU]  # with it, processors are not asked for at all
    site.poll("fast")
    site.poll("fast")
    assert site.walked(HC_IN)
    assert not site.walked(HR_PROCESSOR)
    site.table[*HR_PROCESSOR, 1] = 7
    site.poll("fast")
    assert not site.walked(HR_PROCESSOR)
    site.poll("full")
    assert site.walked(HR_PROCESSOR)
    assert "processor" in {block.kind for block in site.poll("fast").blocks}


def test_a_fallback_that_serves_is_walked_with_the_rest_and_one_that_does_not_is_not(site: Site) -> None:
    for oid in [oid for oid in site.table if oid[:-1] == SPEED]:
        site.table[oid] = 0
        site.table[*OLD_SPEED, oid[-1]] = 10_000_000
    assert {row["speed_bps"] for row in interface(site.poll("fast"))} == {10_000_000}
    site.poll("fast")
    assert {HC_IN, OLD_SPEED} <= set(site.walks[0])
    for oid in [oid for oid in site.table if oid[:-1] == OLD_SPEED]:
        site.table[oid] = 0
    site.poll("full")
    site.poll("fast")
    assert not site.walked(OLD_SPEED)


def test_a_table_that_is_empty_for_a_moment_is_walked_in_the_next_fast_round(site: Site) -> None:
    whole = dict(site.table)
    assert interface(site.poll("fast"))
    for oid in [oid for oid in site.table if oid[:6] == (1, 3, 6, 1, 2, 1) and oid[6] in {2, 31}]:
        del site.table[oid]
    assert not interface(site.poll("fast"))
    site.table.update(whole)
    assert len(interface(site.poll("fast"))) == 2


def test_names_are_kept_between_full_rounds_and_read_where_they_are_not_known(site: Site) -> None:
    site.table |= {SYS_OBJECT_ID: parse_oid("1.3.6.1.4.1.99.5"), (*ENTITY_NAME, 3): b"RP0", (*ACME_LOAD, 3): 42}
    for _ in range(2):
        block = next(b for b in site.poll("fast").blocks if b.kind == "processor")
        assert [(row["processor"], row["load_percent"]) for row in block.rows()] == [("RP0", 42.0)]
    assert not site.walked(ENTITY_NAME)
    site.table[*ENTITY_NAME, 3] = b"RP1"
    block = next(b for b in site.poll("full").blocks if b.kind == "processor")
    assert block.keys["processor"].tolist() == ["RP1"]


def test_another_device_at_the_same_address_is_noticed_at_once(site: Site) -> None:
    site.poll("full")
    site.table |= {SYS_OBJECT_ID: parse_oid("1.3.6.1.4.1.99.5"), (*ENTITY_NAME, 3): b"RP0", (*ACME_LOAD, 3): 42}
    decoded = site.poll("fast")
    assert {"processor", "interface"} <= {block.kind for block in decoded.blocks}
    assert site.memory.profile is site.profiles["acme"]


def test_interfaces_that_share_a_name_go_by_their_description(site: Site) -> None:
    for oid in [oid for oid in site.table if oid[:-1] == IF_NAME]:
        site.table[oid] = b"tunnel"
    for round_ in ("full", "fast", "fast"):
        decoded = site.poll(round_)
        assert [row["interface"] for row in interface(decoded)] == ["ge-0/0/0 descr", "ge-0/0/1 descr"]
    assert decoded.flags == ()
    assert decoded.observed is not None
    assert decoded.observed.flags == ("interfaces: 2 are named 'tunnel': called by their description",)


def test_renumbered_interfaces_keep_their_names(site: Site) -> None:
    before = {row["interface"]: row["in_octets"] for row in interface(site.poll("fast"))}
    moved = {oid: value for oid, value in site.table.items() if oid[:8] != (1, 3, 6, 1, 2, 1, 31, 1)}
    swap = {10: 11, 11: 10}
    for oid, value in site.table.items():
        if oid[:8] == (1, 3, 6, 1, 2, 1, 31, 1) or oid[:8] == (1, 3, 6, 1, 2, 1, 2, 2):
            moved[*oid[:-1], swap[oid[-1]]] = value
    site.table = moved
    assert {row["interface"]: row["in_octets"] for row in interface(site.poll("fast"))} == before


def test_what_came_before_an_agent_fell_silent_is_kept(site: Site) -> None:
    site.table = {oid: value for oid, value in site.table.items() if oid[:-1] != HC_IN}
    make = site.make_agent

    def falling_silent(table: Table) -> Any:
        agent = make(table)
        bulk = agent.bulk

        async def silent_on_32_bits(oids: list[Oid], repetitions: int) -> Any:
            if any(oid[: len(IN_32)] == IN_32 for oid in oids):
                raise PollError("silent", "no answer")
            return await bulk(oids, repetitions)

        agent.bulk = silent_on_32_bits
        return agent

    site.make_agent = falling_silent
    decoded = site.poll("full")
    assert [row["out_octets"] for row in interface(decoded)] == [17, 6_000_000_000]
    assert "interfaces: no answer" in decoded.flags


def test_tables_that_were_empty_are_looked_at_together(site: Site) -> None:
    site.table = {oid: value for oid, value in site.table.items() if oid[:7] != (1, 3, 6, 1, 2, 1, 15)}
    site.poll("full")
    site.poll("full")
    assert {BGP_STATE, ISIS_STATE} <= set(site.walks[0])
    assert sum(ISIS_STATE in walk for walk in site.walks) == 1
    site.table[*BGP_STATE, 192, 0, 2, 9] = 6
    peers = next(block for block in site.poll("full").blocks if block.kind == "bgp_peer")
    assert peers.rows()[0]["state"] == 6


def test_a_column_that_is_of_no_use_to_one_table_still_serves_another(site: Site) -> None:
    """ifDescr gives the interfaces nothing in fast rounds; a processor is here named by it."""
    site.table |= {SYS_OBJECT_ID: parse_oid("1.3.6.1.4.1.98.1"), (*IF_DESCR, 1): b"card", (*ACME_LOAD, 1): 5}
    site.table[*IF_NAME, 12] = b""
    for _ in range(3):
        block = next(b for b in site.poll("fast").blocks if b.kind == "processor")
        assert block.keys["processor"].tolist() == ["card"]
