"""Forecasts without learning, with quantiles from their own past errors: what every model must beat.

One door for all: ``predict(context, horizon, levels) -> quantiles [series, horizon, level]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from models.data import DAY, WEEK, Floats, Panel, filled


class Predictor(Protocol):
    """Whatever forecasts a panel from its own past."""

    def predict(self, context: Panel, horizon: int, levels: Sequence[float]) -> Floats:
        """Quantiles [series, horizon, level] of the steps that follow the context, ordered in the last axis."""
        ...


@dataclass(frozen=True)
class LastValue:
    """The last known value stays; the spread is that of past changes over as many steps (thinned: they overlap)."""

    def predict(self, context: Panel, horizon: int, levels: Sequence[float]) -> Floats:
        y = filled(context.values)
        changes = (_lagged(context.values, y, k)[:, :: 1 + k // 4] for k in range(1, horizon + 1))
        steps = [_error_quantiles(change, levels) for change in changes]
        return _non_negative(y[:, -1, None, None] + np.stack(steps, axis=1), context)


@dataclass(frozen=True)
class SeasonalNaive:
    """The value one ``season`` (in steps) ago; a context shorter than that falls back to the day."""

    season: int = DAY

    def predict(self, context: Panel, horizon: int, levels: Sequence[float]) -> Floats:
        y = filled(context.values)
        season = self.season if len(context) >= self.season else DAY
        spread = _error_quantiles(_lagged(context.values, y, season if len(context) > season + DAY else DAY), levels)
        return _non_negative(_seasonal(y, season, horizon)[..., None] + spread[:, None], context)


@dataclass(frozen=True)
class Blend:
    """Smoothed daily and re-levelled weekly profile, plus the present deviation fading with ``decay`` steps.

    Spread: errors of the same rule at past origins within the context.
    """

    decay: float = 96.0
    every: int = 24

    def predict(self, context: Panel, horizon: int, levels: Sequence[float]) -> Floats:
        y = filled(context.values)
        centre = self._centre(y, horizon)
        first = min(WEEK, max(DAY, len(context) // 2))
        errors = [
            context.values[:, o : o + horizon] - self._centre(y[:, max(0, o - WEEK) : o], horizon)
            for o in range(first, len(context) - horizon + 1, self.every)
        ]
        if not errors:
            return _non_negative(
                centre[..., None] + _error_quantiles(_lagged(context.values, y, 1), levels)[:, None], context
            )
        pieces = np.array_split(np.stack(errors, axis=1), max(1, horizon // 48), axis=2)
        spread = [np.repeat(_pooled(piece, levels)[:, None], piece.shape[2], axis=1) for piece in pieces]
        return _non_negative(centre[..., None] + np.concatenate(spread, axis=1), context)

    def _centre(self, y: Floats, horizon: int) -> Floats:
        smooth = _smoothed(y)
        profile = _seasonal(smooth, DAY, horizon + 1, ahead=-1)
        if y.shape[1] >= WEEK:
            growth = y[:, -DAY:].mean(axis=1) - y[:, -WEEK : -WEEK + DAY].mean(axis=1)
            profile = (profile + _seasonal(smooth, WEEK, horizon + 1, ahead=-1) + growth[:, None]) / 2
        deviation = y[:, -6:].mean(axis=1) - profile[:, 0]
        fading = np.exp(-np.arange(1, horizon + 1) / self.decay)
        centre: Floats = profile[:, 1:] + deviation[:, None] * fading
        return centre


BASELINES: dict[str, Predictor] = {
    "naive day": SeasonalNaive(DAY),
    "naive week": SeasonalNaive(WEEK),
    "last value": LastValue(),
    "blend": Blend(),
}


def _seasonal(y: Floats, season: int, steps: int, ahead: int = 0) -> Floats:
    """The last season, repeated, for ``steps`` steps; the first is the one after the end, shifted by ``ahead``."""
    step = np.arange(steps) + ahead
    index = np.where(step < 0, step, step % season) + y.shape[1] - season
    return y[:, np.clip(index, 0, y.shape[1] - 1)]


def _smoothed(y: Floats, half: int = 6) -> Floats:
    padded = np.pad(y, ((0, 0), (half + 1, half)), mode="edge").cumsum(axis=1)
    width = 2 * half + 1
    smooth: Floats = (padded[:, width:] - padded[:, :-width]) / width
    return smooth


def _lagged(known: Floats, y: Floats, lag: int) -> Floats:
    """Known values minus what stood ``lag`` steps before: [S, T - lag]; one NaN column if T is too short."""
    return known[:, lag:] - y[:, :-lag] if y.shape[1] > lag else np.full((len(y), 1), np.nan)


def _error_quantiles(errors: Floats, levels: Sequence[float]) -> Floats:
    """[S, n] with NaN -> [S, L]; the median is left at 0 and a series without errors gets none."""
    ranked = np.sort(errors, axis=1)
    count = np.isfinite(ranked).sum(axis=1)
    position = np.asarray(levels) * (np.maximum(count, 1) - 1)[:, None]
    low = np.floor(position).astype(np.intp)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    below, above = (np.take_along_axis(ranked, i, axis=1) for i in (low, high))
    result = np.nan_to_num(below + (above - below) * (position - low))
    result[:, np.isclose(levels, 0.5)] = 0.0
    sided: Floats = np.where(np.asarray(levels) < 0.5, np.minimum(result, 0.0), np.maximum(result, 0.0))
    return sided


def _pooled(errors: Floats, levels: Sequence[float]) -> Floats:
    return _error_quantiles(errors.reshape(len(errors), -1), levels)


def _non_negative(quantiles: Floats, context: Panel) -> Floats:
    """Quantiles of a series that was never negative aren't either."""
    floor = np.where((np.nan_to_num(context.values) >= 0).all(axis=1), 0.0, -np.inf)
    return np.maximum(quantiles, floor[:, None, None])
