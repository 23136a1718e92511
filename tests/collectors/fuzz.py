"""Datagrams nobody should send: honest messages mutated, and nested elements made up with lengths that lie."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from tests.collectors.scripted import END_OF_MIB_VIEW, NULL, REPORT, RESPONSE, Message, Varbind, number, tlv

_TYPES = (0x02, 0x04, 0x05, 0x06, 0x30, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x80, 0x81, 0x82)
TAGS = (*_TYPES, 0xA0, 0xA1, 0xA2, 0xA5, 0xA7, 0xA8, 0x00, 0x1F, 0x24, 0x31, 0xFF)
TELLING = (0x00, 0x01, 0x7F, 0x80, 0x81, 0x82, 0x84, 0x88, 0xFE, 0xFF)
REQUEST_ID = 0x1234567
LARGEST = 4000  # octets that a made-up datagram may have
Change: TypeAlias = Callable[[bytes, random.Random], bytes]


def _flip(data: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(data))
    return data[:place] + bytes((data[place] ^ 1 << dice.randrange(8),)) + data[place + 1 :]


def _tell(data: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(data))
    return data[:place] + bytes((dice.choice(TELLING),)) + data[place + 1 :]


def _retag(data: bytes, dice: random.Random) -> bytes:
    """Another tag where one probably stands: before an octet that may be its length."""
    places = [i for i, octet in enumerate(data[:-1]) if octet in TAGS]
    place = dice.choice(places) if places else 0
    return data[:place] + bytes((dice.choice(TAGS),)) + data[place + 1 :]


def _cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def _drop(data: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data))
    return data[:start] + data[start + dice.randint(1, 20) :]


def _repeat(data: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data))
    end = start + dice.randint(1, 60)
    return (data[:end] + data[start:end] * dice.choice((1, 1, 2, 30)) + data[end:])[:LARGEST]


def _insert(data: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(data) + 1)
    return data[:place] + dice.randbytes(dice.randint(1, 8)) + data[place:]


def _lengthen(data: bytes, dice: random.Random) -> bytes:
    """A length in the long form, by up to 126 octets, right or huge."""
    place = dice.randrange(len(data))
    octets = dice.choice((1, 2, 4, 5, 8, 126))
    told = data[place : place + 1].rjust(octets, b"\0") if dice.random() < 0.5 else b"\xff" * octets
    return data[:place] + bytes((0x80 | octets,)) + told + data[place + 1 :]


CHANGES: tuple[Change, ...] = (_flip, _flip, _tell, _tell, _retag, _cut, _drop, _repeat, _insert, _lengthen)


def mutated(data: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        data = dice.choice(CHANGES)(data or b"0", dice)
    return data


def spliced(captures: Sequence[bytes], dice: random.Random) -> bytes:
    """The beginning of one message and the end of another."""
    first, second = dice.choice(captures), dice.choice(captures)
    return first[: dice.randrange(len(first))] + second[dice.randrange(len(second)) :]


def made_up(dice: random.Random, depth: int = 0) -> bytes:
    """Elements in elements, some of whose lengths lie."""
    tag = dice.choice(TAGS)
    if depth < 30 and (depth < 2 or dice.random() < 0.6):
        content = b"".join(made_up(dice, depth + 1) for _ in range(dice.choice((1, 1, 2))))[:LARGEST]
    else:
        content = dice.randbytes(dice.choice((0, 1, 1, 4, 5, 9, 40)))
    if dice.random() < 0.9:
        return tlv(tag, content)
    return bytes((tag, dice.choice(TELLING))) + content


def made_up_varbinds(dice: random.Random) -> bytes:
    """A whole v2c response around elements made up: what is wrong lies deep inside."""
    bindings = b"".join(
        tlv(0x30, tlv(6, dice.randbytes(dice.choice((0, 1, 8, 11, 130)))) + made_up(dice, 29))
        for _ in range(dice.choice((0, 1, 3, 40)))
    )
    pdu = tlv(RESPONSE, number(REQUEST_ID) + number(0) + number(0) + tlv(0x30, bindings))
    return tlv(0x30, number(1) + tlv(4, b"public") + pdu)


def datagrams(captures: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Hostile datagrams without end: seven in ten are captures mutated."""
    dice = random.Random(seed)
    while True:
        kind = dice.random()
        if kind < 0.7:
            yield mutated(dice.choice(captures), dice)
        elif kind < 0.8:
            yield spliced(captures, dice)
        elif kind < 0.9:
            yield made_up(dice)
        else:
            yield made_up_varbinds(dice)


VALUES = (
    number(-5),
    tlv(4, b"eth0"),
    tlv(4, b"x" * 200),
    tlv(6, b"\x2b\x06\x01\x04\x01\x81\xfd\x59\x01"),
    tlv(0x40, bytes((192, 0, 2, 1))),
    number(2**32 - 1, 0x41),
    number(10**9, 0x42),
    number(360_000, 0x43),
    tlv(0x44, b"\x9f\x78\x04\x42\x28\x00\x00"),
    number(2**64 - 1, 0x46),
    NULL,
    b"\x80\x00",
    b"\x81\x00",
    END_OF_MIB_VIEW,
)
USM_STATS = b"\x2b\x06\x01\x06\x03\x0f\x01\x01"
COLUMN = b"\x2b\x06\x01\x02\x01\x1f\x01\x01\x01\x06"


def honest_messages(version: int) -> list[Message]:
    """Responses of every type and of several sizes, and reports."""
    every = tuple(Varbind(COLUMN + bytes((row + 1,)), value) for row, value in enumerate(VALUES))
    rows = tuple(Varbind(COLUMN + bytes((row,)), number(row << 40, 0x46)) for row in range(1, 61))
    far = (Varbind(COLUMN + b"\x8f\xff\xff\xff\x7f", number(1)),)
    lists = (every, rows, far, every[:1], ())
    messages = [Message(RESPONSE, REQUEST_ID, varbinds, version) for varbinds in lists]
    messages.append(Message(RESPONSE, REQUEST_ID, every[:1], version, first=5, second=1))
    told = [Varbind(USM_STATS + bytes((which, 0)), number(1, 0x41)) for which in range(1, 7)]
    return [*messages, *(Message(REPORT, REQUEST_ID, (varbind,), version) for varbind in told)]
