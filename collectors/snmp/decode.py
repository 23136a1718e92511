"""Pure: what one agent said -> column blocks of samples, and the device as observed.

An interface is named by ifName (ifDescr where that is empty), never by ifIndex. Names that several interfaces share
name no series: those rows are left out and flagged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import numpy as np

from collectors.snmp.lldp import neighbors
from collectors.snmp.rows import Cut, Reading, Row
from collectors.snmp.wire import dotted
from twin.vocab.blocks import Block
from twin.vocab.observed import LINKS_MAY_LACK, BgpPeer, ObservedDevice, ObservedInterface, OspfNeighbor, is_up

_LINK_SUBJECTS = frozenset({"interface", "address", "lldp_local", "lldp_remote", "lldp_address"})
_OCTETS = ("in_octets", "out_octets")
_PACKETS = ("in_packets", "out_packets")
_AS_READ = (
    "speed_bps",
    "admin_status",
    "oper_status",
    "discontinuity_cs",
    "in_errors",
    "out_errors",
    "in_discards",
    "out_discards",
)
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


@dataclass(frozen=True)
class Decoded:
    """Samples, the device as observed, and what was left out and why."""

    blocks: tuple[Block, ...]
    observed: ObservedDevice
    flags: tuple[str, ...]


def decode(device: str, reading: Reading) -> Decoded:
    """Everything the schema has a kind for. Counters stay as read; each interface row carries sysUpTime."""
    named = _named_interfaces(reading)
    blocks = (
        _interface_block(device, named, reading),
        _device_block(device, reading),
        _ospf_block(device, named, reading),
        _bgp_block(device, reading),
        _route_block(device, reading),
    )
    observed = _observed(device, named, reading)
    flags = (*_cuts(reading.cut), *_left_out(reading, observed))
    told = tuple(f"{LINKS_MAY_LACK}: {flag.text}" if flag.about_links else flag.text for flag in flags)
    kept = tuple(block for block in blocks if block is not None)
    return Decoded(kept, replace(observed, flags=told), tuple(flag.text for flag in flags))


@dataclass(frozen=True)
class _Flag:
    text: str
    about_links: bool = False


def _cuts(cuts: Sequence[Cut]) -> Iterator[_Flag]:
    """Tables that were not read to their end, those of one reason in one flag."""
    grouped: dict[tuple[bool, str], list[str]] = {}
    for cut in cuts:
        grouped.setdefault((cut.subject in _LINK_SUBJECTS, cut.reason), []).append(cut.table)
    for (about_links, reason), tables in grouped.items():
        yield _Flag(f"{', '.join(dict.fromkeys(tables))}: {reason}", about_links)


def _left_out(reading: Reading, observed: ObservedDevice) -> Iterator[_Flag]:
    """Rows that were read and can't be used."""
    rows = reading.of("interface")
    for name, count in _tally(rows).items():
        if count > 1:
            yield _Flag(f"interfaces: {count} are named {name!r}: left out")
    if nameless := sum(not row.get("name") for row in rows):
        yield _Flag(f"interfaces: {nameless} without a name: left out")
    if not rows:
        yield _Flag("interfaces: the agent shows none", about_links=True)
    if strange := sum(_has_strange_netmask(row) for row in reading.of("address")):
        yield _Flag(f"addresses: {strange} with a netmask that is not contiguous: left out")
    if lost := len(reading.of("lldp_remote")) - len(observed.lldp):
        yield _Flag(f"lldp: {lost} neighbours at ports that are no known interface: left out")


def _tally(rows: Sequence[Row]) -> Counter[str]:
    return Counter(row["name"] for row in rows if row.get("name"))


def _named_interfaces(reading: Reading) -> dict[str, Row]:
    rows = reading.of("interface")
    tally = _tally(rows)
    return {row["name"]: row for row in rows if row.get("name") and tally[row["name"]] == 1}


def _interface_block(device: str, named: Mapping[str, Row], reading: Reading) -> Block | None:
    if not named:
        return None
    at = next(table.at for table in reading.tables.values() if table.subject == "interface")
    rows = [_interface_row(device, name, row, reading.system.uptime_cs) for name, row in named.items()]
    return Block.from_rows("interface", map(_measured, rows), at)


def _interface_row(device: str, name: str, row: Row, uptime_cs: int | None) -> dict[str, Any]:
    sample: dict[str, Any] = {"device": device, "interface": name, "index": row["index"], "uptime_cs": uptime_cs}
    sample |= {field: row.get(field) for field in _AS_READ}
    return sample | _counters(row)


def _counters(row: Row) -> dict[str, int | None]:
    """Octets and packets of one width: the narrower if in and out differ (a Counter64 modulo 2^32 counts the same)."""
    widths = [row.bits[name] for name in _OCTETS if name in row.values and name in row.bits]
    bits = min(widths, default=64)
    counters: dict[str, int | None] = {name: _narrowed(row, name, bits) for name in (*_OCTETS, *_PACKETS)}
    return counters | {"counter_bits": bits if widths else None}


def _narrowed(row: Row, name: str, bits: int) -> int | None:
    value = row.get(name)
    return None if value is None or row.bits.get(name, 64) < bits else value % 2**bits


def _device_block(device: str, reading: Reading) -> Block:
    sample: dict[str, Any] = {"device": device, "uptime_cs": reading.system.uptime_cs}
    for name in ("cpu_time_us", "memory_used_bytes", "memory_total_bytes"):
        sample[name] = reading.scalars.get(name)
    loads = [row["load_percent"] for row in reading.of("processor") if row.get("load_percent") is not None]
    sample["cpu_percent"] = float(np.mean(loads)) if loads else None
    if sample["memory_used_bytes"] is None:
        sample |= _memory(reading.of("memory_pool"))
    return Block.from_rows("device", [_measured(sample)], reading.at)


