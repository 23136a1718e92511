"""What readers find in replies, whatever the model: values of our own, merged by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Any, Literal, TypeAlias

import numpy as np

from collectors.netconf.xml import Address
from twin.vocab.blocks import Block
from twin.vocab.observed import BgpPeer, LldpNeighbor, ObservedBundle, ObservedInterface, OspfNeighbor, is_up

Topic: TypeAlias = Literal["interfaces", "system", "hardware", "bgp", "ospf", "isis", "lldp"]
SAMPLED: tuple[Topic, ...] = ("interfaces", "system", "hardware", "bgp", "ospf", "isis")
WITHOUT_SNMP: tuple[Topic, ...] = (*SAMPLED, "lldp")
BESIDE_SNMP: tuple[Topic, ...] = ("interfaces", "bgp", "ospf", "lldp")
MOST_ROWS, LONGEST_NAME = 50_000, 255
_SIZES = ("speed_bps", "index", "used_bytes", "total_bytes")
BGP_STATES = {  # RFC 4273 bgpPeerState
    "idle": 1,
    "connect": 2,
    "active": 3,
    "opensent": 4,
    "openconfirm": 5,
    "established": 6,
}
OSPF_STATES = {  # RFC 4750 ospfNbrState
    "down": 1,
    "attempt": 2,
    "init": 3,
    "twoway": 4,
    "2way": 4,
    "exchangestart": 5,
    "exstart": 5,
    "exchange": 6,
    "loading": 7,
    "full": 8,
}
ISIS_STATES = {"down": 1, "init": 2, "initializing": 2, "up": 3, "failed": 4}  # RFC 4444 isisISAdjState


@dataclass(frozen=True)
class FoundInterface:
    """``values``: fields of the kind ``interface``; ``bundle``: the aggregate it is a member of."""

    name: str
    values: Mapping[str, int] = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()
    alias: str = ""
    bundle: str = ""


@dataclass(frozen=True)
class Peer:
    """A BGP session; ``state``: bgpPeerState of RFC 4273."""

    peer: str
    state: int
    remote_as: int | None = None
    established_transitions: int | None = None


@dataclass(frozen=True)
class Neighbor:
    """An OSPF neighbour; ``state``: ospfNbrState of RFC 4750."""

    address: str
    router_id: str
    state: int


@dataclass(frozen=True)
class Found:
    """``rows``: kind -> its rows without their device, for processor, memory_pool, sensor and isis_neighbor."""

    system_name: str = ""
    interfaces: tuple[FoundInterface, ...] = ()
    rows: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    bgp: tuple[Peer, ...] = ()
    ospf: tuple[Neighbor, ...] = ()
    lldp: tuple[LldpNeighbor, ...] = ()

    @property
    def values(self) -> int:
        """How many values were read."""
        rows = sum(len(row) for rows in self.rows.values() for row in rows)
        return rows + sum(len(i.values) for i in self.interfaces) + len(self.bgp) + len(self.ospf) + len(self.lldp)

    @property
    def topics(self) -> frozenset[Topic]:
        """What it has anything about."""
        there: dict[Topic, bool] = {
            "interfaces": any(i.values for i in self.interfaces),
            "system": bool(self.rows.get("processor") or self.rows.get("memory_pool")),
            "hardware": bool(self.rows.get("sensor")),
            "bgp": bool(self.bgp),
            "ospf": bool(self.ospf),
            "isis": bool(self.rows.get("isis_neighbor")),
            "lldp": bool(self.lldp),
        }
        return frozenset(topic for topic, any_there in there.items() if any_there)


def state_number(text: str, table: Mapping[str, int]) -> int | None:
    """``Established``, ``fsm-established``, ``open-sent``, ``ospf-nbr-full`` -> the number of that state."""
    words = text.rpartition(":")[2].lower().replace("_", "-").split("-")
    tails = ("".join(words[start:]) for start in range(len(words)))
    return next((table[tail] for tail in tails if tail in table), None)


def merge(parts: Iterable[Found]) -> Found:
    """One of many; what comes first about one thing holds."""
    listed = list(parts)
    kinds = {kind for part in listed for kind in part.rows}
    return Found(
        next((part.system_name for part in listed if part.system_name), ""),
        _by_name(interface for part in listed for interface in part.interfaces),
        {kind: tuple(row for part in listed for row in part.rows.get(kind, ())) for kind in sorted(kinds)},
        tuple({peer.peer: peer for part in reversed(listed) for peer in reversed(part.bgp)}.values())[::-1],
        tuple({n.address: n for part in reversed(listed) for n in reversed(part.ospf)}.values())[::-1],
        tuple(dict.fromkeys(neighbor for part in listed for neighbor in part.lldp)),
    )


def bounded(found: Found) -> tuple[Found, tuple[str, ...]]:
    """At most so many rows of a kind, none with a name beyond 255 characters; a line where rows were left out."""
    sizes = {"interfaces": len(found.interfaces), **{kind: len(rows) for kind, rows in found.rows.items()}}
    sizes |= {"BGP sessions": len(found.bgp), "OSPF neighbours": len(found.ospf), "LLDP neighbours": len(found.lldp)}
    flags = tuple(
        f"{what}: the device tells {n:,}: more than {MOST_ROWS:,}" for what, n in sizes.items() if n > MOST_ROWS
    )
    kept = Found(
        found.system_name[:LONGEST_NAME],
        tuple(replace(i, values=_told(i.values)) for i in found.interfaces if len(i.name) <= LONGEST_NAME)[:MOST_ROWS],
        {kind: tuple(_told(row) for row in rows if _is_short(row))[:MOST_ROWS] for kind, rows in found.rows.items()},
        tuple(p for p in found.bgp if len(p.peer) <= LONGEST_NAME)[:MOST_ROWS],
        tuple(n for n in found.ospf if len(n.address) <= LONGEST_NAME)[:MOST_ROWS],
        tuple(n for n in found.lldp if _is_short(vars(n)))[:MOST_ROWS],
    )
    return kept, flags


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Only counters use all 64 bits: a speed or a size that does was no measurement."""
    return {k: v for k, v in row.items() if k not in _SIZES or v is None or v < 2**63}


