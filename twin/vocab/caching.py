"""Agents that answer from a copy of their counters: which samples only repeat what was known before.

Such an agent's counters all stand still for a poll or more and then jump. Read as they come they would be an idle
time and a burst, neither of which was. An interface that stands still while others of its device count is idle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.vocab.counters import LONGEST_CACHE_S, Floats, Ints, Mask, Samples

LEAST_BUSY = 2
UP = 1


def stale(samples: Samples, rounds: Ints) -> Mask:
    """[n] samples without news. ``rounds``: of each row, as ``rounds_of`` numbers them.

    A round has none if no counter of the device moved since its round before, although at least ``LEAST_BUSY``
    counters of interfaces that are up moved both in the last round before the standstill and in the first after it,
    and if the standstill (from the first to the last sample of the same counts) is short enough for a copy.
    """
    if len(samples) == 0:
        return np.zeros(0, dtype=bool)
    count = int(rounds.max()) + 1
    row = np.zeros(count, dtype=np.intp)
    row[rounds] = np.arange(len(samples))
    device, at = samples.device[row], samples.at[row]
    compared, moved = _moves(samples, rounds)
    still = (_sum(rounds, compared, count) > 0) & (_sum(rounds, moved, count) == 0)
    runs = _runs(still, device)
    last = np.where(runs.after < count, runs.after, np.searchsorted(device, device, side="right")) - 1
    seconds = (at[last] - at[runs.before]) / np.timedelta64(1, "s")
    repeats: Mask = still & (seconds <= LONGEST_CACHE_S) & (_busy(samples, rounds, moved, runs) >= LEAST_BUSY)
    return repeats[rounds]


def _sum(rounds: Ints, flags: Mask, count: int) -> Floats:
    return np.bincount(rounds, flags.sum(axis=0), count).astype(np.float64)


def _moves(samples: Samples, rounds: Ints) -> tuple[Mask, Mask]:
    """[counters, n] whether a counter can be compared with the device's round before, and whether it moved."""
    next_round = samples.follows
    next_round[1:] &= rounds[1:] == rounds[:-1] + 1
    compared = samples.measured & next_round
    compared[:, 1:] &= samples.measured[:, :-1]
    moved = compared.copy()
    moved[:, 1:] &= samples.counts[:, 1:] != samples.counts[:, :-1]
    return compared, moved


@dataclass(frozen=True)
class _Runs:
    """Of each round: its device, the last round not still at or before it, and the first at or after it.

    Where the device has none after it, ``after`` is the number of rounds. A device's first round can't be still.
    """

    device: Ints
    before: Ints
    after: Ints

    @property
    def opening(self) -> Mask:
        """The device's first round: what moved before it is not known."""
        opens = np.ones(len(self.device), dtype=bool)
        opens[1:] = self.device[1:] != self.device[:-1]
        return opens


def _runs(still: Mask, device: Ints) -> _Runs:
    count = len(still)
    numbers = np.arange(count)
    before = np.maximum.accumulate(np.where(still, -1, numbers))
    after = np.minimum.accumulate(np.where(still, count, numbers)[::-1])[::-1]
    own = device[np.minimum(after, count - 1)] == device
    return _Runs(device, before, np.where(own, after, count))


def _busy(samples: Samples, rounds: Ints, moved: Mask, runs: _Runs) -> Floats:
    """[rounds] how many counters moved on both sides of the standstill; on one where the other is not known."""
    count = len(runs.device)
    status = samples.tell("oper_status")
    live = moved & (np.isnan(status) | (status == UP))
    movers = _sum(rounds, live, count)
    both = _sum(rounds, live & _moved_before(samples.series, rounds, live, runs.before), count)
    ahead = np.minimum(runs.after, count - 1)
    first = runs.opening[runs.before]
    at_end = np.where(first, 0.0, movers[runs.before])
    return np.where(runs.after == count, at_end, np.where(first, movers[ahead], both[ahead]))


def _moved_before(series: Ints, rounds: Ints, live: Mask, before: Ints) -> Mask:
    """[counters, n] whether the counter also moved in the last round before that was not still."""
    earlier = before[np.maximum(rounds - 1, 0)]
    row = np.maximum(np.arange(len(rounds)) - (rounds - earlier), 0)
    there = (rounds[row] == earlier) & (series[row] == series) & (earlier < rounds)
    before_it: Mask = live[:, row] & there
    return before_it
