"""Agents that misbehave by a script: datagrams made by hand, sent early, late, twice or from elsewhere, on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias, cast

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

GET, GET_NEXT, RESPONSE, GET_BULK, REPORT = 0xA0, 0xA1, 0xA2, 0xA5, 0xA8
NULL, NO_SUCH_OBJECT, END_OF_MIB_VIEW = b"\x05\x00", b"\x80\x00", b"\x82\x00"
Address: TypeAlias = tuple[str, int]


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content


def number(value: int, tag: int = 2) -> bytes:
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def elements(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Tag, start and end of each element's content. For honest messages only."""
    at = 0
    while at < len(content):
        tag, size, at = content[at], content[at + 1], at + 2
        if size & 0x80:
            octets = size & 0x7F
            size, at = int.from_bytes(content[at : at + octets]), at + octets
        yield tag, at, at + size
        at += size


def parts(content: bytes) -> list[bytes]:
    return [content[start:end] for _, start, end in elements(content)]


@dataclass(frozen=True)
class Varbind:
    """A name and a value as BER: the name's contents, the value's whole element."""

    name: bytes
    value: bytes

    def encoded(self) -> bytes:
        return tlv(0x30, tlv(6, self.name) + self.value)


@dataclass(frozen=True)
class Message:
    """A v1 or v2c message; ``first``, ``second``: error-status and -index, or non-repeaters and max-repetitions."""

    kind: int
    request_id: int
    varbinds: tuple[Varbind, ...]
    version: int = 1
    community: bytes = b"public"
    first: int = 0
    second: int = 0

    def pdu(self) -> bytes:
        bindings = tlv(0x30, b"".join(v.encoded() for v in self.varbinds))
        return tlv(self.kind, number(self.request_id) + number(self.first) + number(self.second) + bindings)

    def encoded(self) -> bytes:
        return tlv(0x30, number(self.version) + tlv(4, self.community) + self.pdu())


def read(datagram: bytes) -> Message:
    """An honest request."""
    whole = parts(datagram)[0]
    (_, pdu_start, pdu_end) = list(elements(whole))[2]
    version, community, _ = parts(whole)
    request_id, first, second, bindings = parts(whole[pdu_start:pdu_end])
    kind = next(tag for tag, start, _ in elements(whole) if start == pdu_start)
    names = [parts(pair)[0] for pair in parts(bindings)]
    signed = [int.from_bytes(n, signed=True) for n in (request_id, first, second, version)]
    varbinds = tuple(Varbind(name, NULL) for name in names)
    return Message(kind, signed[0], varbinds, signed[3], community, signed[1], signed[2])


@dataclass(frozen=True)
class Sent:
    """A datagram of the agent: after how many seconds, and whether from another port than it was asked at."""

    datagram: bytes
    after: float = 0.0
    elsewhere: bool = False


Script: TypeAlias = Callable[[bytes, int], Sequence[Sent]]


