"""The collector that runs for ever: what it stores, counts and tells, also while the store fails."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from collectors.failures import Failed
from collectors.results import Polled, Round
from twin.app.cli.collect import Tally
from twin.app.cli.common import screen
from twin.app.cli.main import main
from twin.app.collecting import RoundReport
from twin.app.collector import Collector
from twin.app.collector_status import (
    BUCKETS,
    Seconds,
    prometheus_text,
    read_statuses,
    served,
    status_file,
)
from twin.app.events import read_events
from twin.store import Store, StoreError, open_delta
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError
from twin.vocab.events import Event
from twin.vocab.observed import ObservedDevice
from twin.vocab.plain import write_plain

AT = np.datetime64("2026-01-01T00:00:00", "us")
GOOD = Polled("r1", "snmp", (Block.from_rows("device", [{"device": "r1", "uptime_cs": 1}], AT),), None, {}, 0.2, 7)
DEAD = Failed("r2", "snmp", "silent", "no answer", 2.0, AT)
NUMBERS = count()
Made = tuple[Collector, list[RoundReport], list[str], list[float]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_delta(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def made(store: Store) -> Made:
    reports: list[RoundReport] = []
    told: list[str] = []
    clock = [0.0]
    collector = Collector(
        store,
        b"k" * 32,
        devices=2,
        interval=60.0,
        shard="1/2",
        report=reports.append,
        tell=told.append,
        clock=lambda: clock[0],
    )
    return collector, reports, told, clock


def _full(*_: object) -> None:
    raise StoreError("disk full")


def taken(*results: Polled | Failed) -> Round:
    by_device: dict[str, tuple[Polled | Failed, ...]] = {}
    for result in results:
        by_device[result.device] = (*by_device.get(result.device, ()), result)
    return Round(AT, by_device, next(NUMBERS))


def test_an_interval_is_told_once_with_the_last_state_of_each_device(made: Made, store: Store) -> None:
    collector, reports, _, clock = made
    assert collector.deliver(taken(GOOD, DEAD))
    clock[0] = 30.0
    assert collector.deliver(taken(replace(GOOD, at=AT), Failed("r1", "netconf", "auth", "no", 1.0)))
    assert reports == []
    clock[0] = 61.0
    assert collector.deliver(taken(GOOD))
    (report,) = reports
    assert (report.devices, report.answered, report.samples, report.seconds) == (2, 1, 3, 61.0)
    assert {(f.device, f.protocol) for f in report.failures} == {("r2", "snmp"), ("r1", "netconf")}
    assert len(store.latest("poll")) == 3


def test_a_store_that_fails_is_told_once_and_the_round_is_not_taken(
    made: Made, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector, reports, told, _ = made

    with monkeypatch.context() as broken:
        broken.setattr(type(store), "write", _full)
        first = taken(GOOD)
        assert not collector.deliver(first)
        assert not collector.deliver(first)
        assert collector.status().store_trouble == "disk full"
    assert collector.deliver(first)
    assert told == [
        "not stored yet: disk full; kept, and tried again in a few seconds",
        "stored again, what was kept included",
    ]
    collector.finish()
    assert [r.samples for r in reports] == [1]


def test_a_status_counts_polls_and_remembers_since_when_a_device_fails(made: Made, tmp_path: Path) -> None:
    collector = made[0]
    for result in (GOOD, DEAD, GOOD, DEAD):
        collector.heard(result)
    first = collector.status()
    collector.heard(DEAD)
    status = collector.status()
    assert status.now == {"snmp ok": 1, "snmp silent": 1}
    assert status.polls == {"snmp ok": 2, "snmp silent": 3}
    assert status.values == 14
    assert [(p.device, p.reason) for p in status.failing] == [("r2", "no answer")]
    assert status.failing[0].since == first.failing[0].since
    write_plain(status_file(tmp_path, status.shard), status)
    assert read_statuses(tmp_path) == (status,)


def test_a_damaged_status_file_is_passed_over(made: Made, tmp_path: Path) -> None:
    (tmp_path / "collect-1of2.json").write_text("{")
    (tmp_path / "collect-2of2.json").write_text('{"schema_version": 1}')
    assert read_statuses(tmp_path) == ()


@pytest.mark.parametrize("seconds", [0.0, *BUCKETS, 1e9])
def test_a_histogram_has_a_place_for_every_duration(seconds: float) -> None:
    seen = Seconds()
    seen.add(seconds)
    assert sum(seen.frozen().counts) == 1
    assert seen.frozen().total_s == seconds


def test_prometheus_is_told_the_same(made: Made) -> None:
    collector = made[0]
    collector.heard(GOOD)
    collector.heard(DEAD)
    lines = prometheus_text((collector.status(),)).splitlines()
    assert 'nettwin_collect_devices{protocol="snmp",shard="1/2",status="silent"} 1.0' in lines
    assert 'nettwin_collect_polls_total{protocol="snmp",shard="1/2",status="ok"} 1.0' in lines
    assert 'nettwin_collect_poll_seconds_bucket{le="0.25",shard="1/2"} 1.0' in lines
    assert 'nettwin_collect_poll_seconds_bucket{le="+Inf",shard="1/2"} 2.0' in lines
    assert 'nettwin_collect_poll_seconds_sum{shard="1/2"} 2.2' in lines


def test_a_running_collector_answers_prometheus_on_loopback(made: Made) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with served(address, made[0].status):
        made[0].heard(GOOD)
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
            assert b'nettwin_collect_values_total{shard="1/2"} 7.0' in answer.read()
        with pytest.raises(UsageError, match=f"can't listen at {address}"), served(address, made[0].status):
            pass


def test_without_a_collector_the_status_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path / "my")])
    monkeypatch.setenv("NETTWIN_SETTINGS", str(tmp_path / "my" / "nettwin.yaml"))
    with pytest.raises(SystemExit) as ended:
        main(["collect", "--status"])
    assert ended.value.code == 1
    assert "no collector has run" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["collect", "--status", "--json"])
    assert json.loads(capsys.readouterr().out) == []


def test_the_status_says_which_collector_runs(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path / "my")])
    (tmp_path / "my" / "data").mkdir()
    write_plain(status_file(tmp_path / "my" / "data", "1/2"), made[0].status())
    write_plain(status_file(tmp_path / "my" / "data", "2/2"), replace(made[0].status(), shard="2/2", pid=2**22 + 1))
    monkeypatch.setenv("NETTWIN_SETTINGS", str(tmp_path / "my" / "nettwin.yaml"))
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["collect", "--status", "--json"])
    assert not ended.value.code
    assert [(s["shard"], s["running"]) for s in json.loads(capsys.readouterr().out)] == [("1/2", True), ("2/2", False)]


@pytest.mark.parametrize("shard", ["3/2", "x", "0/1"])
def test_a_shard_that_can_not_be_is_a_usage_error(shard: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["collect", "--once", "--shard", shard])
    assert ended.value.code == 2
    assert f"--shard {shard}: a shard is written NUMBER/COUNT" in capsys.readouterr().err


def test_a_status_that_can_not_be_kept_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally(screen(), as_json=False)
    for problem in ("disk full", "disk full", "", "disk full"):
        tally.unwritten(problem)
    assert capsys.readouterr().err == "disk full\ndisk full\n"
    assert not tally.failed


def seen(description: str) -> Polled:
    return replace(GOOD, observed=ObservedDevice("r1", "r1", description, "1.3.6.1.4.1.9.1.1"))


def events(store: Store) -> list[tuple[str, str, str]]:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return [(e.device, e.event, e.subject) for e in read_events(store, start, start + timedelta(days=36500))]


def test_a_device_that_is_lost_and_comes_back_is_two_events(made: Made, store: Store) -> None:
    collector = made[0]
    collector.heard(replace(GOOD, device="r2"))
    for _ in range(5):
        collector.heard(DEAD)
    collector.heard(replace(GOOD, device="r2"))
    assert collector.deliver(taken(GOOD))
    assert events(store) == [("r2", "device_lost", "snmp"), ("r2", "device_back", "snmp")]


def test_a_device_that_never_answered_is_not_lost(made: Made, store: Store) -> None:
    for _ in range(5):
        made[0].heard(DEAD)
    made[0].heard(replace(GOOD, device="r2"))
    assert made[0].deliver(taken(GOOD))
    assert events(store) == []


def test_a_device_that_is_another_one_is_an_event_across_restarts_too(made: Made, store: Store) -> None:
    collector = made[0]
    for description in ("IOS 15.1", "IOS 15.1", "IOS 15.2"):
        collector.heard(seen(description))
        assert collector.deliver(taken(seen(description)))
    assert events(store) == [("r1", "device_changed", "description")]
    again = Collector(
        store, b"k" * 32, devices=1, interval=60.0, shard="1/2", report=lambda _: None, tell=lambda _: None
    )
    again.heard(seen("IOS 15.2"))
    again.heard(seen("IOS 15.3"))
    again.deliver(taken(GOOD))
    assert len(events(store)) == 2


def test_events_wait_for_the_store(made: Made, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = made[0]
    with monkeypatch.context() as broken:
        broken.setattr(type(store), "write", _full)
        collector.happened(Event("r1", "linkDown", "eth1", "snmp-trap", "", datetime(2026, 1, 1, tzinfo=UTC)))
        first = taken(GOOD)
        assert not collector.deliver(first)
    assert collector.deliver(first)
    assert events(store) == [("r1", "linkDown", "eth1")]
    collector.close()
    assert {(device, event) for device, event, _ in events(store)[1:]} == {
        ("nettwin", "alarm"),
        ("nettwin", "alarm_over"),
    }
