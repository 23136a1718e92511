"""What is wrong with the store is told once, and once that it is well again."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from collectors.results import Polled, Round
from tests.app.test_store_commands import AT, fill, make
from tests.store.influxd import running
from tests.store.scripted import CUT, Server, serving
from twin.app.collector import Collector
from twin.app.collector_status import prometheus_text
from twin.app.events import read_events
from twin.app.settings import Settings
from twin.app.store_watch import Repeated, ShipFigures, ShippingBeside, StoreWatch, disk_alarm, shipping_alarms
from twin.app.wiring import place_of, set_up_server, shipping_of, store_of
from twin.store import InfluxServer, Store, StoreError, latest_records
from twin.store.influx import InfluxReader
from twin.store.influx_connection import InfluxConnection
from twin.vocab.blocks import Block
from twin.vocab.inventory import Secret

WELL = ShipFigures("idle", "", 0, 0, 0.0, 1000, 5, 0, 0, 0)
START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("figures", "dead", "subjects"),
    [
        (WELL, False, set()),
        (replace(WELL, state="holding", reason="the token is refused"), False, {"shipping"}),
        (replace(WELL, state="backing off", reason="503", backlog_age_s=59.0), False, set()),
        (replace(WELL, state="backing off", reason="503", backlog_age_s=60.0), False, {"shipping"}),
        (replace(WELL, state="shipping", backlog_bytes=499), False, set()),
        (replace(WELL, state="shipping", backlog_bytes=500), False, {"backlog"}),
        (WELL, True, {"dead letters"}),
        (replace(WELL, state="holding", backlog_bytes=900), True, {"shipping", "backlog", "dead letters"}),
    ],
)
def test_what_is_an_alarm(figures: ShipFigures, dead: bool, subjects: set[str]) -> None:
    assert shipping_alarms(figures, dead_letters=dead).keys() == subjects


@pytest.mark.parametrize(("free", "alarm"), [(None, False), (1000, False), (999, True), (0, True)])
def test_little_disk_is_an_alarm(free: int | None, alarm: bool) -> None:
    assert bool(disk_alarm(free, 1000)) == alarm


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as scripted:
        yield scripted


def collector(store: Store, told: list[str]) -> Collector:
    return Collector(store, b"k" * 32, devices=1, interval=60.0, shard="1/1", report=lambda _: None, tell=told.append)


def until(true: Callable[[], object]) -> None:
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def watched(settings: Settings, collects: Collector, told: list[str]) -> StoreWatch:
    watch = StoreWatch(
        place_of(settings), shipping_of(settings), tell=told.append, well=told.append, happened=collects.told
    )
    collects.surroundings = lambda: watch.figures
    return watch


def test_an_alarm_is_one_line_and_one_event_until_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    settings = make(tmp_path, monkeypatch, server.url)
    told: list[str] = []
    server.script = [401]
    with store_of(settings) as store:
        collects = collector(store, told)
        watch = watched(settings, collects, told)
        assert watch._shipping is not None
        fill(settings)
        watch._shipping.shipper.ship()
        for _ in range(3):
            watch.look()
        assert told == ["shipping is held until somebody acts: the token is refused (401: because I say so)"]
        lines = prometheus_text((collects.status(),)).splitlines()
        assert 'nettwin_alarm{shard="1/1",subject="shipping"} 1.0' in lines
        assert 'nettwin_ship_state{shard="1/1",state="holding"} 1.0' in lines
        assert 'nettwin_ship_backlog_rows{shard="1/1"} 3.0' in lines
        (free,) = [line for line in lines if line.startswith("nettwin_store_free_bytes{")]
        assert float(free.split()[1]) > 0
        watch._shipping.shipper.ship()
        for _ in range(3):
            watch.look()
        assert told[1:] == ["shipping: well again"]
        collects.close()
        found = [(e.device, e.event, e.subject) for e in read_events(store, START, END)]
    assert found == [("nettwin", "alarm", "shipping"), ("nettwin", "alarm_over", "shipping")]


@pytest.mark.influx
def test_what_is_collected_arrives_in_a_real_influxdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("influxd") is None:
        pytest.skip("influxd is not installed (Debian package influxdb)")
    told: list[str] = []
    with running() as (url, token, _):
        settings = make(tmp_path, monkeypatch, url, token)
        shipping = shipping_of(settings)
        assert shipping is not None
        with store_of(settings) as store, ShippingBeside(shipping.shipper):
            set_up_server(settings)
            collects = collector(store, told)
            for number in range(3):
                at = AT + np.timedelta64(number, "m")
                block = Block.from_rows("device", [{"device": "r1", "uptime_cs": number}], at)
                polled = Polled("r1", "snmp", (block,), None, {}, 0.1, 1, at=at)
                assert collects.deliver(Round(at, {"r1": (polled,)}, number))
            until(lambda: shipping.shipper.status.sent == 6 and shipping.shipper.status.state == "idle")
        reader = InfluxReader(InfluxConnection(InfluxServer(url, "nettwin", Secret(token))), "nettwin")
        assert [row["uptime_cs"] for row in reader.range("device", None, START, END).rows()] == [0, 1, 2]
        assert len(reader.range("poll", None, START, END)) == 3
    assert told == []


def test_collecting_never_asks_the_server_even_if_it_answers_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make(tmp_path, monkeypatch, "http://127.0.0.1:1", engine="influxdb")
    told: list[str] = []
    polled = Polled("r1", "snmp", (), None, {"config": "hostname r1\n"}, 0.1, 1, at=AT)
    with store_of(settings, at_hand=True) as store:
        assert collector(store, told).deliver(Round(AT, {"r1": (polled,)}))
        assert latest_records(store, "config")["r1"].content == "hostname r1\n"
    assert told == []
    with store_of(settings) as store, pytest.raises(StoreError, match="InfluxDB"):
        store.latest("poll")


def test_leaving_does_not_wait_for_a_server_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    settings = make(tmp_path, monkeypatch, server.url)
    fill(settings)
    shipping, asked = shipping_of(settings), threading.Event()
    assert shipping is not None

    def hangs(_: object) -> tuple[int, str]:
        asked.set()
        time.sleep(5)
        return CUT, ""

    server.judge = hangs
    with ShippingBeside(shipping.shipper):
        assert asked.wait(20)
        began = time.monotonic()
    assert time.monotonic() - began < 3


def test_work_is_repeated_and_done_once_more_at_the_end() -> None:
    calls: list[float] = []
    with Repeated(lambda: calls.append(time.monotonic()), 0.01):
        until(lambda: len(calls) > 2)
    ended = len(calls)
    time.sleep(0.05)
    assert len(calls) == ended
