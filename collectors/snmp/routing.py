"""Pure: OSPF, IS-IS and BGP neighbours and route counts as read -> samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from collectors.snmp.interfaces import Interfaces
from collectors.snmp.rows import Reading, Row
from collectors.subjects import Subject
from twin.vocab.blocks import Block
from twin.vocab.observed import BgpPeer, OspfNeighbor

# ipCidrRouteProto and inetCidrRouteProto (RFC 4292)
ROUTE_PROTOCOLS = {
    1: "other",
    2: "local",
    3: "netmgmt",
    4: "icmp",
    5: "egp",
    6: "ggp",
    7: "hello",
    8: "rip",
    9: "isis",
    10: "es-is",
    11: "igrp",
    12: "bbn-spf-igp",
    13: "ospf",
    14: "bgp",
    15: "idpr",
    16: "eigrp",
}


def routing_blocks(device: str, interfaces: Interfaces, reading: Reading) -> Iterator[Block]:
    """One block for each kind of which there is something. A neighbour told of by two tables is the later one's."""
    ospf = {_ospf_key(row, interfaces): row for row in _timed(reading, "ospf_neighbor")}
    isis = {_isis_key(row, interfaces): row for row in _timed(reading, "isis_neighbor")}
    bgp = {_bgp_key(row): row for row in _timed(reading, "bgp_peer") if peer_address(row)}
    yield from _block(device, "ospf_neighbor", "neighbor", ospf, ("state", "events"))
    yield from _block(device, "isis_neighbor", "neighbor", isis, ("state",))
    yield from _block(device, "bgp_peer", "peer", bgp, ("state", "remote_as", "established_transitions"))
    at = next((table.at for table in reading.tables_of("route")), reading.at)
    if counts := [{"device": device, "protocol": p, "routes": n} for p, n in routes(reading).items()]:
        yield Block.from_rows("route_summary", counts, at)


def _timed(reading: Reading, subject: Subject) -> Iterator[Row]:
    for table in reading.tables_of(subject):
        yield from ({**row, "at": table.at} for row in table.rows())


def _block(device: str, kind: str, key: str, rows: Mapping[str, Row], fields: tuple[str, ...]) -> Iterator[Block]:
    samples: list[dict[str, Any]] = [
        {"device": device, key: name, "at": row["at"]} | {field: row[field] for field in fields if field in row}
        for name, row in rows.items()
    ]
    if samples:
        yield Block.from_rows(kind, samples)


def _ospf_key(row: Row, interfaces: Interfaces) -> str:
    """The neighbour's address; over an unnumbered link that is not unique (RFC 4750) and the interface is added."""
    index = row.get("addressless")
    return f"{row['address']}%{interfaces.by_index.get(index, index)}" if index else str(row["address"])


def _isis_key(row: Row, interfaces: Interfaces) -> str:
    """The neighbour's system identifier, and the interface: there may be several links to it."""
    system, name = row.get("system_id", b""), interfaces.find(row.get("interface"))
    told = (
        ".".join(system.hex()[i : i + 4] for i in range(0, 2 * len(system), 4)) if isinstance(system, bytes) else system
    )
    return f"{told}%{name}" if name else str(told)


def _bgp_key(row: Row) -> str:
    return f"{peer_address(row)}%{row['vrf']}" if row.get("vrf") else str(peer_address(row))


def peer_address(row: Row) -> IPv4Address | IPv6Address | None:
    peer = row.get("peer")
    if isinstance(peer, bytes):
        return IPv4Address(peer) if len(peer) == 4 else IPv6Address(peer) if len(peer) == 16 else None
    return peer if isinstance(peer, IPv4Address | IPv6Address) else None


def routes(reading: Reading) -> dict[str, int]:
    """Routes (one a next hop) by protocol, and ``all`` as the agent counts them."""
    tally = Counter(ROUTE_PROTOCOLS.get(row["protocol"], "other") for row in reading.of("route") if "protocol" in row)
    total = max([*reading.counts.values(), tally.total()], default=0)
    return dict(sorted(tally.items())) | ({"all": total} if total else {})


def ospf_observed(reading: Reading) -> tuple[OspfNeighbor, ...]:
    return tuple(
        OspfNeighbor(row["address"], row["router_id"], row["state"])
        for row in reading.of("ospf_neighbor")
        if "state" in row and isinstance(row["address"], IPv4Address) and isinstance(row.get("router_id"), IPv4Address)
    )


def bgp_observed(reading: Reading) -> tuple[BgpPeer, ...]:
    """IPv4 peers of the device's own routing table."""
    peers = {
        address: BgpPeer(address, row["remote_as"], row["state"])
        for row in reading.of("bgp_peer")
        if isinstance(address := peer_address(row), IPv4Address)
        and "remote_as" in row
        and "state" in row
        and not row.get("vrf")
    }
    return tuple(peers.values())
