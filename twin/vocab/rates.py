"""Counters -> rates, once for everybody: wraps, restarts, discontinuities, renumbering, copies and gaps (RFC 2863)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from twin.vocab.caching import stale
from twin.vocab.continuity import Passage, passage
from twin.vocab.counters import LONGEST_CACHE_S, Floats, Ints, Mask, Samples, mostly, rounds_of, unrepeated
from twin.vocab.time import Instants

TOLERANCE = 1.05
"""A counter may run this much above its interface's speed: ifHighSpeed is rounded, and some count framing."""
LATENESS_S = 5.0
"""A counter may be read this much later than the one before: agents' usual copies (3 s) and the time a table takes."""
FASTEST_BPS = 1e14
"""More than any interface there is: what a counter never does, whatever speed is told."""
_WRAP = 2**32


class Reason(IntEnum):
    """Why there is no rate between two samples; of several, the one that explains most."""

    KNOWN = 0
    IMPLAUSIBLE = 1  # more than the interface can carry
    WRAPS = 2  # a 32-bit counter that may have wrapped more than once, or not at all
    RESET = 3  # it fell, and nothing says why
    GAP = 4  # nothing was read for too long
    CLOCK = 5  # the device's time and ours did not pass alike
    RENUMBERED = 6  # another ifIndex: the interface was made anew
    DISCONTINUITY = 7  # the agent says so (ifCounterDiscontinuityTime)
    RESTART = 8  # the agent started anew, and nothing shows that the counters went on
    REBOOT = 9

    @property
    def text(self) -> str:
        """One word for people; empty where the rate is known."""
        return self.name.lower() if self else ""


@dataclass(frozen=True)
class Rates:
    """``per_second[i]`` holds from ``start[i]`` to ``end[i]`` (at most ``start[i+1]``); NaN with its ``Reason``."""

    start: Instants
    end: Instants
    per_second: Floats
    reason: npt.NDArray[np.uint8]

    @staticmethod
    def known(start: Instants, end: Instants, per_second: Floats) -> Rates:
        return Rates(start, end, per_second, np.zeros(len(start), dtype=np.uint8))


@dataclass(frozen=True)
class SeriesRates:
    """The rates of one counter of many series, and which series each is of (non-decreasing).

    ``over_copies``: those that hold over samples which only repeated what the agent had copied.
    """

    series: Ints
    rates: Rates
    over_copies: Mask

    def split(self) -> Iterator[tuple[int, Rates]]:
        """One series after the other; those with no two samples are left out."""
        r = self.rates
        edges = np.flatnonzero(np.diff(self.series, prepend=-1, append=-1))
        for first, last in pairwise(edges):
            part = slice(int(first), int(last))
            yield int(self.series[first]), Rates(r.start[part], r.end[part], r.per_second[part], r.reason[part])


def octet_rates(samples: Samples, longest_gap_s: float) -> tuple[SeriesRates, ...]:
    """Octets per second between successive samples, for each counter; what can't be known has a reason, never a guess.

    A sample that only repeats what the agent had copied is passed over: the rate holds between the counters' changes.
    A 32-bit counter that fell has wrapped only if the agent went on and exactly one increase fits the interface's
    speed (the higher of the two samples'); a 64-bit counter never wraps. Between widths the low 32 bits count
    (RFC 2863 section 3.1.6). A restarted agent's counters went on if none of the device fell and either the
    host's own uptime went on, or a counter is too high to have begun since.

    Args:
        samples: sorted by series, then time; times of a series may repeat.
        longest_gap_s: a longer silence is a gap, not an average.
    """
    samples = unrepeated(samples)
    rounds = rounds_of(samples)
    copies = stale(samples, rounds)
    spans: list[_Span] = []
    for counter in range(len(samples.counts)):
        spans.append(_span(samples, counter, ~copies, spans))
    evidence, passed = _evidence(spans, rounds), np.cumsum(copies)
    return tuple(
        SeriesRates(
            samples.series[s.later],
            _rates(samples, s, evidence, rounds, longest_gap_s),
            passed[s.later] > passed[s.earlier],
        )
        for s in spans
    )


