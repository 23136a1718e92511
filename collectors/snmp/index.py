"""Pure: an instance's sub-identifiers -> the named parts of a table's index (RFC 2578 section 7.7, RFC 4001)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal, TypeAlias

from collectors.snmp.wire import Oid

PartKind = Literal["int", "address", "octets", "text", "oid", "rest", "rest_text", "inet", "inet_bare"]
Address: TypeAlias = IPv4Address | IPv6Address
_FORM = re.compile(r"(?:(int|address|oid|rest|rest_text|inet|inet_bare)|(octets|text)(?:\((\d+)\))?)")
_INET_OCTETS = {1: 4, 2: 16, 3: 8, 4: 20}  # InetAddressType: ipv4, ipv6, ipv4z, ipv6z (the zone's octets come last)


@dataclass(frozen=True)
class Part:
    """How one part of an index is written: its kind, and its length where that is fixed (octets, text)."""

    kind: PartKind
    length: int | None = None

    @staticmethod
    def parse(text: str) -> Part:
        """``int``, ``address``, ``octets(6)`` ...

        Raises:
            ValueError: there is no such kind of part.
        """
        form = _FORM.fullmatch(text)
        if form is None:
            raise ValueError(
                f"{text!r} is no kind of index part; there are int, address, octets, octets(N), text, text(N), oid, "
                "inet, inet_bare, rest, rest_text"
            )
        kind: Any = form[1] or form[2]
        return Part(kind, int(form[3]) if form[3] else None)


def parse_index(parts: Mapping[str, Part], instance: Oid) -> dict[str, Any] | None:
    """An instance's sub-identifiers -> its named parts; None if they do not fit."""
    arcs = split_index(parts, instance)
    if arcs is None:
        return None
    values = {name: _value(part, arcs[name]) for name, part in parts.items()}
    return None if None in values.values() else values


def split_index(parts: Mapping[str, Part], instance: Oid) -> dict[str, Oid] | None:
    """The sub-identifiers of each part; None if there are too few or too many."""
    found: dict[str, Oid] = {}
    rest = instance
    for name, part in parts.items():
        length = _length(part, rest)
        if length is None or len(rest) < length:
            return None
        found[name], rest = rest[:length], rest[length:]
    return None if rest else found


def _length(part: Part, rest: Oid) -> int | None:
    if part.length is not None:
        return part.length
    if part.kind in ("rest", "rest_text"):
        return len(rest)
    if part.kind in ("octets", "text", "oid"):
        return 1 + rest[0] if rest else None
    if part.kind == "inet":
        return 2 + rest[1] if len(rest) > 1 else None
    if part.kind == "inet_bare":
        return 1 + _INET_OCTETS[rest[0]] if rest and rest[0] in _INET_OCTETS else None
    return 1 if part.kind == "int" else 4


def _value(part: Part, arcs: Oid) -> Any:
    if part.kind == "int":
        return arcs[0]
    if part.kind == "rest":
        return arcs
    if part.kind == "oid":
        return arcs[1:]
    prefixed = {"octets": 1, "text": 1, "inet": 2, "inet_bare": 1}.get(part.kind, 0) if part.length is None else 0
    octets = arcs[prefixed:]
    if any(arc > 255 for arc in octets):
        return None
    return _spelled(part, arcs, bytes(octets))


def _spelled(part: Part, arcs: Oid, octets: bytes) -> Any:
    if part.kind == "address":
        return IPv4Address(octets)
    if part.kind in ("inet", "inet_bare"):
        return inet_address(arcs[0], octets)
    return octets.decode("utf-8", "replace") if part.kind in ("text", "rest_text") else octets


def inet_address(kind: int, octets: bytes) -> Address | None:
    """InetAddressType and InetAddress (RFC 4001) -> address without its zone; None for names and odd lengths."""
    if len(octets) != _INET_OCTETS.get(kind):
        return None
    return IPv4Address(octets[:4]) if kind in (1, 3) else IPv6Address(octets[:16])
