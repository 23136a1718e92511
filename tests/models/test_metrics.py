"""Scores: the pinball loss is proper, means are masked and stream, ratios are geometric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models import metrics
from models.metrics import SCORED_LEVELS, MaskedMean, Scores
from twin.vocab.forecast import LEVELS

FINITE = st.floats(-1e6, 1e6)
LEVEL = st.floats(0.01, 0.99)


@given(FINITE, FINITE, LEVEL)
def test_pinball_is_zero_only_at_the_truth_and_tilted_by_the_level(truth: float, quantile: float, level: float) -> None:
    loss = metrics.pinball(np.array([truth]), np.array([[quantile]]), [level])[0, 0]
    tilt = level if truth > quantile else 1 - level
    assert loss == pytest.approx(tilt * abs(truth - quantile))


@given(arrays(float, 41, elements=FINITE), LEVEL, FINITE)
def test_the_sample_quantile_minimises_the_pinball_loss(sample: np.ndarray, level: float, other: float) -> None:
    best = np.quantile(sample, level, method="inverted_cdf")
    losses = [metrics.pinball(sample, np.full((41, 1), q), [level]).mean() for q in (best, other)]
    assert losses[0] <= losses[1] + 1e-6


def test_quantile_loss_of_a_point_forecast_is_its_absolute_error() -> None:
    truth, point = np.array([[1.0, 5.0]]), np.full((1, 2, len(LEVELS)), 3.0)
    np.testing.assert_allclose(metrics.quantile_loss(truth, point, LEVELS), [[2.0, 2.0]])
    np.testing.assert_allclose(metrics.absolute_error(truth, point, LEVELS), [[2.0, 2.0]])


def test_quantile_loss_of_the_true_quantiles_is_the_known_optimum_of_the_normal() -> None:
    z = np.array([-1.281552, -0.841621, -0.524401, -0.253347, 0, 0.253347, 0.524401, 0.841621, 1.281552])
    truth = np.random.default_rng(0).standard_normal((1, 200_000))
    score = metrics.quantile_loss(truth, np.broadcast_to(z, (1, 200_000, 9)), SCORED_LEVELS).mean()
    assert score == pytest.approx(2 * np.mean(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)), rel=0.01)


@given(st.lists(arrays(float, (3, 5), elements=st.one_of(st.just(np.nan), FINITE)), min_size=1, max_size=5))
def test_a_streamed_mean_is_the_mean_of_what_is_known(pieces: list[np.ndarray]) -> None:
    streamed = MaskedMean(3)
    for piece in pieces:
        streamed.add(piece)
    together = np.concatenate(pieces, axis=1)
    expected = [row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in together]
    np.testing.assert_allclose(streamed.get(), expected, rtol=1e-9, atol=1e-6)


def test_gaps_are_not_scored() -> None:
    scores = Scores(LEVELS, np.array([2.0]))
    quantiles = np.tile(np.linspace(0, 10, len(LEVELS)), (1, 3, 1))
    scores.add(np.array([[5.0, np.nan, 50.0]]), quantiles)
    assert scores.error.count.tolist() == [2]
    assert scores.mase.tolist() == [22.5 / 2.0]
    assert scores.coverage80.tolist() == [0.5]


def test_the_scale_is_the_mean_change_from_day_to_day_and_unknown_for_a_constant() -> None:
    ramp = np.arange(600.0)
    np.testing.assert_array_equal(metrics.seasonal_scale(np.stack([ramp, np.ones(600)])), [288.0, np.nan])
    assert np.isnan(metrics.seasonal_scale(ramp[None, :100])).all()


def test_ratios_average_geometrically_over_series_scored_in_both() -> None:
    ours, reference = np.array([2.0, 1.0, np.nan, 3.0]), np.array([1.0, 2.0, 1.0, np.nan])
    assert metrics.geometric_mean_ratio(ours, reference) == pytest.approx(1.0)
    assert np.isnan(metrics.geometric_mean_ratio(np.array([np.nan]), np.array([1.0])))


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match=r"level 0\.1 is not among"):
        metrics.inside80(np.zeros((1, 1)), np.zeros((1, 1, 2)), (0.5, 0.9))
