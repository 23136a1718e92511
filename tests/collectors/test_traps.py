"""The trap receiver on loopback, told by net-snmp's own snmptrap and snmpinform, and by ill-meaning datagrams."""

from __future__ import annotations

import errno
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from collectors.pace import Policer
from collectors.snmp.names import read_names
from collectors.snmp.trap_engine import Clock, Identity, Sender
from collectors.snmp.trap_sources import Sources
from collectors.snmp.traps import Allowance, TrapReceiver
from twin.vocab.errors import NettwinError
from twin.vocab.events import Event
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV1, SnmpV2c, SnmpV3

NAMES = read_names(Path(__file__).parents[2] / "configs" / "objects.tsv")
IDENTITY = Identity(b"\x80\x00\x00\x00\x05receiver", 7)
PUBLIC = SnmpV2c(Secret("public"))
TWIN = SnmpV3("twin", auth_passphrase=Secret("authpass123"), privacy_passphrase=Secret("privpass123"))
LINK_DOWN = ["", "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.2.1.2.2.1.1.3", "i", "3", "1.3.6.1.2.1.2.2.1.8.3", "i", "2"]
ENGINE = "0x80001f8804746573742d31"
WAIT_S = 5.0
# SNMPv2-Trap coldStart, community public
COLD_START = bytes.fromhex(
    "304002010104067075626c6963a7330201010201000201003028300d06082b060102010103004301"
    "0c3017060a2b06010603010104010006092b0601060301010501"
)


@dataclass
class Heard:
    """What a receiver delivered."""

    receiver: TrapReceiver
    events: list[Event] = field(default_factory=list)

    def wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, (self.events, self.receiver.tally())
            time.sleep(0.01)

    def dropped(self, reason: str, times: int = 1) -> None:
        """Wait until so many were dropped for this reason; nothing was delivered."""
        self.wait(lambda: self.receiver.tally().get(reason, 0) >= times)
        assert self.events == []


