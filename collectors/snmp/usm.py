"""SNMPv3 with user-based security, as a manager: messages sealed and opened, the agent's engine and clock kept.

RFC 3412 (messages), RFC 3414 (security, discovery, time window). Of what an agent does not sign only that is believed
which it has no way to sign: its engine-id (what is sealed for it proves that), and why it turns a request away. Boots
and time in it are no more than a guess for the next request, and are learnt from signed messages alone.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, NoReturn

from collectors.failures import PollError
from collectors.snmp.ber import (
    GET,
    OCTET_STRING,
    REPORT,
    SEQUENCE,
    MalformedError,
    Pdu,
    element,
    encode_oid,
    expect,
    integer,
    read_integer,
    read_octets,
    read_pdu,
    request,
    whole,
)
from collectors.snmp.usm_keys import Keys, keys_of
from twin.vocab.inventory import SnmpV3

TIME_WINDOW = 150  # seconds, RFC 3414 section 2.2.3
LARGEST_MESSAGE = 65507
LATCHED_BOOTS = 0x7FFFFFFF
LONGEST_USER, SHORTEST_PASSPHRASE = 32, 8
_AUTH, _PRIVACY, _REPORTABLE = 1, 2, 4
_USM = 3
_VERSION = integer(3)
_STATISTICS = (1, 3, 6, 1, 6, 3)


def _statistic(*arcs: int) -> bytes:
    return encode_oid((*_STATISTICS, *arcs, 0))


NOT_IN_TIME_WINDOW: Final = _statistic(15, 1, 1, 2)
UNKNOWN_ENGINE: Final = _statistic(15, 1, 1, 4)
_TURNED_AWAY: Final = {
    _statistic(15, 1, 1, 1): "the agent does not offer this security level",
    _statistic(15, 1, 1, 3): "the agent does not know this user",
    _statistic(15, 1, 1, 5): "wrong digest: the authentication passphrase or algorithm is not the agent's",
    _statistic(15, 1, 1, 6): "the agent can't decrypt: the privacy passphrase or algorithm is not its own",
    _statistic(11, 2, 1, 1): "the agent has no user-based security",
    _statistic(12, 1, 4): "the agent has no such context now",
    _statistic(12, 1, 5): "the agent does not know the default context",
}


class AskAgainError(PollError):
    """The agent's engine or clock is not what was thought; now it is known."""


@dataclass(frozen=True)
class Peer:
    """An agent's engine, and its clock as it last told (seconds since its last boot, at ``at`` by ours).

    ``proven``: a signed message said so; otherwise boots and time are a guess.
    """

    engine_id: bytes
    boots: int = 0
    clock: int = 0
    at: float = 0.0
    proven: bool = False

    def time(self, now: float) -> int:
        return self.clock + int(now - self.at)


@dataclass
class Remembered:
    """What outlives a conversation: the peer, and the keys last made for it."""

    peer: Peer | None = None
    keys: tuple[SnmpV3, bytes, Keys] | None = None

    def keys_for(self, user: SnmpV3, engine_id: bytes) -> Keys:
        if self.keys is None or self.keys[:2] != (user, engine_id):
            self.keys = (user, engine_id, keys_of(user, engine_id))
        return self.keys[2]


class _Parts(NamedTuple):
    """A message taken apart; ``signature`` is where its digest begins, ``data`` where its scoped PDU does."""

    message_id: int
    flags: int
    engine_id: bytes
    boots: int
    clock: int
    user: bytes
    signature: int
    digest: bytes
    salt: bytes
    data: int

    @property
    def is_signed(self) -> bool:
        return bool(self.flags & _AUTH)


