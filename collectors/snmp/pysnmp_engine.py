"""The SNMP engine built on pysnmp: one SnmpEngine, MIB lookup off, a raised receive buffer. Only GET and GETBULK."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from pyasn1.error import PyAsn1Error  # type: ignore[import-untyped] # pyasn1 comes without types
from pyasn1.type import univ  # type: ignore[import-untyped] # pyasn1 comes without types
from pysnmp.carrier.asyncio.dgram import udp, udp6
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413.cmdgen import BulkCommandGeneratorSingleRun, GetCommandGenerator
from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch.asyncio import CommunityData, Udp6TransportTarget, UdpTransportTarget, UsmUserData
from pysnmp.hlapi.v3arch.asyncio.lcd import CommandGeneratorLcdConfigurator
from pysnmp.proto import errind
from pysnmp.proto.rfc1902 import ObjectName
from pysnmp.proto.rfc1905 import EndOfMibView, NoSuchInstance, NoSuchObject
from pysnmp.smi.error import SmiError

from collectors.failures import PollError
from collectors.snmp.ber import Cells, content_of, decode_oid, encode_oid
from collectors.snmp.transport import raise_buffer
from collectors.snmp.usm import refuse_unusable
from collectors.snmp.walk import TooBigError, walk_cells
from collectors.snmp.wire import Agent, Oid, Tally, Value, Walk
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV1, SnmpV2c, SnmpV3

logging.getLogger("pysnmp").addHandler(logging.NullHandler())

RECEIVE_BUFFER = 8 << 20
_NULL = univ.Null("")
_MOST_OBJECTS = 60  # in one GET

_AUTH = {
    "MD5": config.USM_AUTH_HMAC96_MD5,
    "SHA": config.USM_AUTH_HMAC96_SHA,
    "SHA-224": config.USM_AUTH_HMAC128_SHA224,
    "SHA-256": config.USM_AUTH_HMAC192_SHA256,
    "SHA-384": config.USM_AUTH_HMAC256_SHA384,
    "SHA-512": config.USM_AUTH_HMAC384_SHA512,
}
_PRIVACY = {
    "AES-128": config.USM_PRIV_CFB128_AES,
    "AES-192": config.USM_PRIV_CFB192_AES,
    "AES-256": config.USM_PRIV_CFB256_AES,
    "DES": config.USM_PRIV_CBC56_DES,
}
_BLUMENTHAL = {
    "AES-192": config.USM_PRIV_CFB192_AES_BLUMENTHAL,
    "AES-256": config.USM_PRIV_CFB256_AES_BLUMENTHAL,
}
_AUTH_FAILURES = (
    errind.UnknownUserName,
    errind.UnknownSecurityName,
    errind.UnknownCommunityName,
    errind.WrongDigest,
    errind.AuthenticationFailure,
    errind.AuthenticationError,
    errind.NoAuthentication,
    errind.DecryptionError,
    errind.UnsupportedSecurityLevel,
    errind.UnsupportedAuthProtocol,
    errind.UnsupportedPrivProtocol,
)
_ENDS = (EndOfMibView, NoSuchInstance, NoSuchObject)
_UNENCODABLE = "user name, passphrase, community or object can't be written as SNMP"  # pyasn1 would show the secret
_TOO_BIG, _NO_ACCESS, _AUTHORIZATION_ERROR = 1, 6, 16  # error-status, RFC 3416


class PysnmpEngine:
    """Must be made and used inside one running event loop.

    Users of one name with different passphrases can't share a pysnmp engine: such a device gets a further one.
    """

    def __init__(self, *, receive_buffer: int = RECEIVE_BUFFER) -> None:
        self._receive_buffer = receive_buffer
        self._engines: list[_KeyedEngine] = []

    async def agent(self, device: Device) -> Agent:
        """The conversation with ``device``.

        Raises:
            PollError: the device has no SNMP access, its name is unknown, or its credentials can't be used.
        """
        if device.snmp is None:
            raise PollError("error", "no SNMP access configured")
        credentials = device.snmp.credentials
        if isinstance(credentials, SnmpV1):
            raise PollError("error", "the pysnmp engine asks by versions 2c and 3 only: use the fast one for version 1")
        if isinstance(credentials, SnmpV3):
            refuse_unusable(credentials)
        engine = self._engine_for(credentials).engine
        try:
            name = await _configure(engine, device.address, device.snmp, _credentials(credentials))
            probe = await _probe(engine, device.address, device.snmp, credentials)
        except PySnmpError as problem:
            raise PollError("error", f"can't ask {device.address}: {_configuration_problem(problem)}") from None
        except PyAsn1Error:
            raise PollError("error", f"can't ask {device.address}: {_UNENCODABLE}") from None
        return _PysnmpAgent(engine, name, probe, device.snmp)

    def _engine_for(self, credentials: SnmpV2c | SnmpV3) -> _KeyedEngine:
        for engine in self._engines:
            if engine.admits(credentials):
                return engine
        fresh = _KeyedEngine(_open_engine(self._receive_buffer), {})
        fresh.admits(credentials)
        self._engines.append(fresh)
        return fresh

    async def close(self) -> None:
        for keyed in self._engines:
            keyed.engine.close_dispatcher()
        self._engines.clear()
        await asyncio.sleep(0.01)  # lets the transports finish closing


@dataclass
class _KeyedEngine:
    engine: Any
    users: dict[str, SnmpV3]

    def admits(self, credentials: SnmpV2c | SnmpV3) -> bool:
        if isinstance(credentials, SnmpV2c):
            return True
        return self.users.setdefault(credentials.user, credentials) == credentials


@dataclass(frozen=True)
class _PysnmpAgent:
    engine: Any
    target: str
    probe: str | None
    access: SnmpAccess
    tally: Tally = field(default_factory=Tally)

    async def get(self, oids: Sequence[Oid]) -> Mapping[Oid, Value]:
        try:
            return await self._get_all(oids)
        except PollError as problem:
            if problem.status == "silent" and self.probe and await self._answers_strangers(self.probe):
                raise PollError("auth", "the agent is there but silent to this user: wrong privacy key?") from None
            raise

    async def _answers_strangers(self, probe: str) -> bool:
        """Agents drop what they can't decrypt (RFC 3414 section 3.2), yet report an unknown user."""
        try:
            await replace(self, target=probe, probe=None).get([(1, 3, 6, 1, 2, 1, 1, 3, 0)])
        except PollError as problem:
            return problem.status == "auth"
        return True

    async def _get_all(self, oids: Sequence[Oid]) -> Mapping[Oid, Value]:
        found: dict[Oid, Value] = {}
        for start in range(0, len(oids), _MOST_OBJECTS):
            names = _names(oids[start : start + _MOST_OBJECTS])
            answer = await self._ask(GetCommandGenerator().send_varbinds, (names,))
            found |= {tuple(oid): plain for oid, value in answer if (plain := plain_value(value)) is not None}
        return found

    async def walk(self, columns: Sequence[Oid], *, rows: int, max_rows: int, until: float) -> Walk:
        return await walk_cells(
            self._bulk, columns, repetitions=self.access.repetitions, rows=rows, max_rows=max_rows, until=until
        )

    def close(self) -> None:
        """All agents share the engine's sockets: nothing to give back."""

    async def _bulk(self, names: Sequence[bytes], repetitions: int) -> Sequence[Cells]:
        oids = [decode_oid(content_of(name)) for name in names]
        answer = await self._ask(BulkCommandGeneratorSingleRun().send_varbinds, (0, repetitions, _names(oids)))
        return [_cells(answer[place :: len(oids)]) for place in range(min(len(oids), len(answer)))]

    async def _ask(self, send: Callable[..., object], arguments: tuple[Any, ...]) -> Sequence[tuple[Any, Any]]:
        self.tally.requests += 1
        future: asyncio.Future[tuple[Any, Any, Any]] = asyncio.get_running_loop().create_future()
        try:
            send(self.engine, self.target, None, "", *arguments, _settle, future)
        except PySnmpError as problem:
            raise PollError("error", _one_line(problem)) from None
        except PyAsn1Error:
            raise PollError("error", _UNENCODABLE) from None
        indication, status, varbinds = await future
        if indication:
            raise _failure(indication)
        _check_status(int(status))
        return list(varbinds)


