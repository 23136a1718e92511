"""Predicted routing tables."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.net.worlds import SQUARE, Wire, edit, network
from twin.net.rib import NextHop, RibEntry, rib
from twin.vocab.config import StaticRoute
from twin.vocab.snapshot import Port, Snapshot

PAIR: tuple[Wire, ...] = (("r1", "r2", 10, 20),)
R2_LOOPBACK, R2_EDGE = IPv4Network("10.0.0.2/32"), IPv4Network("10.2.2.0/24")
BEHIND_R2 = NextHop("eth0", IPv4Address("10.100.0.2"))


def with_static(snapshot: Snapshot, *routes: StaticRoute) -> Snapshot:
    r1 = snapshot.devices["r1"]
    assert r1.config
    changed = replace(r1, config=replace(r1.config, static_routes=routes))
    return replace(snapshot, devices={**snapshot.devices, "r1": changed})


def test_a_pair_of_routers_knows_each_others_networks() -> None:
    assert rib(network(PAIR))["r1"] == {
        IPv4Network("10.0.0.1/32"): RibEntry("connected", 0, 0, frozenset({NextHop("lo")})),
        IPv4Network("10.2.1.0/24"): RibEntry("connected", 0, 0, frozenset({NextHop("edge0")})),
        IPv4Network("10.100.0.0/30"): RibEntry("connected", 0, 0, frozenset({NextHop("eth0")})),
        R2_LOOPBACK: RibEntry("ospf", 110, 10, frozenset({BEHIND_R2})),
        R2_EDGE: RibEntry("ospf", 110, 11, frozenset({BEHIND_R2})),
    }


def test_equal_paths_stand_side_by_side() -> None:
    table = rib(network(SQUARE))["r1"]
    over_r2, over_r3 = NextHop("eth0", IPv4Address("10.100.0.2")), NextHop("eth2", IPv4Address("10.100.2.2"))
    assert table[IPv4Network("10.0.0.4/32")] == RibEntry("ospf", 110, 20, frozenset({over_r2, over_r3}))
    assert table[IPv4Network("10.100.1.0/30")] == RibEntry("ospf", 110, 20, frozenset({over_r2}))


def test_an_interface_that_is_down_is_in_nobodys_table() -> None:
    tables = rib(edit(network(SQUARE), Port("r4", "edge0"), enabled=False))
    assert not any(IPv4Network("10.2.4.0/24") in table for table in tables.values())


FAR = IPv4Network("198.51.100.0/24")
STATICS = {
    "by interface": (
        (StaticRoute(FAR, interface="eth0"),),
        FAR,
        RibEntry("static", 1, 0, frozenset({NextHop("eth0")})),
    ),
    "by neighbour": (
        (StaticRoute(FAR, IPv4Address("10.100.0.2")),),
        FAR,
        RibEntry("static", 1, 0, frozenset({BEHIND_R2})),
    ),
    "recursive": (
        (StaticRoute(FAR, IPv4Address("10.2.2.9")),),
        FAR,
        RibEntry("static", 1, 0, frozenset({BEHIND_R2})),
    ),
    "discard": ((StaticRoute(FAR),), FAR, RibEntry("static", 1, 0, frozenset({NextHop("")}))),
    "unresolvable": ((StaticRoute(FAR, IPv4Address("203.0.113.1")),), FAR, None),
    "interface unknown": ((StaticRoute(FAR, interface="eth7"),), FAR, None),
    "floating": (
        (StaticRoute(R2_EDGE, IPv4Address("10.100.0.2"), distance=200),),
        R2_EDGE,
        RibEntry("ospf", 110, 11, frozenset({BEHIND_R2})),
    ),
    "beats OSPF": ((StaticRoute(R2_EDGE),), R2_EDGE, RibEntry("static", 1, 0, frozenset({NextHop("")}))),
    "least distance": (
        (StaticRoute(FAR, distance=5), StaticRoute(FAR, interface="eth0")),
        FAR,
        RibEntry("static", 1, 0, frozenset({NextHop("eth0")})),
    ),
}


@pytest.mark.parametrize(("routes", "prefix", "expected"), STATICS.values(), ids=STATICS)
def test_static_routes(routes: tuple[StaticRoute, ...], prefix: IPv4Network, expected: RibEntry | None) -> None:
    assert rib(with_static(network(PAIR), *routes))["r1"].get(prefix) == expected
