"""Pure: a walked routing table (RFC 4292) -> its text, a line a route, in order: what two of them differ in shows."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

from collectors.snmp.index import Address, Part, inet_address, parse_index
from collectors.snmp.routing import ROUTE_PROTOCOLS
from collectors.snmp.rows import Reading, TableRead
from collectors.snmp.wire import Oid

Network: TypeAlias = IPv4Network | IPv6Network
_CIDR: Mapping[str, Part] = {
    "destination": Part("address"),
    "mask": Part("address"),
    "service": Part("int"),
    "next_hop": Part("address"),
}
_INET: Mapping[str, Part] = {
    "destination": Part("inet"),
    "length": Part("int"),
    "policy": Part("oid"),
    "kind": Part("int"),
    "next_hop": Part("octets"),  # of an unknown kind(0) there are none
}


def route_table(reading: Reading) -> str | None:
    """``10.0.0.0/30 via 10.0.0.2 ospf`` and so on; None if the table was not walked, or not to its end."""
    if any(cut.subject == "route" for cut in reading.cut):
        return None
    found = {route for table in reading.tables_of("route") for route in _routes(table)}
    lines = [
        f"{network} {f'via {hop}' if hop else 'direct'} {protocol}"
        for network, hop, protocol in sorted(found, key=_order)
    ]
    return "".join(f"{line}\n" for line in lines) or None


def _order(route: tuple[Network, Address | None, str]) -> tuple[int, int, int, int, str]:
    network, hop, protocol = route
    return network.version, int(network.network_address), network.prefixlen, int(hop) if hop else 0, protocol


def _routes(table: TableRead) -> list[tuple[Network, Address | None, str]]:
    found = []
    for row in table.rows():
        route = _cidr(row["entry"]) or _inet(row["entry"]) if "entry" in row else None
        if route is not None and "protocol" in row:
            found.append((*route, ROUTE_PROTOCOLS.get(row["protocol"], "other")))
    return found


def _cidr(entry: Oid) -> tuple[Network, Address | None] | None:
    """An index of ipCidrRouteTable."""
    parts = parse_index(_CIDR, entry)
    return None if parts is None else _network(parts["destination"], str(parts["mask"]), parts["next_hop"])


def _inet(entry: Oid) -> tuple[Network, Address | None] | None:
    """An index of inetCidrRouteTable."""
    parts = parse_index(_INET, entry)
    if parts is None:
        return None
    hop = inet_address(parts["kind"], parts["next_hop"])
    return None if hop is None and parts["next_hop"] else _network(parts["destination"], str(parts["length"]), hop)


def _network(destination: Address, length: str, hop: Address | None) -> tuple[Network, Address | None] | None:
    """With no next hop if that is all zeros: then the network is at an interface of the device."""
    try:
        return ip_network(f"{destination}/{length}", strict=False), hop if hop and int(hop) else None
    except ValueError:
        return None
