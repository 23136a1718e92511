"""The doors through which datagrams come into the fast engine, and what happens to hostile ones there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from collectors.failures import PollError
from collectors.snmp.ber import MalformedError, Pdu, scalars
from collectors.snmp.community import Community
from collectors.snmp.usm import Peer, Remembered, UserSecurity
from tests.collectors.fuzz import REQUEST_ID, datagrams, honest_messages
from tests.collectors.scripted import (
    AUTH_PASSPHRASE,
    ENGINE,
    PRIVACY_PASSPHRASE,
    Secured,
    scoped,
)
from twin.vocab.inventory import Secret, SnmpV3

USER = SnmpV3("twin", "SHA-256", Secret(AUTH_PASSPHRASE), "AES-128", Secret(PRIVACY_PASSPHRASE))
CLOCK = 1000
_KEYS = Remembered().keys_for(USER, ENGINE)


def by_community(version: int) -> Callable[[bytes], Pdu]:
    return lambda datagram: Community(version, b"public").open(datagram, REQUEST_ID)


def by_user(datagram: bytes) -> Pdu:
    peer = Peer(ENGINE, boots=1, clock=CLOCK, at=0.0, proven=True)
    remembered = Remembered(peer, (USER, ENGINE, _KEYS))
    return UserSecurity(USER, remembered, now=lambda: 1.0).open(datagram, REQUEST_ID)


def plain(version: int) -> list[bytes]:
    return [message.encoded() for message in honest_messages(version)]


def scoped_pdus() -> list[bytes]:
    return [scoped(message.pdu()) for message in honest_messages(3)]


def whole(version: int) -> Callable[[int], Iterator[bytes]]:
    return lambda seed: datagrams(plain(version), seed)


def sealed() -> list[bytes]:
    """Version 3 messages: unsigned, signed, signed and encrypted."""
    return [Secured(REQUEST_ID, inner, flags=flags).encoded() for inner in scoped_pdus() for flags in (0, 1, 3)]


def around(seed: int) -> Iterator[bytes]:
    """Version 3 messages broken anywhere: nearly all fail by their digest."""
    return datagrams(sealed(), seed)


def inside(seed: int) -> Iterator[bytes]:
    """What an agent that knows the keys can send: signed and encrypted, hostile within."""
    for inner in datagrams(scoped_pdus(), seed):
        yield Secured(REQUEST_ID, inner).encoded()


@dataclass
class Told:
    """What became of the datagrams, what raised anything undeclared (the first few), the slowest in seconds of CPU."""

    outcomes: Counter[str] = field(default_factory=Counter)
    crashed: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


@dataclass(frozen=True)
class Door:
    """``hostile`` makes datagrams from a seed; ``open`` is what the engine does with each."""

    hostile: Callable[[int], Iterator[bytes]]
    open: Callable[[bytes], Pdu]

    def through(self, seed: int, count: int) -> Told:
        told = Told()
        for datagram in islice(self.hostile(seed), count):
            began = time.thread_time()
            told.outcomes[self._outcome(datagram, told)] += 1
            told.slowest_s = max(told.slowest_s, time.thread_time() - began)
        return told

    def _outcome(self, datagram: bytes, told: Told) -> str:
        try:
            pdu = self.open(datagram)
            pdu.cells(3)
            list(scalars(pdu))
        except MalformedError:
            return "refused"
        except PollError:
            return "told"
        except Exception as problem:  # noqa: BLE001 - that is what is looked for
            if len(told.crashed) < 5:
                told.crashed.append(f"{type(problem).__name__}: {problem}: {datagram.hex()}")
            return "crashed"
        return "read"


DOORS = {
    "v1": Door(whole(0), by_community(0)),
    "v2c": Door(whole(1), by_community(1)),
    "v3": Door(around, by_user),
    "v3, signed": Door(inside, by_user),
}
