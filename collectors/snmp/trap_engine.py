"""pysnmp's side of receiving: one SnmpEngine that judges notifications (RFC 3413, 3414) from senders we know.

pysnmp has no wildcard for engine ids that works with authentication, keeps no replay window for traps (it takes over a
sender's time before comparing it) and acknowledges informs before asking anyone: these three are done here.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from pyasn1.codec.ber import decoder  # type: ignore[import-untyped] # pyasn1 comes without types
from pysnmp.carrier.asyncio.dgram import udp, udp6
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413.ntfrcv import NotificationReceiver
from pysnmp.proto import rfc1902
from pysnmp.proto.api.verdec import decode_message_version
from pysnmp.proto.mpmod.rfc3412 import SNMPv3Message
from pysnmp.proto.secmod.rfc3414.service import SnmpUSMSecurityModel, UsmSecurityParameters

from collectors.snmp.notification import Varbinds
from collectors.snmp.pysnmp_engine import plain_value, protocols
from twin.vocab.inventory import SnmpV1, SnmpV2c, SnmpV3

Address: TypeAlias = tuple[Any, ...]
Send: TypeAlias = Callable[[bytes, Address], None]

TIME_WINDOW_S = 150  # RFC 3414 section 2.2.3
MOST_ENGINES = 2000  # whose keys are kept: pysnmp takes 30 KB for each, and 3 ms to make it anew
_USM, _VERSION_3, _LAST_BOOT = 3, 3, 2**31 - 1
_COUNTERS = {
    "snmpInASNParseErrs": ("__SNMPv2-MIB", "malformed"),
    "snmpInBadVersions": ("__SNMPv2-MIB", "malformed"),
    "snmpInBadCommunityNames": ("__SNMPv2-MIB", "wrong community"),
    "usmStatsUnknownUserNames": ("__SNMP-USER-BASED-SM-MIB", "unknown user"),
    "usmStatsUnsupportedSecLevels": ("__SNMP-USER-BASED-SM-MIB", "wrong security level"),
    "usmStatsWrongDigests": ("__SNMP-USER-BASED-SM-MIB", "wrong authentication"),
    "usmStatsDecryptionErrors": ("__SNMP-USER-BASED-SM-MIB", "wrong privacy key"),
    "usmStatsNotInTimeWindows": ("__SNMP-USER-BASED-SM-MIB", "outside the time window"),
}


@dataclass(frozen=True)
class Identity:
    """The receiver as an SNMP engine: informs over SNMPv3 are addressed to its id (RFC 3411 SnmpEngineID).

    ``boots`` must grow with every start (RFC 3414 section 2.2.2).
    """

    engine_id: bytes
    boots: int


@dataclass(frozen=True)
class Sender:
    """A device that may send notifications, and as whom."""

    device: str
    credentials: SnmpV1 | SnmpV2c | SnmpV3


@dataclass(frozen=True)
class Heard:
    """What became of a datagram: who sent which varbinds, or why it was dropped; neither: engine discovery."""

    device: str = ""
    varbinds: Varbinds = ()
    dropped: str = ""


@dataclass(frozen=True)
class _Usm:
    """The security parameters of an SNMPv3 message, not yet verified."""

    engine_id: bytes
    boots: int
    time: int
    user: str


@dataclass(frozen=True)
class Clock:
    """The newest (boots, time) an engine has shown, and when that was (monotonic seconds)."""

    boots: int
    time: int
    at: float

    def accepts(self, boots: int, time: int, now: float) -> bool:
        """RFC 3414 section 3.2 step 7b: not of an earlier boot, not more than 150 s behind."""
        behind = self.time + (now - self.at) - time
        return boots > self.boots or (boots == self.boots and behind <= TIME_WINDOW_S)

    def after(self, boots: int, time: int, now: float) -> Clock:
        return Clock(boots, time, now) if (boots, time) > (self.boots, self.time) else self


class TrapEngine:
    """One pysnmp engine; of its senders, no two have the same user with different keys. Use inside one event loop."""

    def __init__(self, identity: Identity, send: Send) -> None:
        self._identity = identity
        self._send = send
        self._users: dict[str, SnmpV3] = {}
        self._communities: dict[str, str] = {}
        self._learnt: set[tuple[bytes, str]] = set()
        self._clocks: dict[bytes, Clock] = {}
        self._senders: Sequence[Sender] = ()
        self._usm: _Usm | None = None
        self._now = 0.0
        self._heard = Heard()
        self._engine = self._open()

    def _open(self) -> Any:
        engine = _open(self._identity, self._send)
        _Judge(engine, self._judge, self._take)
        return engine

    def admits(self, credentials: SnmpV1 | SnmpV2c | SnmpV3) -> bool:
        """Whether a sender with these can be served here; from then on it is."""
        if not isinstance(credentials, SnmpV3):
            self._know_community(credentials.community.reveal())
            return True
        if credentials.user not in self._users:
            self._users[credentials.user] = credentials
            self._add_user(credentials, self._identity.engine_id)
        return self._users[credentials.user] == credentials

    def _know_community(self, community: str) -> None:
        if community not in self._communities:
            self._communities[community] = f"c{len(self._communities)}"
            config.add_v1_system(self._engine, self._communities[community], community)

    def _add_user(self, user: SnmpV3, engine_id: bytes) -> None:
        auth, privacy = protocols(user)
        auth_key, privacy_key = _master_keys(user)
        config.add_v3_user(
            self._engine,
            user.user,
            auth,
            auth_key,
            privacy,
            privacy_key,
            securityEngineId=rfc1902.OctetString(engine_id),
            authKeyType=config.USM_KEY_TYPE_MASTER,
            privKeyType=config.USM_KEY_TYPE_MASTER,
        )

    def hear(self, datagram: bytes, address: Address, senders: Sequence[Sender], now: float) -> Heard:
        """One datagram from an address that is these senders'. ``now``: monotonic seconds. Never raises."""
        self._senders, self._now, self._heard, self._usm = senders, now, Heard(), None
        before: dict[str, int] = {}
        try:
            self._usm = _security_parameters(datagram)
            if self._usm is not None:
                self._learn(self._usm)
            before = self._counts()
            domain = udp6.DOMAIN_NAME if len(address) > 2 else udp.DOMAIN_NAME
            self._engine.message_dispatcher.receive_message(self._engine, domain, address, datagram)
        except Exception:  # noqa: BLE001 - whatever pysnmp and pyasn1 make of hostile octets
            return Heard(dropped="malformed")
        finally:
            self._forget_state()
        if self._heard == Heard():
            return Heard(dropped=next((r for n, r in _reasons(before, self._counts()) if n), ""))
        return self._heard

    def _learn(self, usm: _Usm) -> None:
        """Localise a user's keys for an engine id at first sight, only for a sender that has this user.

        What it then sends still has to be authentic.
        """
        if (
            usm.user not in map(_user_of, self._senders)
            or usm.engine_id == self._identity.engine_id
            or not 5 <= len(usm.engine_id) <= 32
        ):
            return
        key = (usm.engine_id, usm.user)
        if key not in self._learnt:
            if len(self._learnt) >= MOST_ENGINES:
                self._begin_anew()
            self._add_user(self._users[usm.user], usm.engine_id)
            self._learnt.add(key)

    def _begin_anew(self) -> None:
        """Forget what was learnt: to take one user out again, pysnmp walks through all of them."""
        self._engine.close_dispatcher()
        self._engine = self._open()
        self._learnt.clear()
        for community, name in self._communities.items():
            config.add_v1_system(self._engine, name, community)
        for user in self._users.values():
            self._add_user(user, self._identity.engine_id)

    def _judge(self, model: int, name: str, level: int) -> bool:
        """Whether the message, authentic for somebody, is one of the sender's at this address, and not replayed."""
        sender = next((s for s in self._senders if self._is(s, model, name, level)), None)
        if sender is None:
            self._heard = Heard(dropped="another device's credentials, or too weak")
        elif self._usm is not None and not self._timely(self._usm, level):
            self._heard = Heard(dropped="outside the time window")
        else:
            self._heard = Heard(sender.device)
            return True
        return False

    def _is(self, sender: Sender, model: int, name: str, level: int) -> bool:
        c = sender.credentials
        if isinstance(c, SnmpV3):
            return model == _USM and hmac.compare_digest(c.user.encode(), name.encode()) and level == _level(c)
        return model != _USM and self._communities.get(c.community.reveal()) == name

    def _timely(self, usm: _Usm, level: int) -> bool:
        """Without authentication, time means nothing; to us as the authority, pysnmp has compared it."""
        if level == 1 or usm.engine_id == self._identity.engine_id:
            return True
        known = self._clocks.get(usm.engine_id)
        if usm.boots == _LAST_BOOT or (known and not known.accepts(usm.boots, usm.time, self._now)):
            return False
        fresh = known or Clock(usm.boots, usm.time, self._now)
        self._clocks[usm.engine_id] = fresh.after(usm.boots, usm.time, self._now)
        return True

    def _take(self, varbinds: Sequence[tuple[Any, Any]]) -> None:
        self._heard = Heard(self._heard.device, [(tuple(oid), plain_value(value)) for oid, value in varbinds])

    def _counts(self) -> dict[str, int]:
        builder = self._engine.get_mib_builder()
        return {name: int(builder.import_symbols(mib, name)[0].syntax) for name, (mib, _) in _COUNTERS.items()}

    def _forget_state(self) -> None:
        """Everything is answered at once: what pysnmp still holds of a message after it, it would hold for ever."""
        model = self._engine.security_models[_USM]
        if not model._cache.is_empty():  # noqa: SLF001 - there is no other door
            model._cache = type(model._cache)()  # noqa: SLF001

    def close(self) -> None:
        self._engine.close_dispatcher()