def _settle(
    _engine: Any, _handle: Any, indication: Any, status: Any, _index: Any, varbinds: Any, future: asyncio.Future[Any]
) -> None:
    if not future.done():
        future.set_result((indication, status, varbinds))


def _names(oids: Sequence[Oid]) -> list[tuple[Any, Any]]:
    return [(ObjectName(oid), _NULL) for oid in oids]


def _cells(varbinds: Sequence[tuple[Any, Any]]) -> Cells:
    own = list(takewhile(lambda varbind: not isinstance(varbind[1], _ENDS), varbinds))
    values = [plain_value(value) for _, value in own]
    return Cells([encode_oid(tuple(name)) for name, _ in own], values, None in values, len(own) < len(varbinds))


def plain_value(value: Any) -> Value | None:
    """A pysnmp value -> int, bytes or OID tuple; noSuchObject, noSuchInstance, endOfMibView -> None."""
    if isinstance(value, univ.Null):
        return None
    if isinstance(value, univ.Integer):
        return int(value)
    if isinstance(value, univ.OctetString):
        return bytes(value.asOctets())
    return tuple(value)


def _failure(indication: Any) -> PollError:
    if isinstance(indication, errind.RequestTimedOut):
        return PollError("silent", "no answer")
    if isinstance(indication, _AUTH_FAILURES):
        return PollError("auth", _one_line(indication))
    return PollError("error", _one_line(indication))