@dataclass
class UserSecurity:
    """One user's conversation with one agent."""

    user: SnmpV3
    remembered: Remembered
    now: Callable[[], float] = time.monotonic
    _peer: Peer | None = None
    _count: int = field(default_factory=lambda: secrets.randbits(64))

    def __post_init__(self) -> None:
        self._peer = self.remembered.peer
        self._name = self.user.user.encode()
        self._level = _AUTH * bool(self.user.auth_passphrase) | _PRIVACY * bool(self.user.privacy_passphrase)

    def greeting(self) -> Callable[[int], bytes] | None:
        """What must be sent before anything can be asked: discovery of the engine (RFC 3414 section 4), if need be."""
        return discovery if self._peer is None else None

    def welcome(self, datagram: bytes, request_id: int) -> None:
        """Take the answer to the greeting.

        Raises:
            MalformedError: it is none.
        """
        parts, pdu = self._unsigned(datagram, request_id)
        if pdu.kind != REPORT or parts.is_signed:
            raise MalformedError("no answer to a discovery")
        self._peer = Peer(parts.engine_id, parts.boots, parts.clock, self.now())

    def seal(self, pdu: bytes, request_id: int) -> bytes:
        """A message for the agent, signed and encrypted as the user's level demands."""
        peer = self._known_peer
        keys = self.remembered.keys_for(self.user, peer.engine_id)
        clock = min(peer.time(self.now()), LATCHED_BOOTS)
        data, salt = element(SEQUENCE, element(OCTET_STRING, peer.engine_id) + b"\x04\x00" + pdu), b""
        if keys.cipher is not None:
            self._count = (self._count + 1) & 0xFFFFFFFFFFFFFFFF
            encrypted, salt = keys.cipher.encrypt(data, peer.boots, clock, self._count)
            data = element(OCTET_STRING, encrypted)
        message, signature = _assemble(
            request_id,
            self._level | _REPORTABLE,
            data,
            engine_id=peer.engine_id,
            clocks=(peer.boots, clock) if self._level else (0, 0),
            user=self._name,
            digest_octets=keys.digest_octets,
            salt=salt,
        )
        if not keys.digest:
            return message
        return message[:signature] + keys.sign(message) + message[signature + keys.digest_octets :]

    def open(self, datagram: bytes, request_id: int) -> Pdu:
        """The response in a datagram.

        Raises:
            MalformedError: there is none, or it can't be trusted: another level, a wrong digest, an old message.
            AskAgainError: the agent said what its engine or clock is.
            PollError: the agent turned the user away.
        """
        parts = _take_apart(datagram)
        if parts.message_id != request_id:
            raise MalformedError("an answer to another request")
        peer = self._known_peer
        if not parts.is_signed:
            return self._open_unsigned(datagram, parts, request_id)
        if parts.engine_id != peer.engine_id or parts.user != self._name:
            raise MalformedError("signed for another engine or user")
        keys = self.remembered.keys_for(self.user, peer.engine_id)
        self._check_signature(datagram, parts, keys)
        pdu = self._scoped(datagram, parts, keys)
        self._take_time(parts, is_report=pdu.kind == REPORT)
        if pdu.kind == REPORT:
            raise self._told(parts, pdu)
        if parts.flags & (_AUTH | _PRIVACY) != self._level or pdu.request_id != request_id:
            raise MalformedError("an answer to another request, or of another security level")
        return pdu

    @property
    def _known_peer(self) -> Peer:
        assert self._peer is not None
        return self._peer

    def _unsigned(self, datagram: bytes, request_id: int) -> tuple[_Parts, Pdu]:
        parts = _take_apart(datagram)
        if parts.message_id != request_id:
            raise MalformedError("an answer to another request")
        if not 5 <= len(parts.engine_id) <= 32:
            raise MalformedError("an engine-id has 5 to 32 octets")
        return parts, self._scoped(datagram, parts, Keys())

    def _open_unsigned(self, datagram: bytes, parts: _Parts, request_id: int) -> Pdu:
        parts, pdu = self._unsigned(datagram, request_id)
        if pdu.kind == REPORT:
            raise self._told(parts, pdu)
        if self._level or parts.engine_id != self._known_peer.engine_id or pdu.request_id != request_id:
            raise MalformedError("an unsigned answer, or to another request")
        self.remembered.peer = self._peer
        return pdu

    def _check_signature(self, datagram: bytes, parts: _Parts, keys: Keys) -> None:
        if not keys.digest or len(parts.digest) != keys.digest_octets:
            raise MalformedError("a digest of another length")
        end = parts.signature + keys.digest_octets
        blank = datagram[: parts.signature] + bytes(keys.digest_octets) + datagram[end:]
        if not hmac.compare_digest(keys.sign(blank), parts.digest):
            raise MalformedError("a wrong digest")

    def _scoped(self, datagram: bytes, parts: _Parts, keys: Keys) -> Pdu:
        """The PDU in a message's scoped PDU."""
        if not parts.flags & _PRIVACY:
            at, end = expect(SEQUENCE, datagram, parts.data, len(datagram))
            if end != len(datagram):
                _refuse_trailing()
            return self._pdu(datagram, at, end, parts)
        if keys.cipher is None:
            raise MalformedError("encrypted, without privacy asked for")
        at, end = expect(OCTET_STRING, datagram, parts.data, len(datagram))
        if end != len(datagram):
            _refuse_trailing()
        try:
            plain = keys.cipher.decrypt(datagram[at:end], parts.boots, parts.clock, parts.salt)
        except ValueError as problem:
            raise MalformedError(str(problem)) from None
        at, end = expect(SEQUENCE, plain, 0, len(plain))
        if len(plain) - end > keys.cipher.padding:
            _refuse_trailing()
        return self._pdu(plain, at, end, parts)

    def _pdu(self, data: bytes, at: int, end: int, parts: _Parts) -> Pdu:
        engine_id, at = read_octets(data, at, end)
        context, at = read_octets(data, at, end)
        pdu = read_pdu(data, at, end)
        if pdu.kind != REPORT and (engine_id != parts.engine_id or context):
            raise MalformedError("an answer from another context")
        return pdu

    def _take_time(self, parts: _Parts, *, is_report: bool) -> None:
        """What a signed message says of the agent's clock (RFC 3414 section 3.2, step 7b)."""
        peer, now = self._known_peer, self.now()
        told = Peer(peer.engine_id, parts.boots, parts.clock, now, proven=True)
        if not peer.proven or (told.boots, told.clock) > (peer.boots, peer.clock):
            self._peer = self.remembered.peer = told
        elif is_report and parts.boots < peer.boots:
            self.remembered.peer = self._peer = None
            raise PollError(
                "auth", f"its engine boots went back from {peer.boots} to {parts.boots}: replaced, or replayed?"
            )
        elif parts.boots < peer.boots or parts.clock < peer.time(now) - TIME_WINDOW or parts.boots == LATCHED_BOOTS:
            raise MalformedError("outside the time window")

    def _told(self, parts: _Parts, pdu: Pdu) -> PollError | MalformedError:
        """What a report means."""
        if len(pdu.names) != 1:
            return MalformedError("a report that says nothing")
        name = pdu.names[0]
        if name == NOT_IN_TIME_WINDOW and not parts.is_signed:
            return MalformedError("an unsigned report of the time")
        if name == NOT_IN_TIME_WINDOW:
            return AskAgainError("auth", "not in the agent's time window")
        if name == UNKNOWN_ENGINE:
            if parts.is_signed or parts.engine_id == self._known_peer.engine_id:
                return PollError("error", "the agent does not know its own engine-id")
            self._peer = Peer(parts.engine_id, parts.boots, parts.clock, self.now())
            return AskAgainError("auth", "the agent's engine-id changes")
        reason = _TURNED_AWAY.get(name)
        return PollError("auth", reason) if reason else PollError("error", "the agent reports a trouble of its own")


