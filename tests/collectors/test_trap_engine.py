"""What a known device's address may send: mutated captures of real notifications, by the thousand."""

from __future__ import annotations

import asyncio
import random
import resource
import shutil
import socket
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from collectors.snmp.trap_engine import Heard, Identity, Sender, TrapEngine
from twin.vocab.inventory import Secret, SnmpV2c, SnmpV3

IDENTITY = Identity(b"\x80\x00\x00\x00\x05receiver", 7)
PUBLIC = SnmpV2c(Secret("public"))
TWIN = SnmpV3("twin", auth_passphrase=Secret("authpass123"), privacy_passphrase=Secret("privpass123"))
SENDERS = [Sender("r1", PUBLIC), Sender("r2", TWIN)]
FROM = ("127.0.0.1", 9)
V3 = ["-v3", "-u", "twin", "-l", "authPriv", "-a", "SHA-256", "-A", "authpass123", "-x", "AES", "-X", "privpass123"]
TOLD = ["", "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.2.1.2.2.1.1.3", "i", "3"]
MOST_MIB = 120


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Datagrams of net-snmp: traps and informs, v2c and v3."""
    if shutil.which("snmptrap") is None:
        pytest.skip("Debian's snmp is not installed")
    home = tmp_path_factory.mktemp("snmp")
    engine = ["-e", "0x80001f8804746573742d31"]
    sent = [
        ("snmptrap", ["-v2c", "-c", "public"]),
        ("snmpinform", ["-v2c", "-c", "public"]),
        ("snmptrap", [*V3, *engine]),
        ("snmptrap", ["-v3", "-u", "twin", "-l", "noAuthNoPriv", *engine]),
        ("snmpinform", V3),
    ]
    return [_captured(home, program, words) for program, words in sent]


def _captured(home: Path, program: str, words: list[str]) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(5)
        argv = [program, *words, "-t", "0.2", "-r", "0", f"127.0.0.1:{sink.getsockname()[1]}", *TOLD]
        environment = {"SNMP_PERSISTENT_DIR": str(home), "SNMPCONFPATH": str(home), "MIBS": "", "PATH": "/usr/bin:/bin"}
        with subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL):
            return sink.recv(65536)


def mutated(chance: random.Random, datagram: bytes) -> bytes:
    octets = bytearray(datagram)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at, kind = chance.randrange(len(octets) or 1), chance.random()
        if kind < 0.5 and octets:
            octets[at] = chance.randrange(256)
        elif kind < 0.65:
            del octets[at : at + chance.randrange(1, 8)]
        elif kind < 0.8:
            octets[at:at] = chance.randbytes(chance.randrange(1, 8))
        elif kind < 0.9 and octets:
            octets[at] = chance.choice((0, 0x7F, 0x80, 0x84, 0xFF, 0x30, 0x24))
        else:
            octets[at:at] = octets[at : at + chance.randrange(1, 64)]
    return bytes(octets)


@pytest.mark.parametrize("count", [3000, pytest.param(200_000, marks=pytest.mark.soak)])
def test_hostile_datagrams_are_judged_one_by_one_and_leave_nothing_behind(captures: list[bytes], count: int) -> None:
    """No exception, no unbounded memory; only what needs no key to be written may be taken."""

    async def judged() -> tuple[Counter[str], Heard]:
        engine = TrapEngine(IDENTITY, lambda _message, _address: None)
        assert all(engine.admits(sender.credentials) for sender in SENDERS)
        chance, outcomes = random.Random(count), Counter[str]()
        for number in range(count):
            heard = engine.hear(mutated(chance, chance.choice(captures)), FROM, SENDERS, float(number))
            outcomes[heard.dropped or heard.device or "discovery"] += 1
        last = engine.hear(captures[0], FROM, SENDERS, float(count))
        engine.close()
        return outcomes, last

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes, last = asyncio.run(judged())
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert outcomes.total() == count
    assert outcomes["malformed"] > count / 2
    assert last.device == "r1"
    assert grown < MOST_MIB, "2,000 engine ids of 30 KB, and no more"


def test_a_sender_with_more_engine_ids_than_are_kept_is_still_heard(
    captures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine begins anew, and what it knew of communities and users it knows again."""
    monkeypatch.setattr("collectors.snmp.trap_engine.MOST_ENGINES", 3)
    trap, engine_id = captures[2], bytes.fromhex("80001f8804746573742d31")

    async def heard() -> list[str]:
        engine = TrapEngine(IDENTITY, lambda _message, _address: None)
        assert all(engine.admits(sender.credentials) for sender in SENDERS)
        made_up = [trap.replace(engine_id, engine_id[:-1] + bytes([n])) for n in range(10)]
        found = [engine.hear(datagram, FROM, SENDERS, 0.0) for datagram in [trap, *made_up, trap, captures[0]]]
        engine.close()
        return [one.device or one.dropped for one in found]

    assert asyncio.run(heard()) == ["r2", *["wrong authentication"] * 10, "r2", "r1"]
