"""Statistics of buckets, held against their plain definition."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.vocab.buckets import MANTISSA_BITS, Buckets, gauge_buckets, rate_buckets, rounded
from twin.vocab.rates import Rates, SeriesRates

LENGTH = 300
Interval = tuple[int, int, int, float]
VALUES = st.floats(0, 1e12, allow_nan=False)


def instants(seconds: list[int]) -> Any:
    return np.array(seconds, dtype="datetime64[s]").astype("datetime64[us]")


@st.composite
def intervals(draw: st.DrawFn) -> list[Interval]:
    """(series, start, end, rate) as polling gives them: one after the other in each series, some unknown."""
    found: list[Interval] = []
    for series in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, 1000))
        for _ in range(draw(st.integers(0, 12))):
            end = at + draw(st.sampled_from([1, 59, 60, 61, 299, 300, 301, 1500]))
            found.append((series, at, end, draw(VALUES | st.just(math.nan))))
            at = end
    return found


def series_rates(held: list[Interval]) -> SeriesRates:
    series, start, end, rate = ([x[i] for x in held] for i in range(4))
    values = np.array(rate, dtype=np.float64)
    rates = Rates(instants(start), instants(end), values, np.isnan(values).astype(np.uint8))  # type: ignore[arg-type]
    return SeriesRates(np.array(series, dtype=np.intp), rates, np.zeros(len(held), dtype=bool))


def plain(held: list[Interval], length: int) -> dict[tuple[int, int], list[tuple[float, int]]]:
    """Second by second: (series, bucket) -> (rate, seconds) of each rate that held there."""
    found: defaultdict[tuple[int, int], list[tuple[float, int]]] = defaultdict(list)
    for series, start, end, rate in held:
        if not math.isnan(rate):
            for bucket in range(start // length, (end - 1) // length + 1):
                seconds = min(end, (bucket + 1) * length) - max(start, bucket * length)
                found[series, bucket].append((rate, seconds))
    return dict(found)


def rows(b: Buckets) -> dict[tuple[int, int], tuple[float, ...]]:
    columns = (b.mean, b.least, b.p95, b.greatest, b.count, b.known_us)
    keys = zip(b.series.tolist(), b.number.tolist(), strict=True)
    return dict(zip(keys, zip(*(c.tolist() for c in columns), strict=True), strict=True))


@given(held=intervals())
def test_rates_by_bucket(held: list[Interval]) -> None:
    found = rows(rate_buckets(series_rates(held), LENGTH * 10**6))
    expected = plain(held, LENGTH)
    assert found.keys() == expected.keys()
    for key, pieces in expected.items():
        mean, least, p95, greatest, count, known = found[key]
        seconds = sum(s for _, s in pieces)
        assert mean == pytest.approx(sum(r * s for r, s in pieces) / seconds)
        assert (least, greatest, count) == (min(pieces)[0], max(pieces)[0], len(pieces))
        assert known == seconds * 10**6
        assert p95 == least_not_exceeded(pieces, seconds)
        assert least <= mean <= greatest
        assert least <= p95 <= greatest


def least_not_exceeded(pieces: list[tuple[float, int]], seconds: int) -> float:
    for rate, _ in sorted(pieces):
        if sum(s for r, s in pieces if r <= rate) >= 0.95 * seconds:
            return rate
    raise AssertionError


@given(held=intervals())
def test_an_hour_is_its_twelve_parts(held: list[Interval]) -> None:
    """What went over the wire is the same, however it is divided."""
    fine, coarse = (rate_buckets(series_rates(held), n * LENGTH * 10**6) for n in (1, 12))
    amounts: defaultdict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0])
    for (series, number), (mean, _, _, _, _, known) in rows(fine).items():
        amounts[series, number // 12][0] += mean * known
        amounts[series, number // 12][1] += known
    for key, (mean, _, _, _, _, known) in rows(coarse).items():
        assert amounts.pop(key) == [pytest.approx(mean * known), known]
    assert not amounts


SAMPLES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2000), VALUES), max_size=30)


@given(samples=SAMPLES, order=st.randoms(use_true_random=False))
def test_gauges_by_bucket_in_any_order(samples: list[tuple[int, int, float]], order: Any) -> None:
    shuffled = order.sample(samples, len(samples))
    series, at, values = ([s[i] for s in shuffled] for i in range(3))
    found = rows(gauge_buckets(np.array(series, dtype=np.intp), instants(at), np.array(values), LENGTH * 10**6))
    expected: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for one, second, value in samples:
        expected[one, second // LENGTH].append(value)
    assert found.keys() == expected.keys()
    for key, there in expected.items():
        mean, least, p95, greatest, count, _ = found[key]
        assert mean == pytest.approx(sum(there) / len(there))
        nearest_rank = sorted(there)[math.ceil(0.95 * len(there)) - 1]
        assert (least, p95, greatest, count) == (min(there), nearest_rank, max(there), len(there))


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=9))
def test_rounding_is_within_its_precision_and_done_once(values: list[float]) -> None:
    exact = np.array(values)
    near = rounded(exact)
    assert (np.abs(near - exact) <= np.abs(exact) * 2.0 ** -(MANTISSA_BITS + 1) + 5e-324 * 2**36).all()
    assert (rounded(near) == near).all()
    assert rounded(np.arange(2.0**MANTISSA_BITS)).tolist() == list(range(2**MANTISSA_BITS))
