"""Replies as element trees, safely, and leaves by path: names are told apart by namespace URI, never by prefix.

XML comes from devices: a document type declaration is refused outright, so no entity is ever expanded.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any, TypeAlias

from lxml import etree

from collectors.failures import PollError

MOST_CHARACTERS = 64 << 20
BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
Element: TypeAlias = etree._Element  # noqa: SLF001 - lxml names its element class so
Leaf: TypeAlias = Callable[[Element], Any]
Address: TypeAlias = IPv4Interface | IPv6Interface


def parse(text: str) -> Element:
    """A reply as an element tree, safely: libxml2 keeps its limits (depth 256, 10 MB a text, entity amplification).

    Raises:
        PollError: not XML, too long, too deep, or it carries a document type declaration.
    """
    if len(text) > MOST_CHARACTERS:
        raise PollError("error", "the reply is longer than allowed")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        remove_blank_text=True,
    )
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as problem:
        raise PollError("error", f"the reply is not XML: {problem.msg}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise PollError("error", "the reply carries a document type declaration: refused")
    return root


def data_of(reply: str) -> Element:
    """The ``<data>`` of a reply to <get> or <get-config>.

    Raises:
        PollError: the reply is unusable or has no ``<data>``.
    """
    root = parse(reply)
    data = root if root.tag == f"{{{BASE}}}data" else root.find(f"{{{BASE}}}data")
    if data is None:
        raise PollError("error", "the reply has no <data>")
    return data


def whole(text: str) -> int | None:
    """A whole number of at most 64 bits, unsigned; anything else is None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < 2**64 else None


def decimal(text: str) -> float | None:
    """A finite number, also as OpenConfig's ieeefloat32 (four octets in base64); anything else is None."""
    try:
        number = float(text)
    except ValueError:
        number = _float32(text)
    return number if math.isfinite(number) else None


def _float32(text: str) -> float:
    try:
        return float(struct.unpack(">f", base64.b64decode(text, validate=True))[0])
    except (ValueError, struct.error):
        return math.nan


def centiseconds(text: str) -> int | None:
    """A date-and-time as hundredths of a second: only its changes matter."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 100)
    except (ValueError, OverflowError):
        return None


def address(ip: str, length: str) -> Address | None:
    """``10.0.0.1`` and ``30`` or ``255.255.255.252``, or the IPv6 counterpart; None if it is no such thing."""
    for kind in (IPv4Interface, IPv6Interface):
        try:
            return kind(f"{ip}/{length}" if length else ip)
        except ValueError:
            continue
    return None


def local(text: str) -> str:
    """An identity without its prefix: ``oc-eth:SPEED_10GB`` -> ``SPEED_10GB``."""
    return text.rpartition(":")[2]


@dataclass(frozen=True, eq=False)
class Names:
    """Paths such as ``interface/ip:ipv4`` in the namespaces of one model: ``uri`` where a step has no prefix."""

    uri: str
    others: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, path: str) -> str:
        """The path in ElementPath's own form."""
        return _clark(self, path)

    def each(self, top: Element, path: str) -> Iterator[Element]:
        return top.iterfind(self(path))

    def text(self, path: str) -> Callable[[Element], str]:
        """Its text, "" if it is not there."""
        where = self(path)
        return lambda element: (element.findtext(where) or "").strip()

    def number(self, *paths: str, times: int = 1) -> Leaf:
        """The first of the paths that holds a whole number."""
        leaves = [self.text(path) for path in paths]

        def read(element: Element) -> int | None:
            found = (number for leaf in leaves if (number := whole(leaf(element))) is not None)
            return _fitting(next(found, None), times)

        return read

    def total(self, *paths: str) -> Leaf:
        """The sum of those paths that hold a whole number; None if none does."""
        leaves = [self.number(path) for path in paths]

        def read(element: Element) -> int | None:
            found = [number for leaf in leaves if (number := leaf(element)) is not None]
            return _fitting(sum(found) if found else None)

        return read

    def decimal(self, path: str, times: float = 1.0) -> Leaf:
        leaf = self.text(path)

        def read(element: Element) -> float | None:
            number = decimal(leaf(element))
            return None if number is None else number * times

        return read

    def choice(self, path: str, table: Mapping[str, Any]) -> Leaf:
        """What the table says of its text (an identity's prefix left out)."""
        leaf = self.text(path)
        return lambda element: table.get(local(leaf(element)))

    def changed(self, path: str) -> Leaf:
        leaf = self.text(path)
        return lambda element: centiseconds(leaf(element))

    def addresses(self, element: Element, path: str, ip: str, *lengths: str) -> tuple[Address, ...]:
        """The addresses at ``path``; ``lengths``: leaves for a prefix length or a mask, the first that is there."""
        leaves = [self.text(length) for length in lengths]
        found = (
            address(self.text(ip)(entry), next((length for leaf in leaves if (length := leaf(entry))), ""))
            for entry in self.each(element, path)
        )
        return tuple(one for one in found if one is not None)


def _fitting(number: int | None, times: int = 1) -> int | None:
    """A product that is beyond 64 bits was no measurement."""
    return None if number is None or number * times >= 2**64 else number * times


@lru_cache(4096)
def _clark(names: Names, path: str) -> str:
    return "/".join(_step(names, step) for step in path.split("/"))


def _step(names: Names, step: str) -> str:
    prefix, _, name = step.rpartition(":")
    return name if name in {".", "..", "*"} else f"{{{names.others[prefix] if prefix else names.uri}}}{name}"


def read_all(element: Element, leaves: Mapping[str, Leaf]) -> dict[str, Any]:
    """The leaves that are there."""
    found = ((name, leaf(element)) for name, leaf in leaves.items())
    return {name: value for name, value in found if value is not None}
