"""What has been read of an FRR configuration so far, and how it becomes the neutral configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from twin.vocab.config import (
    BgpConfig,
    BgpNeighbor,
    DeviceConfig,
    InterfaceConfig,
    OspfConfig,
    OspfInterface,
    OspfNetworkType,
    StaticRoute,
    UnreadLine,
)

NO_AREA = IPv4Address("255.255.255.255")


@dataclass
class InterfaceDraft:
    """``ospf`` holds what is written in the interface; its area stays NO_AREA until one is given or found."""

    config: InterfaceConfig
    network_type: OspfNetworkType | None = None
    ospf: OspfInterface = field(default_factory=lambda: OspfInterface(NO_AREA))
    passive: bool | None = None


@dataclass(frozen=True)
class NetworkStatement:
    """``network PREFIX area AREA`` and where it stands."""

    prefix: IPv4Network
    area: IPv4Address
    line: UnreadLine


@dataclass
class OspfDraft:
    """The process; ``passive`` are its passive-interface lines by name, ``passive_default`` the one for all others."""

    router_id: IPv4Address | None = None
    reference_bandwidth_bps: int | None = None
    maximum_paths: int | None = None
    networks: list[NetworkStatement] = field(default_factory=list)
    passive: dict[str, bool] = field(default_factory=dict)
    passive_default: bool = False


@dataclass
class NeighborDraft:
    """One neighbour, its first line, and whether it may exchange IPv4 unicast routes."""

    config: BgpNeighbor
    line: UnreadLine
    activated: bool | None = None
    has_policy: bool = False


@dataclass
class BgpDraft:
    """The process; FRR's defaults until a line says otherwise (RFC 8212 policy is required by default)."""

    asn: int
    router_id: IPv4Address | None = None
    networks: list[IPv4Network] = field(default_factory=list)
    neighbors: dict[IPv4Address, NeighborDraft] = field(default_factory=dict)
    default_ipv4: bool = True
    requires_policy: bool = True


@dataclass
class Draft:
    """The whole device, and the section the reader stands in."""

    hostname: str = ""
    router_id: IPv4Address | None = None
    interfaces: dict[str, InterfaceDraft] = field(default_factory=dict)
    ospf: OspfDraft | None = None
    bgp: BgpDraft | None = None
    statics: list[StaticRoute] = field(default_factory=list)
    unread: list[UnreadLine] = field(default_factory=list)
    kind: str = "top"
    section: str = ""

    @property
    def interface(self) -> InterfaceDraft:
        return self.interfaces[self.section.split()[1]]


def finish(draft: Draft) -> DeviceConfig:
    """Resolve what needs the whole text: areas from network statements, passive defaults, derived router ids."""
    configured = [i.config for i in draft.interfaces.values()]
    router_id = draft.router_id or _derived_router_id(configured)
    return DeviceConfig(
        hostname=draft.hostname,
        interfaces=tuple(_interface(i, draft.ospf) for i in draft.interfaces.values()),
        ospf=_ospf(draft.ospf, router_id) if draft.ospf else None,
        static_routes=tuple(draft.statics),
        bgp=_bgp(draft.bgp, router_id) if draft.bgp else None,
        unread=tuple(sorted([*draft.unread, *_unresolved(draft)], key=lambda x: x.line)),
    )


def _interface(draft: InterfaceDraft, process: OspfDraft | None) -> InterfaceConfig:
    area = draft.ospf.area
    if area == NO_AREA and process:
        area = _area_of(draft.config, process.networks)
    if area == NO_AREA:
        return draft.config
    name = draft.config.name
    passive = draft.passive
    if passive is None:
        passive = process.passive.get(name, process.passive_default) if process else False
    kind = draft.network_type or ("loopback" if name == "lo" else "broadcast")
    return replace(draft.config, ospf=replace(draft.ospf, area=area, passive=passive, network_type=kind))


def _area_of(interface: InterfaceConfig, networks: list[NetworkStatement]) -> IPv4Address:
    """The area of the longest network statement that holds one of the addresses, else NO_AREA."""
    matching = [n for n in networks if any(a.ip in n.prefix for a in interface.addresses)]
    return max(matching, key=lambda n: n.prefix.prefixlen).area if matching else NO_AREA


def _derived_router_id(interfaces: list[InterfaceConfig]) -> IPv4Address:
    """What zebra chooses: the highest loopback address, else the highest address, else 0.0.0.0."""

    def candidates(loopback: bool) -> list[IPv4Interface]:
        usable = [i for i in interfaces if (i.name == "lo") == loopback]
        return [a for i in usable for a in i.addresses if not a.ip.is_loopback]

    chosen = candidates(loopback=True) or candidates(loopback=False)
    return max((a.ip for a in chosen), default=IPv4Address(0))


def _ospf(draft: OspfDraft, router_id: IPv4Address) -> OspfConfig:
    config = OspfConfig(draft.router_id or router_id, maximum_paths=draft.maximum_paths)
    if draft.reference_bandwidth_bps is None:
        return config
    return replace(config, reference_bandwidth_bps=draft.reference_bandwidth_bps)


def _bgp(draft: BgpDraft, router_id: IPv4Address) -> BgpConfig:
    neighbors = tuple(n.config for n in draft.neighbors.values())
    return BgpConfig(draft.asn, draft.router_id or router_id, tuple(draft.networks), neighbors)


def _unresolved(draft: Draft) -> Iterator[UnreadLine]:
    """Lines that were read but whose meaning the neutral configuration can't carry."""
    if draft.ospf:
        addresses = [a.ip for i in draft.interfaces.values() for a in i.config.addresses]
        for network in draft.ospf.networks:
            if not any(a in network.prefix for a in addresses):
                yield network.line
    if draft.bgp:
        yield from (n.line for n in draft.bgp.neighbors.values() if not _exchanges(n, draft.bgp))


def _exchanges(neighbor: NeighborDraft, process: BgpDraft) -> bool:
    """Whether routes flow as the neutral configuration says: activated, and no RFC 8212 policy is missing."""
    active = process.default_ipv4 if neighbor.activated is None else neighbor.activated
    external = neighbor.config.remote_as != process.asn
    return active and not (external and process.requires_policy and not neighbor.has_policy)
