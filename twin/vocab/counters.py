"""Counters of many interfaces as polled, flat: what rates are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.vocab.time import Instants

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

LONGEST_CACHE_S = 90.0
"""Agents are known to answer from copies 3 to 60 s old; what stands still for longer is idle."""


@dataclass(frozen=True)
class Samples:
    """One row a sample, sorted by series, then time; rows of one device and time were read together.

    ``series`` and ``device``: numbers that tell them apart. ``counts``, ``measured``: [counters, n], each counter as
    the agent told it. ``told``: what came with them, under the names of the schema's kinds ``interface`` and
    ``device`` (``uptime_cs``, ``index``, ``speed_bps`` ...), NaN where it was not told.
    """

    at: Instants
    series: Ints
    device: Ints
    counts: npt.NDArray[np.uint64]
    measured: Mask
    told: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.at)

    def tell(self, name: str) -> Floats:
        """[n] one of the columns that came with the counters, NaN if none did."""
        return self.told[name] if name in self.told else np.full(len(self), np.nan)

    def take(self, rows: Ints | Mask) -> Samples:
        """The rows named, in their order."""
        told = {name: column[rows] for name, column in self.told.items()}
        counts, measured = self.counts[:, rows], self.measured[:, rows]
        return Samples(self.at[rows], self.series[rows], self.device[rows], counts, measured, told)

    @property
    def follows(self) -> Mask:
        """[n] the row before is of the same series."""
        same = np.zeros(len(self), dtype=bool)
        same[1:] = self.series[1:] == self.series[:-1]
        return same


def unrepeated(samples: Samples) -> Samples:
    """Without second samples of one time; where they disagree nobody knows which is right, and neither stays."""
    again = samples.follows
    again[1:] &= samples.at[1:] == samples.at[:-1]
    disputed = again.copy()
    disputed[1:] &= (samples.counts[:, 1:] != samples.counts[:, :-1]).any(axis=0)
    dropped = again.copy()
    dropped[:-1] |= disputed[1:]
    return samples.take(~dropped) if dropped.any() else samples


def rounds_of(samples: Samples) -> Ints:
    """[n] number of the round of each row: those of one device and time. One device's rounds follow each other."""
    order = np.lexsort((samples.at, samples.device))
    device, at = samples.device[order], samples.at[order]
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (device[1:] != device[:-1]) | (at[1:] != at[:-1])
    numbers = np.empty(len(order), dtype=np.intp)
    numbers[order] = np.cumsum(starts) - 1
    return numbers


def mostly(flags: Mask, series: Ints) -> Mask:
    """[m] of intervals in series order: whether more than half of those of the interval's series are flagged."""
    count = int(series.max(initial=-1)) + 1
    most: Mask = 2 * np.bincount(series, flags, count) > np.bincount(series, minlength=count)
    return most[series]
