"""All that a device tells, as snmprec text for fixtures. Read-only; objects that hold secrets are not kept.

One line is ``OID|tag|value`` (the form snmpsim replays): the tag as it came (2 INTEGER, 4 OCTET STRING, 6 OBJECT
IDENTIFIER, 64 IpAddress, 65 Counter32, 66 Gauge32, 67 TimeTicks, 68 Opaque, 70 Counter64; with x: in hexadecimal), or
the least that the value fits, where the engine does not tell.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from collectors.failures import PollError
from collectors.snmp.walk import TooBigError
from collectors.snmp.wire import Agent, Oid, TellsTypes, Value, dotted
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Device, Secret, SnmpV3

ROOTS: tuple[Oid, ...] = (
    (1, 0, 8802),  # IEEE 802.1AB: LLDP
    (1, 2, 840, 10006),  # IEEE 802.3: link aggregation
    (1, 3, 6, 1, 2, 1),  # mib-2
    (1, 3, 6, 1, 3),  # experimental
    (1, 3, 6, 1, 4, 1),  # enterprises
    (1, 3, 6, 1, 6, 3, 10),  # SNMP-FRAMEWORK-MIB: boots and time of the engine
)
SECRET: tuple[Oid, ...] = (
    (1, 3, 6, 1, 2, 1, 16, 9, 1, 1, 4),  # RMON-MIB eventCommunity
    (1, 3, 6, 1, 2, 1, 16, 19, 13, 1, 2),  # RMON2-MIB trapDestCommunity
    (1, 3, 6, 1, 2, 1, 190),  # SNMP-TSM-MIB
    (1, 3, 6, 1, 2, 1, 198),  # SNMP-TLS-TM-MIB
    (1, 3, 6, 1, 3, 101),  # SNMP-USM-DH-OBJECTS-MIB
    (1, 3, 6, 1, 4, 1, 9, 9, 10, 1, 2, 1, 1),  # CISCO-FLASH-MIB ciscoFlashCopyTable: user name, password
    (1, 3, 6, 1, 4, 1, 9, 9, 96),  # CISCO-CONFIG-COPY-MIB: user name, password
    (1, 3, 6, 1, 4, 1, 11, 2, 3, 7, 11, 12, 1, 2, 1, 15),  # snAgGblPassword as HP resold it, and so on
    (1, 3, 6, 1, 4, 1, 11, 2, 3, 7, 11, 12, 1, 2, 1, 25),
    (1, 3, 6, 1, 4, 1, 11, 2, 3, 7, 11, 12, 1, 2, 1, 26),
    (1, 3, 6, 1, 4, 1, 11, 2, 3, 7, 11, 12, 1, 2, 1, 46),
    (1, 3, 6, 1, 4, 1, 1991, 1, 1, 2, 1, 15),  # FOUNDRY-SN-AGENT-MIB snAgGblPassword
    (1, 3, 6, 1, 4, 1, 1991, 1, 1, 2, 1, 25),  # snAgGblReadOnlyCommunity
    (1, 3, 6, 1, 4, 1, 1991, 1, 1, 2, 1, 26),  # snAgGblReadWriteCommunity
    (1, 3, 6, 1, 4, 1, 1991, 1, 1, 2, 1, 46),  # snAgGblTelnetPassword
    (1, 3, 6, 1, 6, 3, 12),  # SNMP-TARGET-MIB: security names
    (1, 3, 6, 1, 6, 3, 13),  # SNMP-NOTIFICATION-MIB
    (1, 3, 6, 1, 6, 3, 14),  # SNMP-PROXY-MIB
    (1, 3, 6, 1, 6, 3, 15),  # SNMP-USER-BASED-SM-MIB
    (1, 3, 6, 1, 6, 3, 16),  # SNMP-VIEW-BASED-ACM-MIB
    (1, 3, 6, 1, 6, 3, 18),  # SNMP-COMMUNITY-MIB
)
_HIDDEN, _LENGTHS = frozenset(SECRET), sorted({len(oid) for oid in SECRET})
_FIRST_GUESS = 10_000
MOST_GAPS = 40  # numbers in a row below which there is nothing
MOST_AGAIN = 100  # times that an agent that loops or fails is asked for what lies behind
INTEGER, OCTET_STRING, OBJECT_IDENTIFIER, IP_ADDRESS, GAUGE32, COUNTER64 = 2, 4, 6, 64, 66, 70
_OCTET, _INTEGER32, _UNSIGNED32 = 255, 2**31, 2**32


@dataclass(frozen=True)
class Recording:
    """Lines in OID order, how many values were withheld as secret, and why it is not all there is (empty: it is)."""

    lines: tuple[str, ...]
    withheld: int
    cut: tuple[str, ...]

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


async def record(agent: Agent, device: Device, roots: Sequence[Oid], *, most: int, until: float) -> Recording:
    """Walk ``roots`` one after the other; after a failure nothing more is asked, and what came is kept.

    Args:
        device: whose own community and passphrases are kept out wherever they turn up.
        most: how many values to take below each root.
        until: when to stop and keep what came (time.monotonic).

    Raises:
        UsageError: a root lies inside what is never recorded.
        PollError: nothing came at all.
    """
    for root in roots:
        if _holds_secrets(root):
            raise UsageError(f"{dotted(root)} holds secrets and is never recorded")
    types: dict[Oid, int] = {}
    if isinstance(agent, TellsTypes):
        agent.types = types
    gathering = _Gathering(agent, most, until)
    for root in roots:
        try:
            await gathering.below(root)
        except PollError as problem:
            if not gathering.found:
                raise
            gathering.cut.append(f"{dotted(root)}: {problem.reason}: nothing asked for after that")
            break
    found, own = gathering.found, _own_secrets(device)
    lines = tuple(
        _line(oid, types.get(oid), value) for oid, value in sorted(found.items()) if not _is_secret(oid, value, own)
    )
    return Recording(lines, len(found) - len(lines), tuple(dict.fromkeys(gathering.cut)))


@dataclass
class _Gathering:
    """What came so far. Where an agent loops, or fails at an object, it is asked again for what may lie behind."""

    agent: Agent
    most: int
    until: float
    found: dict[Oid, Value] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    _again: int = 0

    async def below(self, prefix: Oid) -> int:
        """Take all that lies below, and tell how much that was."""
        walk = await self.agent.walk([prefix], rows=_FIRST_GUESS, max_rows=self.most, until=self.until)
        came = dict(walk.varbinds)
        self.found |= came
        self.cut += walk.cut
        if not walk.cut or not came or len(came) >= self.most:
            return len(came)
        return len(came) + await self._behind(prefix, max(came))

    async def _behind(self, prefix: Oid, last: Oid) -> int:
        """What follows ``last`` below ``prefix``: at each level the next numbers, until ``MOST_GAPS`` had nothing."""
        self._again += 1
        before = len(self.found)
        for level in reversed(range(len(prefix), len(last))):
            stem, arc, gaps = last[:level], last[level], 0
            asked = arc
            while gaps < MOST_GAPS and self._again <= MOST_AGAIN and time.monotonic() < self.until:
                if arc == asked:
                    asked += MOST_GAPS
                    await self._take([(*stem, number) for number in range(arc + 1, asked + 1)])
                arc += 1
                came = (*stem, arc) in self.found or await self.below((*stem, arc))
                gaps = 0 if came else gaps + 1
        return len(self.found) - before

    async def _take(self, oids: Sequence[Oid]) -> None:
        """Those that are objects themselves: a walk only tells what lies below."""
        try:
            self.found.update(await self.agent.get(oids))
        except TooBigError:
            if len(oids) > 1:
                for oid in oids:
                    await self._take([oid])


def _holds_secrets(oid: Oid) -> bool:
    return any(oid[:length] in _HIDDEN for length in _LENGTHS)


def _own_secrets(device: Device) -> tuple[bytes, ...]:
    """What the device was asked with."""
    credentials = device.snmp.credentials if device.snmp else None
    secrets: tuple[Secret | None, ...] = ()
    if isinstance(credentials, SnmpV3):
        secrets = (credentials.auth_passphrase, credentials.privacy_passphrase)
    elif credentials is not None:
        secrets = (credentials.community,)
    return tuple(secret.reveal().encode() for secret in secrets if secret is not None)


def _is_secret(oid: Oid, value: Value, own: Sequence[bytes]) -> bool:
    """Below an object that holds secrets, or one of ``own`` stands in the value or, as text, in the index."""
    if _holds_secrets(oid):
        return True
    texts = [bytes(arc if arc <= _OCTET else 0 for arc in oid), *([value] if isinstance(value, bytes) else [])]
    return any(secret in text for secret in own for text in texts)


def _line(oid: Oid, tag: int | None, value: Value) -> str:
    said, text = _said(tag or _least_tag(value), value)
    return f"{dotted(oid)}|{said}|{text}"


def _least_tag(value: Value) -> int:
    if isinstance(value, int):
        return INTEGER if value < _INTEGER32 else GAUGE32 if value < _UNSIGNED32 else COUNTER64
    return OBJECT_IDENTIFIER if isinstance(value, tuple) else OCTET_STRING


def _said(tag: int, value: Value) -> tuple[str, str]:
    if isinstance(value, int):
        return str(tag), str(value)
    if isinstance(value, tuple):
        return str(tag), dotted(value)
    if tag == IP_ADDRESS:
        return str(tag), dotted(tuple(value))
    text = value.decode("ascii", "replace")
    plain = tag == OCTET_STRING and value.isascii() and text.isprintable() and text == text.strip()
    return (str(tag), text) if plain else (f"{tag}x", value.hex())
