"""A lab file worked out: every name, address and configuration, before anything is touched. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from twin.lab.spec import Igp, LabFile, LabLink
from twin.vocab.config import BgpConfig, BgpNeighbor, DeviceConfig, InterfaceConfig, OspfConfig, OspfInterface

RUN = Path("/run/nettwin")
EDGE = "edge0"
MANAGEMENT = "mgmt"
HOST = "host0"
BACKBONE = IPv4Address(0)
HELLO_S, DEAD_S = 1, 4


@dataclass(frozen=True)
class Wire:
    """One router's end of a link."""

    name: str
    peer: str
    peer_interface: str
    link: str
    address: IPv4Interface
    cost: int
    capacity_bps: int
    mtu: int


@dataclass(frozen=True)
class RouterPlan:
    """One router and the hosts behind it. ``host`` is the hosts' address, ``edge`` the router's on the same prefix."""

    name: str
    index: int
    namespace: str
    host_namespace: str
    directory: Path
    veth: str
    management: IPv4Interface
    loopback: IPv4Address
    edge: IPv4Interface
    host: IPv4Interface
    edge_capacity_bps: int
    igp: tuple[Igp, ...]
    wires: tuple[Wire, ...]

    @property
    def daemons(self) -> tuple[str, ...]:
        """FRR's daemons beside zebra, staticd and bgpd, which always run."""
        names = {"ospf": "ospfd", "isis": "isisd", "ospf6": "ospf6d"}
        return ("zebra", "staticd", *(names[x] for x in self.igp), "bgpd")


@dataclass(frozen=True)
class LabPlan:
    """The whole lab. Names in the root namespace derive from the lab's name alone, so a broken lab can be found."""

    name: str
    directory: Path
    bridge: str
    gateway: IPv4Interface
    routers: dict[str, RouterPlan]
    asn: int | None

    @property
    def prefixes(self) -> frozenset[IPv4Network]:
        """What every router's RIB holds once the lab has converged."""
        loopbacks = {IPv4Network(r.loopback) for r in self.routers.values()}
        return frozenset(loopbacks | {r.edge.network for r in self.routers.values()})


def lab_tag(name: str) -> str:
    """At most 8 characters that no other lab's name gives, for names of interfaces (15 characters at most)."""
    return "nt" + hashlib.sha256(name.encode()).hexdigest()[:6]


def namespace_prefix(name: str) -> str:
    """What all namespaces of a lab begin with, and those of no other lab."""
    return f"nt.{name}."


def plan(lab: LabFile) -> LabPlan:
    """Everything that follows from a checked lab file."""
    wires = _wires(lab)
    host_bits = lab.management.prefixlen
    gateway = IPv4Interface((lab.management.network_address + 1, host_bits))
    routers = {name: _router(lab, name, i, tuple(wires[name])) for i, name in enumerate(lab.routers, start=1)}
    asn = lab.bgp.asn if lab.bgp else None
    return LabPlan(lab.name, RUN / lab.name, lab_tag(lab.name), gateway, routers, asn)


def _router(lab: LabFile, name: str, index: int, wires: tuple[Wire, ...]) -> RouterPlan:
    router = lab.routers[name]
    namespace = namespace_prefix(lab.name) + name
    edge = [IPv4Interface((router.edge.network_address + i, router.edge.prefixlen)) for i in (1, 2)]
    return RouterPlan(
        name=name,
        index=index,
        namespace=namespace,
        host_namespace=f"{namespace}.hosts",
        directory=RUN / lab.name / name,
        veth=f"{lab_tag(lab.name)}-{index}",
        management=IPv4Interface((lab.management.network_address + 10 + index, lab.management.prefixlen)),
        loopback=router.loopback,
        edge=edge[0],
        host=edge[1],
        edge_capacity_bps=router.edge_capacity,
        igp=router.igp,
        wires=wires,
    )


def _wires(lab: LabFile) -> dict[str, list[Wire]]:
    """Each router's ends, named eth1, eth2, ... in the order of the links."""
    wires: dict[str, list[Wire]] = {name: [] for name in lab.routers}
    prefixes = lab.link_prefix.subnets(new_prefix=30)
    for link, prefix in zip(lab.links, prefixes, strict=False):
        near, far = (f"eth{len(wires[end]) + 1}" for end in (link.a, link.b))
        wires[link.a].append(_wire(link, near, (link.b, far), IPv4Interface((prefix[1], 30)), link.cost_ab))
        wires[link.b].append(_wire(link, far, (link.a, near), IPv4Interface((prefix[2], 30)), link.cost_ba))
    return wires


def _wire(link: LabLink, name: str, peer: tuple[str, str], address: IPv4Interface, cost: int | None) -> Wire:
    return Wire(name, *peer, link.title, address, cost or link.cost, link.capacity, link.mtu)


def device_config(lab: LabPlan, name: str) -> DeviceConfig:
    """What a router of the lab is told to do, in the neutral form."""
    router = lab.routers[name]
    ospf = OspfConfig(router.loopback) if "ospf" in router.igp else None
    return DeviceConfig(
        hostname=name,
        interfaces=_interfaces(router, with_ospf=ospf is not None),
        ospf=ospf,
        bgp=_bgp(lab, router),
    )


def _interfaces(router: RouterPlan, *, with_ospf: bool) -> tuple[InterfaceConfig, ...]:
    passive = OspfInterface(BACKBONE, cost=1, passive=True)
    loopback = OspfInterface(BACKBONE, network_type="loopback")
    return (
        InterfaceConfig("lo", addresses=(IPv4Interface(router.loopback),), ospf=loopback if with_ospf else None),
        *(
            InterfaceConfig(
                wire.name,
                description=f"to-{wire.peer}",
                addresses=(wire.address,),
                bandwidth_bps=wire.capacity_bps,
                ospf=OspfInterface(BACKBONE, wire.cost, "point-to-point", False, HELLO_S, DEAD_S)
                if with_ospf
                else None,
            )
            for wire in router.wires
        ),
        InterfaceConfig(
            EDGE,
            description="hosts",
            addresses=(router.edge,),
            bandwidth_bps=router.edge_capacity_bps,
            ospf=passive if with_ospf else None,
        ),
    )


def _bgp(lab: LabPlan, router: RouterPlan) -> BgpConfig | None:
    if lab.asn is None:
        return None
    peers = tuple(
        BgpNeighbor(peer.loopback, lab.asn, update_source=router.loopback, next_hop_self=True)
        for peer in lab.routers.values()
        if peer.name != router.name
    )
    return BgpConfig(lab.asn, router.loopback, (router.edge.network,), peers)
