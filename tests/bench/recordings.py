"""Recorded walks (snmprec) -> objects, and the file from which the simulated agents serve them."""

from __future__ import annotations

import bz2
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from collectors.snmp.wire import Oid, Value, parse_oid

SHIPPED = Path(__file__).parents[3] / "shared" / "data" / "snmp"
INTEGER, OCTETS, NULL, IDENTIFIER, ADDRESS, OPAQUE = 2, 4, 5, 6, 64, 68
TAGS = (INTEGER, OCTETS, IDENTIFIER, ADDRESS, 65, 66, 67, OPAQUE, 70)
_LINE = re.compile(rb"[0-9.]+\|[0-9]+x?\|")
Objects = Mapping[Oid, tuple[int, Value]]


def recordings(folder: Path = SHIPPED) -> list[Path]:
    return sorted(folder.glob("*.snmprec.bz2"))


def lines_of(path: Path) -> list[bytes]:
    """Without comments and the few objects that snmpsim makes up at run time (``2:numeric``)."""
    return [line for line in bz2.decompress(path.read_bytes()).split(b"\n") if _LINE.match(line)]


def spread(lines: Sequence[bytes], most: int, runs: int = 20) -> Iterator[bytes]:
    """At most about ``most`` lines: ``runs`` stretches evenly spread, and the first of each type."""
    length = most // runs
    yield from {line.split(b"|", 2)[1]: line for line in reversed(lines)}.values()
    if len(lines) <= most:
        yield from lines
        return
    for run in range(runs):
        start = run * (len(lines) - length) // (runs - 1)
        yield from lines[start : start + length]


def objects_of(lines: Iterable[bytes]) -> Objects:
    """OID -> (type tag, value), in OID order; of an object recorded twice the first counts.

    Raises:
        ValueError: a line is not ``OID|type|value`` of a type SNMP has.
    """
    found: dict[Oid, tuple[int, Value]] = {}
    for line in lines:
        oid, kind, text = line.split(b"|", 2)
        found.setdefault(parse_oid(oid.decode()), _value(kind.decode(), text))
    return dict(sorted(found.items()))


def _value(kind: str, text: bytes) -> tuple[int, Value]:
    tag = int(kind.rstrip("x"))
    if tag not in TAGS:
        raise ValueError(f"type {kind!r}")
    if kind.endswith("x"):
        return tag, bytes.fromhex(text.decode())
    if tag in (OCTETS, OPAQUE):
        return tag, text
    if tag == ADDRESS:
        return tag, bytes(map(int, text.split(b".")))
    return tag, parse_oid(text.decode()) if tag == IDENTIFIER else int(text)


def write_encoded(objects: Objects, path: Path) -> None:
    """As the simulator reads it: lengths of both (16 bits, little endian), OID contents, value TLV."""
    with path.open("wb") as file:
        for oid, (tag, value) in objects.items():
            name, encoded = _oid(oid), _tlv(tag, value)
            file.write(struct.pack("<HH", len(name), len(encoded)) + name + encoded)


def _tlv(tag: int, value: Value) -> bytes:
    contents = _contents(value, signed=tag == INTEGER)
    length = len(contents)
    head = bytes([length]) if length < 128 else bytes([0x82]) + struct.pack(">H", length)
    return bytes([tag]) + head + contents


def _contents(value: Value, *, signed: bool) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, tuple):
        return _oid(value)
    if value < 0 and not signed:
        raise ValueError(f"{value} can't be a counter")
    return value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True)


def _oid(oid: Oid) -> bytes:
    arcs = [oid[0] * 40 + oid[1], *oid[2:]]
    return b"".join(_septets(arc) for arc in arcs)


def _septets(arc: int) -> bytes:
    groups = [arc & 127]
    while arc := arc >> 7:
        groups.append(arc & 127 | 128)
    return bytes(reversed(groups))
