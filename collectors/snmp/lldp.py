"""Pure: the LLDP-MIB's tables (IEEE 802.1AB) -> neighbours by local interface name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from collectors.snmp.rows import Reading, Row, text_of
from twin.vocab.observed import LldpNeighbor

# LldpPortIdSubtype
_MAC, _NETWORK_ADDRESS = 3, 4
_IPV4 = 1  # AddressFamilyNumbers


def neighbors(reading: Reading, named: Mapping[str, Row]) -> tuple[LldpNeighbor, ...]:
    """One for each remote table row whose local port is one of the interfaces ``named``."""
    local = local_ports(reading.of("lldp_local"), named)
    managed = _management_addresses(reading.of("lldp_address"))
    found = [
        LldpNeighbor(
            interface=local.get(row["port"]) or _by_index(row["port"], named),
            system_name=row.get("system_name") or "",
            port_id=identifier(row.get("id_subtype"), row.get("id")),
            port_description=row.get("description") or "",
            management_addresses=tuple(managed.get((row["port"], row["remote"]), ())),
        )
        for row in reading.of("lldp_remote")
    ]
    return tuple(n for n in found if n.interface)


def local_ports(ports: Iterable[Row], named: Mapping[str, Row]) -> dict[int, str]:
    """lldpLocPortNum -> interface name, by whatever the agent put in the port's identifier or description."""
    by_mac: dict[str, list[str]] = {}
    by_alias: dict[str, list[str]] = {}
    for name, row in named.items():
        by_mac.setdefault(identifier(_MAC, row.get("physical_address")), []).append(name)
        by_alias.setdefault(row.get("alias") or "", []).append(name)
    found = {row["port"]: _local_port(row, named, by_mac, by_alias) for row in ports}
    return {port: name for port, name in found.items() if name}


def _local_port(
    row: Row, named: Mapping[str, Row], by_mac: Mapping[str, list[str]], by_alias: Mapping[str, list[str]]
) -> str:
    spoken, description = identifier(row.get("id_subtype"), row.get("id")), row.get("description") or ""
    for text in (spoken, description):
        if text in named:
            return text
    matches = by_mac.get(spoken, []) if row.get("id_subtype") == _MAC else []
    matches = matches or (by_alias.get(description, []) if description else [])
    if len(matches) == 1:
        return matches[0]
    return _by_index(row["port"], named)


def _by_index(port: int, named: Mapping[str, Row]) -> str:
    """IEEE 802.1AB lets agents number ports by ifIndex, and most do."""
    return next((name for name, row in named.items() if row["index"] == port), "")


def identifier(subtype: int | None, octets: bytes | None) -> str:
    """A port identifier as text: MAC and network addresses in their usual notation, else the text itself."""
    if not octets:
        return ""
    if subtype == _MAC:
        return octets.hex(":")
    if subtype == _NETWORK_ADDRESS and octets[0] == _IPV4 and len(octets) == 5:
        return str(IPv4Address(octets[1:]))
    return text_of(octets) or ""


def _management_addresses(rows: Iterable[Row]) -> dict[tuple[int, int], list[IPv4Address]]:
    found: dict[tuple[int, int], list[IPv4Address]] = {}
    for row in rows:
        if row["family"] == _IPV4 and len(row["address"]) == 4:
            found.setdefault((row["port"], row["remote"]), []).append(IPv4Address(row["address"]))
    return found
