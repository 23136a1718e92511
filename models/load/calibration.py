"""Split-conformal intervals: how far each quantile must move from the median to be right as often as it says.

Multiplicative form of conformalized quantile regression (Romano, Patterson, Candes 2019): factors on the distance
from the median, half from the series' own errors and half from those of all series. They only widen: a few days
of calibration are no ground for narrowing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.data import Floats, Panel, slot_of_week
from models.load.inference import run
from models.load.network import LoadNetwork
from models.metrics import inside80
from twin.vocab.forecast import LEVELS

_STEPS = 24
_WIDEST = 4.0
_OWN_SHARE = 0.5
_MIDDLE = LEVELS.index(0.5)


@dataclass(frozen=True)
class Calibration:
    """``factors`` [series, level] and ``pooled`` [level] (for a series not seen in training), >= 1.

    ``coverage80`` [series]: share of values inside [q10, q90] on the half of the calibration days not used for the
    factors, averaged over both halves; NaN where nothing was known.
    """

    factors: Floats
    pooled: Floats
    coverage80: Floats


def widened(quantiles: Floats, factors: Floats) -> Floats:
    """[S, h, L] with distances from the median times [S, L]; still ordered."""
    middle = quantiles[..., _MIDDLE : _MIDDLE + 1]
    moved = middle + (quantiles - middle) * factors[:, None]
    moved[..., _MIDDLE:] = np.maximum.accumulate(moved[..., _MIDDLE:], axis=-1)
    moved[..., : _MIDDLE + 1] = np.minimum.accumulate(moved[..., _MIDDLE::-1], axis=-1)[..., ::-1]
    return moved


def calibrate(
    network: LoadNetwork, panel: Panel, held: int, *, go_on: Callable[[], None] = lambda: None
) -> Calibration:
    """Factors from forecasts whose targets lie in the last ``held`` steps, which training has not seen.

    ``go_on`` is asked before each forecast; what it raises ends the work.
    """
    horizon = network.config.horizon
    first = len(panel) - held
    origins = list(range(first, len(panel) - horizon + 1, max(12, horizon // 12)))
    stride = max(1, horizon // _STEPS)
    slots = slot_of_week(panel.at)
    forecasts, truths = [], []
    for origin in origins:
        go_on()
        slot = np.full(len(panel.series), slots[origin])
        forecasts.append(run(network, panel.values[:, :origin], slot)[:, ::stride])
        truths.append(panel.values[:, origin : origin + horizon : stride])
    quantiles, truth = np.stack(forecasts, axis=1), np.stack(truths, axis=1)
    half = (len(origins) + 1) // 2
    folds = (slice(None, half), slice(half, None)), (slice(half, None), slice(None, half))
    checks = [
        _coverage(quantiles[:, test], truth[:, test], _factors(quantiles[:, fit], truth[:, fit])[0])
        for fit, test in folds
    ]
    factors, pooled = _factors(quantiles, truth)
    return Calibration(factors, pooled, np.mean(checks, axis=0))


def _factors(quantiles: Floats, truth: Floats) -> tuple[Floats, Floats]:
    """Per series [S, L] and pooled [L] from quantiles [S, O, h, L] and truth [S, O, h]."""
    middle = quantiles[..., _MIDDLE]
    own, pooled = np.ones((len(truth), len(LEVELS))), np.ones(len(LEVELS))
    for i, level in enumerate(LEVELS):
        if i == _MIDDLE or truth.shape[1] == 0:
            continue
        distance = quantiles[..., i] - middle
        ratio = (truth - middle) / np.where(np.abs(distance) > 0, distance, np.copysign(1e-9, level - 0.5))
        side = max(level, 1 - level)
        known = ratio[np.isfinite(ratio)]
        pooled[i] = np.quantile(known, side) if len(known) else 1.0
        flat = ratio.reshape(len(truth), -1)
        for row, values in enumerate(flat):
            finite = values[np.isfinite(values)]
            own[row, i] = np.quantile(finite, side) if len(finite) else pooled[i]
    mixed = _OWN_SHARE * own + (1 - _OWN_SHARE) * pooled
    return np.clip(mixed, 1.0, _WIDEST), np.clip(pooled, 1.0, _WIDEST)


def _coverage(quantiles: Floats, truth: Floats, factors: Floats) -> Floats:
    """[S] share of known truth inside the widened 80 % interval."""
    series, origins, steps = truth.shape
    flat = widened(quantiles.reshape(series, origins * steps, -1), factors)
    hits = inside80(truth.reshape(series, -1), flat, LEVELS)
    known = np.isfinite(hits)
    total = known.sum(axis=1)
    share: Floats = np.divide(
        np.where(known, hits, 0.0).sum(axis=1), total, out=np.full(series, np.nan), where=total > 0
    )
    return share
