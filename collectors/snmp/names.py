"""Names of SNMP objects: OID <-> name, and values as an operator reads them. Pure.

A table is tab-separated text, one object a line: OID, name, type, enumeration (``up=1 down=2``); # begins a comment.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from collectors.snmp.wire import Oid, Value, dotted, parse_oid
from twin.vocab.errors import InputError, Place, UsageError

NOTIFICATION = "notification"
_NAMED = re.compile(r"(?:[A-Za-z][\w-]*::)?([A-Za-z][\w-]*)((?:\.\d+)*)")
_LAYOUT = "\t\r\n"
_CLOCKS = ("TimeTicks", "TimeStamp")
_ADDRESSES = ("IpAddress", "InetAddress", "RouterID", "AreaID")
_HEX = ("PhysAddress", "MacAddress", "Bits", "BITS", "BridgeId", "SnmpEngineID", "IsisLinkStatePDUID")


@dataclass(frozen=True)
class Object:
    """One object of a MIB; ``type`` is its SYNTAX (empty: a node that holds no value) or ``notification``."""

    oid: Oid
    name: str
    type: str = ""
    values: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Names:
    """Objects by OID and by name."""

    by_oid: Mapping[Oid, Object] = field(default_factory=dict)
    by_name: Mapping[str, Object] = field(default_factory=dict)

    @staticmethod
    def of(objects: Iterable[Object]) -> Names:
        """The first of two objects with one OID or one name is kept."""
        by_oid: dict[Oid, Object] = {}
        by_name: dict[str, Object] = {}
        for one in objects:
            by_oid.setdefault(one.oid, one)
            by_name.setdefault(one.name, one)
        return Names(by_oid, by_name)

    def __iter__(self) -> Iterator[Object]:
        return iter(self.by_oid.values())

    def nearest(self, oid: Oid) -> Object | None:
        """The object with the longest OID that ``oid`` begins with."""
        return next((self.by_oid[oid[:n]] for n in range(len(oid), 0, -1) if oid[:n] in self.by_oid), None)

    def label(self, oid: Oid) -> str:
        """``ifOperStatus.3``; dotted numbers where no name is known."""
        known = self.nearest(oid)
        return ".".join([known.name, *map(str, oid[len(known.oid) :])]) if known else dotted(oid)

    def oid(self, text: str) -> Oid:
        """``ifOperStatus.3``, ``IF-MIB::ifOperStatus.3``, ``1.3.6.1.2.1.1`` or ``.1.3.6.1.2.1.1`` -> OID.

        Raises:
            UsageError: no such name; the line names those that look alike.
        """
        named = _NAMED.fullmatch(text.strip())
        if named is None:
            try:
                return parse_oid(text)
            except ValueError as problem:
                raise UsageError(f"{text!r} is neither a numeric object identifier nor a name") from problem
        known = self.by_name.get(named[1])
        if known is None:
            alike = difflib.get_close_matches(named[1], self.by_name, 3)
            hint = f"; did you mean {' or '.join(alike)}?" if alike else "; a folder of MIB modules may have it (mibs:)"
            raise UsageError(f"no object is named {named[1]!r}{hint}")
        return known.oid + tuple(int(arc) for arc in named[2].split(".")[1:])

    def type_of(self, oid: Oid, value: Value) -> str:
        """The type a MIB gives, else what came over the wire."""
        known = self.nearest(oid)
        if known is not None and known.type and known.type != NOTIFICATION:
            return known.type
        return (
            "Integer" if isinstance(value, int) else "OctetString" if isinstance(value, bytes) else "ObjectIdentifier"
        )

    def show(self, oid: Oid, value: Value) -> str:
        """The value as text: enumerations and OIDs by name, addresses and times as people write them."""
        if isinstance(value, tuple):
            return self.label(value)
        known = self.nearest(oid)
        if isinstance(value, int):
            return _number(value, known)
        return _octets(value, known.type if known else "")


def _number(value: int, known: Object | None) -> str:
    if known is not None and value in known.values:
        return f"{known.values[value]} ({value})"
    if known is not None and known.type in _CLOCKS:
        return f"{_clock(value)} ({value})"
    return str(value)


def _clock(centiseconds: int) -> str:
    minutes, seconds = divmod(centiseconds // 100, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours // 24} d {hours % 24}:{minutes:02}:{seconds:02}"


def _octets(value: bytes, kind: str) -> str:
    if kind in _ADDRESSES and len(value) in (4, 16):
        return str(ip_address(value))
    text = None if kind in _HEX else readable(value)
    return value.hex(":") if text is None else text


def readable(value: bytes) -> str | None:
    """Octets as text, if they are text that can be shown (UTF-8, no control or formatting characters)."""
    try:
        text = value.rstrip(b"\x00").decode()
    except UnicodeDecodeError:
        return None
    if value and not text:
        return None
    return text if all(c.isprintable() or c in _LAYOUT for c in text) else None


def parse_names(text: str, source: Path | str) -> Names:
    """A table -> names.

    Raises:
        InputError: a line that is none, or an OID or name that stands twice.
    """
    seen: dict[Oid | str, int] = {}
    objects: list[Object] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line and not line.startswith("#"):
            one = _parse_line(line, Place(source, number))
            for key in (one.oid, one.name):
                if key in seen:
                    what = key if isinstance(key, str) else dotted(key)
                    raise InputError(Place(source, number), f"{what} stands twice (first on line {seen[key]})")
                seen[key] = number
            objects.append(one)
    return Names.of(objects)


def _parse_line(line: str, place: Place) -> Object:
    try:
        oid, name, *more = line.split("\t")
        pairs = [word.rsplit("=", 1) for word in more[1].split()] if len(more) > 1 else []
        return Object(parse_oid(oid), name, more[0] if more else "", {int(value): label for label, value in pairs})
    except ValueError as problem:
        raise InputError(place, f"not an object: OID, name, type, values ({problem})") from problem


def read_names(path: Path) -> Names:
    """A table of names in a file.

    Raises:
        UsageError: it can't be read.
        InputError: see ``parse_names``.
    """
    try:
        return parse_names(path.read_text(encoding="utf-8"), path)
    except OSError as problem:
        raise UsageError(f"{path}: can't be read: {problem.strerror}") from problem
