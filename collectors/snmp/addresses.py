"""Pure: IP addresses by ifIndex, from ipAddressTable (RFC 4293) and ipAddrTable (RFC 1213) alike."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface

from collectors.snmp.rows import Reading, Row

_UNICAST = 1


def addresses(reading: Reading) -> dict[int, set[IPv4Interface | IPv6Interface]]:
    """Unicast addresses whose prefix length is known."""
    found: dict[int, set[IPv4Interface | IPv6Interface]] = {}
    for row in reading.of("address"):
        interface = _interface(row)
        if interface is not None and "interface" in row:
            found.setdefault(row["interface"], set()).add(interface)
    return found


def has_strange_netmask(row: Row) -> bool:
    return "netmask" in row and _prefix_length(row["netmask"]) is None


def _interface(row: Row) -> IPv4Interface | IPv6Interface | None:
    address, length = row.get("address"), _length(row)
    if not isinstance(address, IPv4Address | IPv6Address) or row.get("type", _UNICAST) != _UNICAST:
        return None
    return ip_interface((address, length)) if length and length <= address.max_prefixlen else None


def _length(row: Row) -> int | None:
    prefix = row.get("prefix")
    if isinstance(prefix, tuple):
        return prefix[-1] if prefix else None
    if isinstance(prefix, int):
        return prefix
    return _prefix_length(row["netmask"]) if "netmask" in row else None


def _prefix_length(netmask: object) -> int | None:
    """None for a mask whose ones are not all in front: no prefix is written so (RFC 4632)."""
    if not isinstance(netmask, IPv4Address):
        return None
    host = ~int(netmask) & 0xFFFFFFFF
    return None if host & (host + 1) else 32 - host.bit_length()
