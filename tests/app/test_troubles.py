"""One round over good devices and every kind of bad one: each bad one is one line, and the good ones are whole."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.collectors.netconf_server import new_key, serving
from tests.collectors.scripted import security_of
from tests.collectors.snmpd import free_port, snmpd
from twin.store import open_delta

Passed = Callable[[bytes], bytes | None]

AGENT = """
rocommunity public
createUser twin SHA-256 authpass123 AES privpass123
rouser twin authpriv
"""
IF_TABLES = (bytes((0x2B, 6, 1, 2, 1, 2, 2)), bytes((0x2B, 6, 1, 2, 1, 31, 1, 1)))
SECRETS = {
    "COMMUNITY": "public",
    "AUTH": "authpass123",
    "PRIVACY": "privpass123",
    "WRONG": "wrongwrong1",
    "SSH": "right",
}
SETTINGS = "schema_version: 1\ncollect: {every: 1s, full_every: 1h, spread: 0, deadline: 4s}\n"
GOOD = ("good-v2c", "good-v3", "good-ssh")
TROUBLES = {
    "auth-pass": r"snmp auth: wrong digest: the authentication passphrase or algorithm is not the agent's",
    "priv-pass": r"snmp auth: the agent is there but silent to this user: wrong privacy key\?",
    "user": r"snmp auth: the agent does not know this user",
    "engine": r"snmp error: the agent does not know its own engine-id",
    "community": r"snmp silent: no answer; a wrong community looks the same",
    "closed": r"snmp silent: nothing listens at port \d+: connection refused",
    "mute": r"snmp silent: no answer",
    "half": r"snmp partial: interfaces: no answer \(and \d+ more\)",
    "torn": r"snmp silent: no answer that can be read: .+",
    "ssh-closed": r"netconf refused: connection refused at port \d+",
    "ssh-key": r"netconf auth: the host key is not the pinned one; .*",
    "ssh-pass": r"netconf auth: the device accepts neither the key nor the password",
    "ssh-half": r"netconf silent: connected, but not done in time",
}


def nothing(_: bytes) -> bytes | None:
    return None


def no_interfaces(response: bytes) -> bytes | None:
    return None if any(table in response for table in IF_TABLES) else response


def half_of_it(response: bytes) -> bytes | None:
    return response[: len(response) // 2]


def of_another_engine(response: bytes) -> bytes | None:
    engine = response[slice(*security_of(response).engine)]
    return response.replace(engine, engine[:-1] + bytes((engine[-1] ^ 1,)))


@contextmanager
def proxy(agent: int, passed: Passed) -> Iterator[int]:
    """The port at which the agent answers with only what ``passed`` makes of its responses."""
    with ExitStack() as stack:
        front, back = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in "12")
        front.bind(("127.0.0.1", 0))
        back.connect(("127.0.0.1", agent))
        ended, tell = socket.socketpair()
        relay = threading.Thread(target=_relay, args=(front, back, ended, passed))
        relay.start()
        try:
            yield int(front.getsockname()[1])
        finally:
            tell.close()
            relay.join(5)
            ended.close()


def _relay(front: socket.socket, back: socket.socket, ended: socket.socket, passed: Passed) -> None:
    client = None
    while ended not in (ready := select.select([front, back, ended], [], [])[0]):
        if front in ready:
            request, client = front.recvfrom(65535)
            back.send(request)
        if back in ready:
            response = passed(back.recv(65535))
            if response is not None and client is not None:
                front.sendto(response, client)


def v2c(port: int, community: str = "COMMUNITY") -> dict[str, Any]:
    return {"version": "2c", "community": {"env": community}, "port": port, "timeout": "300ms", "retries": 1}


def v3(port: int, user: str = "twin", auth: str = "AUTH", privacy: str = "PRIVACY") -> dict[str, Any]:
    keys = {"auth_passphrase": {"env": auth}, "privacy": "AES-128", "privacy_passphrase": {"env": privacy}}
    return {"version": 3, "user": user, **keys, "port": port, "timeout": "300ms", "retries": 1}


def ssh(port: int, password: str = "SSH") -> dict[str, Any]:
    return {"user": "ops", "password": {"env": password}, "known_hosts": "known_hosts", "port": port, "timeout": "1s"}


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Path]:
    """Of an inventory with good devices among all the bad ones."""
    with ExitStack() as stack:
        agent, closed = free_port(), free_port()
        stack.enter_context(snmpd(tmp_path, agent, AGENT))
        good, hung, other = (stack.enter_context(serving(new_key())) for _ in range(3))
        hung.answer = lambda _: None

        def behind(passed: Passed) -> int:
            return stack.enter_context(proxy(agent, passed))

        snmp = {
            "good-v2c": v2c(agent),
            "good-v3": v3(agent),
            "auth-pass": v3(agent, auth="WRONG"),
            "priv-pass": v3(agent, privacy="WRONG"),
            "user": v3(agent, user="stranger"),
            "engine": v3(behind(of_another_engine)),
            "community": v2c(agent, "WRONG"),
            "closed": v2c(closed),
            "mute": v3(behind(nothing)),
            "half": v2c(behind(no_interfaces)),
            "torn": v2c(behind(half_of_it)),
        }
        netconf = {
            "good-ssh": ssh(good.port),
            "ssh-closed": ssh(closed),
            "ssh-key": ssh(other.port),
            "ssh-pass": ssh(good.port, "WRONG"),
            "ssh-half": ssh(hung.port),
        }
        pinned = [(good.port, good), (hung.port, hung), (other.port, good), (closed, good)]
        (tmp_path / "known_hosts").write_text(
            "".join(f"[127.0.0.1]:{port} ssh-ed25519 {server.host_key}\n" for port, server in pinned)
        )
        devices = [{"name": name, "address": "127.0.0.1", "snmp": name} for name in snmp]
        devices += [{"name": name, "address": "127.0.0.1", "netconf": name} for name in netconf]
        inventory = {"schema_version": 1, "credentials": {"snmp": snmp, "netconf": netconf}, "devices": devices}
        (tmp_path / "devices.yaml").write_text(json.dumps(inventory))
        (tmp_path / "nettwin.yaml").write_text(SETTINGS)
        yield tmp_path / "nettwin.yaml"


def said(device: str, told: str) -> list[str]:
    return re.findall(rf"^{device}: (.+)$", told, re.MULTILINE)


def check_lines(told: str) -> None:
    for device, line in TROUBLES.items():
        (only,) = said(device, told)
        assert re.fullmatch(line, only), f"{device}: {only}"
    assert [device for device in GOOD if said(device, told)] == []
    assert "Traceback" not in told


def whole(data: Path) -> set[str]:
    """The devices whose last polls lacked nothing."""
    with open_delta(data / "store") as store:
        polls = store.latest("poll")
    return {str(row["device"]) for row in polls.rows() if row["status"] == "ok"}


def collect(settings: Path, *words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "twin.app.cli", "collect", "--settings", str(settings), *words]
    return subprocess.Popen(argv, env=os.environ | SECRETS, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_one_round_tells_each_bad_device_in_one_line(settings: Path) -> None:
    out, told = (once := collect(settings, "--once")).communicate(timeout=60)
    check_lines(told)
    assert once.returncode == 0
    assert "from 4 of 16 devices" in out
    assert whole(settings.parent / "data") == set(GOOD)


def test_watching_tells_each_bad_device_once_and_goes_on(settings: Path) -> None:
    watching = collect(settings)
    out, told = "", ""
    try:
        while out.count(" UTC ") < 6:
            assert watching.stdout is not None
            out += watching.stdout.readline()
    finally:
        watching.send_signal(signal.SIGINT)
        rest, told = watching.communicate(timeout=30)
    check_lines(told)
    assert watching.returncode == 0
    assert "of 16 devices" in (out + rest).splitlines()[-1]
    assert "12 polls failing" in (out + rest).splitlines()[-1]
    assert whole(settings.parent / "data") == set(GOOD)
