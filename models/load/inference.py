"""Running a network on numpy contexts: padding, scaling in double precision, chunks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from models.data import WEEK, Floats
from models.load.network import LoadNetwork
from models.load.threads import limited_threads
from twin.vocab.forecast import LEVELS

_CHUNK = 512


def run(network: LoadNetwork, contexts: Floats, slots: npt.NDArray[np.int64]) -> Floats:
    """Quantiles [N, horizon, LEVELS] in the unit of the contexts, ordered, before any calibration; on one thread.

    Args:
        contexts: [N, steps], NaN = unknown, any number of steps (the last 2016 count); each row knows a value.
        slots: [N] slot of the UTC week of the first step forecast.
    """
    week = _last_week(contexts)
    centre, scale = _latest(week), _spread(week)
    z = (week - centre) / np.where(scale > 0, scale, 1.0)
    known = np.isfinite(z)
    values = torch.tensor(np.where(known, z, 0.0), dtype=torch.float32)
    network.eval()
    with limited_threads(1), torch.inference_mode():
        pieces = [
            network(values[i : i + _CHUNK], torch.tensor(known[i : i + _CHUNK]), torch.tensor(slots[i : i + _CHUNK]))
            for i in range(0, len(values), _CHUNK)
        ]
    shape = (0, network.config.horizon, len(LEVELS))
    out = torch.cat(pieces).double().numpy() if pieces else np.zeros(shape)
    return np.maximum.accumulate(out, axis=2) * scale[..., None] + centre[..., None]


def level_indices(levels: Sequence[float]) -> list[int]:
    """Where these levels stand in LEVELS.

    Raises:
        ValueError: a level the model was not trained for.
    """
    unknown = [p for p in levels if p not in LEVELS]
    if unknown:
        raise ValueError(f"no quantile {unknown[0]}: the model gives {LEVELS}")
    return [LEVELS.index(p) for p in levels]


def _last_week(contexts: Floats) -> Floats:
    recent = contexts[:, -WEEK:]
    return np.pad(recent, ((0, 0), (WEEK - recent.shape[1], 0)), constant_values=np.nan)


def _latest(week: Floats) -> Floats:
    """[N, 1] the last known value."""
    latest = week.shape[1] - 1 - np.isfinite(week)[:, ::-1].argmax(axis=1)
    return np.take_along_axis(week, latest[:, None], axis=1)


def _spread(week: Floats) -> Floats:
    """[N, 1] mean distance of the known values from their mean; 0 for a constant."""
    known = np.isfinite(week)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    mean = np.where(known, week, 0.0).sum(axis=1, keepdims=True) / count
    spread = np.where(known, np.abs(week - mean), 0.0).sum(axis=1, keepdims=True) / count
    return np.where(spread > 1e-12 * np.abs(mean), spread, 0.0)
