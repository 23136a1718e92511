"""Stored counters become present loads and gridded history, at whatever moment one asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twin.app.cli.common import window_of
from twin.app.forecasts import forecast_at, history_panel, require_recent, store_forecast, stored_forecast
from twin.app.series import polled_rates, thinned_rates, window_rates
from twin.app.settings import load_settings, packaged_configs
from twin.store import Store, open_delta
from twin.store.place import LocalPlace
from twin.store.thinning import Thinning
from twin.vocab.blocks import Block
from twin.vocab.errors import NettwinError
from twin.vocab.forecast import LEVELS, Forecast, SeriesKey
from twin.vocab.rates import on_grid
from twin.vocab.snapshot import Port
from twin.vocab.time import FIVE_MINUTES, instant

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
R1 = Port("r1", "eth1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_delta(tmp_path / "store") as opened:
        yield opened


def polled(store: Store, seconds: list[float], octets: list[int], **more: Any) -> None:
    rows = [
        {
            "device": "r1",
            "interface": "eth1",
            "at": instant(START + timedelta(seconds=s)),
            "in_octets": n,
            "out_octets": n,
        }
        | {"counter_bits": 64, "speed_bps": 1000, "uptime_cs": int(s * 100)}
        | more
        for s, n in zip(seconds, octets, strict=True)
    ]
    store.write([Block.from_rows("interface", rows)])


@pytest.mark.parametrize("moment", [600.5, 617, 630, 645, 659.5])
def test_at_the_default_settings_a_load_is_known_at_any_moment(store: Store, moment: float) -> None:
    settings = load_settings(packaged_configs() / "nettwin.yaml")
    polled(store, [60.0 * i for i in range(11)], [6000 * i for i in range(11)])
    at = START + timedelta(seconds=moment)
    rates = window_rates(store, at - window_of(settings, None), at)
    assert rates[R1].out_bps == pytest.approx(800)


def test_a_64_bit_counter_may_run_faster_than_the_interface_says(store: Store) -> None:
    polled(store, [0, 10], [0, 10**9])
    assert window_rates(store, START, START + timedelta(minutes=1))[R1].out_bps == pytest.approx(8e8)


def test_what_can_not_be_known_is_none(store: Store) -> None:
    polled(store, [0, 10], [1000, 0])
    assert window_rates(store, START, START + timedelta(minutes=1))[R1].out_bps is None


def two_ports(store: Store, seconds: list[float], octets: list[int], **more: Any) -> None:
    """A device with a second interface, which carries as much."""
    for interface in ("eth1", "eth2"):
        polled(store, seconds, octets, interface=interface, **more)


@pytest.mark.parametrize("moment", range(121, 300, 13))
def test_a_load_read_from_copies_of_a_minute_is_the_load(store: Store, moment: int) -> None:
    seconds = [10.0 * i for i in range(31)]
    two_ports(store, seconds, [6000 * int(s // 60) for s in seconds])
    rates = window_rates(store, START + timedelta(seconds=moment - 60), START + timedelta(seconds=moment))
    assert rates[R1].out_bps == pytest.approx(800)


def test_what_was_before_the_window_is_not_counted(store: Store) -> None:
    two_ports(store, [0, 10, 20, 30], [0, 10**6, 2 * 10**6, 2 * 10**6 + 1000])
    rates = window_rates(store, START + timedelta(seconds=15), START + timedelta(minutes=1))
    assert rates[R1].out_bps == pytest.approx(800)


REASONS: dict[str, tuple[list[int | None], dict[str, Any]]] = {
    "one sample": ([None, None, 10], {}),
    "no counter": ([None, None, None], {}),
    "reset": ([30, 20, 10], {}),
    "reboot": ([30, 20, 10], {"uptime_cs": 100}),
    "copied": ([10, 10, 10], {}),
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_missing_load_has_its_reason(store: Store, reason: str) -> None:
    octets, more = REASONS[reason]
    if reason == "copied":
        two_ports(store, [-60, -50], [0, 10])
    two_ports(store, [0, 10, 20], octets, **more)  # type: ignore[arg-type]  # None = not measured
    shown = window_rates(store, START, START + timedelta(minutes=1))[R1]
    assert (shown.in_bps, shown.out_bps, shown.reason) == (None, None, reason)


def test_a_restarted_agent_is_known_by_the_uptime_of_its_host(store: Store) -> None:
    polled(store, [0, 10], [0, 1000], uptime_cs=None)
    for second, uptime in ((0, 9_000_000), (10, 300)):
        at = instant(START + timedelta(seconds=second))
        clocks = {"uptime_cs": uptime, "host_uptime_cs": 90_000_000 + 100 * second}
        before = at - np.timedelta64(300, "ms")
        port = {"device": "r1", "interface": "eth1", "at": at, "uptime_cs": uptime}
        store.write([Block.from_rows("interface", [port])])
        store.write([Block.from_rows("device", [{"device": "r1", "at": before} | clocks])])
    assert window_rates(store, START - timedelta(seconds=1), START + timedelta(minutes=1))[R1].out_bps == 800


def imported(store: Store, cells: int, bps: float) -> None:
    rows = [
        {
            "device": "r1",
            "interface": "eth1",
            "at": instant(START + timedelta(minutes=5 * i)),
            "in_bps": bps,
            "out_bps": bps,
        }
        for i in range(cells)
    ]
    store.write([Block.from_rows("interface_rate", rows)])


def test_polled_loads_stand_before_imported_ones(store: Store) -> None:
    imported(store, 400, 100.0)
    polled(store, [0, 300, 600], [0, 300 * 25, 600 * 25])
    panel, left_out = history_panel(store, START + timedelta(days=2), timedelta(days=3))
    row = panel.values[panel.series.index(SeriesKey("r1", "eth1", "out_bps"))]
    assert left_out == ()
    assert row[:3].tolist() == [200.0, 200.0, 100.0]
    assert len(row) == 400


def test_an_empty_store_says_what_to_run(store: Store) -> None:
    with pytest.raises(NettwinError, match="nettwin store import"):
        history_panel(store, START, timedelta(days=1))


def test_history_that_ended_long_ago_is_no_base_for_a_forecast(store: Store) -> None:
    imported(store, 400, 100.0)
    panel, _ = history_panel(store, START + timedelta(days=4), timedelta(days=7))
    with pytest.raises(NettwinError, match="too old for a forecast"):
        require_recent(panel, START + timedelta(days=4))


def forecast(value: float, issued: datetime) -> Forecast:
    at = instant(START) + np.arange(12) * np.timedelta64(300, "s")
    quantiles = np.broadcast_to(value * np.array(LEVELS), (1, 12, len(LEVELS))).copy()
    return Forecast((SeriesKey("r1", "eth1", "out_bps"),), at, LEVELS, quantiles, issued, "load-1", np.array([np.nan]))


def test_the_newest_forecast_of_a_time_is_read_back(store: Store) -> None:
    for value, issued in ((100.0, START - timedelta(hours=1)), (200.0, START)):
        store_forecast(store, forecast(value, issued))
    found = forecast_at(store, START + timedelta(minutes=7))
    assert (found.issued, found.model) == (START, "load-1")
    assert found.rates(0.5)[R1].out_bps == pytest.approx(100.0)
    shown = stored_forecast(store, SeriesKey("r1", "eth1", "out_bps"), START)
    assert len(shown.at) == 12
    assert shown.coverage80 is None
    assert shown.only(START + timedelta(minutes=7)).at == (START + timedelta(minutes=5),)


def test_a_time_beyond_the_forecast_says_how_far_it_reaches(store: Store) -> None:
    store_forecast(store, forecast(100.0, START))
    with pytest.raises(NettwinError, match="2026-01-05 12:55"):
        forecast_at(store, START + timedelta(days=1))


def test_thinned_hours_tell_the_same_as_the_polls_they_were_made_of(store: Store, tmp_path: Path) -> None:
    """On the 5-minute grid; with a restart, a silence and a device that came late."""
    rng = np.random.default_rng(5)
    minutes = [m for m in range(360) if not 100 <= m < 130]
    counts = np.cumsum(rng.integers(0, 7000, 360))
    polled(store, [60.0 * m for m in minutes if m < 200], [int(counts[m]) for m in minutes if m < 200])
    polled(store, [60.0 * m for m in minutes if m >= 200], [int(counts[m] - counts[200]) for m in minutes if m >= 200])
    polled(store, [60.0 * m + 7 for m in range(250, 360)], [int(counts[m]) for m in range(250, 360)], device="r2")
    end = START + timedelta(hours=6)
    grid = np.arange(instant(START), instant(end), FIVE_MINUTES)
    before = {key: on_grid(rates, grid, FIVE_MINUTES) for key, rates in polled_rates(store, START, end).items()}
    assert Thinning(store, LocalPlace(tmp_path / "store"))("interface", end)
    after = {key: on_grid(rates, grid, FIVE_MINUTES) for key, rates in polled_rates(store, START, end).items()}
    assert len(thinned_rates(store, START, end)) == len(before) == 4
    assert before.keys() == after.keys()
    for key, (values, mask) in before.items():
        assert mask.sum() > 15
        assert (after[key][1] == mask).all()
        np.testing.assert_allclose(after[key][0], values, rtol=1e-5)


class _Asked:
    """A reader that notes from when on polls were read."""

    def __init__(self, store: Store) -> None:
        self._store, self.since = store, dict[str, Any]()

    def range(self, kind: str, keys: Any, start: Any, *rest: Any) -> Any:
        if kind == "interface":
            self.since |= dict.fromkeys(keys["device"], start)
        return self._store.range(kind, keys, start, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_of_what_is_thinned_no_polls_are_read(store: Store, tmp_path: Path) -> None:
    """Nor of a device that is gone for days; one that came after the last thinned hour is read from the start."""
    day = 86400.0
    for device, begun in (("gone", 0.0), ("here", 9 * day)):
        polled(store, [begun + 60.0 * m for m in range(70)], [6000 * m for m in range(70)], device=device)
    end = START + timedelta(days=10)
    Thinning(store, LocalPlace(tmp_path / "store"))("interface", end)
    polled(store, [9 * day + 3600.0 * 5 + 60.0 * m for m in range(9)], [6000 * m for m in range(9)], device="new")
    reader: Any = _Asked(store)
    found = polled_rates(reader, START - timedelta(days=20), end)
    assert {key.device for key in found} == {"gone", "here", "new"}
    assert reader.since["here"] > START + timedelta(days=8)
    assert reader.since["gone"] > START - timedelta(days=3)
    assert reader.since["new"] <= START - timedelta(days=20)
