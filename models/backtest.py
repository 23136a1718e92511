"""How good would forecasts have been? Models beside the naive ones, on held-out time, through the same door."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from models.data import Panel
from models.metrics import Scores, geometric_mean_ratio, mean, seasonal_scale
from models.naive import BASELINES, Predictor
from models.split import Split
from twin.vocab.forecast import LEVELS
from twin.vocab.time import FIVE_MINUTES

Factory = Callable[[Panel], Predictor]
REFERENCE = "naive day"


@dataclass(frozen=True)
class Row:
    """One model at one horizon (steps). Lower is better but for coverage80, which should be 0.8.

    mase, sql: mean over series; rel_mase, rel_sql: geometric mean over series of the ratio to the naive day.
    n: values scored; series: how many have a score (a constant series has none).
    """

    model: str
    horizon: int
    mase: float
    sql: float
    rel_mase: float
    rel_sql: float
    coverage80: float
    n: int
    series: int


def baselines() -> dict[str, Factory]:
    """The naive models as factories: they learn nothing from the training panel."""
    return {name: partial(_as_is, predictor) for name, predictor in BASELINES.items()}


def _as_is(predictor: Predictor, _training: Panel) -> Predictor:
    return predictor


def backtest(panel: Panel, models: Mapping[str, Factory], splits: Sequence[Split]) -> tuple[Row, ...]:
    """Score each model, and the naive ones, over all origins of each split. Nothing after an origin is handed out.

    Each factory gets the training part of a split and is asked once per cutoff. Splits of one horizon are kept apart:
    a row for each model and split, models in the order given, then the naive ones.

    Raises:
        TooLittleHistoryError: a split asks for more than the panel has, or a model refuses a series.
    """
    factories = {**models, **baselines()}
    fitted: dict[tuple[str, np.datetime64], Predictor] = {}
    rows: list[Row] = []
    for split in splits:
        training = split.training(panel)
        for name, factory in factories.items():
            if (name, split.cutoff) not in fitted:
                fitted[name, split.cutoff] = factory(training)
        scores = {name: _scores(panel, fitted[name, split.cutoff], split) for name in factories}
        rows += [_row(name, split, scores[name], scores[REFERENCE]) for name in factories]
    return tuple(rows)


def leaks(panel: Panel, factory: Factory, split: Split, *, seed: int = 0) -> tuple[np.datetime64, ...]:
    """Origins whose forecasts change when everything from the origin on is scrambled; must be none.

    The model is made anew for each scrambled panel; where that is slow give a split with few origins.
    """
    changed = []
    for origin in split.origins:
        alone = Split(split.cutoff, (origin,), split.horizon, split.context)
        first, second = (_forecast_of(p, factory, alone) for p in (panel, _scrambled(panel, origin, seed)))
        if not np.array_equal(first, second, equal_nan=True):
            changed.append(origin)
    return tuple(changed)


def _scores(panel: Panel, predictor: Predictor, split: Split) -> Scores:
    scores = Scores(LEVELS, seasonal_scale(split.training(panel).values))
    for context, answers in split.pairs(panel):
        scores.add(answers, predictor.predict(context, split.horizon, LEVELS))
    return scores


def _row(name: str, split: Split, ours: Scores, reference: Scores) -> Row:
    return Row(
        model=name,
        horizon=split.horizon,
        mase=mean(ours.mase),
        sql=mean(ours.sql),
        rel_mase=geometric_mean_ratio(ours.mase, reference.mase),
        rel_sql=geometric_mean_ratio(ours.sql, reference.sql),
        coverage80=mean(ours.coverage80),
        n=int(ours.error.count.sum()),
        series=int(np.isfinite(ours.mase).sum()),
    )


def _forecast_of(panel: Panel, factory: Factory, split: Split) -> np.ndarray:
    predictor = factory(split.training(panel))
    ((context, _),) = split.pairs(panel)
    return predictor.predict(context, split.horizon, LEVELS)


def _scrambled(panel: Panel, origin: np.datetime64, seed: int) -> Panel:
    """Every value from the origin on in another place, another size, some of them gone."""
    rng = np.random.default_rng(seed)
    first = int((origin - panel.at[0]) // FIVE_MINUTES)
    values = panel.values.copy()
    after = rng.permuted(values[:, first:], axis=1) * rng.uniform(0.2, 5.0, (len(values), 1))
    values[:, first:] = np.where(rng.random(after.shape) < 0.1, np.nan, after)
    return Panel(panel.series, panel.at, values)
