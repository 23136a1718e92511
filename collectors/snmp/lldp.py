"""Pure: neighbours by local interface name, as LLDP-MIB (IEEE 802.1AB) and CISCO-CDP-MIB tell them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from collectors.snmp.interfaces import Interfaces
from collectors.snmp.rows import Reading, Row
from collectors.snmp.sheet import text_of
from twin.vocab.observed import LldpNeighbor

# LldpPortIdSubtype
_MAC, _NETWORK_ADDRESS = 3, 4
_IPV4 = 1  # AddressFamilyNumbers


@dataclass(frozen=True)
class Heard:
    """Neighbours whose local port is a known interface, and how many others were told of by which protocol."""

    neighbors: tuple[LldpNeighbor, ...]
    unplaced: Mapping[str, int] = field(default_factory=dict)


def neighbors(reading: Reading, interfaces: Interfaces) -> Heard:
    """LLDP's, and CDP's of systems that LLDP does not tell of on the same interface.

    A neighbour that tells no management address by LLDP has the one it tells by CDP.
    """
    by_lldp = _lldp(reading, interfaces)
    by_cdp = _cdp(reading.of("cdp_remote"), interfaces)
    told = {(n.interface, _host(n.system_name)): n for n in by_cdp if n.interface}
    placed = [_reachable(n, told.pop((n.interface, _host(n.system_name)), n)) for n in by_lldp if n.interface]
    unplaced = {
        "lldp": len(by_lldp) - len(placed),
        "cdp": sum(not n.interface for n in by_cdp),
    }
    return Heard((*placed, *told.values()), {name: count for name, count in unplaced.items() if count})


def _reachable(neighbor: LldpNeighbor, by_cdp: LldpNeighbor) -> LldpNeighbor:
    addresses = neighbor.management_addresses or by_cdp.management_addresses
    return replace(neighbor, management_addresses=addresses)


def _host(system_name: str) -> str:
    """CDP's names often lack the domain that LLDP's have."""
    return system_name.partition(".")[0].lower()


def _cdp(rows: Iterable[Row], interfaces: Interfaces) -> list[LldpNeighbor]:
    return [
        LldpNeighbor(
            interface=interfaces.find(row.get("interface")),
            system_name=row.get("system_name") or _without_serial(row.get("device_id") or ""),
            port_id=row.get("port") or "",
            management_addresses=_ipv4(row.get("address")),
        )
        for row in rows
    ]


def _without_serial(device_id: str) -> str:
    """``switch(FOC1234X5YZ)`` is how CatOS and NX-OS add the serial number."""
    return device_id.partition("(")[0]


def _ipv4(address: object) -> tuple[IPv4Address, ...]:
    if isinstance(address, bytes) and len(address) == 4:
        address = IPv4Address(address)
    return (address,) if isinstance(address, IPv4Address) and int(address) else ()


def _lldp(reading: Reading, interfaces: Interfaces) -> list[LldpNeighbor]:
    """One for each remote table row; its interface is empty if its local port is none."""
    local = local_ports(reading.of("lldp_local"), interfaces)
    managed = _management_addresses(reading.of("lldp_address"))
    return [
        LldpNeighbor(
            interface=local.get(row["port"]) or interfaces.by_index.get(row["port"], ""),
            system_name=row.get("system_name") or "",
            port_id=identifier(row.get("id_subtype"), row.get("id")),
            port_description=row.get("description") or "",
            management_addresses=tuple(managed.get((row["port"], row["remote"]), ())),
        )
        for row in reading.of("lldp_remote")
    ]


def local_ports(ports: Iterable[Row], interfaces: Interfaces) -> dict[int, str]:
    """lldpLocPortNum -> interface name, by whatever the agent put in the port's identifier or description."""
    by_mac: dict[str, list[str]] = {}
    by_alias: dict[str, list[str]] = {}
    for name in interfaces.names:
        by_mac.setdefault(identifier(_MAC, interfaces.value(name, "physical_address")), []).append(name)
        by_alias.setdefault(interfaces.value(name, "alias") or "", []).append(name)
    found = {row["port"]: _local_port(row, interfaces, by_mac, by_alias) for row in ports}
    return {port: name for port, name in found.items() if name}


def _local_port(
    row: Row, interfaces: Interfaces, by_mac: Mapping[str, list[str]], by_alias: Mapping[str, list[str]]
) -> str:
    spoken, description = identifier(row.get("id_subtype"), row.get("id")), row.get("description") or ""
    for text in (spoken, description):
        if named := interfaces.spoken.get(text):
            return named
    matches = by_mac.get(spoken, []) if row.get("id_subtype") == _MAC else []
    matches = matches or (by_alias.get(description, []) if description else [])
    if len(matches) == 1:
        return matches[0]
    return interfaces.by_index.get(row["port"], "")  # IEEE 802.1AB lets agents number ports by ifIndex, and most do


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
