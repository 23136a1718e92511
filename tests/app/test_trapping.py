"""What the collector does with traps: who it is to senders, what interfaces are called, and what operators see."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Interface
from pathlib import Path

import numpy as np
import pytest

from twin.app.cli.main import main
from twin.app.events import read_events
from twin.app.settings import Settings, SettingsFile, load_settings
from twin.app.trapping import InterfaceNames, engine_identity, own_addresses, worth_a_poll
from twin.app.wiring import store_of
from twin.store import Store, open_delta
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError
from twin.vocab.events import Event
from twin.vocab.observed import ObservedDevice, ObservedInterface
from twin.vocab.plain import write_plain

AT = np.datetime64("2026-01-01T00:00:00", "us")
# SNMPv2-Trap linkDown of ifIndex 3, community public
LINK_DOWN = bytes.fromhex(
    "305102010104067075626c6963a7440201010201000201003039300d06082b0601020101030043010c301706"
    "0a2b06010603010104010006092b0601060301010503300f060a2b060102010202010103020103"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_delta(tmp_path / "store") as opened:
        yield opened


def test_the_engine_id_stays_and_every_start_is_one_boot_more(tmp_path: Path) -> None:
    first, second = engine_identity(tmp_path), engine_identity(tmp_path)
    assert first.engine_id == second.engine_id
    assert 5 <= len(first.engine_id) <= 31
    assert first.engine_id[0] & 0x80
    assert (first.boots, second.boots) == (1, 2)


def test_a_damaged_engine_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "snmp-engine.json").write_text("{}")
    with pytest.raises(UsageError, match=r"snmp-engine\.json: is damaged"):
        engine_identity(tmp_path)


def indices(*rows: tuple[str, int], at: np.datetime64 = AT) -> list[Block]:
    return [Block.from_rows("interface", [{"device": "r1", "interface": n, "index": i} for n, i in rows], at)]


def test_an_index_is_the_interface_that_had_it_last(store: Store) -> None:
    store.write(indices(("eth1", 1), ("eth3", 3)))
    store.write(indices(("eth9", 3), at=AT + np.timedelta64(60, "s")))
    names = InterfaceNames(store)
    assert [names("r1", 1), names("r1", 3), names("r1", 7), names("r2", 1)] == ["eth1", "eth9", None, None]


def test_names_are_read_again_after_a_while(store: Store) -> None:
    clock = [100.0]
    names = InterfaceNames(store, lambda: clock[0])
    assert names("r1", 1) is None
    store.write(indices(("eth1", 1)))
    assert names("r1", 1) is None
    clock[0] += 6
    assert names("r1", 1) == "eth1"
    store.write(indices(("new1", 1), at=AT + np.timedelta64(60, "s")))
    clock[0] += 50
    assert names("r1", 1) == "eth1"
    clock[0] += 20
    assert names("r1", 1) == "new1"


def test_a_stranger_who_knocks_at_a_device_does_not_make_us_poll_it() -> None:
    def event(name: str) -> Event:
        return Event("r1", name, "", "snmp", "", datetime(2026, 1, 1, tzinfo=UTC))

    assert worth_a_poll(event("linkDown"))
    assert not worth_a_poll(event("authenticationFailure"))


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """One device at 127.0.0.1 where no agent answers, and traps on a free port."""
    monkeypatch.setenv("TRAP_COMMUNITY", "public")
    (tmp_path / "nettwin.yaml").write_text(
        f'schema_version: "1"\ntraps: {{listen: "127.0.0.1:{port}"}}\ncollect: {{every: 1h}}\n'
    )
    (tmp_path / "devices.yaml").write_text(
        'schema_version: "1"\n'
        "credentials:\n"
        "  snmp: {c: {version: 2c, community: {env: TRAP_COMMUNITY}, port: 9, timeout: 100ms, retries: 0}}\n"
        "devices: [{name: r1, address: 127.0.0.1, snmp: c}]\n"
    )
    return load_settings(tmp_path / "nettwin.yaml")


@contextmanager
def sending(port: int) -> Iterator[None]:
    """A device that tells the same every 50 ms."""
    stop = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.wait(0.05):
                sender.sendto(LINK_DOWN, ("127.0.0.1", port))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_listen_prints_events_as_json_lines(settings: Settings, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    with sending(port), pytest.raises(SystemExit) as ended:
        main(["snmp", "listen", "--count", "2", "--json", "--settings", str(settings.path)])
    assert not ended.value.code
    told = capsys.readouterr()
    events = [json.loads(line) for line in told.out.splitlines()]
    assert [(e["device"], e["event"], e["subject"]) for e in events] == [("r1", "linkDown", "ifIndex 3")] * 2
    assert "taken" in told.err


def test_ctrl_c_ends_listening_and_tells_what_came(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    ending = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    ending.start()
    with pytest.raises(SystemExit) as ended:
        main(["snmp", "listen", "--settings", str(settings.path)])
    ending.join()
    assert not ended.value.code
    assert capsys.readouterr().err.splitlines()[-1] == "nothing came"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--at", "nowhere"], "--at nowhere: write ADDRESS:PORT"),
        (
            ["--at", "192.0.2.1:16200"],
            "can't listen for traps on 192.0.2.1 port 16200: Cannot assign requested address",
        ),
        (["--device", "r9"], "no device named r9"),
    ],
)
def test_listen_refuses_in_one_line(
    settings: Settings, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["snmp", "listen", *words, "--settings", str(settings.path)])
    assert ended.value.code in {1, 2}
    (told,) = capsys.readouterr().err.splitlines()
    assert line in told


def test_collect_stores_the_event_and_polls_the_device_out_of_turn_once_for_a_storm(
    settings: Settings, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def end() -> None:
        time.sleep(6.0)
        os.kill(os.getpid(), signal.SIGINT)

    ending = threading.Thread(target=end)
    with sending(port):
        ending.start()
        with pytest.raises(SystemExit):
            main(["collect", "--settings", str(settings.path)])
        ending.join()
    assert "r1: linkDown ifIndex 3" in capsys.readouterr().err
    present = datetime.now(UTC)
    with store_of(settings) as store:
        found = read_events(store, datetime(2026, 1, 1, tzinfo=UTC), present)
        polls = store.range("poll", {"device": "r1"}, datetime(2026, 1, 1, tzinfo=UTC), present)
    assert {event.event for event in found} >= {"linkDown"}
    assert 2 <= len(polls) <= 7, "one at the start, then at most one a second, however many traps come"


def test_the_status_tells_what_became_of_traps(settings: Settings, port: int) -> None:
    from twin.app.collector import Collector
    from twin.app.collector_status import prometheus_text, read_statuses

    with store_of(settings) as store:
        collector = Collector(
            store, b"k" * 32, devices=1, interval=60.0, shard="1/1", report=lambda _: None, tell=lambda _: None
        )
        collector.traps = lambda: {"taken": 3, "unknown source": 2}
        write_plain(settings.data / "collect-1of1.json", collector.status())
    (status,) = read_statuses(settings.data)
    assert status.traps == {"taken": 3, "unknown source": 2}
    assert 'nettwin_collect_traps_total{outcome="unknown source",shard="1/1"} 2.0' in prometheus_text((status,))


def test_a_device_may_send_from_every_address_it_was_seen_to_have() -> None:
    interface = ObservedInterface("eth1", 1, addresses=(IPv4Interface("10.0.0.1/30"),))
    assert list(own_addresses(ObservedDevice("r1", interfaces=(interface,)))) == ["10.0.0.1"]


def test_traps_are_off_unless_asked_for() -> None:
    assert SettingsFile(schema_version="1").traps is None
