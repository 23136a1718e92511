"""How many packets are due now: smooth, exact in the long run, and never a burst after a pause. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

LEAST_ADVANCE_S = 0.003
MOST_ADVANCE_S = 0.015
CATCH_UP = 1.5
LONGEST_LAG_S = 5.0


class Pacer:
    """One token bucket per demand on a clock that follows the real one.

    After a pause the clock catches up at 1.5 times the speed and never by more than 15 ms at once, so that what was
    held back fits the links' queues; a lag beyond 5 s is given up and counted in ``skipped_s``.
    """

    def __init__(self, n: int, now: float, seed: int = 0) -> None:
        self.packets_per_s: Floats = np.zeros(n)
        self.skipped_s = 0.0
        self._tokens: Floats = np.random.default_rng(seed).random(n)
        self._clock = self._asked = now

    @property
    def lag_s(self) -> float:
        """How far the clock stood behind at the last call."""
        return self._asked - self._clock

    def due(self, now: float) -> Counts:
        """Packets to send now, per demand."""
        elapsed, self._asked = now - self._asked, now
        allowed = min(max(CATCH_UP * elapsed, LEAST_ADVANCE_S), MOST_ADVANCE_S)
        advance = min(now - self._clock, allowed)
        self._clock += advance
        self._tokens += self.packets_per_s * advance
        if self.lag_s > LONGEST_LAG_S:
            self.skipped_s += self.lag_s
            self._clock = now
        counts: Counts = self._tokens.astype(np.int64)
        self._tokens -= counts
        return counts
