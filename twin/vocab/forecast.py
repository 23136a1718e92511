"""Forecasts: quantiles per step, who said them, when, and how often they were right."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

LEVELS = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)


@dataclass(frozen=True, order=True)
class SeriesKey:
    """What is forecast: names only, never an ifIndex. ``metric`` is in_bps, out_bps, ..."""

    device: str
    interface: str
    metric: str

    def __str__(self) -> str:
        return f"{self.device}:{self.interface} {self.metric}"


@dataclass(frozen=True)
class Forecast:
    """``quantiles`` [series, step, level] for the times ``at`` [step] (start of each 5-minute cell, UTC).

    ``coverage80`` [series]: measured share of past values inside [q10, q90]; NaN = not measured yet.
    """

    series: tuple[SeriesKey, ...]
    at: npt.NDArray[np.datetime64]
    levels: tuple[float, ...]
    quantiles: npt.NDArray[np.float64]
    issued: datetime
    model: str
    coverage80: npt.NDArray[np.float64]