def refuse_unusable(user: SnmpV3) -> None:
    """What no agent can have: user names of 1 to 32 octets, passphrases of at least 8 (RFC 3414 sections 5, 11.2)."""
    if not 1 <= len(user.user.encode()) <= LONGEST_USER:
        raise PollError("auth", f"an SNMPv3 user name has 1 to {LONGEST_USER} octets, not {len(user.user.encode())}")
    for what, secret in (("authentication", user.auth_passphrase), ("privacy", user.privacy_passphrase)):
        if secret is not None and len(secret.reveal().encode()) < SHORTEST_PASSPHRASE:
            raise PollError("auth", f"the {what} passphrase is shorter than {SHORTEST_PASSPHRASE} octets")


def discovery(message_id: int) -> bytes:
    """A message for an engine not yet known; the answer is a report (RFC 3414 section 4)."""
    data = element(SEQUENCE, b"\x04\x00\x04\x00" + request(GET, message_id, ()))
    return _assemble(message_id, _REPORTABLE, data)[0]


def _assemble(
    message_id: int,
    flags: int,
    data: bytes,
    *,
    engine_id: bytes = b"",
    clocks: tuple[int, int] = (0, 0),
    user: bytes = b"",
    digest_octets: int = 0,
    salt: bytes = b"",
) -> tuple[bytes, int]:
    """A whole message with zeros for its digest, and where that belongs."""
    header = integer(message_id) + integer(LARGEST_MESSAGE) + element(OCTET_STRING, bytes((flags,))) + integer(_USM)
    tail = element(OCTET_STRING, salt)
    who = element(OCTET_STRING, engine_id) + integer(clocks[0]) + integer(clocks[1]) + element(OCTET_STRING, user)
    security = element(SEQUENCE, who + element(OCTET_STRING, bytes(digest_octets)) + tail)
    message = element(SEQUENCE, _VERSION + element(SEQUENCE, header) + element(OCTET_STRING, security) + data)
    return message, len(message) - len(data) - len(tail) - digest_octets


