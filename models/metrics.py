"""Scores of quantile forecasts: a loss per value, then a masked mean that streams.

SQL = scaled quantile loss as in fev-bench; relative scores are geometric means of ratios as in GIFT-Eval;
MASE: Hyndman and Koehler 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.data import DAY, Floats

SCORED_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def pinball(truth: Floats, quantiles: Floats, levels: Sequence[float]) -> Floats:
    """max(p e, (p - 1) e) with e = truth - quantile: [...], [..., L] -> [..., L]; NaN where truth is unknown."""
    p = np.asarray(levels)
    error = truth[..., None] - quantiles
    return np.maximum(p * error, (p - 1) * error)


def quantile_loss(truth: Floats, quantiles: Floats, levels: Sequence[float]) -> Floats:
    """Twice the pinball loss, averaged over the levels 0.1 ... 0.9: [...], [..., L] -> [...]."""
    chosen = [_index(levels, p) for p in SCORED_LEVELS]
    loss: Floats = 2 * pinball(truth, quantiles[..., chosen], SCORED_LEVELS).mean(axis=-1)
    return loss


def absolute_error(truth: Floats, quantiles: Floats, levels: Sequence[float]) -> Floats:
    """|truth - median|."""
    return np.abs(truth - quantiles[..., _index(levels, 0.5)])


def inside80(truth: Floats, quantiles: Floats, levels: Sequence[float]) -> Floats:
    """1 where q10 <= truth <= q90, 0 elsewhere; NaN where truth is unknown."""
    low, high = quantiles[..., _index(levels, 0.1)], quantiles[..., _index(levels, 0.9)]
    return np.where(np.isfinite(truth), (truth >= low) & (truth <= high), np.nan)


def _index(levels: Sequence[float], level: float) -> int:
    found = np.flatnonzero(np.isclose(levels, level))
    if len(found) != 1:
        raise ValueError(f"level {level} is not among {tuple(levels)}")
    return int(found[0])


def seasonal_scale(values: Floats, lag: int = DAY) -> Floats:
    """Mean |y_t - y_(t-lag)| of each series over what is known: [S, T] -> [S]; NaN if it never is, or is 0."""
    if values.shape[1] <= lag:
        return np.full(len(values), np.nan)
    mean = MaskedMean(len(values)).add(np.abs(values[:, lag:] - values[:, :-lag])).get()
    return np.where(mean > 0, mean, np.nan)


@dataclass
class MaskedMean:
    """Mean per series of values that come in pieces; NaN is left out, never counted as zero."""

    series: int
    total: Floats = field(init=False)
    count: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.total = np.zeros(self.series)
        self.count = np.zeros(self.series)

    def add(self, values: Floats) -> MaskedMean:
        """Take [series, steps] in."""
        known = np.isfinite(values)
        self.total += np.where(known, values, 0.0).sum(axis=1)
        self.count += known.sum(axis=1)
        return self

    def get(self) -> Floats:
        """[series]; NaN where nothing came."""
        result: Floats = np.divide(self.total, self.count, out=np.full(self.series, np.nan), where=self.count > 0)
        return result


@dataclass
class Scores:
    """The running scores of one model over origins: one value per series each."""

    levels: Sequence[float]
    scale: Floats
    error: MaskedMean = field(init=False)
    loss: MaskedMean = field(init=False)
    covered: MaskedMean = field(init=False)

    def __post_init__(self) -> None:
        self.error, self.loss, self.covered = (MaskedMean(len(self.scale)) for _ in range(3))

    def add(self, truth: Floats, quantiles: Floats) -> None:
        """Take in truth [S, h] and quantiles [S, h, L]."""
        self.error.add(absolute_error(truth, quantiles, self.levels))
        self.loss.add(quantile_loss(truth, quantiles, self.levels))
        self.covered.add(inside80(truth, quantiles, self.levels))

    @property
    def mase(self) -> Floats:
        return self.error.get() / self.scale

    @property
    def sql(self) -> Floats:
        return self.loss.get() / self.scale

    @property
    def coverage80(self) -> Floats:
        return self.covered.get()


def geometric_mean_ratio(ours: Floats, reference: Floats) -> float:
    """exp(mean(log(ours / reference))) over series known and positive in both; NaN if none is."""
    both = np.isfinite(ours) & np.isfinite(reference) & (ours > 0) & (reference > 0)
    return float(np.exp(np.log(ours[both] / reference[both]).mean())) if both.any() else float("nan")


def mean(values: Floats) -> float:
    """Mean over the series that have a score; NaN if none has."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
