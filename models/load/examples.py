"""Training windows: drawn at random from own and synthetic series, mixed, shortened and holed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.data import DAY, WEEK, Floats, Panel, slot_of_week
from models.metrics import MaskedMean, seasonal_scale
from models.synthetic import synthetic_panel

_SYNTHETIC_SERIES = 32
_SYNTHETIC_SHARE = 0.2


@dataclass(frozen=True)
class Batch:
    """``context`` [B, 2016] with ``known``, ``slot`` [B] of the first target, ``target`` [B, h] with its mask."""

    context: Tensor
    known: Tensor
    slot: Tensor
    target: Tensor
    target_known: Tensor


class Examples:
    """Windows whose targets end ``held`` steps before the end of the panel: the rest is for calibration."""

    def __init__(self, panel: Panel, held: int, seed: int) -> None:
        self._until = len(panel) - held
        self._own = len(panel.series)
        made_up = synthetic_panel(_SYNTHETIC_SERIES, self._until, seed=seed, start=panel.at[0])
        scaled = _standardised(np.concatenate([panel.values[:, : self._until], made_up.values]))
        padded = np.pad(scaled, ((0, 0), (WEEK, 0)), constant_values=np.nan)
        known = np.isfinite(padded)
        self._known = torch.tensor(known)
        self._values = torch.tensor(np.where(known, padded, 0.0), dtype=torch.float32)
        self._slots = torch.tensor(slot_of_week(panel.at))
        self._rng = np.random.default_rng(seed)

    def batch(self, size: int, horizon: int) -> Batch:
        """``size`` windows; origins with a whole week before them are preferred where the history has any."""
        rng = self._rng
        made_up = rng.random(size) < _SYNTHETIC_SHARE
        rows = np.where(made_up, rng.integers(self._own, len(self._values), size), rng.integers(0, self._own, size))
        origins = self._origins(size, horizon)
        columns = torch.tensor(origins)[:, None] + torch.arange(WEEK + horizon)
        index = torch.tensor(rows)[:, None]
        values, known = self._values[index, columns], self._known[index, columns]
        if rng.random() < 0.5:
            values, known = self._mixed(values, known)
        context_known = self._holed(known[:, :WEEK])
        return Batch(values[:, :WEEK], context_known, self._slots[origins], values[:, WEEK:], known[:, WEEK:])

    def _origins(self, size: int, horizon: int) -> np.ndarray:
        last = self._until - horizon
        whole = self._rng.integers(min(WEEK, last), last + 1, size)
        short = self._rng.integers(min(DAY, last), last + 1, size)
        return np.where(self._rng.random(size) < 0.7, whole, short)

    def _mixed(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Each window plus up to 0.4 of another one."""
        other = torch.tensor(self._rng.permutation(len(values)))
        share = torch.tensor(self._rng.uniform(0, 0.4, (len(values), 1)), dtype=values.dtype)
        return values * (1 - share) + values[other] * share, known & known[other]

    def _holed(self, known: Tensor) -> Tensor:
        """Sometimes a gap of up to half a day, or a history that begins late; the last value always stays."""
        size = len(known)
        begin = self._rng.integers(0, WEEK - DAY, size) * (self._rng.random(size) < 0.1)
        gap = self._rng.integers(0, WEEK - DAY // 2, size)
        length = self._rng.integers(1, DAY // 2, size) * (self._rng.random(size) < 0.15)
        step = torch.arange(WEEK)
        late = step >= torch.tensor(begin)[:, None]
        outside = (step < torch.tensor(gap)[:, None]) | (step >= torch.tensor(gap + length)[:, None])
        kept = known & late & outside
        return torch.where(kept.any(1, keepdim=True), kept, known)


def _standardised(values: Floats) -> Floats:
    """Per series: minus its mean, over its mean day-to-day change (its mean deviation where that is unknown)."""
    mean = np.nan_to_num(MaskedMean(len(values)).add(values).get())[:, None]
    deviation = MaskedMean(len(values)).add(np.abs(values - mean)).get()
    scale = seasonal_scale(values)
    scale = np.where(np.isfinite(scale), scale, deviation)[:, None]
    return (values - mean) / np.where(scale > 0, scale, 1.0)