def _check_status(status: int) -> None:
    """RFC 3416 error-status -> exception; a missing object (noSuchName from SNMPv1 proxies) is not a failure."""
    if status == _TOO_BIG:
        raise TooBigError
    if status in (_NO_ACCESS, _AUTHORIZATION_ERROR):
        raise PollError("refused", "the agent refuses access")
    if status not in (0, 2):
        raise PollError("error", f"the agent answers error-status {status}")


async def _configure(engine: Any, address: str, access: SnmpAccess, credentials: Any) -> str:
    kind = Udp6TransportTarget if ":" in address else UdpTransportTarget
    target = await kind.create((address, access.port), timeout=access.timeout, retries=access.retries)
    return str(CommandGeneratorLcdConfigurator().configure(engine, credentials, target)[0])


async def _probe(engine: Any, address: str, access: SnmpAccess, credentials: SnmpV2c | SnmpV3) -> str | None:
    """A target by which an unknown user asks, where a wrong privacy passphrase would look like silence."""
    if isinstance(credentials, SnmpV2c) or credentials.privacy_passphrase is None:
        return None
    stranger = UsmUserData("nettwin-unknown")  # noqa: S509 - it is meant to be turned away
    return await _configure(engine, address, replace(access, retries=0), stranger)


def _configuration_problem(problem: PySnmpError) -> str:
    if "transport address" in str(problem):
        return "unknown host name"
    return _UNENCODABLE if isinstance(problem, SmiError) else _one_line(problem)


def _credentials(credentials: SnmpV2c | SnmpV3) -> Any:
    if isinstance(credentials, SnmpV2c):
        return CommunityData(credentials.community.reveal(), mpModel=1)  # noqa: S508 - most equipment has no more
    auth, privacy = protocols(credentials)
    return UsmUserData(
        credentials.user,
        authKey=_revealed(credentials.auth_passphrase),
        privKey=_revealed(credentials.privacy_passphrase),
        authProtocol=auth,
        privProtocol=privacy,
    )


def protocols(credentials: SnmpV3) -> tuple[Oid, Oid]:
    """pysnmp's names for what the credentials choose: (authentication, privacy)."""
    privacy = _PRIVACY | (_BLUMENTHAL if credentials.key_extension == "blumenthal" else {})
    return (
        _AUTH[credentials.auth] if credentials.auth_passphrase else config.USM_AUTH_NONE,
        privacy[credentials.privacy] if credentials.privacy_passphrase else config.USM_PRIV_NONE,
    )


def _revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None


def _open_engine(receive_buffer: int) -> Any:
    engine = SnmpEngine()
    _add_transport(engine, udp, socket.AF_INET, "0.0.0.0", receive_buffer)  # noqa: S104 - replies come from anywhere
    with suppress(OSError):  # hosts without IPv6
        _add_transport(engine, udp6, socket.AF_INET6, "::", receive_buffer)
    return engine


def _add_transport(engine: Any, carrier: Any, family: socket.AddressFamily, local: str, receive_buffer: int) -> None:
    """All agents share this socket: with the default buffer, 200 agents at once overflow it."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        raise_buffer(sock, receive_buffer)
        sock.setblocking(False)
        sock.bind((local, 0))
    except OSError:
        sock.close()
        raise
    transport = (udp.UdpAsyncioTransport if carrier is udp else udp6.Udp6AsyncioTransport)()
    config.add_transport(engine, carrier.DOMAIN_NAME, transport.open_server_mode(sock=sock))


def _one_line(problem: object) -> str:
    return " ".join(str(problem).split())[:200]
