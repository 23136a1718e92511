"""Traffic demands: how much goes from where to where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EdgeTotals:
    """What enters and leaves the network at each device, bit/s: arrays [n] in the order of ``devices``."""

    devices: tuple[str, ...]
    entering_bps: Floats
    leaving_bps: Floats


@dataclass(frozen=True)
class Demands:
    """Offered traffic matrix [n, n] in bit/s, row = origin, column = destination, in the order of ``devices``.

    ``ensemble`` [k, n, n] are other matrices that fit the same counters about as well: their spread is what the
    counters leave open. ``residual`` is the share of measured link traffic the matrix does not explain.
    """

    devices: tuple[str, ...]
    matrix_bps: Floats
    at: datetime
    source: str
    ensemble: Floats | None = None
    residual: float | None = None
