"""Both engines against a real net-snmp agent, an agent that loops, and nobody at all."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeVar

import pytest
from pyasn1.codec.ber import decoder, encoder  # type: ignore[import-untyped] # pyasn1 comes without types
from pysnmp.proto.api import v2c as v2c_api

from collectors.failures import PollError
from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.pysnmp_engine import PysnmpEngine
from collectors.snmp.wire import Agent, Engine, Oid, Walk, parse_oid
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c, SnmpV3

T = TypeVar("T")
Make = Callable[[], Engine]
ENGINES: dict[str, Make] = {"fast": FastEngine, "pysnmp": PysnmpEngine}
SYS_NAME = parse_oid("1.3.6.1.2.1.1.5.0")
IF_INDEX, IF_DESCR = parse_oid("1.3.6.1.2.1.2.2.1.1"), parse_oid("1.3.6.1.2.1.2.2.1.2")
AUTH, PRIVACY = Secret("authpass123"), Secret("privpass123")
PUBLIC = SnmpV2c(Secret("public"))
TWIN = SnmpV3("twin", auth_passphrase=AUTH, privacy_passphrase=PRIVACY)


@pytest.fixture(params=ENGINES)
def make(request: pytest.FixtureRequest) -> Make:
    """An engine of each kind."""
    return ENGINES[request.param]


def device(port: int, credentials: SnmpV2c | SnmpV3, *, timeout: float = 2.0) -> Device:
    return Device("box", "127.0.0.1", SnmpAccess(credentials, port=port, timeout=timeout, retries=1))


def ask(make: Make, target: Device, question: Callable[[Agent], Any]) -> Any:
    async def conversation() -> Any:
        engine = make()
        try:
            agent = await engine.agent(target)
            with closing(agent):
                return await question(agent)
        finally:
            await engine.close()

    return asyncio.run(conversation())


ACCEPTED = {
    "v2c": PUBLIC,
    "v3 SHA-256 AES-128": TWIN,
    "v3 MD5 DES": SnmpV3("old", "MD5", AUTH, "DES", PRIVACY),
    "v3 SHA-512 without privacy": SnmpV3("newer", "SHA-512", AUTH),
    "v3 without anything": SnmpV3("open"),
    "v3 SHA-1 AES-128": SnmpV3("sha1", "SHA", AUTH, "AES-128", PRIVACY),
    "v3 SHA-224 AES-192": SnmpV3("sha224", "SHA-224", AUTH, "AES-192", PRIVACY),
    "v3 SHA-384 AES-256": SnmpV3("sha384", "SHA-384", AUTH, "AES-256", PRIVACY),
    "v3 SHA-1 AES-256, Reeder": SnmpV3("reeder", "SHA", AUTH, "AES-256", PRIVACY),
    "v3 SHA-1 AES-256, Blumenthal": SnmpV3("blumenthal", "SHA", AUTH, "AES-256", PRIVACY, "blumenthal"),
}


@pytest.mark.parametrize("credentials", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_good_credentials_are_answered_with_plain_values(
    make: Make, snmpd_port: int, credentials: SnmpV2c | SnmpV3
) -> None:
    absent = parse_oid("1.3.6.1.2.1.1.99.0")
    got = ask(make, device(snmpd_port, credentials), lambda agent: agent.get([SYS_NAME, absent]))
    assert got == {SYS_NAME: b"box"}


REJECTED = {
    "wrong community": (SnmpV2c(Secret("wrong")), "silent", "no answer"),
    "unknown user": (SnmpV3("nobody", auth_passphrase=AUTH), "auth", "user"),
    "wrong authentication": (
        SnmpV3("twin", auth_passphrase=Secret("wrongpass1"), privacy_passphrase=PRIVACY),
        "auth",
        "digest",
    ),
    "wrong privacy": (SnmpV3("twin", auth_passphrase=AUTH, privacy_passphrase=Secret("wrongpass1")), "auth", "privacy"),
    "no privacy where it is demanded": (SnmpV3("twin", auth_passphrase=AUTH), "refused", "access"),
}


@pytest.mark.parametrize(("credentials", "status", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_bad_credentials_are_told_apart(
    make: Make, snmpd_port: int, credentials: SnmpV2c | SnmpV3, status: str, reason: str
) -> None:
    with pytest.raises(PollError, match=reason) as caught:
        ask(make, device(snmpd_port, credentials, timeout=0.3), lambda agent: agent.get([SYS_NAME]))
    assert caught.value.status == status


SHORT = Secret("ab12cd3")
UNUSABLE = {
    "a user name too long": (SnmpV3("u" * 33, auth_passphrase=AUTH), "auth", "1 to 32 octets, not 33"),
    "no user name": (SnmpV3("", auth_passphrase=AUTH), "auth", "1 to 32 octets, not 0"),
    "a short passphrase": (SnmpV3("twin", auth_passphrase=SHORT), "auth", "authentication passphrase is shorter"),
    "a short privacy passphrase": (
        SnmpV3("twin", auth_passphrase=AUTH, privacy_passphrase=SHORT),
        "auth",
        "privacy passphrase is shorter",
    ),
}


@pytest.mark.parametrize(("credentials", "status", "reason"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_what_no_agent_can_have_is_refused_without_showing_it(
    make: Make, credentials: SnmpV2c | SnmpV3, status: str, reason: str
) -> None:
    with pytest.raises(PollError, match=reason) as caught:
        ask(make, device(9, credentials, timeout=0.1), lambda agent: agent.get([SYS_NAME]))
    assert caught.value.status == status
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert "ab12cd3" not in text


UNWRITABLE = {
    "a passphrase": SnmpV3("twin", auth_passphrase=Secret("пароль" * 4)),
    "a community": SnmpV2c(Secret("тайна")),
}


@pytest.mark.parametrize("credentials", UNWRITABLE.values(), ids=UNWRITABLE.keys())
def test_what_pysnmp_cannot_write_is_refused_without_showing_it(credentials: SnmpV2c | SnmpV3) -> None:
    with pytest.raises(PollError, match="be written") as caught:
        ask(PysnmpEngine, device(9, credentials, timeout=0.1), lambda agent: agent.get([SYS_NAME]))
    assert not [s for s in ("пароль", "тайна") if s in str(caught.value)]


def test_one_name_with_two_passphrases_serves_both_devices(make: Make, snmpd_port: int) -> None:
    wrong = SnmpV3("twin", auth_passphrase=Secret("wrongpass1"), privacy_passphrase=PRIVACY)

    async def both() -> tuple[Any, ...]:
        engine = make()
        try:
            agents = [await engine.agent(device(snmpd_port, c)) for c in (wrong, TWIN, wrong, TWIN)]
            return tuple(await asyncio.gather(*(a.get([SYS_NAME]) for a in agents), return_exceptions=True))
        finally:
            await engine.close()

    bad, good, bad_again, good_again = asyncio.run(both())
    assert good == good_again == {SYS_NAME: b"box"}
    assert bad.status == bad_again.status == "auth"


def test_columns_are_walked_side_by_side(make: Make, snmpd_port: int) -> None:
    walk: Walk = ask(
        make,
        device(snmpd_port, PUBLIC),
        lambda agent: agent.walk([IF_INDEX, IF_DESCR], rows=4, max_rows=100, until=math.inf),
    )
    names = {oid[-1]: value for oid, value in walk.varbinds if oid[:-1] == IF_DESCR}
    assert names.keys() == {value for oid, value in walk.varbinds if oid[:-1] == IF_INDEX}
    assert b"lo" in names.values()
    assert walk.cut == ()


def test_nobody_there_is_silence(make: Make) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        with pytest.raises(PollError) as caught:
            ask(make, device(mute.getsockname()[1], PUBLIC, timeout=0.2), lambda agent: agent.get([SYS_NAME]))
    assert caught.value.status == "silent"


def test_an_unknown_host_name_is_an_error(make: Make) -> None:
    lost = Device("lost", "no-such-host.invalid", SnmpAccess(PUBLIC))
    with pytest.raises(PollError, match="unknown host name"):
        ask(make, lost, lambda agent: agent.get([SYS_NAME]))


@pytest.fixture
def looping_port() -> Iterator[int]:
    """An agent that answers every GETBULK with rows 1, 2, 3, 1, 2, 3 of the column asked for."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    worker = threading.Thread(target=_loop_for_ever, args=(sock,))
    worker.start()
    yield int(sock.getsockname()[1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bell:
        bell.sendto(b"", sock.getsockname())
    worker.join(5)
    sock.close()


def _loop_for_ever(sock: socket.socket) -> None:
    while True:
        packet, peer = sock.recvfrom(65535)
        if not packet:
            return
        message, _ = decoder.decode(packet, asn1Spec=v2c_api.Message())
        request = v2c_api.apiMessage.get_pdu(message)
        column = tuple(v2c_api.apiPDU.get_varbinds(request)[0][0])[: len(IF_INDEX)]
        response = v2c_api.GetResponsePDU()
        v2c_api.apiPDU.set_defaults(response)
        v2c_api.apiPDU.set_request_id(response, v2c_api.apiPDU.get_request_id(request))
        rows = [((*column, row), v2c_api.Integer(row)) for row in (1, 2, 3, 1, 2, 3)]
        v2c_api.apiPDU.set_varbinds(response, rows)
        v2c_api.apiMessage.set_pdu(message, response)
        sock.sendto(encoder.encode(message), peer)


def test_a_looping_agent_ends_its_column_and_keeps_its_rows(make: Make, looping_port: int) -> None:
    walk: Walk = ask(
        make, device(looping_port, PUBLIC), lambda agent: agent.walk([IF_INDEX], rows=4, max_rows=100, until=math.inf)
    )
    rows: list[Oid] = [oid for oid, _ in walk.varbinds]
    assert rows == [(*IF_INDEX, 1), (*IF_INDEX, 2), (*IF_INDEX, 3)]
    assert "does not increase" in walk.cut[0]
