"""From one configuration to the next: exactly the lines FRR needs, and none where nothing changes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from twin.lab.difference import Alias, DaemonLines, Order, difference
from twin.vocab.config import (
    BgpConfig,
    BgpNeighbor,
    DeviceConfig,
    InterfaceConfig,
    OspfConfig,
    OspfInterface,
    StaticRoute,
)

AREA, ID = IPv4Address(0), IPv4Address("10.0.0.1")
OSPF = OspfInterface(AREA, 10, "point-to-point")
ETH1 = InterfaceConfig("eth1", "to-r2", addresses=(IPv4Interface("10.1.0.1/30"),), bandwidth_bps=10**7, ospf=OSPF)
ROUTE = StaticRoute(IPv4Network("10.9.0.0/16"), IPv4Address("10.1.0.2"))
NEIGHBOR = BgpNeighbor(IPv4Address("10.0.0.2"), 65000, update_source=ID)
BGP = BgpConfig(65000, ID, (IPv4Network("10.8.0.0/16"),), (NEIGHBOR,))
BASE = DeviceConfig("r1", (ETH1,), OspfConfig(ID), (ROUTE,), BGP)


def with_eth1(interface: InterfaceConfig) -> DeviceConfig:
    return replace(BASE, interfaces=(interface,))


def ospfd(*lines: str) -> DaemonLines:
    return DaemonLines("ospfd", ("interface eth1", *lines, "exit"))


def zebra(*lines: str) -> DaemonLines:
    return DaemonLines("zebra", ("interface eth1", *lines, "exit"))


CASES: list[tuple[str, DeviceConfig, list[Order]]] = [
    ("nothing", BASE, []),
    ("shut", with_eth1(replace(ETH1, enabled=False)), [zebra("shutdown")]),
    ("cost", with_eth1(replace(ETH1, ospf=replace(OSPF, cost=55))), [ospfd("ip ospf cost 55")]),
    ("no cost", with_eth1(replace(ETH1, ospf=replace(OSPF, cost=None))), [ospfd("no ip ospf cost")]),
    ("passive", with_eth1(replace(ETH1, ospf=replace(OSPF, passive=True))), [ospfd("ip ospf passive")]),
    (
        "area",
        with_eth1(replace(ETH1, ospf=replace(OSPF, area=IPv4Address(5)))),
        [ospfd("no ip ospf area", "ip ospf area 0.0.0.5")],
    ),
    (
        "no OSPF",
        with_eth1(replace(ETH1, ospf=None)),
        [ospfd("no ip ospf area", "no ip ospf cost", "no ip ospf network")],
    ),
    (
        "description",
        with_eth1(replace(ETH1, description="spare")),
        [zebra("description spare"), Alias("eth1", "spare")],
    ),
    ("no description", with_eth1(replace(ETH1, description="")), [zebra("no description"), Alias("eth1", "")]),
    (
        "address",
        with_eth1(replace(ETH1, addresses=(IPv4Interface("10.1.0.5/30"),))),
        [zebra("no ip address 10.1.0.1/30", "ip address 10.1.0.5/30")],
    ),
    (
        "interface gone",
        replace(BASE, interfaces=()),
        [
            zebra("no description", "no ip address 10.1.0.1/30", "no bandwidth", "shutdown"),
            ospfd("no ip ospf area", "no ip ospf cost", "no ip ospf network"),
            Alias("eth1", ""),
        ],
    ),
    (
        "reference bandwidth",
        replace(BASE, ospf=OspfConfig(ID, 10**10, 4)),
        [DaemonLines("ospfd", ("router ospf", "auto-cost reference-bandwidth 10000", "maximum-paths 4", "exit"))],
    ),
    ("no process", replace(BASE, ospf=None), [DaemonLines("ospfd", ("no router ospf",))]),
    (
        "static",
        replace(BASE, static_routes=(StaticRoute(ROUTE.prefix, distance=5),)),
        [DaemonLines("staticd", ("no ip route 10.9.0.0/16 10.1.0.2", "ip route 10.9.0.0/16 Null0 5"))],
    ),
    (
        "neighbour",
        replace(BASE, bgp=replace(BGP, neighbors=(replace(NEIGHBOR, next_hop_self=True),))),
        [
            DaemonLines(
                "bgpd",
                (
                    "router bgp 65000",
                    "neighbor 10.0.0.2 remote-as 65000",
                    "address-family ipv4 unicast",
                    "neighbor 10.0.0.2 next-hop-self",
                    "exit-address-family",
                    "exit",
                ),
            )
        ],
    ),
    ("no BGP", replace(BASE, bgp=None), [DaemonLines("bgpd", ("no router bgp 65000",))]),
]


@pytest.mark.parametrize(("new", "orders"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_difference_is_what_frr_must_be_told(new: DeviceConfig, orders: list[Order]) -> None:
    assert list(difference(BASE, new)) == orders


def test_another_as_starts_bgp_afresh() -> None:
    (order,) = difference(BASE, replace(BASE, bgp=replace(BGP, asn=65001)))
    assert isinstance(order, DaemonLines)
    assert order.lines[:2] == ("no router bgp 65000", "router bgp 65001")
    assert "neighbor 10.0.0.2 activate" in order.lines


def test_the_process_is_there_before_its_interfaces() -> None:
    orders = difference(DeviceConfig("r1"), BASE)
    assert orders[0] == DaemonLines("ospfd", ("router ospf", "ospf router-id 10.0.0.1", "exit"))