def _is_short(row: Mapping[str, Any]) -> bool:
    return all(len(value) <= LONGEST_NAME for value in row.values() if isinstance(value, str))


def _by_name(interfaces: Iterable[FoundInterface]) -> tuple[FoundInterface, ...]:
    known: dict[str, FoundInterface] = {}
    for one in interfaces:
        known[one.name] = _both(known[one.name], one) if one.name in known else one
    return tuple(known.values())


def _both(first: FoundInterface, second: FoundInterface) -> FoundInterface:
    addresses = dict.fromkeys((*first.addresses, *second.addresses))
    return FoundInterface(
        first.name,
        {**second.values, **first.values},
        tuple(addresses),
        first.alias or second.alias,
        first.bundle or second.bundle,
    )


def with_configured(state: Found, configured: Found) -> Found:
    """The state, with the names and addresses that only the configuration tells.

    An interface that is configured but not there (a slot without its card) is left out.
    """
    there = {interface.name for interface in state.interfaces}
    told = Found(configured.system_name, tuple(i for i in configured.interfaces if i.name in there))
    return merge((state, told))


def blocks_of(device: str, found: Found, at: np.datetime64) -> list[Block]:
    """The samples, a block a kind; interfaces without any value are left out."""
    tables: dict[str, list[dict[str, Any]]] = {
        "interface": [{"interface": i.name, **i.values} for i in found.interfaces if i.values],
        "bgp_peer": [_peer_row(peer) for peer in found.bgp],
        "ospf_neighbor": [{"neighbor": n.address, "state": n.state} for n in found.ospf],
        **{kind: [dict(row) for row in rows] for kind, rows in found.rows.items()},
    }
    return [
        Block.from_rows(kind, [{"device": device, **row} for row in rows], at) for kind, rows in tables.items() if rows
    ]


def _peer_row(peer: Peer) -> dict[str, Any]:
    return {
        "peer": peer.peer,
        "state": peer.state,
        "remote_as": peer.remote_as,
        "established_transitions": peer.established_transitions,
    }


def observed_interfaces(found: Found) -> tuple[ObservedInterface, ...]:
    return tuple(
        ObservedInterface(
            name=interface.name,
            index=interface.values.get("index", 0),
            speed_bps=interface.values.get("speed_bps"),
            admin_up=is_up(interface.values.get("admin_status")),
            oper_up=is_up(interface.values.get("oper_status")),
            alias=interface.alias,
            addresses=tuple(a for a in interface.addresses if a.version == 4),
            addresses6=tuple(a for a in interface.addresses if a.version == 6),
        )
        for interface in found.interfaces
    )


def observed_bundles(found: Found) -> tuple[ObservedBundle, ...]:
    members: dict[str, list[str]] = {}
    for interface in found.interfaces:
        if interface.bundle:
            members.setdefault(interface.bundle, []).append(interface.name)
    return tuple(ObservedBundle(name, tuple(inside)) for name, inside in members.items())


def observed_peers(found: Found) -> tuple[BgpPeer, ...]:
    """The sessions over IPv4: the only ones the record has a place for."""
    return tuple(
        BgpPeer(address, peer.remote_as, peer.state)
        for peer in found.bgp
        if (address := _ipv4(peer.peer)) is not None and peer.remote_as is not None
    )


def observed_neighbors(found: Found) -> tuple[OspfNeighbor, ...]:
    return tuple(
        OspfNeighbor(address, router, neighbor.state)
        for neighbor in found.ospf
        if (address := _ipv4(neighbor.address)) is not None and (router := _ipv4(neighbor.router_id)) is not None
    )


def lldp_neighbor(interface: str, name: str, port: str, description: str = "", *addresses: str) -> LldpNeighbor | None:
    """A neighbour; None if the interface or who it is was not told."""
    if not interface or not name:
        return None
    managed = tuple(found for address in addresses if (found := _ipv4(address)) is not None)
    return LldpNeighbor(interface, name, port, description, managed)


def _ipv4(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None
