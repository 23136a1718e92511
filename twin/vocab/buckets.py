"""Many values -> few: what rates and gauges were in buckets of fixed length, for all series at once.

A bucket is [k*length, (k+1)*length) since 1970. What is not known is left out, never made up: ``known_us`` tells how
much of a bucket the figures of a rate speak for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.vocab.counters import Floats, Ints, Mask
from twin.vocab.rates import SeriesRates
from twin.vocab.time import Instants

Micros = npt.NDArray[np.int64]
PERCENTILE = 0.95
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
    start, end = _micros(rates.start[known]), _micros(rates.end[known])
    first, last = start // length_us, (end - 1) // length_us
    pieces = last - first + 1
    rows = np.repeat(np.arange(len(start)), pieces)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + first[rows]
    begun, ended = np.maximum(start[rows], number * length_us), np.minimum(end[rows], (number + 1) * length_us)
    return _statistics(of_all.series[known][rows], number, rates.per_second[known][rows], ended - begun)


def gauge_buckets(series: Ints, at: Instants, values: Floats, length_us: int) -> Buckets:
    """Each value counts once in the bucket of its time. ``known_us`` is the number of values."""
    return _statistics(series, _micros(at) // length_us, values, np.ones(len(at), dtype=np.int64))


def last_of_bucket(series: Ints, at: Instants, measured: Mask, length_us: int) -> tuple[Ints, Micros, Ints]:
    """Rows sorted by series and time -> (series, bucket, row) of the last one measured in each bucket."""
    rows = np.flatnonzero(measured)
    of, number = series[rows], _micros(at[rows]) // length_us
    ends = np.ones(len(rows), dtype=bool)
    ends[:-1] = (of[1:] != of[:-1]) | (number[1:] != number[:-1])
    return of[ends], number[ends], rows[ends]


def rounded(values: Floats) -> Floats:
    """To ``MANTISSA_BITS`` bits of precision, half away from zero; what is exact stays exact."""
    dropped = 52 - MANTISSA_BITS
    bits = np.ascontiguousarray(values, dtype=np.float64).view(np.int64)
    near = ((bits + (1 << (dropped - 1))) & ~((1 << dropped) - 1)).view(np.float64)
    return np.where(np.isfinite(values) & np.isfinite(near), near, values)


def _statistics(series: Ints, number: Micros, values: Floats, weight: Micros) -> Buckets:
    order = np.lexsort((values, number, series))
    series, number, values, weight = series[order], number[order], values[order], weight[order]
    starts = np.ones(len(series), dtype=bool)
    starts[1:] = (series[1:] != series[:-1]) | (number[1:] != number[:-1])
    first = np.flatnonzero(starts)
    count = np.diff(first, append=len(series))
    known = np.add.reduceat(weight, first) if len(first) else weight
    total = np.add.reduceat(values * weight, first) if len(first) else values
    greatest = values[first + count - 1]
    mean = np.clip(total / known, values[first], greatest)  # sums of many floats may leave their range by an ulp
    at_95 = _rank(weight, first, count, known)
    return Buckets(series[first], number[first], mean, values[first], values[at_95], greatest, count, known)


def _rank(weight: Micros, first: Ints, count: Ints, known: Micros) -> Ints:
    """[buckets] the first row at which 95 % of the bucket's weight is reached; rows sorted by value."""
    reached = np.cumsum(weight) - np.repeat(np.cumsum(known) - known, count)
    enough = reached >= np.repeat(np.ceil(PERCENTILE * known), count)
    candidates = np.where(enough, np.arange(len(weight)), len(weight))
    return np.minimum.reduceat(candidates, first) if len(first) else first


def _micros(at: Instants) -> Micros:
    return at.astype("datetime64[us]").astype(np.int64)
