"""Real routers: a whole round over SNMP and NETCONF, and discovery along their LLDP."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

import pytest

from collectors.discover import discover
from collectors.profiles import ProfileSet
from collectors.results import Round
from collectors.rounds import Poller
from tests.collectors.routers import lab_device
from twin.vocab.inventory import Secret, SnmpV3

if TYPE_CHECKING:
    from twin.lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def polled(lab: Lab, profiles: ProfileSet) -> Round:
    """Every other router by SNMPv3."""
    inventory = [lab_device(access, v3=bool(i % 2)) for i, access in enumerate(lab.access())]
    with Poller(profiles) as poller:
        return poller.round(inventory)


def ends(lab: Lab) -> set[tuple[str, str, str]]:
    """(router, its interface, the router at the other end) for every wire of the lab, both ways."""
    return {(name, wire.name, wire.peer) for name, router in lab.plan.routers.items() for wire in router.wires}


def test_every_router_answers_both_protocols(polled: Round) -> None:
    statuses = {(r.device, r.protocol): r.status for results in polled.results.values() for r in results}
    assert len(statuses) == 10
    assert set(statuses.values()) == {"ok"}


def test_the_lldp_adjacency_is_complete(lab: Lab, polled: Round) -> None:
    told = polled.observed()
    seen = {(name, n.interface, n.system_name) for name, observed in told.items() for n in observed.lldp}
    assert seen == ends(lab)
    assert all(n.management_addresses for observed in told.values() for n in observed.lldp)


def test_addresses_speeds_and_neighbours_are_the_labs(lab: Lab, polled: Round) -> None:
    for name, router in lab.plan.routers.items():
        observed = polled.observed()[name]
        for wire in router.wires:
            interface = observed.interface(wire.name)
            assert interface is not None
            assert wire.address in interface.addresses
            assert interface.speed_bps == wire.capacity_bps
            assert interface.oper_up
        assert [neighbor.state for neighbor in observed.ospf] == [8] * len(router.wires)
        assert [peer.state for peer in observed.bgp] == [6] * 4
        assert observed.routes["all"] > len(lab.plan.routers)


def test_each_router_tells_its_own_cpu_and_memory(polled: Round) -> None:
    block = next(b for b in polled.blocks() if b.kind == "device")
    rows: list[dict[str, Any]] = block.rows()
    assert all(0 < row["memory_used_bytes"] < row["memory_total_bytes"] for row in rows)
    assert all(row["cpu_time_us"] > 0 for row in rows)


def test_the_running_configuration_of_every_router_is_a_document(lab: Lab, polled: Round) -> None:
    documents = polled.documents()
    assert documents.keys() == lab.plan.routers.keys()
    for name, router in lab.plan.routers.items():
        assert all(f"<name>{wire.name}</name>" in documents[name]["config"] for wire in router.wires)


def test_the_routing_table_of_every_router_is_a_document(lab: Lab, polled: Round) -> None:
    """Beside FRR's own: every network it installed, by next hops it chose (net-snmp tells one of several)."""
    for name, rib in lab.rib().items():
        told = [line.split() for line in polled.documents()[name]["routes"].splitlines()]
        hops = {words[0]: words[2] for words in told if words[1] == "via"}
        for network, routes in rib.items():
            chosen = {hop["ip"] for r in routes if r.get("installed") for hop in r["nexthops"] if "ip" in hop}
            assert not chosen or hops[network] in chosen
        assert hops.keys() & rib.keys()


def test_discovery_finds_every_router_from_one_seed(lab: Lab, profiles: ProfileSet) -> None:
    seed = lab_device(lab.access()[0], v3=False)
    assert seed.snmp is not None
    management = IPv4Network(f"{seed.address}/24", strict=False)
    with Poller(profiles) as poller:
        found = discover([IPv4Address(seed.address)], [], [management], {"lab": seed.snmp}, poller.round)
    assert {f.device.name for f in found.found} == lab.plan.routers.keys()
    assert found.skipped == ()


def test_discovery_finds_every_router_in_a_range_by_the_user_it_knows(lab: Lab, profiles: ProfileSet) -> None:
    """A user nobody knows fails once; the right one is tried next; addresses nobody has are silent."""
    inventory = [lab_device(access, v3=True) for access in lab.access()]
    assert inventory[0].snmp is not None
    right = replace(inventory[0].snmp, timeout=0.5)
    wrong = replace(right, credentials=SnmpV3("stranger", auth_passphrase=Secret("not the passphrase")))
    last = max(IPv4Address(d.address) for d in inventory)
    span = IPv4Network(f"{last}/28", strict=False)
    with Poller(profiles) as poller:
        found = discover([], [span], [span], {"wrong": wrong, "right": right}, poller.round)
    inside = {d.name for d in inventory if IPv4Address(d.address) in span}
    assert {(f.device.name, f.credential) for f in found.found} == {(name, "right") for name in inside}
    assert all("silent" in s.reason for s in found.skipped)