def _measured(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A field that no row has is absent from the block: it was not measured at all."""
    return {name: value for name, value in sample.items() if value is not None}


def _memory(rows: Sequence[Row]) -> dict[str, int]:
    """The largest pool is the device's own."""
    used = [row for row in rows if row.get("used_bytes") is not None]
    if not used:
        return {}
    row = max(used, key=lambda r: int(r.get("total_bytes") or 0))
    total = {"memory_total_bytes": row["total_bytes"]} if row.get("total_bytes") else {}
    return {"memory_used_bytes": row["used_bytes"]} | total


def _ospf_block(device: str, named: Mapping[str, Row], reading: Reading) -> Block | None:
    names = {row["index"]: name for name, row in named.items()}
    rows = [
        {"device": device, "neighbor": _ospf_key(row, names), "state": row.get("state"), "events": row.get("events")}
        for row in reading.of("ospf_neighbor")
    ]
    return _block("ospf_neighbor", rows, reading)


def _ospf_key(row: Row, names: Mapping[int, str]) -> str:
    """The neighbour's address; over an unnumbered link that is not unique (RFC 4750) and the interface is added."""
    index = row["addressless"]
    return f"{row['address']}%{names.get(index, index)}" if index else str(row["address"])


def _bgp_block(device: str, reading: Reading) -> Block | None:
    fields = ("state", "remote_as", "established_transitions")
    rows = [
        {"device": device, "peer": str(row["peer"])} | {f: row.get(f) for f in fields} for row in reading.of("bgp_peer")
    ]
    return _block("bgp_peer", rows, reading)


def _route_block(device: str, reading: Reading) -> Block | None:
    rows = [{"device": device, "protocol": p, "routes": n} for p, n in _routes(reading).items()]
    return _block("route_summary", rows, reading)


def _routes(reading: Reading) -> dict[str, int]:
    """Routes (one a next hop) by protocol, and ``all`` as the agent counts them."""
    tally = Counter(ROUTE_PROTOCOLS.get(row["protocol"], "other") for row in reading.of("route"))
    total = max([*reading.counts.values(), tally.total()], default=0)
    return dict(sorted(tally.items())) | ({"all": total} if total else {})


def _block(kind: str, rows: Sequence[Mapping[str, Any]], reading: Reading) -> Block | None:
    subject: Any = {"route_summary": "route"}.get(kind, kind)
    at = next((table.at for table in reading.tables.values() if table.subject == subject), reading.at)
    return Block.from_rows(kind, rows, at) if rows else None


def _observed(device: str, named: Mapping[str, Row], reading: Reading) -> ObservedDevice:
    addresses = _addresses(reading)
    return ObservedDevice(
        name=device,
        system_name=reading.system.name,
        system_description=reading.system.description,
        system_object_id=dotted(reading.system.object_id),
        interfaces=tuple(_interface(name, row, addresses) for name, row in named.items()),
        lldp=neighbors(reading, named),
        ospf=tuple(
            OspfNeighbor(row["address"], row["router_id"], row["state"])
            for row in reading.of("ospf_neighbor")
            if row.get("router_id") is not None and row.get("state") is not None
        ),
        bgp=tuple(
            BgpPeer(row["peer"], row["remote_as"], row["state"])
            for row in reading.of("bgp_peer")
            if row.get("remote_as") is not None and row.get("state") is not None
        ),
        routes=_routes(reading),
    )


def _interface(name: str, row: Row, addresses: Mapping[int, set[IPv4Interface]]) -> ObservedInterface:
    return ObservedInterface(
        name=name,
        index=row["index"],
        speed_bps=row.get("speed_bps"),
        admin_up=is_up(row.get("admin_status")),
        oper_up=is_up(row.get("oper_status")),
        alias=row.get("alias") or "",
        addresses=tuple(sorted(addresses.get(row["index"], ()))),
    )


def _addresses(reading: Reading) -> dict[int, set[IPv4Interface]]:
    """IPv4 addresses by ifIndex, from ipAddressTable and ipAddrTable alike."""
    found: dict[int, set[IPv4Interface]] = {}
    for row in reading.of("address"):
        interface = _address(row)
        if interface is not None and row.get("interface") is not None:
            found.setdefault(row["interface"], set()).add(interface)
    return found


def _address(row: Row) -> IPv4Interface | None:
    address, length = row["address"], None
    if isinstance(address, bytes):
        address = IPv4Address(address) if _is_unicast_ipv4(row) else None
        prefix = row.get("prefix")
        length = prefix[-1] if prefix else None
    elif row.get("netmask") is not None:
        length = _prefix_length(row["netmask"])
    usable = address is not None and length is not None and 0 < length <= 32
    return IPv4Interface((address, length)) if usable else None


def _prefix_length(netmask: IPv4Address) -> int | None:
    """None for a mask whose ones are not all in front: no prefix is written so (RFC 4632)."""
    host = ~int(netmask) & 0xFFFFFFFF
    return None if host & (host + 1) else 32 - host.bit_length()


def _has_strange_netmask(row: Row) -> bool:
    return row.get("netmask") is not None and _prefix_length(row["netmask"]) is None


def _is_unicast_ipv4(row: Row) -> bool:
    return row["family"] == 1 and len(row["address"]) == 4 and row.get("type") in (None, 1)
