"""The load model: better than naive, ordered, equivariant, repeatable, patient with gaps, refusing by name."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.backtest import backtest, leaks
from models.data import DAY, WEEK, Floats, Panel, TooLittleHistoryError
from models.load.forecaster import Forecaster
from models.load.train import train
from models.split import Split
from models.synthetic import synthetic_panel
from twin.vocab.errors import UsageError
from twin.vocab.forecast import LEVELS, SeriesKey
from twin.vocab.time import FIVE_MINUTES


def replaced(panel: Panel, values: np.ndarray) -> Panel:
    return Panel(panel.series, panel.at, values)


def test_few_steps_of_training_beat_the_naive_day_and_the_last_value(history: Panel, forecaster: Forecaster) -> None:
    splits = [Split.last(history, DAY, 12, every=24), Split.last(history, DAY, DAY, every=1)]
    rows = {(r.model, r.horizon): r for r in backtest(history, {"ours": lambda _training: forecaster}, splits)}
    for horizon in (12, DAY):
        ours = rows["ours", horizon]
        assert ours.rel_sql < 0.9
        assert ours.rel_sql < rows["last value", horizon].rel_sql
        assert 0.5 < ours.coverage80 < 0.99


def test_a_forecast_says_what_when_by_whom_and_how_sure(history: Panel, forecaster: Forecaster) -> None:
    issued = datetime(2026, 1, 14, 0, 3, tzinfo=UTC)
    forecast = forecaster.forecast(history.window(0, 9 * DAY), issued=issued)
    assert forecast.series == history.series
    assert forecast.quantiles.shape == (12, 288, len(LEVELS))
    assert (forecast.at == history.at[9 * DAY :]).all()
    assert (forecast.issued, forecast.model, forecast.levels) == (issued, forecaster.model_id, LEVELS)
    assert ((forecast.coverage80 > 0.4) & (forecast.coverage80 <= 1)).all()


def test_nothing_after_the_origin_matters(history: Panel) -> None:
    split = Split(history.at[9 * DAY], (history.at[9 * DAY], history.at[9 * DAY + 100]), 12)
    assert leaks(history, lambda training: train(training, steps=2), split) == ()


def test_the_leak_audit_catches_what_depends_on_more_than_the_past(history: Panel) -> None:
    calls = itertools.count()

    class Drifts:
        def predict(self, context: Panel, horizon: int, levels: Sequence[float]) -> Floats:
            return np.full((len(context.series), horizon, len(levels)), float(next(calls)))

    split = Split(history.at[9 * DAY], (history.at[9 * DAY],), 12)
    assert leaks(history, lambda _training: Drifts(), split) == split.origins


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.7), st.integers(DAY, WEEK + 50), st.sampled_from([-3.0, 0.0, 1.0]))
def test_any_holed_context_gives_finite_ordered_quantiles(
    forecaster: Forecaster, seed: int, missing: float, steps: int, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    panel = synthetic_panel(3, steps, seed=seed)
    values = panel.values + shift * panel.values.mean()
    values[rng.random(values.shape) < missing * (1 - DAY / steps)] = np.nan
    known = np.isfinite(values[:, -WEEK:]).sum(axis=1) >= DAY
    if not known.any():
        return
    forecast = forecaster.predict(replaced(panel, values).select(known), 288)
    assert np.isfinite(forecast).all()
    assert (np.diff(forecast, axis=2) >= 0).all()
    assert (forecast >= 0).all() or shift < 0


@pytest.mark.parametrize("factor", [1000.0, 1e-3, 8.0])
def test_other_units_give_the_same_forecast_in_those_units(
    history: Panel, forecaster: Forecaster, factor: float
) -> None:
    plain = forecaster.predict(history, 288)
    np.testing.assert_allclose(
        forecaster.predict(replaced(history, history.values * factor), 288), plain * factor, rtol=1e-3
    )


def test_a_constant_and_a_silent_line_stay_what_they_are(forecaster: Forecaster) -> None:
    at = (np.datetime64("2026-01-05", "us") + np.arange(WEEK) * FIVE_MINUTES).astype("datetime64[us]")
    names = tuple(SeriesKey(n, "eth0", "in_bps") for n in ("silent", "constant"))
    forecast = forecaster.predict(Panel(names, at, np.array([[0.0], [7e6]]) * np.ones((2, WEEK))), 288)
    assert (forecast[0] == 0).all()
    assert (forecast[1] == 7e6).all()


def test_series_do_not_influence_each_other(history: Panel, forecaster: Forecaster) -> None:
    alone = forecaster.predict(history.select(np.array([3])), 24)
    np.testing.assert_allclose(alone[0], forecaster.predict(history, 24)[3], rtol=1e-4)


def test_a_new_series_gets_the_pooled_intervals_and_no_coverage(history: Panel, forecaster: Forecaster) -> None:
    stranger = Panel((SeriesKey("new", "eth9", "in_bps"),), history.at, history.values[:1])
    forecast = forecaster.forecast(stranger)
    assert np.isnan(forecast.coverage80).all()
    assert np.isfinite(forecast.quantiles).all()


def test_training_with_fixed_steps_is_repeatable_and_leaves_torch_as_it_was(history: Panel) -> None:
    before, state = torch.get_num_threads(), torch.get_rng_state()
    first, again = (train(history, steps=4, seed=3, threads=n) for n in (1, 2))
    other = train(history, steps=4, seed=4, threads=1)
    assert first.content_hash == again.content_hash != other.content_hash
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_training_tells_how_far_it_is_and_can_be_interrupted(history: Panel) -> None:
    told: list[tuple[float, str]] = []
    train(history, steps=40, progress=lambda share, text: told.append((share, text)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert told[-1] == (1.0, "done")
    assert {text for _, text in told} == {"training 1 hour", "training 1 day", "done"}

    def stop(share: float, text: str) -> None:
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        train(history, steps=40, threads=before + 1, progress=stop)
    assert torch.get_num_threads() == before


def test_too_short_a_history_is_refused_by_name(history: Panel, forecaster: Forecaster) -> None:
    with pytest.raises(TooLittleHistoryError, match=r"2\.0 days of history of synthetic0:if0 in_bps: 7 are needed"):
        train(history.window(0, 2 * DAY), steps=1)
    values = history.values.copy()
    values[5, : 10 * DAY - 40] = np.nan
    holed = replaced(history, values)
    with pytest.raises(TooLittleHistoryError, match=r"synthetic5:if0 in_bps: 40 known"):
        forecaster.forecast(holed)
    assert "synthetic5" not in {s.device for s in train(holed, steps=1).series}
    with pytest.raises(TooLittleHistoryError, match="no series to train on: synthetic0"):
        train(replaced(history, np.full_like(values, np.nan)), steps=1)


REFUSED_HORIZONS = {0: "less", 289: "1445 minutes", 300: "25 hours", 576: "2 days"}


def test_a_horizon_or_level_it_was_not_made_for_is_refused(history: Panel, forecaster: Forecaster) -> None:
    for steps, said in REFUSED_HORIZONS.items():
        with pytest.raises(UsageError, match=f"at most 1 day, not {said}$"):
            forecaster.forecast(history, horizon=steps)
    with pytest.raises(ValueError, match=r"no quantile 0\.95"):
        forecaster.predict(history, 12, (0.5, 0.95))
