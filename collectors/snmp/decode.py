"""Pure: what one agent said -> column blocks of samples, and the device as observed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface, IPv6Interface

from collectors.snmp.addresses import addresses, has_strange_netmask
from collectors.snmp.bundles import bundles
from collectors.snmp.hardware import device_block, hardware_blocks
from collectors.snmp.interfaces import Interfaces, interface_block, interfaces_of
from collectors.snmp.lldp import Heard, neighbors
from collectors.snmp.route_table import route_table
from collectors.snmp.routing import bgp_observed, ospf_observed, routes, routing_blocks
from collectors.snmp.rows import Cut, Reading
from collectors.snmp.wire import dotted
from twin.vocab.blocks import Block
from twin.vocab.observed import LINKS_MAY_LACK, ObservedDevice, ObservedInterface, is_up

_LINK_SUBJECTS = frozenset({"interface", "address", "lldp_local", "lldp_remote", "lldp_address", "cdp_remote"})


@dataclass(frozen=True)
class Decoded:
    """Samples, the device as observed (None if that was not wanted), what was left out and why, and documents:
    ``routes``, the routing table.
    """

    blocks: tuple[Block, ...]
    observed: ObservedDevice | None
    flags: tuple[str, ...]
    documents: Mapping[str, str] = field(default_factory=dict)


def decode(device: str, reading: Reading, *, observe: bool = True) -> Decoded:
    """Everything the schema has a kind for. Counters stay as read; each interface row carries sysUpTime."""
    interfaces = interfaces_of(reading)
    counters = interface_block(device, interfaces, reading.system.uptime_cs)
    blocks = [block for block in (counters, device_block(device, reading)) if block is not None]
    blocks += routing_blocks(device, interfaces, reading)
    blocks += hardware_blocks(device, interfaces, reading)
    heard = neighbors(reading, interfaces) if observe else Heard(())
    flags = [*_cuts(reading.cut), *_left_out(interfaces, reading), *_unplaced(heard)]
    told = tuple(f"{LINKS_MAY_LACK}: {flag.text}" if flag.about_links else flag.text for flag in flags)
    seen = replace(_observed(device, interfaces, reading), lldp=heard.neighbors) if observe else None
    kept = seen and replace(seen, flags=(*told, *_renamed(interfaces)))
    table = route_table(reading) if observe else None
    documents = {} if table is None else {"routes": table}
    return Decoded(tuple(blocks), kept, tuple(flag.text for flag in flags), documents)


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


def _left_out(interfaces: Interfaces, reading: Reading) -> Iterator[_Flag]:
    """Rows that were read and can't be used."""
    for name, count in interfaces.left_out.items():
        yield _Flag(f"interfaces: {count} are named {name!r}: left out")
    if interfaces.nameless:
        yield _Flag(f"interfaces: {interfaces.nameless} without a name: left out")
    if not len(interfaces.table):
        yield _Flag("interfaces: the agent shows none", about_links=True)
    if strange := sum(has_strange_netmask(row) for row in reading.of("address")):
        yield _Flag(f"addresses: {strange} with a netmask that is not contiguous: left out")


def _unplaced(heard: Heard) -> Iterator[_Flag]:
    for protocol, count in heard.unplaced.items():
        yield _Flag(f"{protocol}: {count} neighbours at ports that are no known interface: left out")


def _renamed(interfaces: Interfaces) -> Iterator[str]:
    for name, count in interfaces.renamed.items():
        yield f"interfaces: {count} are named {name!r}: called by their description"
    for name, count in interfaces.outlived.items():
        yield f"interfaces: {count} are named {name!r}: the one that is up is meant"


def _observed(device: str, interfaces: Interfaces, reading: Reading) -> ObservedDevice:
    known = addresses(reading)
    return ObservedDevice(
        name=device,
        system_name=reading.system.name,
        system_description=reading.system.description,
        system_object_id=dotted(reading.system.object_id),
        interfaces=tuple(_interface(name, interfaces, known) for name in interfaces.names),
        ospf=ospf_observed(reading),
        bgp=bgp_observed(reading),
        routes=routes(reading),
        bundles=bundles(interfaces, reading),
    )


def _interface(
    name: str, interfaces: Interfaces, addresses: dict[int, set[IPv4Interface | IPv6Interface]]
) -> ObservedInterface:
    index = interfaces.value(name, "index")
    own = addresses.get(index, set())
    return ObservedInterface(
        name=name,
        index=index,
        speed_bps=interfaces.value(name, "speed_bps"),
        admin_up=is_up(interfaces.value(name, "admin_status")),
        oper_up=is_up(interfaces.value(name, "oper_status")),
        alias=interfaces.value(name, "alias") or "",
        addresses=tuple(sorted(a for a in own if isinstance(a, IPv4Interface))),
        addresses6=tuple(sorted(a for a in own if isinstance(a, IPv6Interface))),
    )