@dataclass(frozen=True)
class _Span:
    """One counter between successive samples: rows, and what its own numbers say.

    ``too_much``: the increase does not fit the speed. ``several``: more than one increase does. ``below``: a 32-bit
    counter is lower than before. ``fell``: no increase explains the new count. ``went_on``: the count is too high to
    have begun anew in between.
    """

    earlier: Ints
    later: Ints
    seconds: Floats
    increase: Floats
    too_much: Mask
    several: Mask
    below: Mask
    fell: Mask
    went_on: Mask
    clocks: Passage


def _span(samples: Samples, counter: int, fresh: Mask, others: list[_Span]) -> _Span:
    """``others``: of which one may be over the same intervals, so that the clocks say the same of it."""
    rows = np.flatnonzero(fresh & samples.measured[counter])
    pairs = samples.series[rows][1:] == samples.series[rows][:-1]
    earlier, later = rows[:-1][pairs], rows[1:][pairs]
    same = (s.clocks for s in others if np.array_equal(s.earlier, earlier) and np.array_equal(s.later, later))
    seconds = (samples.at[later] - samples.at[earlier]) / np.timedelta64(1, "s")
    bits, speed = samples.tell("counter_bits"), samples.tell("speed_bps")
    ceiling = TOLERANCE / 8.0 * _positive(np.fmax(speed[earlier], speed[later]))
    most, surely = ceiling * (seconds + LATENESS_S), ceiling * (seconds + _age(samples, counter)[earlier])
    narrow = (bits[earlier] == 32) | (bits[later] == 32)
    old, new = (np.where(narrow, c % _WRAP, c) for c in (samples.counts[counter, r] for r in (earlier, later)))
    low = ((new - old) % _WRAP).astype(np.float64)
    lower = new < old
    increase = np.where(narrow, low, np.where(lower, 0, new - old).astype(np.float64))
    # many virtual interfaces run faster than they say: a 64-bit counter that mostly does is believed
    misrated = ~narrow & mostly(increase > most, samples.series[later])
    return _Span(
        earlier,
        later,
        seconds,
        increase,
        too_much=((increase > most) & ~misrated) | (increase > FASTEST_BPS / 8.0 * seconds),
        several=narrow & ~(low + _WRAP > surely),
        below=narrow & lower,
        fell=lower & ~(narrow & (low <= most)),
        went_on=~lower & ~misrated & (new > surely),
        clocks=next(same, None) or passage(samples, earlier, later, seconds),
    )


def _age(samples: Samples, counter: int) -> Floats:
    """[n] how old a count may be, s: a copy that is news was made since the poll before, any other who knows when."""
    age = np.full(len(samples), LONGEST_CACHE_S)
    counts, measured = samples.counts[counter], samples.measured[counter]
    news = samples.follows[1:] & measured[1:] & measured[:-1] & (counts[1:] != counts[:-1])
    since = (samples.at[1:] - samples.at[:-1]) / np.timedelta64(1, "s")
    age[1:] = np.where(news, np.clip(since, LATENESS_S, LONGEST_CACHE_S), LONGEST_CACHE_S)
    return age


def _positive(values: Floats) -> Floats:
    """0 means that the agent does not know (RFC 2863 ifHighSpeed)."""
    return np.where(values > 0, values, np.nan)


@dataclass(frozen=True)
class _Evidence:
    """[rounds] of all counters of a device that was read in that round.

    ``any_lower``: one is lower, be it by a wrap; ``most_fell``: no wrap explains most; ``any_went_on``: one surely did.
    """

    any_lower: Mask
    most_fell: Mask
    any_went_on: Mask