def _take_apart(datagram: bytes) -> _Parts:
    """A message of version 3 and of this security model.

    Raises:
        MalformedError: it is none.
    """
    at, end = whole(datagram)
    version, at = read_integer(datagram, at, end)
    if version != 3:
        raise MalformedError(f"version {version} where 3 belongs")
    header, stop = expect(SEQUENCE, datagram, at, end)
    message_id, flags = _take_header(datagram, header, stop)
    start, data = expect(OCTET_STRING, datagram, stop, end)
    security, stop = expect(SEQUENCE, datagram, start, data)
    if stop != data:
        _refuse_trailing()
    engine_id, at = read_octets(datagram, security, stop)
    boots, at = read_integer(datagram, at, stop)
    clock, at = read_integer(datagram, at, stop)
    user, at = read_octets(datagram, at, stop)
    digest, at = read_octets(datagram, at, stop)
    signature = at - len(digest)
    salt, at = read_octets(datagram, at, stop)
    if at != stop or boots < 0 or clock < 0:
        raise MalformedError("security parameters that can't be")
    return _Parts(message_id, flags, engine_id, boots, clock, user, signature, digest, salt, data)


def _take_header(datagram: bytes, at: int, end: int) -> tuple[int, int]:
    """Message-id and flags."""
    message_id, at = read_integer(datagram, at, end)
    largest, at = read_integer(datagram, at, end)
    flags, at = read_octets(datagram, at, end)
    model, at = read_integer(datagram, at, end)
    if at != end or len(flags) != 1 or model != _USM or largest < 0:
        raise MalformedError("a header that can't be, or another security model")
    if flags[0] & (_AUTH | _PRIVACY) == _PRIVACY:
        raise MalformedError("encrypted but not signed")
    return message_id, flags[0]


def _refuse_trailing() -> NoReturn:
    raise MalformedError("octets after its end")
