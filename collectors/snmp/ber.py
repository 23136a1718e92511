"""SNMP messages as bytes: requests and PDUs written, responses read (RFC 1157, RFC 3416).

Reading is strict: every length is checked against what contains it, indefinite lengths, trailing octets, integers
wider than their type and malformed object identifiers are refused, all by ``MalformedError``. Only BER's own freedom
is granted: lengths may be longer than needed (many agents write ``82 00 0c``). Nothing here recurses.

Names stay whole BER elements, and values come by column, for that is how walks use them and what makes them cheap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import add
from typing import Final, NamedTuple, TypeAlias

from collectors.snmp.wire import Oid, Value

GET, GET_NEXT, RESPONSE, GET_BULK, REPORT = 0xA0, 0xA1, 0xA2, 0xA5, 0xA8
INTEGER, OCTET_STRING, NULL, OBJECT_IDENTIFIER, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
END_OF_MIB_VIEW: Final = b"\x82"
MOST_ARCS, LARGEST_ARC = 128, 0xFFFFFFFF  # RFC 3416 section 2.1
SMALLEST_INTEGER, LARGEST_INTEGER = -(1 << 31), (1 << 31) - 1
MOST_VARBINDS = 5000  # in a message of 64 KiB; the smallest varbind has 7 octets
ZERO_DOT_ZERO = (0, 0)  # some agents write it without content, as net-snmp reads it
_NULL_VALUE = b"\x05\x00"
_ENDING: Final = frozenset({b"\x80", b"\x81", b"\x82"})

Decode: TypeAlias = Callable[[Sequence[bytes]], "list[Value | None]"]


class MalformedError(ValueError):
    """A datagram that is no SNMP message. ``request_id``: which request it would have answered, if it says so."""

    def __init__(self, reason: str, request_id: int | None = None) -> None:
        super().__init__(reason)
        self.request_id = request_id


class Cells(NamedTuple):
    """What a response holds for one of the objects asked for: names (whole BER elements) and values.

    ``gaps``: there are NULLs (the value None) among them; ``ended``: the view ended after them (endOfMibView).
    """

    names: Sequence[bytes]
    values: Sequence[Value | None]
    gaps: bool = False
    ended: bool = False


class Pdu(NamedTuple):
    """A PDU as read; names, tags and contents of its varbinds side by side."""

    kind: int
    request_id: int
    error_status: int
    error_index: int
    names: Sequence[bytes]
    tags: Sequence[bytes]
    contents: Sequence[bytes]

    def cells(self, width: int) -> list[Cells]:
        """The response to ``width`` objects asked for side by side, one ``Cells`` each.

        Raises:
            MalformedError: a value does not fit its type.
        """
        try:
            return [
                _cells(self.names[i::width], self.tags[i::width], self.contents[i::width])
                for i in range(min(width, len(self.names)))
            ]
        except MalformedError as problem:
            raise MalformedError(str(problem), self.request_id) from None


class Message(NamedTuple):
    """A message of version 1 or 2c (``version`` 0 or 1)."""

    version: int
    community: bytes
    pdu: Pdu


# --- writing


def header(tag: int, size: int) -> bytes:
    """Tag and length."""
    if size < 0x80:
        return bytes((tag, size))
    if size < 0x100:
        return bytes((tag, 0x81, size))
    return bytes((tag, 0x82, size >> 8, size & 0xFF))


def element(tag: int, content: bytes) -> bytes:
    return header(tag, len(content)) + content


def integer(number: int) -> bytes:
    return element(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, signed=True))


@lru_cache(maxsize=4096)
def encode_oid(oid: Oid) -> bytes:
    """The whole element.

    Raises:
        ValueError: not an object identifier SNMP can name (X.660; RFC 3416: 2 to 128 arcs below 2^32).
    """
    if not 2 <= len(oid) <= MOST_ARCS or oid[0] > 2 or (oid[0] < 2 and oid[1] > 39):
        raise ValueError(f"{'.'.join(map(str, oid))} is no object identifier")
    return element(OBJECT_IDENTIFIER, encode_arcs((40 * oid[0] + oid[1], *oid[2:])))


def encode_arcs(arcs: Iterable[int]) -> bytes:
    """Sub-identifiers without tag and length.

    Raises:
        ValueError: an arc is negative or beyond 2^32 - 1.
    """
    content = bytearray()
    for arc in arcs:
        if not 0 <= arc <= LARGEST_ARC:
            raise ValueError(f"{arc} is no sub-identifier")
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | arc & 0x7F)
        content += bytes(reversed(septets))
    return bytes(content)


def request(kind: int, request_id: int, names: Sequence[bytes], *, repetitions: int = 0) -> bytes:
    """A GET, GETNEXT or GETBULK PDU (non-repeaters 0) for these names (whole elements)."""
    varbinds = b"".join([header(SEQUENCE, len(name) + 2) + name + _NULL_VALUE for name in names])
    numbers = integer(request_id) + b"\x02\x01\x00" + integer(repetitions if kind == GET_BULK else 0)
    return element(kind, numbers + element(SEQUENCE, varbinds))


def message(version: int, community: bytes, pdu: bytes) -> bytes:
    """A message of version 1 or 2c (``version`` 0 or 1)."""
    return element(SEQUENCE, integer(version) + element(OCTET_STRING, community) + pdu)


# --- reading


def head(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """The element at ``at``, inside ``end``: its tag, where its content begins and where that ends."""
    if at + 2 > end:
        raise MalformedError("cut short")
    size, start = data[at + 1], at + 2
    if size >= 0x80:
        octets = size & 0x7F
        if not 1 <= octets <= 4 or start + octets > end:
            raise MalformedError("a length that SNMP does not have")
        size = int.from_bytes(data[start : start + octets])
        start += octets
    if start + size > end:
        raise MalformedError("longer than what contains it")
    return data[at], start, start + size


def expect(tag: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """As ``head``, for an element that must have this tag: where its content begins and ends."""
    found, start, stop = head(data, at, end)
    if found != tag:
        raise MalformedError(f"tag {found:#04x} where {tag:#04x} belongs")
    return start, stop


def read_integer(data: bytes, at: int, end: int) -> tuple[int, int]:
    """An INTEGER of at most 32 bits and where it ends."""
    start, stop = expect(INTEGER, data, at, end)
    if 1 <= stop - start <= 4:
        return int.from_bytes(data[start:stop], signed=True), stop
    return _signed((data[start:stop],))[0], stop


def read_octets(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """An OCTET STRING and where it ends."""
    start, stop = expect(OCTET_STRING, data, at, end)
    return data[start:stop], stop


def whole(data: bytes) -> tuple[int, int]:
    """Where the content of the SEQUENCE begins that is all of ``data``, and where it ends."""
    start, stop = expect(SEQUENCE, data, 0, len(data))
    if stop != len(data):
        raise MalformedError("octets after its end")
    return start, stop


def read_message(datagram: bytes) -> Message:
    """A response of version 1 or 2c.

    Raises:
        MalformedError: it is none.
    """
    at, end = whole(datagram)
    version, at = read_integer(datagram, at, end)
    if version not in (0, 1):
        raise MalformedError(f"version {version} where 0 or 1 belongs")
    community, at = read_octets(datagram, at, end)
    return Message(version, community, read_pdu(datagram, at, end))


def read_pdu(data: bytes, at: int, end: int) -> Pdu:
    """The RESPONSE or REPORT PDU that reaches from ``at`` to ``end``.

    Raises:
        MalformedError: it is none.
    """
    kind, at, stop = head(data, at, end)
    if kind not in (RESPONSE, REPORT) or stop != end:
        raise MalformedError(f"PDU {kind:#04x} is no response" if stop == end else "octets after its PDU")
    request_id, at = read_integer(data, at, end)
    try:
        return _body(kind, request_id, data, at, end)
    except MalformedError as problem:
        raise MalformedError(str(problem), request_id) from None


def _body(kind: int, request_id: int, data: bytes, at: int, end: int) -> Pdu:
    status, at = read_integer(data, at, end)
    index, at = read_integer(data, at, end)
    at, stop = expect(SEQUENCE, data, at, end)
    if stop != end:
        raise MalformedError("octets after its varbinds")
    if status < 0 or index < 0:
        raise MalformedError("error-status or error-index that it can't have")
    return Pdu(kind, request_id, status, index, *_varbinds(data[at:end]))


def _by_length(lengths: Iterable[int]) -> bytes:
    """A pattern for a length octet and as many octets as it says."""
    return b"|".join(re.escape(bytes((n,))) + b".{%d}" % n for n in lengths)


# one varbind whose lengths are all of the short form; names of 11 octets, as interface tables have, are tried first
_VARBIND = re.compile(
    rb"\x30([\x00-\x7f])(\x06(?:" + _by_length(sorted(range(1, 126), key=lambda n: abs(n - 11))) + rb"))"
    rb"([\x02\x04-\x06\x40-\x47\x80-\x82])(" + _by_length(range(126)) + rb")",
    re.DOTALL,
)
_ONE_LESS = bytes((octet - 1) & 0xFF for octet in range(256))
_HIGH = bytes(octet >= 0x80 for octet in range(256))


def _varbinds(data: bytes) -> tuple[list[bytes], Sequence[bytes], list[bytes]]:
    """Names, tags and contents."""
    if not data:
        return [], [], []
    found = _VARBIND.findall(data) if _VARBIND.match(data) else []
    if not found or len(found) > MOST_VARBINDS:
        return _varbinds_of_any_length(data)
    lengths, names, tags, contents = zip(*found, strict=True)
    inner = list(map(add, map(len, names), map(len, contents)))  # of each varbind, without the tag of its value
    if sum(inner) + 3 * len(inner) != len(data) or list(b"".join(lengths).translate(_ONE_LESS)) != inner:
        return _varbinds_of_any_length(data)
    _check_names(names)
    return list(names), tags, [content[1:] for content in contents]


def _varbinds_of_any_length(data: bytes) -> tuple[list[bytes], list[bytes], list[bytes]]:
    names: list[bytes] = []
    tags: list[bytes] = []
    contents: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        start, at = expect(SEQUENCE, data, at, end)
        begin, stop = expect(OBJECT_IDENTIFIER, data, start, at)
        name = data[begin:stop]
        _check_arcs(name)
        tag, begin, stop = head(data, stop, at)
        if stop != at:
            raise MalformedError("octets after a value")
        names.append(element(OBJECT_IDENTIFIER, name))
        tags.append(bytes((tag,)))
        contents.append(data[begin:stop])
        if len(names) > MOST_VARBINDS:
            raise MalformedError(f"more than {MOST_VARBINDS} varbinds")
    return names, tags, contents


def _check_names(names: Sequence[bytes]) -> None:
    """Refuse malformed ones, with an eye on all at once: octets below 0x80 can't be wrong."""
    joined = b"".join(names)
    if joined.isascii():
        return
    if b"\x80" in joined or b"\x01\x01\x01\x01" in joined.translate(_HIGH) or max([n[-1] for n in names]) >= 0x80:
        for name in names:
            _check_arcs(content_of(name))