def _evidence(spans: list[_Span], rounds: Ints) -> _Evidence:
    ends = np.concatenate([rounds[s.later] for s in spans])

    def tally(flags: list[Mask]) -> Floats:
        return np.bincount(ends, np.concatenate(flags), int(rounds.max(initial=-1)) + 1).astype(np.float64)

    lower, fell = tally([s.fell | s.below for s in spans]), tally([s.fell for s in spans])
    counting = tally([s.fell | (s.increase > 0) for s in spans])
    return _Evidence(lower > 0, (fell > 0) & (2 * fell >= counting), tally([s.went_on for s in spans]) > 0)


def _rates(samples: Samples, span: _Span, evidence: _Evidence, rounds: Ints, longest_gap_s: float) -> Rates:
    reason = _reasons(samples, span, evidence, rounds[span.later])
    reason[(reason < Reason.GAP) & (span.seconds > longest_gap_s)] = Reason.GAP
    per_second = np.where(reason == Reason.KNOWN, span.increase / span.seconds, np.nan)
    return Rates(samples.at[span.earlier], samples.at[span.later], per_second, reason)


def _reasons(samples: Samples, span: _Span, evidence: _Evidence, ends: Ints) -> npt.NDArray[np.uint8]:
    """The strongest explanation is written last."""
    clocks = span.clocks
    index, stamp = samples.tell("index"), samples.tell("discontinuity_cs")
    went_on = clocks.same_host | evidence.any_went_on[ends]
    agent_only = clocks.restarted & ~clocks.rebooted & ~evidence.any_lower[ends] & went_on
    restamped = np.where(clocks.restarted, stamp[span.later] != 0, stamp[span.later] != stamp[span.earlier])
    renumbered = np.isfinite(index[span.earlier] + index[span.later]) & (index[span.earlier] != index[span.later])
    reason = np.zeros(len(ends), dtype=np.uint8)
    reason[span.too_much] = Reason.IMPLAUSIBLE
    reason[span.several] = Reason.WRAPS
    reason[span.fell | (span.below & ~clocks.steady)] = Reason.RESET
    reason[clocks.stepped] = Reason.CLOCK
    reason[renumbered & ~span.went_on] = Reason.RENUMBERED
    reason[np.isfinite(stamp[span.earlier] + stamp[span.later]) & restamped] = Reason.DISCONTINUITY
    reason[clocks.restarted & ~agent_only] = Reason.RESTART
    reason[clocks.restarted & (clocks.rebooted | evidence.most_fell[ends])] = Reason.REBOOT
    return reason


def on_grid(rates: Rates, grid: npt.NDArray[np.datetime64], step: np.timedelta64) -> tuple[Floats, Mask]:
    """Time-weighted mean rate in each cell ``[grid[i], grid[i]+step)``.

    Returns:
        values [len(grid)] (NaN where nothing was known) and the mask of cells covered for at least half.
    """
    edges = np.append(grid, grid[-1:] + step).astype("datetime64[us]").astype(np.int64) / 1e6
    start, end = (t.astype("datetime64[us]").astype(np.int64) / 1e6 for t in (rates.start, rates.end))
    known = np.isfinite(rates.per_second)
    amount = _cumulated(start, end, np.where(known, rates.per_second, 0.0), edges)
    covered = _cumulated(start, end, known.astype(np.float64), edges)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = amount / covered
    mask = covered >= 0.5 * (step / np.timedelta64(1, "s"))
    return np.where(mask, values, np.nan), mask


def _cumulated(start: Floats, end: Floats, rate: Floats, edges: Floats) -> Floats:
    """Integral of the step function over each cell between successive edges."""
    if len(start) == 0:
        return np.zeros(len(edges) - 1)
    knots = np.column_stack([start, end]).ravel()
    total = np.cumsum(np.column_stack([np.zeros(len(rate)), rate * (end - start)]).ravel())
    return np.diff(np.interp(edges, knots, total))
