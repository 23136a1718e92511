"""Naive forecasts: exact on what they assume, ordered always, blind to nothing but the past."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data import DAY, WEEK, Panel
from models.naive import BASELINES, Blend, LastValue, SeasonalNaive
from models.synthetic import synthetic_panel
from twin.vocab.forecast import LEVELS, SeriesKey
from twin.vocab.time import FIVE_MINUTES


def one(values: np.ndarray) -> Panel:
    at = (np.datetime64("2026-01-05", "us") + np.arange(len(values)) * FIVE_MINUTES).astype("datetime64[us]")
    return Panel((SeriesKey("r1", "eth0", "in_bps"),), at, values[None].astype(float))


def wave(period: int, steps: int) -> np.ndarray:
    return 10 + np.sin(2 * np.pi * np.arange(steps) / period)


@pytest.mark.parametrize(
    ("model", "period"),
    [(SeasonalNaive(DAY), DAY), (SeasonalNaive(WEEK), WEEK)],
)
def test_a_perfect_season_is_continued_without_spread(model: SeasonalNaive, period: int) -> None:
    truth = wave(period, 2 * WEEK + 600)
    forecast = model.predict(one(truth[: 2 * WEEK]), 500, LEVELS)
    np.testing.assert_allclose(forecast, np.repeat(truth[None, 2 * WEEK : 2 * WEEK + 500, None], 11, axis=2), atol=1e-9)


def test_last_value_stays_and_its_spread_grows() -> None:
    walk = 1000 + np.random.default_rng(0).standard_normal(WEEK).cumsum()
    forecast = LastValue().predict(one(walk), 100, (0.1, 0.5, 0.9))[0]
    assert (forecast[:, 1] == walk[-1]).all()
    assert np.ptp(forecast[99]) > 3 * np.ptp(forecast[0])


def test_the_blend_follows_season_and_fades_a_deviation() -> None:
    history = wave(DAY, 2 * WEEK)
    history[-6:] += 5
    centre = Blend(decay=24).predict(one(history), DAY, (0.5,))[0, :, 0]
    expected = wave(DAY, 2 * WEEK + DAY)[2 * WEEK :]
    assert centre[0] - expected[0] == pytest.approx(5, abs=0.5)
    assert centre[200] - expected[200] == pytest.approx(0, abs=0.5)


def test_the_blend_beats_both_naives_a_day_ahead() -> None:
    panel = synthetic_panel(20, 15 * DAY, seed=5)
    context, truth = panel.window(0, 14 * DAY), panel.values[:, 14 * DAY :]
    scale = truth.mean(axis=1)
    error = {
        name: (np.abs(model.predict(context, DAY, (0.5,))[..., 0] - truth).mean(axis=1) / scale).mean()
        for name, model in BASELINES.items()
    }
    assert min(error, key=lambda name: error[name]) == "blend"


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(BASELINES)), st.integers(1, 900), st.integers(1, 300), st.integers(0, 99))
def test_any_history_gives_finite_ordered_non_negative_quantiles(
    name: str, steps: int, horizon: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    panel = synthetic_panel(2, steps, seed=seed)
    holed = Panel(panel.series, panel.at, np.where(rng.random(panel.values.shape) < 0.3, np.nan, panel.values))
    forecast = BASELINES[name].predict(holed, horizon, LEVELS)
    assert forecast.shape == (2, horizon, len(LEVELS))
    assert np.isfinite(forecast).all()
    assert (np.diff(forecast, axis=2) >= 0).all()
    assert (forecast >= 0).all()


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_a_series_that_goes_negative_may_be_forecast_negative(name: str) -> None:
    forecast = BASELINES[name].predict(one(wave(DAY, WEEK) - 30), 12, LEVELS)
    assert (forecast < 0).all()