Listen = Callable[..., Heard]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """A receiver for devices that all are at one address, by name and credentials."""
    running: list[TrapReceiver] = []

    def start(
        address: str = "127.0.0.1",
        at: str = "127.0.0.1",
        allowance: Allowance | None = None,
        **devices: SnmpV1 | SnmpV2c | SnmpV3,
    ) -> Heard:
        inventory = [Device(name, address, SnmpAccess(credentials)) for name, credentials in devices.items()]
        events: list[Event] = []
        receiver = TrapReceiver(
            (at, 0),
            Sources(inventory),
            events.append,
            names=NAMES,
            identity=IDENTITY,
            interface=lambda device, index: f"{device}-port{index}",
            allowance=allowance,
        )
        heard = Heard(receiver, events)
        running.append(receiver)
        receiver.__enter__()
        return heard

    yield start
    for receiver in running:
        receiver.__exit__(None, None, None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("snmpinform") is None:
        pytest.skip("Debian's snmp is not installed")
    return tmp_path_factory.mktemp("snmp")


Send = Callable[..., int]


@pytest.fixture
def send(home: Path) -> Send:
    """net-snmp's sender -> its exit status (of an inform: 0 when it was acknowledged)."""

    def run(program: str, heard: Heard, *words: str, told: list[str] = LINK_DOWN) -> int:
        environment = os.environ | {"SNMP_PERSISTENT_DIR": str(home), "SNMPCONFPATH": str(home), "MIBS": ""}
        argv = [program, "-t", "1", "-r", "1", *words, f"127.0.0.1:{heard.receiver.port}", *told]
        return subprocess.run(argv, env=environment, capture_output=True, check=False).returncode

    return run


def v3(user: str = "twin", auth: str = "authpass123", privacy: str = "privpass123") -> list[str]:
    return ["-v3", "-l", "authPriv", "-u", user, "-a", "SHA-256", "-A", auth, "-x", "AES", "-X", privacy]


def test_a_v2c_trap_is_an_event_of_the_device_at_its_address(listen: Listen, send: Send) -> None:
    heard = listen(r1=PUBLIC)
    send("snmptrap", heard, "-v2c", "-c", "public")
    heard.wait(lambda: len(heard.events) == 1)
    (event,) = heard.events
    assert (event.device, event.event, event.subject) == ("r1", "linkDown", "r1-port3")
    assert heard.receiver.tally() == {"taken": 1}


def test_a_v1_trap_is_mapped(listen: Listen, send: Send) -> None:
    heard = listen(r1=SnmpV1(Secret("public")))
    told = ["1.3.6.1.4.1.9.1.1", "192.0.2.1", "3", "0", "5", "1.3.6.1.2.1.2.2.1.1.4", "i", "4"]
    send("snmptrap", heard, "-v1", "-c", "public", told=told)
    heard.wait(lambda: len(heard.events) == 1)
    assert (heard.events[0].event, heard.events[0].subject) == ("linkUp", "r1-port4")
    assert "public" not in heard.events[0].detail


INFORMS = {
    "v2c": (PUBLIC, ["-v2c", "-c", "public"]),
    "v3 SHA-256 AES-128": (TWIN, v3()),
    "v3 MD5 DES": (
        SnmpV3("old", "MD5", Secret("authpass123"), "DES", Secret("privpass123")),
        ["-v3", "-l", "authPriv", "-u", "old", "-a", "MD5", "-A", "authpass123", "-x", "DES", "-X", "privpass123"],
    ),
    "v3 SHA-512 without privacy": (
        SnmpV3("open", "SHA-512", Secret("authpass123")),
        ["-v3", "-l", "authNoPriv", "-u", "open", "-a", "SHA-512", "-A", "authpass123"],
    ),
}


@pytest.mark.parametrize(("credentials", "words"), INFORMS.values(), ids=INFORMS.keys())
def test_an_inform_is_acknowledged(listen: Listen, send: Send, credentials: SnmpV2c | SnmpV3, words: list[str]) -> None:
    heard = listen(r1=credentials)
    assert send("snmpinform", heard, *words) == 0
    assert [event.event for event in heard.events] == ["linkDown"]


@pytest.mark.parametrize(("credentials", "words"), INFORMS.values(), ids=INFORMS.keys())
def test_a_trap_of_an_engine_never_heard_of_is_taken(
    listen: Listen, send: Send, credentials: SnmpV2c | SnmpV3, words: list[str]
) -> None:
    heard = listen(r1=credentials)
    engine = ["-e", ENGINE] if isinstance(credentials, SnmpV3) else []
    send("snmptrap", heard, *words, *engine)
    heard.wait(lambda: len(heard.events) == 1)


REFUSED = {
    "wrong community": (["-v2c", "-c", "wrong"], "wrong community"),
    "wrong authentication": (v3(auth="wrongpass1"), "wrong authentication"),
    "wrong privacy key": (v3(privacy="wrongpass1"), "wrong privacy key"),
    "unknown user": (v3(user="nobody"), "unknown user"),
    "no security": (["-v3", "-l", "noAuthNoPriv", "-u", "twin"], "another device's credentials, or too weak"),
}


@pytest.mark.parametrize(("words", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_authentic_is_dropped_and_counted(
    listen: Listen, send: Send, words: list[str], reason: str
) -> None:
    heard = listen(r1=TWIN, r2=PUBLIC)
    send("snmptrap", heard, *words, *(["-e", ENGINE] if "-v3" in words else []))
    heard.dropped(reason)


@pytest.mark.parametrize("words", [["-v2c", "-c", "wrong"], v3(auth="wrongpass1"), v3(user="nobody")])
def test_an_inform_that_is_not_authentic_is_not_acknowledged(listen: Listen, send: Send, words: list[str]) -> None:
    heard = listen(r1=TWIN, r2=PUBLIC)
    assert send("snmpinform", heard, *words) != 0
    assert heard.events == []


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").read_text(), reason="no IPv6 here")
@pytest.mark.parametrize("words", [["-v2c", "-c", "public"], v3()], ids=["v2c", "v3"])
def test_informs_come_over_ipv6_as_well(listen: Listen, home: Path, words: list[str]) -> None:
    heard = listen(address="::1", at="::1", r1=PUBLIC, r2=TWIN)
    environment = os.environ | {"SNMP_PERSISTENT_DIR": str(home), "SNMPCONFPATH": str(home), "MIBS": ""}
    argv = ["snmpinform", "-t", "1", *words, f"udp6:[::1]:{heard.receiver.port}", *LINK_DOWN]
    assert subprocess.run(argv, env=environment, capture_output=True, check=False).returncode == 0
    assert len(heard.events) == 1


def test_strangers_are_not_even_decoded(listen: Listen, send: Send) -> None:
    heard = listen(address="192.0.2.1", r1=PUBLIC)
    assert send("snmpinform", heard, "-v2c", "-c", "public") != 0
    heard.dropped("unknown source")


def test_a_community_counts_only_at_its_own_devices_address(listen: Listen, send: Send) -> None:
    """``other`` is known, but it is the device's at 192.0.2.1."""
    devices = [
        Device("near", "127.0.0.1", SnmpAccess(PUBLIC)),
        Device("far", "192.0.2.1", SnmpAccess(SnmpV2c(Secret("other")))),
    ]
    events: list[Event] = []
    with TrapReceiver(("127.0.0.1", 0), Sources(devices), events.append, names=NAMES, identity=IDENTITY) as receiver:
        heard = Heard(receiver, events)
        assert send("snmpinform", heard, "-v2c", "-c", "other") != 0
        heard.dropped("another device's credentials, or too weak")


def test_devices_at_one_address_are_told_apart_by_user_even_of_one_name(listen: Listen, send: Send) -> None:
    other = SnmpV3("twin", auth_passphrase=Secret("otherpass123"), privacy_passphrase=Secret("otherpriv123"))
    heard = listen(r1=TWIN, r2=other, r3=PUBLIC)
    assert send("snmpinform", heard, *v3()) == 0
    send("snmptrap", heard, *v3(auth="otherpass123", privacy="otherpriv123"), "-e", ENGINE)
    send("snmptrap", heard, "-v2c", "-c", "public")
    heard.wait(lambda: len(heard.events) == 3)
    assert [event.device for event in heard.events] == ["r1", "r2", "r3"]


def test_a_recorded_trap_played_again_later_is_dropped(listen: Listen, send: Send) -> None:
    heard = listen(r1=TWIN)
    send("snmptrap", heard, *v3(), "-e", ENGINE, "-Z", "5,1000")
    send("snmptrap", heard, *v3(), "-e", ENGINE, "-Z", "5,2000")
    heard.wait(lambda: len(heard.events) == 2)
    heard.events.clear()
    send("snmptrap", heard, *v3(), "-e", ENGINE, "-Z", "5,1000")
    send("snmptrap", heard, *v3(), "-e", ENGINE, "-Z", "4,9000")
    heard.dropped("outside the time window", 2)
    send("snmptrap", heard, *v3(), "-e", ENGINE, "-Z", "6,1")
    heard.wait(lambda: len(heard.events) == 1)


CLOCKS = [
    ("same boot, later", 5, 1010, True),
    ("same boot, within the window behind", 5, 860, True),
    ("same boot, too old", 5, 859, False),
    ("earlier boot", 4, 5000, False),
    ("rebooted", 6, 1, True),
]


@pytest.mark.parametrize(("boots", "time", "accepted"), [c[1:] for c in CLOCKS], ids=[c[0] for c in CLOCKS])
def test_the_time_window_of_rfc_3414(boots: int, time: int, accepted: bool) -> None:
    assert Clock(5, 1000, at=50.0).accepts(boots, time, now=60.0) is accepted


def test_garbage_changes_nothing(listen: Listen, send: Send) -> None:
    heard = listen(r1=TWIN, r2=PUBLIC)
    chance = random.Random(0)
    hostile = [
        b"",
        b"0",
        b"\x30\x80" * 2000,
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x82\x00\x10\x02\x01\x03",
        b"\x24\x80" * 20000,
        *(chance.randbytes(chance.randrange(1, 500)) for _ in range(20)),
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in hostile:
            sender.sendto(datagram, ("127.0.0.1", heard.receiver.port))
    heard.dropped("malformed", len(hostile) - 1)
    assert send("snmpinform", heard, "-v2c", "-c", "public") == 0
    assert len(heard.events) == 1


def test_a_storm_is_thinned_for_each_device(listen: Listen) -> None:
    heard = listen(r2=PUBLIC, allowance=Allowance(Policer(0.001, 5), Policer(1000.0, 1000)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(50):
            sender.sendto(COLD_START, ("127.0.0.1", heard.receiver.port))
    heard.wait(lambda: heard.receiver.tally().get("too many") == 45)
    assert [event.event for event in heard.events] == ["coldStart"] * 5


def test_a_privileged_or_taken_port_is_one_clear_error(listen: Listen) -> None:
    taken = listen(r1=PUBLIC).receiver.port
    with pytest.raises(
        NettwinError, match=rf"can't listen for traps on 127\.0\.0\.1 port {taken}: Address already in use"
    ):
        TrapReceiver(("127.0.0.1", taken), Sources([]), print, names=NAMES, identity=IDENTITY).__enter__()


def test_a_port_that_needs_root_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unprivileged(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", address)

    monkeypatch.setattr("collectors.snmp.traps.socket.socket", Unprivileged)
    receiver = TrapReceiver(("127.0.0.1", 162), Sources([]), print, names=NAMES, identity=IDENTITY)
    with pytest.raises(NettwinError, match="port 162: Permission denied: a port below 1024 needs root"):
        receiver.__enter__()


def test_a_device_whose_name_can_not_be_looked_up_is_left_out() -> None:
    devices = [Device("r1", "no-such-host.invalid", SnmpAccess(PUBLIC)), Device("r2", "192.0.2.1", SnmpAccess(PUBLIC))]
    sources = Sources(devices)
    assert [sender.device for sender in sources] == ["r1", "r2"]
    assert sources.at("192.0.2.1") == (Sender("r2", PUBLIC),)