@dataclass
class _Agent(asyncio.DatagramProtocol):
    script: Script
    other: socket.socket
    asked: int = 0
    transport: asyncio.DatagramTransport | None = None
    waiting: list[asyncio.TimerHandle] = field(default_factory=list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.asked += 1
        loop = asyncio.get_running_loop()
        for sent in self.script(data, self.asked):
            if sent.after:
                self.waiting.append(loop.call_later(sent.after, self._send, sent, addr))
            else:
                self._send(sent, addr)

    def _send(self, sent: Sent, to: Address) -> None:
        if sent.elsewhere:
            self.other.sendto(sent.datagram, to)
        elif self.transport is not None:
            self.transport.sendto(sent.datagram, to)


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[int]:
    """The port on loopback where ``script(datagram, how many-th)`` says what is sent back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        loop = asyncio.get_running_loop()
        transport, agent = await loop.create_datagram_endpoint(
            lambda: _Agent(script, other), local_addr=("127.0.0.1", 0)
        )
        try:
            yield int(transport.get_extra_info("sockname")[1])
        finally:
            for handle in agent.waiting:
                handle.cancel()
            transport.close()


Columns: TypeAlias = dict[bytes, dict[int, bytes]]


def honest(columns: Columns, request: Message) -> Message:
    """The right response: every object of ``columns`` by its rows, in order (RFC 3416 section 4.2.3)."""
    table = {prefix + bytes((row,)): value for prefix, rows in columns.items() for row, value in rows.items()}
    ordered = sorted(table)
    if request.kind == GET:
        found = [Varbind(v.name, table.get(v.name, NO_SUCH_OBJECT)) for v in request.varbinds]
        return replace(request, kind=RESPONSE, varbinds=tuple(found))
    answer: list[Varbind] = []
    cursors = [v.name for v in request.varbinds]
    for _ in range(request.second if request.kind == GET_BULK else 1):
        for i, cursor in enumerate(cursors):
            following = next((name for name in ordered if name > cursor), None)
            answer.append(
                Varbind(cursor, END_OF_MIB_VIEW) if following is None else Varbind(following, table[following])
            )
            cursors[i] = following or cursor
    return replace(request, kind=RESPONSE, varbinds=tuple(answer), first=0, second=0)


# --- version 3


@lru_cache
def localised(passphrase: str, engine: bytes) -> bytes:
    """RFC 3414 section 2.6 with SHA-256 (RFC 7860)."""
    octets = passphrase.encode()
    key = hashlib.sha256((octets * (1 + (1 << 20) // len(octets)))[: 1 << 20]).digest()
    return hashlib.sha256(key + engine + key).digest()


@dataclass(frozen=True)
class Security:
    """Where a v3 message's security parameters stand (RFC 3414 section 2.4): (start, end) of each one's content."""

    engine: tuple[int, int]
    boots: tuple[int, int]
    time: tuple[int, int]
    user: tuple[int, int]
    digest: tuple[int, int]
    salt: tuple[int, int]


def security_of(datagram: bytes) -> Security:
    def inside(start: int, end: int) -> list[tuple[int, int]]:
        return [(start + s, start + e) for _, s, e in elements(datagram[start:end])]

    (message,) = inside(0, len(datagram))
    octets = inside(*message)[2]
    (sequence,) = inside(*octets)
    return Security(*inside(*sequence))


def resigned(datagram: bytes, passphrase: str) -> bytes:
    """With the digest that belongs to it as it is now (HMAC-SHA-256, 192 bits)."""
    where = security_of(datagram)
    start, end = where.digest
    blank = datagram[:start] + bytes(end - start) + datagram[end:]
    key = localised(passphrase, datagram[slice(*where.engine)])
    return blank[:start] + hmac.digest(key, blank, "sha256")[:24] + blank[end:]


ENGINE, AUTH_PASSPHRASE, PRIVACY_PASSPHRASE = b"\x80\x00\x1f\x88\x04hostile", "authpass123", "privpass123"


@dataclass(frozen=True)
class Secured:
    """A v3 message of user ``twin`` by SHA-256 and AES-128, with whatever stands for its scoped PDU."""

    message_id: int
    scoped: bytes
    engine: bytes = ENGINE
    boots: int = 1
    clock: int = 1000
    flags: int = 3
    user: bytes = b"twin"

    def encoded(self) -> bytes:
        salt, data = b"salt" * 2, self.scoped
        if self.flags & 2:
            iv = self.boots.to_bytes(4) + self.clock.to_bytes(4) + salt
            context = Cipher(AES(localised(PRIVACY_PASSPHRASE, self.engine)[:16]), CFB(iv)).encryptor()
            data = tlv(4, context.update(self.scoped) + context.finalize())
        who = tlv(4, self.engine) + number(self.boots) + number(self.clock) + tlv(4, self.user)
        security = tlv(0x30, who + tlv(4, bytes(24 * (self.flags & 1))) + tlv(4, salt if self.flags & 2 else b""))
        head = tlv(0x30, number(self.message_id) + number(65507) + tlv(4, bytes((self.flags,))) + number(3))
        whole = tlv(0x30, number(3) + head + tlv(4, security) + data)
        return resigned(whole, AUTH_PASSPHRASE) if self.flags & 1 else whole


def scoped(pdu: bytes, engine: bytes = ENGINE) -> bytes:
    return tlv(0x30, tlv(4, engine) + tlv(4, b"") + pdu)


def opened(datagram: bytes) -> Secured:
    """The inverse of ``Secured.encoded`` for an honest message."""
    where = security_of(datagram)
    (_, head, _, data) = [(start, end) for _, start, end in elements(parts(datagram)[0])]
    whole = parts(datagram)[0]
    message_id, _, flags, _ = parts(whole[slice(*head)])
    clocks = [int.from_bytes(datagram[slice(*place)]) for place in (where.boots, where.time)]
    engine = datagram[slice(*where.engine)]
    inner = whole[slice(*data)]
    if flags[0] & 2:
        iv = clocks[0].to_bytes(4) + clocks[1].to_bytes(4) + datagram[slice(*where.salt)]
        context = Cipher(AES(localised(PRIVACY_PASSPHRASE, engine)[:16]), CFB(iv)).decryptor()
        inner = context.update(inner) + context.finalize()
    else:
        inner = tlv(0x30, inner)
    user = datagram[slice(*where.user)]
    return Secured(int.from_bytes(message_id), inner, engine, clocks[0], clocks[1], flags[0], user)
