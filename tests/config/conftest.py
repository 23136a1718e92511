"""Random neutral configurations."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest
from hypothesis import strategies as st

from twin.vocab.config import (
    BgpConfig,
    BgpNeighbor,
    DeviceConfig,
    InterfaceConfig,
    OspfConfig,
    OspfInterface,
    OspfNetworkType,
    StaticRoute,
)

addresses = st.integers(1, 2**32 - 2).map(IPv4Address)
interfaces = st.tuples(st.integers(1, 2**32 - 2), st.integers(0, 32)).map(IPv4Interface)
networks = interfaces.map(lambda i: i.network)
texts = st.text("abcXYZ0189-_/:.,()", min_size=1, max_size=12)
phrases = st.lists(texts, max_size=3).map(" ".join)
mbit = st.integers(1, 100_000).map(lambda n: n * 1_000_000)
names = st.sampled_from(["lo", "eth0", "eth1", "ge-0/0/1", "host0", "bond0.100"])


KINDS: list[OspfNetworkType] = ["broadcast", "point-to-point", "non-broadcast", "point-to-multipoint"]


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def ospf_interfaces(draw: st.DrawFn, name: str) -> OspfInterface:
    return OspfInterface(
        area=draw(st.integers(0, 2**32 - 2).map(IPv4Address)),
        cost=draw(maybe(st.integers(1, 65535))),
        network_type=draw(st.sampled_from((*KINDS, "loopback") if name == "lo" else KINDS)),
        passive=draw(st.booleans()),
        hello_interval=draw(maybe(st.integers(1, 65535))),
        dead_interval=draw(maybe(st.integers(1, 65535))),
    )


@st.composite
def interface_configs(draw: st.DrawFn, name: str) -> InterfaceConfig:
    return InterfaceConfig(
        name,
        draw(phrases),
        draw(st.booleans()),
        tuple(draw(st.lists(interfaces, max_size=2, unique=True))),
        draw(maybe(mbit)),
        draw(maybe(ospf_interfaces(name))),
    )


@st.composite
def static_routes(draw: st.DrawFn) -> StaticRoute:
    next_hop, out = draw(st.sampled_from([(True, False), (False, True), (True, True), (False, False)]))
    return StaticRoute(
        draw(networks),
        draw(addresses) if next_hop else None,
        draw(names) if out else None,
        draw(st.integers(1, 255)),
    )


neighbors = st.builds(BgpNeighbor, addresses, st.integers(1, 2**32 - 1), maybe(addresses), st.booleans())
processes = st.builds(
    BgpConfig,
    st.integers(1, 2**32 - 1),
    addresses,
    st.lists(networks, max_size=3).map(tuple),
    st.lists(neighbors, max_size=3, unique_by=lambda n: n.address).map(tuple),
)


@st.composite
def random_devices(draw: st.DrawFn) -> DeviceConfig:
    chosen = draw(st.lists(names, max_size=4, unique=True))
    return DeviceConfig(
        hostname=draw(st.sampled_from(["r1", "KSCYng", "core-1.example"])),
        interfaces=tuple(draw(interface_configs(n)) for n in chosen),
        ospf=draw(maybe(st.builds(OspfConfig, addresses, mbit, maybe(st.integers(1, 64))))),
        static_routes=tuple(draw(st.lists(static_routes(), max_size=3))),
        bgp=draw(maybe(processes)),
        dialect="frr",
    )


@pytest.fixture(scope="session")
def devices() -> Callable[[], st.SearchStrategy[DeviceConfig]]:
    """A strategy of whole configurations that FRR's dialect can carry."""
    return random_devices
