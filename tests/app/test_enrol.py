"""netconf enrol: a host key is pinned when somebody said so, and never otherwise."""

from __future__ import annotations

import json
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko  # type: ignore[import-untyped] # no stubs among our packages
import pytest

from collectors.netconf.hostkey import fingerprint
from tests.collectors.netconf_server import BASE_1_0, IETF, new_key, serving
from twin.app.cli.main import main
from twin.app.inventory import load_devices
from twin.app.knownhosts import known_hosts

OTHER = "AAAAC3NzaC1lZDI1NTE5AAAAIJbJ1Z0i5FqZ0y7M6c6yEm6XGfWl5m0Y0g1cO3tH2YkS"


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Site:
    """A device ``r1`` that shows ``key``, and the site's files."""

    key: str
    port: int
    folder: Path
    run: Callable[..., Done]

    @property
    def known(self) -> Path:
        return self.folder / "keys" / "known_hosts"

    @property
    def name(self) -> str:
        return f"[127.0.0.1]:{self.port}"


@pytest.fixture
def server() -> Iterator[tuple[int, str]]:
    key = paramiko.ECDSAKey.generate()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_show, args=(listener, key), daemon=True).start()
        yield int(listener.getsockname()[1]), key.get_base64()
        listener.shutdown(socket.SHUT_RDWR)


def _show(listener: socket.socket, key: Any) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        transport = paramiko.Transport(connection)
        transport.add_server_key(key)
        with suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(server=paramiko.ServerInterface())


@pytest.fixture
def site(server: tuple[int, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    port, key = server
    (tmp_path / "nettwin.yaml").write_text("schema_version: 1\n")
    (tmp_path / "devices.yaml").write_text(
        "schema_version: 1\ncredentials:\n  netconf:\n    core:\n      user: ops\n      password: {env: NOWHERE}\n"
        f"      known_hosts: keys/known_hosts\n      port: {port}\n      timeout: 5s\n"
        "devices:\n  - {name: r1, address: 127.0.0.1, netconf: core}\n  - {name: r2, address: 127.0.0.1}\n"
    )

    def run(*words: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(["netconf", "enrol", *words, "--settings", str(tmp_path / "nettwin.yaml")])
        told = capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    return Site(key, port, tmp_path, run)


def test_a_key_is_pinned_by_its_fingerprint(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done = site.run("r1", "--fingerprint", fingerprint(site.key))
    assert done.returncode == 0
    assert f"ecdsa-sha2-nistp256 {fingerprint(site.key)}" in done.stdout
    assert site.known.read_text() == f"{site.name} ecdsa-sha2-nistp256 {site.key}\n"
    assert stat.S_IMODE(site.known.stat().st_mode) == 0o600
    monkeypatch.setenv("NOWHERE", "secret")
    device = load_devices(site.folder / "devices.yaml")[0]
    assert device.netconf is not None
    assert device.netconf.host_key == site.key


def test_yes_pins_whatever_is_shown_and_a_second_time_nothing_is_asked(site: Site) -> None:
    assert site.run("r1", "--yes").returncode == 0
    again = site.run("r1")
    assert (again.returncode, "it is pinned in" in again.stdout) == (0, True)
    assert len(known_hosts(site.known)) == 1


def test_without_a_terminal_and_a_word_nothing_is_pinned(site: Site) -> None:
    done = site.run("r1")
    assert done.returncode == 2
    assert f"--fingerprint {fingerprint(site.key)}" in done.stderr
    assert not site.known.exists()


def test_another_fingerprint_than_the_wanted_one_is_refused(site: Site) -> None:
    done = site.run("r1", "--fingerprint", fingerprint(OTHER))
    assert done.returncode == 1
    assert "nothing was pinned" in done.stderr
    assert not site.known.exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_at_a_terminal_it_asks(site: Site, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal(answer))
    assert site.run("r1").returncode == code
    assert site.known.exists() == (code == 0)


class _Terminal:
    def __init__(self, answer: str) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self, *_: object) -> str:
        return self._answer


def test_a_different_pinned_key_is_kept_unless_told(site: Site) -> None:
    site.known.parent.mkdir()
    before = f"# ours\n{site.name},r9 ssh-ed25519 {OTHER} note\n192.0.2.9 ssh-ed25519 {OTHER}\n"
    site.known.write_text(before)
    done = site.run("r1", "--yes")
    assert done.returncode == 1
    assert fingerprint(site.key) in done.stdout
    assert f"ssh-ed25519 {fingerprint(OTHER)}" in done.stderr
    assert site.known.read_text() == before
    assert site.run("r1", "--yes", "--replace").returncode == 0
    assert site.known.read_text() == (
        f"# ours\nr9 ssh-ed25519 {OTHER} note\n192.0.2.9 ssh-ed25519 {OTHER}\n"
        f"{site.name} ecdsa-sha2-nistp256 {site.key}\n"
    )


WRONG = [("r9", 2, "no device named r9"), ("r2", 2, "r2 names no NETCONF credential")]


@pytest.mark.parametrize(("device", "code", "complaint"), WRONG)
def test_what_cannot_be_enrolled_is_named(site: Site, device: str, code: int, complaint: str) -> None:
    done = site.run(device, "--yes")
    assert (done.returncode, complaint in done.stderr) == (code, True)


def test_a_device_that_is_not_there_pins_nothing(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    devices = site.folder / "devices.yaml"
    devices.write_text(devices.read_text().replace(f"port: {site.port}", f"port: {port}"))
    done = site.run("r1", "--yes")
    assert (done.returncode, done.stderr) == (1, f"nettwin: r1: 127.0.0.1: connection refused at port {port}\n")


def test_every_model_is_listed_with_what_verified_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["netconf", "models", "--json"])
    assert not ended.value.code
    told = json.loads(capsys.readouterr().out)
    assert {row["topic"] for row in told} >= {"interfaces", "system", "hardware", "bgp", "ospf", "isis", "lldp"}
    assert all(row["verified"] for row in told)


def test_a_devices_models_are_those_it_announces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "right")
    with serving(new_key()) as server:
        server.capabilities = (BASE_1_0, f"{IETF}?module=ietf-interfaces", "http://openconfig.net/yang/interfaces")
        (tmp_path / "nettwin.yaml").write_text("schema_version: 1\n")
        (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} ssh-ed25519 {server.host_key}\n")
        (tmp_path / "devices.yaml").write_text(
            "schema_version: 1\ncredentials:\n  netconf:\n    core: {user: ops, password: {env: SECRET}, "
            f"known_hosts: known, port: {server.port}}}\n"
            "devices:\n  - {name: r1, address: 127.0.0.1, netconf: core}\n"
        )
        with pytest.raises(SystemExit) as ended:
            main(["netconf", "models", "r1", "--json", "--settings", str(tmp_path / "nettwin.yaml")])
    assert not ended.value.code
    told = [(row["model"], row["first"]) for row in json.loads(capsys.readouterr().out)]
    assert told == [("openconfig-interfaces", True), ("ietf-interfaces", False)]
