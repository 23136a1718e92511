"""The neutral configuration: what a device is told to do, whatever dialect it was written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Literal

OSPF_LARGEST_COST = 65535  # the metric has 16 bits, RFC 2328 appendix A.4.2
OspfNetworkType = Literal["broadcast", "point-to-point", "non-broadcast", "point-to-multipoint", "loopback"]


@dataclass(frozen=True)
class OspfInterface:
    """OSPF on one interface (RFC 2328 appendix C.3). ``cost`` None = derived from bandwidth."""

    area: IPv4Address
    cost: int | None = None
    network_type: OspfNetworkType = "broadcast"
    passive: bool = False
    hello_interval: int | None = None
    dead_interval: int | None = None


@dataclass(frozen=True)
class InterfaceConfig:
    """One interface as configured (RFC 8343 names). ``bandwidth_bps`` None = the hardware's."""

    name: str
    description: str = ""
    enabled: bool = True
    addresses: tuple[IPv4Interface, ...] = ()
    bandwidth_bps: int | None = None
    ospf: OspfInterface | None = None


@dataclass(frozen=True)
class OspfConfig:
    """The OSPF process (RFC 2328 appendix C.1)."""

    router_id: IPv4Address
    reference_bandwidth_bps: int = 100_000_000
    maximum_paths: int | None = None


@dataclass(frozen=True)
class StaticRoute:
    """A static route by next-hop address, by interface, or to nowhere (both None)."""

    prefix: IPv4Network
    next_hop: IPv4Address | None = None
    interface: str | None = None
    distance: int = 1


@dataclass(frozen=True)
class BgpNeighbor:
    """One BGP session as configured."""

    address: IPv4Address
    remote_as: int
    update_source: IPv4Address | None = None
    next_hop_self: bool = False


@dataclass(frozen=True)
class BgpConfig:
    """The BGP process (RFC 4271)."""

    asn: int
    router_id: IPv4Address
    networks: tuple[IPv4Network, ...] = ()
    neighbors: tuple[BgpNeighbor, ...] = ()


@dataclass(frozen=True)
class UnreadLine:
    """A line the parser saw and did not understand: answers that may depend on it are INCONCLUSIVE."""

    line: int
    section: str
    text: str


@dataclass(frozen=True)
class DeviceConfig:
    """A whole device as configured."""

    hostname: str
    interfaces: tuple[InterfaceConfig, ...] = ()
    ospf: OspfConfig | None = None
    static_routes: tuple[StaticRoute, ...] = ()
    bgp: BgpConfig | None = None
    dialect: str = ""
    unread: tuple[UnreadLine, ...] = field(default=())

    def interface(self, name: str) -> InterfaceConfig | None:
        return next((i for i in self.interfaces if i.name == name), None)