class _Judge(NotificationReceiver):  # type: ignore[misc] # pysnmp comes without types
    """Asks before it acknowledges an inform."""

    def __init__(
        self, engine: Any, judge: Callable[[int, str, int], bool], take: Callable[[Sequence[tuple[Any, Any]]], None]
    ) -> None:
        self._judge = judge
        super().__init__(engine, lambda _engine, _state, _context, _name, varbinds, _: take(varbinds))

    def process_pdu(self, engine: Any, version: Any, model: Any, name: Any, level: Any, *rest: Any) -> None:
        if self._judge(int(model), str(name), int(level)):
            super().process_pdu(engine, version, model, name, level, *rest)


class _Outbound(udp.UdpAsyncioTransport):  # type: ignore[misc] # pysnmp comes without types
    """Answers leave by the receiver's own socket."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def send_message(self, message: bytes, address: Address) -> None:
        self._send(message, tuple(address))


def _open(identity: Identity, send: Send) -> Any:
    """An engine of this identity. (Given to its constructor, pysnmp would keep the boots in a shared directory.)"""
    engine = SnmpEngine()
    engine_id, boots = engine.get_mib_builder().import_symbols(
        "__SNMP-FRAMEWORK-MIB", "snmpEngineID", "snmpEngineBoots"
    )
    engine_id.syntax = engine_id.syntax.clone(identity.engine_id)
    engine.snmpEngineID = engine_id.syntax
    boots.syntax = boots.syntax.clone(identity.boots)
    for domain in (udp.DOMAIN_NAME, udp6.DOMAIN_NAME):
        config.add_transport(engine, domain, _Outbound(send))
    return engine


def _security_parameters(datagram: bytes) -> _Usm | None:
    """Of an SNMPv3 message; None for another version. Raises what pyasn1 and pysnmp raise."""
    if int(decode_message_version(datagram)) != _VERSION_3:
        return None
    message, _ = decoder.decode(datagram, asn1Spec=SNMPv3Message())
    fields, _ = decoder.decode(message.getComponentByPosition(2), asn1Spec=UsmSecurityParameters())
    engine_id, boots, time, user = (fields.getComponentByPosition(n) for n in range(4))
    return _Usm(bytes(engine_id), int(boots), int(time), bytes(user).decode("utf-8", "replace"))


def _reasons(before: dict[str, int], after: dict[str, int]) -> list[tuple[bool, str]]:
    return [(after[name] > before[name], reason) for name, (_, reason) in _COUNTERS.items()]


def _user_of(sender: Sender) -> str | None:
    return sender.credentials.user if isinstance(sender.credentials, SnmpV3) else None


def _level(credentials: SnmpV3) -> int:
    """RFC 3411 SnmpSecurityLevel: 1 noAuthNoPriv, 2 authNoPriv, 3 authPriv."""
    return 3 if credentials.privacy_passphrase else 2 if credentials.auth_passphrase else 1


@lru_cache(maxsize=1024)
def _master_keys(user: SnmpV3) -> tuple[Any, Any]:
    """Passphrases hashed (RFC 3414 section 2.6), which takes milliseconds: once a user, not once an engine."""
    auth, privacy = protocols(user)
    auth_key = privacy_key = None
    if user.auth_passphrase:
        auth_key = SnmpUSMSecurityModel.AUTH_SERVICES[auth].hash_passphrase(user.auth_passphrase.reveal().encode())
    if user.privacy_passphrase:
        service = SnmpUSMSecurityModel.PRIV_SERVICES[privacy]
        privacy_key = service.hash_passphrase(auth, user.privacy_passphrase.reveal().encode())
    return auth_key, privacy_key
