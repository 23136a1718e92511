"""Many values -> few: what rates and gauges were in buckets of fixed length, for all series at once.

A bucket is [k*length, (k+1)*length) since 1970. What is not known is left out, never made up: ``known_us`` tells how
much of a bucket the figures of a rate speak for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.vocab.counters import Floats, Ints
from twin.vocab.rates import SeriesRates
from twin.vocab.time import Instants

Micros = npt.NDArray[np.int64]
PERCENT = 95
MANTISSA_BITS = 17
"""Kept of a thinned value: a relative error of at most 2**-18 (4e-6), far below what counters are good for."""


@dataclass(frozen=True)
class Buckets:
    """Statistics by series and bucket, sorted by both; ``number`` k of the bucket.

    ``mean``: weighted by time for rates, plain for gauges; ``p95``: the least value that was not exceeded for 95 % of
    the known time (rates) or by 95 % of the values (gauges; nearest rank); ``count``: rates that held in the bucket,
    or values; ``known_us``: microseconds for which a rate is known.
    """

    series: Ints
    number: Micros
    mean: Floats
    least: Floats
    p95: Floats
    greatest: Floats
    count: Ints
    known_us: Micros


def rate_buckets(of_all: SeriesRates, length_us: int) -> Buckets:
    """A rate counts in every bucket it holds in, for as long as it holds there; unknown rates do not."""
    rates = of_all.rates
    known = np.isfinite(rates.per_second)
    start, end = micros(rates.start[known]), micros(rates.end[known])
    first, last = start // length_us, (end - 1) // length_us
    pieces = last - first + 1
    rows = np.repeat(np.arange(len(start)), pieces)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + first[rows]
    begun, ended = np.maximum(start[rows], number * length_us), np.minimum(end[rows], (number + 1) * length_us)
    return _statistics(of_all.series[known][rows], number, rates.per_second[known][rows], ended - begun)


def gauge_buckets(series: Ints, at: Instants, values: Floats, length_us: int) -> Buckets:
    """Each value counts once in the bucket of its time. ``known_us`` is the number of values."""
    return _statistics(series, micros(at) // length_us, values, np.ones(len(at), dtype=np.int64))


def rounded(values: Floats) -> Floats:
    """To ``MANTISSA_BITS`` bits of precision, half away from zero; what is exact stays exact."""
    dropped = 52 - MANTISSA_BITS
    bits = np.ascontiguousarray(values, dtype=np.float64).view(np.int64)
    near = ((bits + (1 << (dropped - 1))) & ~((1 << dropped) - 1)).view(np.float64)
    return np.where(np.isfinite(values) & np.isfinite(near), near, values)


def micros(at: Instants) -> Micros:
    """Microseconds since 1970."""
    return at.astype("datetime64[us]").astype(np.int64)


def _statistics(series: Ints, number: Micros, values: Floats, weight: Micros) -> Buckets:
    if len(series) == 0:
        return Buckets(series, number, values, values, values, values, weight, weight)
    order = _by_bucket(series, number)
    series, number, values, weight = series[order], number[order], values[order], weight[order]
    starts = np.ones(len(series), dtype=bool)
    starts[1:] = (series[1:] != series[:-1]) | (number[1:] != number[:-1])
    first = np.flatnonzero(starts)
    count = np.diff(first, append=len(series))
    known: Micros = np.add.reduceat(weight, first)
    least, greatest = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
    mean = np.add.reduceat(values * weight, first) / known
    mean = np.clip(mean, least, greatest)  # sums of many floats may leave their range by an ulp
    at_95 = greatest.copy()
    several = least < greatest
    for size in np.unique(count[several]).tolist():
        same = np.flatnonzero(several & (count == size))
        rows = first[same][:, np.newaxis] + np.arange(size)
        at_95[same] = _percentile(values[rows], weight[rows], known[same])
    return Buckets(series[first], number[first], mean, least, at_95, greatest, count, known)


def _by_bucket(series: Ints, number: Micros) -> Ints:
    """The order by series, then bucket; quick if they have it already."""
    low = number.min()
    return np.argsort(series * (number.max() - low + 1) + (number - low), kind="stable")


def _percentile(values: Floats, weight: Micros, known: Micros) -> Floats:
    """[buckets] of [buckets, n]: the least value at which the given share of the bucket's weight is reached."""
    order = np.argsort(values, axis=1)
    reached = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    enough = 100 * reached >= PERCENT * known[:, np.newaxis]
    chosen = np.take_along_axis(order, enough.argmax(axis=1)[:, np.newaxis], axis=1)
    return np.take_along_axis(values, chosen, axis=1)[:, 0]
