"""FRR's lines: one table a section, from the pattern of a line to what it means."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, TypeAlias, cast

from twin.config.frr_draft import BgpDraft, Draft, InterfaceDraft, NeighborDraft, NetworkStatement, OspfDraft
from twin.vocab.config import OSPF_LARGEST_COST, BgpNeighbor, InterfaceConfig, OspfNetworkType, StaticRoute, UnreadLine

Reader: TypeAlias = Callable[[Draft, re.Match[str], UnreadLine], None]

_ADDRESS = r"(\d+\.\d+\.\d+\.\d+)"
_PREFIX = r"(\d+\.\d+\.\d+\.\d+/\d+)"

# reviewed: these lines change no route, no adjacency that a twin could predict, and no rate
IRRELEVANT: dict[str, str] = {
    "top": r"(no )?(frr |agentx|log |service |debug |password |enable password |username |banner |domainname "
    r"|zebra nexthop kernel enable|line vty|ipv6 forwarding|allow-external-route-update)|ip forwarding",
    "interface": r"(no )?(link-detect|ip ospf (priority|retransmit-interval|transmit-delay|bfd)\b)",
    "ospf": r"(no )?(timers |log-adjacency-changes|ospf write-multiplier|write-multiplier|refresh timer)",
    "bgp": r"(no )?(timers bgp|bgp (log-neighbor-changes|network import-check|graceful-restart\b)"
    r"|neighbor \S+ (timers|advertisement-interval|description)\b)",
    "bgp4": r"(no )?neighbor \S+ (advertisement-interval|soft-reconfiguration inbound|send-community)\b",
    "line": r".*",
}


def read_line(draft: Draft, number: int, text: str) -> None:
    """Take one line into the draft: by its section, else as a top-level line, else as unread."""
    words = " ".join(text.split())
    if not words or words.startswith(("!", "#")):
        return
    if words in ("exit", "end", "exit-address-family"):
        _leave(draft, words)
        return
    line = UnreadLine(number, draft.section, words)
    indented = text[:1].isspace()
    if _understood(draft, draft.kind, line):
        return
    if indented:
        draft.unread.append(line)
    else:
        _read_top(draft, line)


def _leave(draft: Draft, words: str) -> None:
    inside = draft.kind in ("bgp4", "bgp-other") and words != "end"
    draft.kind, draft.section = ("bgp", draft.section.split(" /")[0]) if inside else ("top", "")


def _read_top(draft: Draft, line: UnreadLine) -> None:
    draft.kind, draft.section = "top", ""
    if _understood(draft, "top", line):
        return
    draft.unread.append(replace(line, section=""))
    draft.kind, draft.section = "unknown", line.text


def _understood(draft: Draft, kind: str, line: UnreadLine) -> bool:
    if kind in IRRELEVANT and re.match(IRRELEVANT[kind], line.text):
        return True
    for pattern, reader in TABLES.get(kind, ()):
        if match := re.fullmatch(pattern, line.text):
            try:
                reader(draft, match, line)
            except ValueError:
                return False
            return True
    return False


def _ranged(text: str, low: int, high: int) -> int:
    value = int(text)
    if not low <= value <= high:
        raise ValueError(f"{value} is not in {low}..{high}")
    return value


def _area(text: str) -> IPv4Address:
    return IPv4Address(int(text) if text.isdigit() else text)


# -- top ------------------------------------------------------------------------------------------


def _hostname(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    draft.hostname = match[1]


def _router_id(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    draft.router_id = IPv4Address(match[1])


def _enter_interface(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    draft.kind, draft.section = "interface", f"interface {match[1]}"
    draft.interfaces.setdefault(match[1], InterfaceDraft(InterfaceConfig(match[1])))


def _enter_ospf(draft: Draft, _match: re.Match[str], _: UnreadLine) -> None:
    draft.kind, draft.section = "ospf", "router ospf"
    draft.ospf = draft.ospf or OspfDraft()


def _enter_bgp(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    asn = _ranged(match[1], 1, 2**32 - 1)
    if draft.bgp and draft.bgp.asn != asn:
        raise ValueError("a second BGP process")
    draft.kind, draft.section = "bgp", f"router bgp {asn}"
    draft.bgp = draft.bgp or BgpDraft(asn)


def _enter_line_vty(draft: Draft, _match: re.Match[str], _: UnreadLine) -> None:
    draft.kind, draft.section = "line", "line vty"


def _static(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    prefix = IPv4Network(match["prefix"] or f"{match['address']}/{match['mask']}")
    gateway, interface = match["gateway"], match["interface"]
    next_hop = None
    if re.fullmatch(_ADDRESS, gateway):
        next_hop = IPv4Address(gateway)
    elif interface or gateway.lower() == "reject":
        raise ValueError(f"{gateway} is no next hop")
    elif gateway.lower() not in ("null0", "blackhole"):
        interface = gateway
    distance = _ranged(match["distance"] or "1", 1, 255)
    draft.statics.append(StaticRoute(prefix, next_hop, interface, distance))


# -- interface ------------------------------------------------------------------------------------


def _set_interface(name: str, value: Callable[[re.Match[str]], Any]) -> Reader:
    def read(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
        interface = draft.interface
        interface.config = replace(interface.config, **{name: value(match)})

    return read


def _set_ospf_interface(name: str, value: Callable[[re.Match[str]], Any]) -> Reader:
    def read(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
        interface = draft.interface
        interface.ospf = replace(interface.ospf, **{name: value(match)})

    return read


def _address(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    config = draft.interface.config
    draft.interface.config = replace(config, addresses=(*config.addresses, IPv4Interface(match[1])))


def _network_type(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    draft.interface.network_type = cast("OspfNetworkType", match[1])


def _interface_passive(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    draft.interface.passive = match[1] is None


# -- router ospf ----------------------------------------------------------------------------------


def _ospf(draft: Draft) -> OspfDraft:
    assert draft.ospf is not None
    return draft.ospf


def _ospf_router_id(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    _ospf(draft).router_id = IPv4Address(match[1])


def _reference_bandwidth(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    _ospf(draft).reference_bandwidth_bps = _ranged(match[1], 1, 4_294_967) * 1_000_000


def _maximum_paths(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    _ospf(draft).maximum_paths = _ranged(match[1], 1, 256)


def _network(draft: Draft, match: re.Match[str], line: UnreadLine) -> None:
    _ospf(draft).networks.append(NetworkStatement(IPv4Network(match[1]), _area(match[2]), line))


def _passive(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    passive = match[1] is None
    if match[2] == "default":
        _ospf(draft).passive_default = passive
    else:
        _ospf(draft).passive[match[2]] = passive


# -- router bgp -----------------------------------------------------------------------------------


def _bgp(draft: Draft) -> BgpDraft:
    assert draft.bgp is not None
    return draft.bgp


def _bgp_router_id(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    _bgp(draft).router_id = IPv4Address(match[1])


def _requires_policy(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    _bgp(draft).requires_policy = match[1] is None


def _default_ipv4(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    _bgp(draft).default_ipv4 = match[1] is None


def _remote_as(draft: Draft, match: re.Match[str], line: UnreadLine) -> None:
    process = _bgp(draft)
    asn = process.asn if match[2] == "internal" else _ranged(match[2], 1, 2**32 - 1)
    address = IPv4Address(match[1])
    process.neighbors[address] = NeighborDraft(BgpNeighbor(address, asn), line)


def _neighbor(draft: Draft, address: str) -> NeighborDraft:
    known = _bgp(draft).neighbors.get(IPv4Address(address))
    if known is None:
        raise ValueError(f"neighbor {address} has no remote-as")
    return known


def _update_source(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    neighbor = _neighbor(draft, match[1])
    neighbor.config = replace(neighbor.config, update_source=IPv4Address(match[2]))


def _next_hop_self(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    neighbor = _neighbor(draft, match[1])
    neighbor.config = replace(neighbor.config, next_hop_self=True)


def _activate(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    _neighbor(draft, match[2]).activated = match[1] is None


def _bgp_network(draft: Draft, match: re.Match[str], _: UnreadLine) -> None:
    _bgp(draft).networks.append(IPv4Network(match[1]))


def _enter_family(draft: Draft, _match: re.Match[str], _: UnreadLine) -> None:
    draft.kind, draft.section = "bgp4", f"{draft.section} / address-family ipv4 unicast"


def _enter_other_family(draft: Draft, match: re.Match[str], line: UnreadLine) -> None:
    draft.unread.append(line)
    draft.kind, draft.section = "bgp-other", f"{draft.section} / {match[0]}"


_STATIC = (
    rf"ip route (?:(?P<prefix>{_PREFIX})|(?P<address>{_ADDRESS}) (?P<mask>{_ADDRESS})) (?P<gateway>\S+)"
    r"(?: (?!(?:tag|vrf|label|table|nexthop-vrf|onlink|color)\b)(?P<interface>[A-Za-z]\S*))?(?: (?P<distance>\d+))?"
)
_IPV4_UNICAST: tuple[tuple[str, Reader], ...] = (
    (rf"network {_PREFIX}", _bgp_network),
    (rf"(no )?neighbor {_ADDRESS} activate", _activate),
    (rf"neighbor {_ADDRESS} next-hop-self", _next_hop_self),
)

TABLES: dict[str, tuple[tuple[str, Reader], ...]] = {
    "top": (
        (r"hostname (\S+)", _hostname),
        (rf"(?:ip )?router-id {_ADDRESS}", _router_id),
        (r"interface (\S+)", _enter_interface),
        (r"router ospf", _enter_ospf),
        (r"router bgp (\d+)", _enter_bgp),
        (r"line vty", _enter_line_vty),
        (_STATIC, _static),
    ),
    "interface": (
        (r"description (.+)", _set_interface("description", lambda m: m[1])),
        (r"(no )?shutdown", _set_interface("enabled", lambda m: m[1] is not None)),
        (rf"ip address {_PREFIX}", _address),
        (r"bandwidth (\d+)", _set_interface("bandwidth_bps", lambda m: _ranged(m[1], 1, 100_000) * 1_000_000)),
        (r"ip ospf area (\S+)", _set_ospf_interface("area", lambda m: _area(m[1]))),
        (r"ip ospf cost (\d+)", _set_ospf_interface("cost", lambda m: _ranged(m[1], 1, OSPF_LARGEST_COST))),
        (r"ip ospf hello-interval (\d+)", _set_ospf_interface("hello_interval", lambda m: _ranged(m[1], 1, 65535))),
        (r"ip ospf dead-interval (\d+)", _set_ospf_interface("dead_interval", lambda m: _ranged(m[1], 1, 65535))),
        (r"ip ospf network (broadcast|point-to-point|non-broadcast|point-to-multipoint)", _network_type),
        (r"(no )?ip ospf passive", _interface_passive),
    ),
    "ospf": (
        (rf"(?:ospf )?router-id {_ADDRESS}", _ospf_router_id),
        (r"auto-cost reference-bandwidth (\d+)", _reference_bandwidth),
        (r"maximum-paths (\d+)", _maximum_paths),
        (rf"network {_PREFIX} area (\S+)", _network),
        (r"(no )?passive-interface (\S+)", _passive),
    ),
    "bgp": (
        (rf"bgp router-id {_ADDRESS}", _bgp_router_id),
        (r"(no )?bgp ebgp-requires-policy", _requires_policy),
        (r"(no )?bgp default ipv4-unicast", _default_ipv4),
        (rf"neighbor {_ADDRESS} remote-as (\d+|internal)", _remote_as),
        (rf"neighbor {_ADDRESS} update-source {_ADDRESS}", _update_source),
        (r"address-family ipv4 unicast", _enter_family),
        (r"address-family .+", _enter_other_family),
        *_IPV4_UNICAST,
    ),
    "bgp4": _IPV4_UNICAST,
}
