"""Small networks for the tests of net and whatif: routers r1.. with OSPF links, each with a loopback and an edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface

import numpy as np
import numpy.typing as npt

from twin.net.facts import NO_FACTS, LinkFactsTable
from twin.net.topology import build_snapshot
from twin.vocab.config import DeviceConfig, InterfaceConfig, OspfConfig, OspfInterface
from twin.vocab.demand import Demands
from twin.vocab.observed import LldpNeighbor, ObservedDevice, ObservedInterface, OspfNeighbor
from twin.vocab.snapshot import Port, Snapshot, SnapshotDevice, Source

NOW = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
AREA = IPv4Address("0.0.0.0")
GIGABIT = 1_000_000_000
Wire = tuple[str, str, int, int]


def ospf(cost: int | None = None, **more: object) -> OspfInterface:
    return replace(OspfInterface(AREA, cost), **more)  # type: ignore[arg-type]  # keywords of one dataclass


def router(name: str, number: int) -> SnapshotDevice:
    """A router that runs OSPF on its loopback and its edge interface, with no links yet."""
    loopback, edge = IPv4Interface(f"10.0.0.{number}/32"), IPv4Interface(f"10.2.{number}.1/24")
    interfaces = (
        InterfaceConfig("lo", addresses=(loopback,), ospf=ospf()),
        InterfaceConfig("edge0", addresses=(edge,), ospf=ospf(1, passive=True)),
    )
    config = DeviceConfig(name, interfaces, OspfConfig(IPv4Address(f"10.0.0.{number}")), dialect="frr")
    seen = tuple(observed(i.name, k, i.addresses) for k, i in enumerate(interfaces, 1))
    sources = (Source("configuration", NOW), Source("state", NOW))
    return SnapshotDevice(name, config, ObservedDevice(name, interfaces=seen), sources)


def observed(name: str, index: int, addresses: tuple[IPv4Interface, ...] = ()) -> ObservedInterface:
    return ObservedInterface(name, index, GIGABIT, admin_up=True, oper_up=True, addresses=addresses)


def devices(wires: Sequence[Wire]) -> list[SnapshotDevice]:
    """(near, far, cost from near, cost from far) for each wire; wire number k is interface eth{k} at both ends."""
    names = sorted({name for near, far, _, _ in wires for name in (near, far)})
    made = {name: router(name, number) for number, name in enumerate(names, 1)}
    for k, (near, far, out, back) in enumerate(wires):
        for side, (own, other, cost) in enumerate(((near, far, out), (far, near, back)), 1):
            made[own] = plug(made[own], made[other], k, side, cost)
    return list(made.values())


def plug(own: SnapshotDevice, other: SnapshotDevice, k: int, side: int, cost: int) -> SnapshotDevice:
    assert own.config
    assert own.observed
    assert other.config
    assert other.config.ospf
    name, subnet = f"eth{k}", f"10.{100 + k // 250}.{k % 250}"
    address = (IPv4Interface(f"{subnet}.{side}/30"),)
    config = InterfaceConfig(name, addresses=address, ospf=ospf(cost))
    seen = own.observed
    return replace(
        own,
        config=replace(own.config, interfaces=(*own.config.interfaces, config)),
        observed=replace(
            seen,
            interfaces=(*seen.interfaces, observed(name, 10 + k, address)),
            lldp=(*seen.lldp, LldpNeighbor(name, other.name, "02:00:00:00:00:01", name)),
            ospf=(*seen.ospf, OspfNeighbor(IPv4Address(f"{subnet}.{3 - side}"), other.config.ospf.router_id, 8)),
        ),
    )


def network(wires: Sequence[Wire], facts: LinkFactsTable = NO_FACTS) -> Snapshot:
    return build_snapshot(NOW, devices(wires), facts)


def edit(snapshot: Snapshot, port: Port, **changed: object) -> Snapshot:
    """The snapshot with one interface configured otherwise."""
    device = snapshot.devices[port.device]
    assert device.config
    interfaces = tuple(
        replace(i, **changed) if i.name == port.interface else i  # type: ignore[arg-type]  # keywords of one dataclass
        for i in device.config.interfaces
    )
    edited = replace(device, config=replace(device.config, interfaces=interfaces))
    return replace(snapshot, devices={**snapshot.devices, port.device: edited})


def demands(matrix: npt.NDArray[np.float64], count: int, **more: object) -> Demands:
    names = tuple(f"r{i}" for i in range(1, count + 1))
    made = Demands(names, matrix, NOW, "test", residual=0.0)
    return replace(made, **more)  # type: ignore[arg-type]  # keywords of one dataclass


SQUARE: tuple[Wire, ...] = (
    ("r1", "r2", 10, 10),
    ("r2", "r4", 10, 10),
    ("r1", "r3", 10, 10),
    ("r3", "r4", 10, 10),
)
