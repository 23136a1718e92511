"""What a device says of itself and its neighbours: operational state, as stored in records."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

LINKS_MAY_LACK = "links may be missing"


def is_up(status: int | None) -> bool | None:
    """ifAdminStatus or ifOperStatus (RFC 2863): 1 is up, any other number is not; None stays unknown."""
    return None if status is None else status == 1


@dataclass(frozen=True)
class ObservedInterface:
    """One row of ifTable/ifXTable (RFC 2863): names are the key, the index is only this agent's."""

    name: str
    index: int
    speed_bps: int | None = None
    admin_up: bool | None = None
    oper_up: bool | None = None
    alias: str = ""
    addresses: tuple[IPv4Interface, ...] = ()
    addresses6: tuple[IPv6Interface, ...] = ()


@dataclass(frozen=True)
class LldpNeighbor:
    """One row of lldpRemTable (IEEE 802.1AB): who is at the other end of a local interface."""

    interface: str
    system_name: str
    port_id: str = ""
    port_description: str = ""
    management_addresses: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True)
class OspfNeighbor:
    """One row of ospfNbrTable (RFC 4750); state 8 = full."""

    address: IPv4Address
    router_id: IPv4Address
    state: int


@dataclass(frozen=True)
class BgpPeer:
    """One row of bgpPeerTable (RFC 4273); state 6 = established."""

    address: IPv4Address
    remote_as: int
    state: int


@dataclass(frozen=True)
class ObservedBundle:
    """One aggregate (IEEE 802.1AX, ifStackTable) and the interfaces configured into it, up or not, by name.

    A member that the aggregate does not use (LACP took it out) is left out by whoever knows it.
    """

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class ObservedDevice:
    """All of it, for one device at one time. ``name``: the inventory's; ``system_name``: its own sysName.

    ``flags``: why this is not all there is, a line each; a line that begins with ``LINKS_MAY_LACK`` says so of
    interfaces, addresses or neighbours.
    """

    name: str
    system_name: str = ""
    system_description: str = ""
    system_object_id: str = ""
    interfaces: tuple[ObservedInterface, ...] = ()
    lldp: tuple[LldpNeighbor, ...] = ()
    ospf: tuple[OspfNeighbor, ...] = ()
    bgp: tuple[BgpPeer, ...] = ()
    routes: dict[str, int] = field(default_factory=dict)
    bundles: tuple[ObservedBundle, ...] = ()
    flags: tuple[str, ...] = ()

    def interface(self, name: str) -> ObservedInterface | None:
        return next((i for i in self.interfaces if i.name == name), None)