def content_of(name: bytes) -> bytes:
    """A name without tag and length."""
    return name[2:] if name[1] < 0x80 else name[2 + (name[1] & 0x7F) :]


def _check_arcs(content: bytes) -> None:
    if not content or len(decode_arcs(content)) >= MOST_ARCS:  # the first octet stands for two arcs
        raise MalformedError(f"an object identifier has 2 to {MOST_ARCS} arcs")


@lru_cache(maxsize=1 << 15)
def decode_arcs(content: bytes) -> Oid:
    """Sub-identifiers without tag and length; remembered, since the rows of tables have few different ones.

    Raises:
        MalformedError: cut short, padded, or beyond 2^32 - 1.
    """
    if content.isascii():
        return tuple(content)
    arcs: list[int] = []
    arc = 0
    for octet in content:
        if arc == 0 and octet == 0x80:
            raise MalformedError("a padded sub-identifier")
        arc = arc << 7 | octet & 0x7F
        if arc > LARGEST_ARC:
            raise MalformedError("a sub-identifier beyond 32 bits")
        if octet < 0x80:
            arcs.append(arc)
            arc = 0
    if content[-1] >= 0x80:
        raise MalformedError("an object identifier cut short")
    return tuple(arcs)


def decode_oid(content: bytes) -> Oid:
    """An object identifier without tag and length.

    Raises:
        MalformedError: it is none.
    """
    _check_arcs(content)
    first, *rest = decode_arcs(content)
    root = min(first // 40, 2)
    return (root, first - 40 * root, *rest)


def _cells(names: Sequence[bytes], tags: Sequence[bytes], contents: Sequence[bytes]) -> Cells:
    kind = tags[0]
    if tags.count(kind) == len(tags) and kind not in _ENDING:
        return Cells(names, _decoder(kind)(contents), gaps=kind == _NULL_TAG)
    return _mixed_cells(names, tags, contents)


def _mixed_cells(names: Sequence[bytes], tags: Sequence[bytes], contents: Sequence[bytes]) -> Cells:
    values: list[Value | None] = []
    gaps = ended = False
    for kind, run in groupby(range(len(tags)), key=tags.__getitem__):
        places = list(run)
        decoded = _decoder(kind)(contents[places[0] : places[-1] + 1])
        if kind in _ENDING:
            ended = True
        elif not ended:
            values += decoded
            gaps |= kind == _NULL_TAG
    return Cells(names[: len(values)], values, gaps, ended)


def _decoder(kind: bytes) -> Decode:
    decode = _DECODERS.get(kind)
    if decode is None:
        raise MalformedError(f"a value of tag {kind[0]:#04x}")
    return decode


_NULL_TAG: Final = b"\x05"
_SHORT_INTEGERS: Final = {bytes((n,)): n - 0x100 * (n >= 0x80) for n in range(256)}


def _integers(contents: Sequence[bytes]) -> list[Value | None]:
    short = list(map(_SHORT_INTEGERS.get, contents))
    if None not in short:
        return [*short]
    return [*_signed(contents)]


def _signed(contents: Sequence[bytes]) -> list[int]:
    """Up to five octets, for some write the smallest so (pysnmp for one)."""
    numbers = [int.from_bytes(content, signed=True) for content in contents]
    if (
        not all(contents)
        or max(map(len, contents)) > 5
        or min(numbers) < SMALLEST_INTEGER
        or max(numbers) > LARGEST_INTEGER
    ):
        raise MalformedError("an INTEGER has 32 bits")
    return numbers


def _unsigned(octets: int, bits: int) -> Decode:
    def decode(contents: Sequence[bytes]) -> list[Value | None]:
        values = list(map(int.from_bytes, contents))
        if not all(contents) or max(map(len, contents)) > octets or max(values) >> bits:
            raise MalformedError(f"an unsigned number beyond {bits} bits")
        return [*values]

    return decode


def _strings(contents: Sequence[bytes]) -> list[Value | None]:
    return [*contents]


def _addresses(contents: Sequence[bytes]) -> list[Value | None]:
    if set(map(len, contents)) != {4}:
        raise MalformedError("an IpAddress has 4 octets")
    return [*contents]


def _identifiers(contents: Sequence[bytes]) -> list[Value | None]:
    return [decode_oid(content) if content else ZERO_DOT_ZERO for content in contents]


def _nothing(contents: Sequence[bytes]) -> list[Value | None]:
    if any(contents):
        raise MalformedError("a NULL has no content")
    return [None] * len(contents)


_DECODERS: Final[Mapping[bytes, Decode]] = {
    b"\x02": _integers,
    b"\x04": _strings,
    b"\x05": _nothing,
    b"\x06": _identifiers,
    b"\x40": _addresses,
    b"\x41": _unsigned(5, 32),  # Counter32
    b"\x42": _unsigned(5, 32),  # Gauge32, Unsigned32
    b"\x43": _unsigned(5, 32),  # TimeTicks
    b"\x44": _strings,  # Opaque
    b"\x45": _strings,  # NsapAddress (RFC 1442)
    b"\x46": _unsigned(9, 64),  # Counter64
    b"\x47": _unsigned(5, 32),  # UInteger32 (RFC 1442)
    b"\x80": _nothing,  # noSuchObject
    b"\x81": _nothing,  # noSuchInstance
    b"\x82": _nothing,  # endOfMibView
}


def scalars(pdu: Pdu) -> Iterator[tuple[bytes, Value | None]]:
    """Each name (whole element) and its value; None for NULL and for what the agent does not have.

    Raises:
        MalformedError: a value does not fit its type.
    """
    for name, tag, content in zip(pdu.names, pdu.tags, pdu.contents, strict=True):
        yield name, _decoder(tag)((content,))[0]
