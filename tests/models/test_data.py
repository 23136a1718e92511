"""Panels: a strict grid, gaps that stay gaps, series refused by name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import data
from models.data import DAY, WEEK, Panel, TooLittleHistoryError
from twin.vocab.forecast import SeriesKey
from twin.vocab.rates import Rates, Reason
from twin.vocab.time import FIVE_MINUTES

MONDAY = np.datetime64("2026-01-05T00:00", "us")


def panel_of(values: object, start: np.datetime64 = MONDAY, prefix: str = "r") -> Panel:
    rows = np.atleast_2d(np.array(values, dtype=float))
    at = (start + np.arange(rows.shape[1]) * FIVE_MINUTES).astype("datetime64[us]")
    return Panel(tuple(SeriesKey(f"{prefix}{i}", "eth0", "in_bps") for i in range(len(rows))), at, rows)


def rates(start: str, seconds: list[int], values: list[float]) -> Rates:
    edges = np.datetime64(start, "us") + np.cumsum([0, *seconds]) * np.timedelta64(1, "s")
    return Rates.known(edges[:-1], edges[1:], np.array(values))


def test_polling_every_ten_seconds_becomes_five_minute_means() -> None:
    key = SeriesKey("r1", "eth0", "in_bps")
    polled = rates("2026-01-05T00:00", [10] * 60, [1.0] * 30 + [3.0] * 30)
    panel = data.from_rates({key: polled}, MONDAY, MONDAY + np.timedelta64(10, "m"))
    assert panel.series == (key,)
    assert panel.values.tolist() == [[1.0, 3.0]]


def test_a_silence_stays_a_gap_and_is_never_zero() -> None:
    at = MONDAY + np.array([0, 300, 600, 1500]) * np.timedelta64(1, "s")
    key = SeriesKey("r1", "eth0", "in_bps")
    gap = np.array([Reason.KNOWN, Reason.KNOWN, Reason.GAP], dtype=np.uint8)
    gappy = Rates(at[:-1], at[1:], np.array([10.0, 10.0, np.nan]), gap)
    panel = data.from_rates({key: gappy}, MONDAY, MONDAY + np.timedelta64(25, "m"))
    assert panel.mask.tolist() == [[True, True, False, False, False]]
    assert panel.values[0, :2].tolist() == [10.0, 10.0]
    assert np.isnan(panel.values[0, 2:]).all()


def test_only_whole_cells_are_on_the_grid() -> None:
    at = data.grid(MONDAY + np.timedelta64(1, "s"), MONDAY + np.timedelta64(899, "s"))
    assert at.tolist() == [(MONDAY + FIVE_MINUTES).astype("datetime64[us]").item()]
    assert len(data.grid(MONDAY, MONDAY)) == 0


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda p: Panel(p.series[:1], p.at, p.values), "1 series x 4 times"),
        (lambda p: Panel((p.series[0],) * 2, p.at, p.values), "stands twice"),
        (lambda p: Panel(p.series, p.at + np.timedelta64(7, "s"), p.values), "5-minute marks"),
        (lambda p: Panel(p.series, p.at[::-1], p.values), "every 5 minutes"),
        (lambda p: Panel(p.series, p.at, p.values * np.inf), "infinite"),
    ],
)
def test_a_panel_that_is_no_grid_is_refused(spoil: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        spoil(panel_of([[1, 2, 3, 4], [5, 6, 7, 8]]))  # type: ignore[operator] # a table of lambdas


def test_before_gives_only_cells_that_have_ended() -> None:
    panel = panel_of([1, 2, 3, 4])
    assert panel.before(panel.at[2]).values.tolist() == [[1, 2]]
    assert panel.before(panel.at[2] + np.timedelta64(299, "s")).values.tolist() == [[1, 2]]
    assert len(panel.before(panel.at[0])) == 0


def test_join_prefers_the_earlier_panel_and_keeps_gaps() -> None:
    live, imported = panel_of([np.nan, 20, 30], MONDAY + 2 * FIVE_MINUTES), panel_of([1, 2, 3, 4])
    other = panel_of([7], MONDAY + 5 * FIVE_MINUTES, prefix="s")
    joined = data.join([live, imported, other])
    assert [str(s) for s in joined.series] == ["r0:eth0 in_bps", "s0:eth0 in_bps"]
    np.testing.assert_array_equal(joined.values, [[1, 2, 3, 20, 30, np.nan], [np.nan] * 5 + [7]])


def test_series_known_too_seldom_are_excluded_by_name_with_the_reason() -> None:
    values = np.ones((2, WEEK))
    values[1, 100:] = np.nan
    kept, left_out = data.usable(panel_of(values))
    assert [s.device for s in kept.series] == ["r0"]
    assert [str(e) for e in left_out] == [
        "r1:eth0 in_bps: 100 known 5-minute values in the last 2016, 288 are needed",
    ]
    with pytest.raises(TooLittleHistoryError, match=r"r1:eth0 in_bps: 100 known"):
        data.require_history(panel_of(values))


def test_slots_count_from_monday() -> None:
    at = panel_of(np.zeros(WEEK + 2)).at
    assert data.slot_of_week(at[[0, 1, DAY, WEEK - 1, WEEK]]).tolist() == [0, 1, DAY, WEEK - 1, 0]


def test_filling_takes_the_day_before_then_the_last_value() -> None:
    values = np.arange(DAY + 4, dtype=float)
    values[[3, DAY + 1, DAY + 3]] = np.nan
    result = data.filled(values[None])[0]
    assert (result[3], result[DAY + 1], result[DAY + 3]) == (2.0, 1.0, DAY + 2.0)
    assert data.filled(np.full((1, 5), np.nan)).tolist() == [[0.0] * 5]
    assert data.filled(np.array([[np.nan, 4.0, np.nan]])).tolist() == [[4.0, 4.0, 4.0]]


@given(st.lists(st.one_of(st.just(np.nan), st.floats(-1e9, 1e9)), min_size=1, max_size=700), st.integers(0, 699))
def test_filling_keeps_what_is_known_and_never_looks_ahead(row: list[float], cut: int) -> None:
    values = np.array([row])
    result = data.filled(values)
    known = np.isfinite(values)
    assert np.isfinite(result).all()
    assert (result[known] == values[known]).all()
    begun = int(known[0].argmax())
    if known[0].any() and begun < cut < len(row):
        np.testing.assert_array_equal(data.filled(values[:, :cut])[0, begun:], result[0, begun:cut])


def test_data_and_naive_models_load_without_torch() -> None:
    code = (
        "import sys, models.data, models.split, models.metrics, models.naive, models.backtest, models.registry\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
