"""The trained model: panel in, quantiles out; saved, loaded and served."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from models.data import DAY, Floats, Panel, require_history, slot_of_week
from models.load.calibration import Calibration, widened
from models.load.inference import level_indices, run
from models.load.network import LoadNetwork
from twin.vocab.errors import UsageError
from twin.vocab.forecast import LEVELS, Forecast, SeriesKey
from twin.vocab.plain import to_plain
from twin.vocab.time import FIVE_MINUTES, now


@dataclass(frozen=True)
class Head:
    """A network for one horizon and what its intervals need to be right."""

    network: LoadNetwork
    calibration: Calibration


@dataclass(frozen=True)
class Provenance:
    """When a model was made, from which history, with which seed."""

    trained_at: datetime
    history_start: datetime
    history_end: datetime
    seed: int


class Forecaster:
    """Only predicts. Heads in order of horizon: each answers for the steps that the one before doesn't reach."""

    def __init__(self, heads: tuple[Head, ...], series: tuple[SeriesKey, ...], provenance: Provenance) -> None:
        self.heads = heads
        self.series = series
        self.provenance = provenance
        self._row = {key: i for i, key in enumerate(series)}

    @property
    def longest(self) -> int:
        """The most steps that can be forecast."""
        return self.heads[-1].network.config.horizon

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of everything a forecast depends on."""
        digest = hashlib.sha256()
        described = [to_plain(h.network.config) for h in self.heads], to_plain(self.series)
        digest.update(json.dumps(described, sort_keys=True).encode())
        for name, tensor in sorted(self.tensors().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def model_id(self) -> str:
        """``load-DATE-HASH``."""
        return f"load-{self.provenance.trained_at:%Y%m%d}-{self.content_hash[:12]}"

    def tensors(self) -> Mapping[str, Tensor]:
        """Weights and calibration of all heads by name."""
        return {f"{i}.{name}": t for i, head in enumerate(self.heads) for name, t in _tensors(head).items()}

    def predict(self, context: Panel, horizon: int, levels: Sequence[float] = LEVELS) -> Floats:
        """Quantiles [series, horizon, level] of the steps after the context; ordered; >= 0 where the context is.

        Series that were not in training get the pooled calibration.

        Raises:
            UsageError: horizon longer than the model's.
            TooLittleHistoryError: a series has less than a day of known values in the last week; named.
            ValueError: a level that is not among LEVELS.
        """
        if not 1 <= horizon <= self.longest:
            asked = "less" if horizon < 1 else _span(horizon)
            raise UsageError(f"this model forecasts at least 5 minutes and at most {_span(self.longest)}, not {asked}")
        columns = level_indices(levels)
        require_history(context)
        slot = (slot_of_week(context.at[-1:]) + 1).repeat(len(context.series))
        quantiles = np.empty((len(context.series), 0, len(LEVELS)))
        for head in self.heads:
            if quantiles.shape[1] < horizon:
                raw = run(head.network, context.values, slot)[:, quantiles.shape[1] :]
                quantiles = np.concatenate([quantiles, widened(raw, self._factors(head, context.series))], axis=1)
        return _non_negative(quantiles[:, :horizon, columns], context)

    def forecast(self, panel: Panel, horizon: int = 288, issued: datetime | None = None) -> Forecast:
        """What follows the panel's last cell; ``issued`` is now unless given. Raises as ``predict`` does."""
        at = panel.at[-1] + np.arange(1, horizon + 1) * FIVE_MINUTES
        return Forecast(
            series=panel.series,
            at=at.astype("datetime64[us]"),
            levels=LEVELS,
            quantiles=self.predict(panel, horizon),
            issued=issued or now(),
            model=self.model_id,
            coverage80=self._coverage(panel.series, horizon),
        )

    def _factors(self, head: Head, series: tuple[SeriesKey, ...]) -> Floats:
        rows = [self._row.get(key) for key in series]
        calibration = head.calibration
        return np.array([calibration.pooled if i is None else calibration.factors[i] for i in rows]).reshape(
            -1, len(LEVELS)
        )

    def _coverage(self, series: tuple[SeriesKey, ...], horizon: int) -> Floats:
        """Of the head that answers for the last step; NaN for a series that was not in training."""
        head = next(h for h in self.heads if h.network.config.horizon >= horizon)
        rows = [self._row.get(key) for key in series]
        return np.array([np.nan if i is None else head.calibration.coverage80[i] for i in rows])


def _span(steps: int) -> str:
    """How long so many steps of 5 minutes are, in the largest unit that divides them."""
    unit, noun = next((u, n) for u, n in ((DAY, "day"), (12, "hour"), (1, "minute")) if steps % u == 0)
    count = steps * 5 if noun == "minute" else steps // unit
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _tensors(head: Head) -> dict[str, Tensor]:
    calibration = {
        f"calibration.{name}": torch.from_numpy(getattr(head.calibration, name))
        for name in ("factors", "pooled", "coverage80")
    }
    return {f"network.{k}": v for k, v in head.network.state_dict().items()} | calibration


def _non_negative(quantiles: Floats, context: Panel) -> Floats:
    floor = np.where((np.nan_to_num(context.values) >= 0).all(axis=1), 0.0, -np.inf)
    return np.maximum(quantiles, floor[:, None, None])
