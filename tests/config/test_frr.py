"""FRR text <-> the neutral configuration: what is rendered is read back, and no line is lost."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.config import frr
from twin.vocab.config import DeviceConfig, InterfaceConfig, StaticRoute
from twin.vocab.errors import UsageError

Devices = Callable[[], st.SearchStrategy[DeviceConfig]]


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_what_is_rendered_is_read_back(data: st.DataObject, devices: Devices) -> None:
    config = data.draw(devices())
    assert frr.parse(frr.render(config)) == config


EXTRAS = frr.Extras(
    top=("agentx", "no zebra nexthop kernel enable"),
    ospf_interface=("ip ospf retransmit-interval 3",),
    ospf=("timers throttle spf 0 10 500", "timers throttle lsa all 0", "timers lsa min-arrival 0"),
    bgp=("timers bgp 3 9",),
    bgp_neighbor=("timers connect 1", "advertisement-interval 0"),
)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_extra_lines_are_written_and_reviewed_as_irrelevant(data: st.DataObject, devices: Devices) -> None:
    config = data.draw(devices())
    assert frr.parse(frr.render(config, extras=EXTRAS)) == config


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_any_text_is_parsed_or_unread_never_refused(text: str) -> None:
    frr.parse(text)


NETWORK_STATEMENTS = """
hostname r1
interface eth1
 ip address 10.0.1.1/24
 ip ospf cost 7
interface eth2
 ip address 10.0.2.1/24
 ip ospf area 9
interface lo
 ip address 10.9.0.1/32
interface eth3
 ip address 192.0.2.1/24
router ospf
 network 10.0.0.0/8 area 0
 network 10.0.1.0/24 area 0.0.0.5
 network 172.16.0.0/12 area 0
 passive-interface default
 no passive-interface eth1
"""


def test_network_statements_put_interfaces_into_the_most_specific_area() -> None:
    config = frr.parse(NETWORK_STATEMENTS)
    areas = {i.name: str(i.ospf.area) if i.ospf else None for i in config.interfaces}
    assert areas == {"eth1": "0.0.0.5", "eth2": "0.0.0.9", "lo": "0.0.0.0", "eth3": None}
    assert {i.name: i.ospf.passive for i in config.interfaces if i.ospf} == {"eth1": False, "eth2": True, "lo": True}
    assert config.ospf
    assert config.ospf.router_id == IPv4Address("10.9.0.1")
    assert [(u.line, u.section, u.text) for u in config.unread] == [(16, "router ospf", "network 172.16.0.0/12 area 0")]


UNREAD = [
    ("interface eth1\n ip ospf authentication message-digest", (2, "interface eth1")),
    ("interface eth1\n ip ospf cost 70000", (2, "interface eth1")),
    ("interface eth1\n ip address 10.0.0.300/24", (2, "interface eth1")),
    ("interface eth1 vrf blue\n shutdown", (1, "")),
    ("router ospf\n area 1 stub", (2, "router ospf")),
    ("router ospf\n redistribute static", (2, "router ospf")),
    ("router ospf 7\n network 10.0.0.0/8 area 0", (1, "")),
    ("ip route 10.0.0.0/8 10.0.0.1 tag 7", (1, "")),
    ("ip route 10.0.0.0/8 reject", (1, "")),
    ("router bgp 65000\n address-family ipv6 unicast\n  network 2001:db8::/32", (2, "router bgp 65000")),
    ("router bgp 65000\n neighbor 10.0.0.1 remote-as 65001", (2, "router bgp 65000")),
    ("router bgp 65000\n no bgp default ipv4-unicast\n neighbor 10.0.0.1 remote-as 65000", (3, "router bgp 65000")),
    ("route-map A permit 10\n set metric 5", (1, "")),
    ("no ip forwarding", (1, "")),
]


@pytest.mark.parametrize(("text", "place"), UNREAD)
def test_a_line_without_a_place_in_the_neutral_configuration_is_listed(text: str, place: tuple[int, str]) -> None:
    first = frr.parse(text).unread[0]
    assert (first.line, first.section) == place


def test_lines_after_an_unknown_section_are_read_again() -> None:
    config = frr.parse("router isis A\n net 49.0001\nexit\ninterface eth1\n shutdown\n")
    assert len(config.unread) == 2
    assert config.interfaces == (InterfaceConfig("eth1", enabled=False),)


REFUSED = [
    DeviceConfig("r1", (InterfaceConfig("eth1", description="a\nrouter ospf"),)),
    DeviceConfig("r1", (InterfaceConfig("eth1 vrf x"),)),
    DeviceConfig("r1\nx"),
    DeviceConfig("r1", (InterfaceConfig("eth1", bandwidth_bps=1_500_000),)),
    DeviceConfig("r1", static_routes=(StaticRoute(IPv4Network("10.0.0.0/8"), interface="e\n1"),)),
]


@pytest.mark.parametrize("config", REFUSED)
def test_text_that_would_break_the_configuration_is_not_rendered(config: DeviceConfig) -> None:
    with pytest.raises(UsageError, match="r1"):
        frr.render(config)
