"""SNMPv3's user-based security: keys as published, and an agent that reboots, changes or is impersonated."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.type.univ import OctetString  # type: ignore[import-untyped] # pyasn1 comes without types
from pysnmp.entity import config
from pysnmp.proto.secmod.eso.priv import aes192, aes256
from pysnmp.proto.secmod.rfc3414 import localkey

from collectors.failures import PollError
from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.usm_keys import DIGESTS, AesCipher, DesCipher, extended_key, localised_key, passphrase_key
from collectors.snmp.wire import parse_oid
from tests.collectors.scripted import Sent, number, parts, resigned, scripted, security_of, tlv
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV3

ENGINE_OF_A3 = bytes(11) + b"\x02"
PUBLISHED = {  # RFC 3414 appendix A.3: the keys of "maplesyrup"
    "md5": ("9faf3283884e92834ebc9847d8edd963", "526f5eed9fcce26f8964c2930787d82b"),
    "sha1": ("9fb5cc0381497b3793528939ff788d5d79145211", "6695febc9288e36282235fc7151f128497b38f3f"),
}


@pytest.mark.parametrize(("digest", "keys"), PUBLISHED.items())
def test_keys_are_those_the_rfc_shows(digest: str, keys: tuple[str, str]) -> None:
    key = passphrase_key(b"maplesyrup", digest)
    assert (key.hex(), localised_key(key, ENGINE_OF_A3, digest).hex()) == keys


EXTENSIONS: Mapping[tuple[str, int], Any] = {
    ("reeder", 24): aes192.Aes192,
    ("reeder", 32): aes256.Aes256,
    ("blumenthal", 24): aes192.AesBlumenthal192,
    ("blumenthal", 32): aes256.AesBlumenthal256,
}
PYSNMP = {
    "MD5": config.USM_AUTH_HMAC96_MD5,
    "SHA": config.USM_AUTH_HMAC96_SHA,
    "SHA-224": config.USM_AUTH_HMAC128_SHA224,
    "SHA-256": config.USM_AUTH_HMAC192_SHA256,
    "SHA-384": config.USM_AUTH_HMAC256_SHA384,
    "SHA-512": config.USM_AUTH_HMAC384_SHA512,
}


@settings(max_examples=20)
@given(st.binary(min_size=8, max_size=40), st.binary(min_size=5, max_size=32), st.sampled_from(sorted(DIGESTS)))
def test_keys_are_those_of_pysnmp(passphrase: bytes, engine: bytes, name: str) -> None:
    digest, _ = DIGESTS[name]
    key = passphrase_key(passphrase, digest)
    theirs = localkey.hash_passphrase(passphrase, getattr(hashlib, digest))
    assert key == bytes(theirs)
    local = localised_key(key, engine, digest)
    assert local == bytes(localkey.localize_key(theirs, OctetString(engine), getattr(hashlib, digest)))
    for (extension, octets), kind in EXTENSIONS.items():
        expected = kind().localize_key(PYSNMP[name], theirs, OctetString(engine))
        assert extended_key(local, engine, digest, octets, extension) == bytes(expected)


@given(st.binary(max_size=300), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(0, 2**64 - 1))
def test_what_is_encrypted_is_decrypted(plain: bytes, boots: int, clock: int, count: int) -> None:
    for cipher in (AesCipher(bytes(range(32))), AesCipher(bytes(24)), DesCipher(bytes(range(16)))):
        encrypted, salt = cipher.encrypt(plain, boots, clock, count)
        assert cipher.decrypt(encrypted, boots, clock, salt)[: len(plain)] == plain
        assert len(encrypted) - len(plain) <= cipher.padding
        with pytest.raises(ValueError, match="8 octets"):
            cipher.decrypt(encrypted, boots, clock, salt + b"\x00")


SYS_NAME = parse_oid("1.3.6.1.2.1.1.5.0")
NAME = bytes.fromhex("2b06010201010500")
NOT_IN_WINDOW, UNKNOWN_ENGINE = bytes.fromhex("2b060106030f01010200"), bytes.fromhex("2b060106030f01010400")
PASSPHRASE = "authpass123"
USER = SnmpV3("twin", "SHA-256", Secret(PASSPHRASE))


@dataclass(frozen=True)
class Said:
    """What a message of the agent holds."""

    engine: bytes
    boots: int
    clock: int
    kind: int
    name: bytes
    value: bytes
    signed: bool = True
    context: bytes = b""

    def encoded(self, message_id: bytes) -> bytes:
        pdu = message_id + number(0) + number(0) + tlv(0x30, tlv(0x30, tlv(6, self.name) + self.value))
        scoped = tlv(0x30, tlv(4, self.engine) + tlv(4, self.context) + tlv(self.kind, pdu))
        flags = bytes((1 if self.signed else 0,))
        header = tlv(0x30, message_id + number(65507) + tlv(4, flags) + number(3))
        who = tlv(4, self.engine) + number(self.boots) + number(self.clock) + tlv(4, b"twin" if self.signed else b"")
        security = tlv(4, tlv(0x30, who + tlv(4, bytes(24 if self.signed else 0)) + tlv(4, b"")))
        message = tlv(0x30, number(3) + header + security + scoped)
        return resigned(message, PASSPHRASE) if self.signed else message


@dataclass
class Agent:
    """An authoritative engine as RFC 3414 section 3.2 has it, for one user with authentication.

    ``also``: what is sent before the honest answer, made from it.
    """

    engine: bytes = b"\x80\x00\x1f\x88\x04nettwin"
    boots: int = 7
    clock: int = 1000
    also: Callable[[Said], list[Said]] = lambda _honest: []
    keep_honest: bool = True
    heard: list[tuple[bytes, int, int]] = field(default_factory=list)

    def __call__(self, datagram: bytes, _asked: int) -> list[Sent]:
        where = security_of(datagram)
        engine = datagram[slice(*where.engine)]
        boots, clock = (int.from_bytes(datagram[slice(*place)]) for place in (where.boots, where.time))
        self.heard.append((engine, boots, clock))
        message_id = number(int.from_bytes(parts(parts(parts(datagram)[0])[1])[0]))
        honest = self._answer(engine, boots, clock)
        told = [*self.also(honest), *([honest] if self.keep_honest else [])]
        return [Sent(said.encoded(message_id)) for said in told]

    def _answer(self, engine: bytes, boots: int, clock: int) -> Said:
        said = Said(self.engine, self.boots, self.clock, 0xA8, UNKNOWN_ENGINE, number(1, 0x41), signed=False)
        if engine != self.engine:
            return said
        if boots != self.boots or abs(clock - self.clock) > 150:
            return replace(said, name=NOT_IN_WINDOW, signed=True)
        return replace(said, kind=0xA2, name=NAME, value=tlv(4, b"box"), signed=True)


def polls(agent: Agent, *between: Callable[[], None]) -> list[Any]:
    """Of a first poll and of one after each event: how many requests it took, or the reason why it failed."""

    async def run() -> list[Any]:
        engine = FastEngine()
        async with scripted(agent) as port:
            access = SnmpAccess(USER, port=port, timeout=0.15, retries=1)
            results = [await poll(engine, access)]
            for event in between:
                event()
                results.append(await poll(engine, access))
        await engine.close()
        return results

    return asyncio.run(run())


async def poll(engine: FastEngine, access: SnmpAccess) -> int | str:
    with closing(await engine.agent(Device("box", "127.0.0.1", access))) as agent:
        try:
            assert await agent.get([SYS_NAME]) == {SYS_NAME: b"box"}
        except PollError as problem:
            return problem.reason
        return agent.tally.requests


def test_an_engine_is_discovered_once() -> None:
    assert polls(Agent(), lambda: None) == [2, 1]


def test_an_agent_that_rebooted_costs_one_request_more() -> None:
    agent = Agent()

    def reboot() -> None:
        agent.boots, agent.clock = agent.boots + 1, 3

    assert polls(agent, reboot, lambda: None) == [2, 2, 1]


def test_an_agent_whose_clock_jumped_is_followed() -> None:
    agent = Agent()

    def jump() -> None:
        agent.clock += 5000

    assert polls(agent, jump, lambda: None) == [2, 2, 1]


def test_an_engine_that_changed_is_discovered_anew() -> None:
    agent = Agent()

    def exchange() -> None:
        agent.engine, agent.boots = agent.engine + b"2", 1

    assert polls(agent, exchange, lambda: None) == [2, 2, 1]


def test_boots_that_go_back_fail_once_by_name() -> None:
    agent = Agent()

    def lose_memory() -> None:
        agent.boots, agent.clock = 1, 5

    first, second, third = polls(agent, lose_memory, lambda: None)
    assert (first, third) == (2, 2)
    assert "boots went back from 7 to 1" in second


FORGED: Mapping[str, Callable[[Said], Said]] = {
    "an unsigned report of the time": lambda honest: replace(
        honest, boots=900, kind=0xA8, name=NOT_IN_WINDOW, signed=False
    ),
    "an unsigned answer": lambda honest: replace(honest, value=tlv(4, b"forged"), signed=False),
    "an unsigned answer from later": lambda honest: replace(honest, boots=99, value=tlv(4, b"forged"), signed=False),
    "an answer of another engine": lambda honest: replace(honest, engine=b"\x80\x00\x00\x00\x05other"),
    "an old answer": lambda honest: replace(honest, clock=honest.clock - 200, value=tlv(4, b"replayed")),
    "an answer from before the reboot": lambda honest: replace(honest, boots=6, value=tlv(4, b"replayed")),
    "an answer from another context": lambda honest: replace(honest, context=b"vrf", value=tlv(4, b"other")),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_what_is_forged_or_replayed_is_ignored(forge: Callable[[Said], Said]) -> None:
    agent = Agent()

    def impersonate() -> None:
        agent.also = lambda honest: [forge(honest)]

    def be_alone() -> None:
        agent.also = lambda _honest: []

    assert polls(agent, impersonate, be_alone) == [2, 1, 1]
    assert all(boots == agent.boots for _, boots, _ in agent.heard[1:])


def test_an_answer_with_a_wrong_digest_is_ignored() -> None:
    agent = Agent()

    def spoiled(datagram: bytes, asked: int) -> list[Sent]:
        (honest,) = agent(datagram, asked)
        if asked == 1:
            return [honest]
        return [Sent(honest.datagram.replace(b"box", b"bad")), honest]

    assert polls(spoiled, lambda: None) == [2, 1]  # type: ignore[arg-type] # a script as well


def test_an_impostors_engine_is_not_remembered() -> None:
    """Anybody can say unknownEngineIDs; one that can't sign for its engine is believed for that request only."""
    agent = Agent()

    def impersonate() -> None:
        agent.keep_honest = False
        agent.also = lambda honest: [
            replace(honest, engine=b"\x80\x00\x00\x00\x05evil", kind=0xA8, name=UNKNOWN_ENGINE, signed=False)
        ]

    def be_alone() -> None:
        agent.keep_honest, agent.also = True, lambda _honest: []

    first, second, third = polls(agent, impersonate, be_alone)
    assert (first, third) == (2, 1)
    assert "own engine-id" in second


def test_the_messages_are_as_the_rfc_lays_them_out() -> None:
    """Level and reportable flag, security model, and a clock that goes on from what the agent told."""
    agent = Agent()
    heard: list[bytes] = []

    def listening(datagram: bytes, asked: int) -> list[Sent]:
        heard.append(datagram)
        return agent(datagram, asked)

    assert polls(listening, lambda: None) == [2, 1]  # type: ignore[arg-type] # a script as well
    headers = [parts(parts(parts(datagram)[0])[1]) for datagram in heard]
    assert [header[2] for header in headers] == [b"\x04", b"\x05", b"\x05"]
    assert {header[3] for header in headers} == {b"\x03"}
    assert len({header[0] for header in headers}) == 3
    assert agent.heard == [(b"", 0, 0), (agent.engine, 7, 1000), (agent.engine, 7, 1000)]
