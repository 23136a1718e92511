"""Raw rows -> the rows of a tier (``KIND_5m``, ``KIND_1h``). Pure.

Counters become rates first (``twin.vocab.rates``); both tiers are made of the same rates, none of another tier.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from twin.vocab.blocks import Array, Block, Column
from twin.vocab.buckets import Buckets, Micros, gauge_buckets, last_of_bucket, rate_buckets, rounded
from twin.vocab.counters import Ints, Mask
from twin.vocab.rates import SeriesRates, octet_rates
from twin.vocab.sampling import LONGEST_GAP_S, numbered, samples_of
from twin.vocab.schema import KINDS, TIERS, Kind
from twin.vocab.time import Instants


@dataclass(frozen=True)
class Raw:
    """A block of raw rows sorted by keys, then time, with the rates of its counters."""

    block: Block
    first: Ints
    series: Ints
    rates: dict[str, SeriesRates]

    @staticmethod
    def of(block: Block, clocks: Block | None = None) -> Raw:
        """``clocks``: of kind ``device``, read in the same rounds."""
        spec = KINDS[block.kind]
        counters = [n for n, f in spec.fields.items() if f.thinned == "rate" and n in block.fields]
        rates = octet_rates(samples_of(block, counters, clocks), LONGEST_GAP_S) if counters and len(block) else ()
        return Raw(block, *numbered(block), dict(zip(counters, rates, strict=False)))


def thinned(raw: Raw, tier: str, start: np.datetime64, end: np.datetime64) -> Block:
    """The rows of a tier for the buckets in [start, end), whole multiples of the bucket's length.

    A row there is for each bucket in which something was read or a rate is known. A counter read there of which no
    rate is known has count 0 and 0 known seconds: a gap. The raw rows should reach ``LONGEST_GAP_S`` further back
    than ``start``, and as far beyond ``end`` as there are any yet.
    """
    if len(raw.block) == 0:
        return Block.from_rows(f"{raw.block.kind}_{tier}", [])
    return _Thinning(raw, KINDS[f"{raw.block.kind}_{tier}"], _micro(start), _micro(end)).block()


class _Thinning:
    def __init__(self, raw: Raw, kind: Kind, start: int, end: int) -> None:
        self._raw, self._kind = raw, kind
        self._length = TIERS[kind.tier or ""] * 10**6
        self._low, self._span = start // self._length, (end - start) // self._length
        self._rates = {name: rate_buckets(rates, self._length) for name, rates in raw.rates.items()}
        series = np.concatenate([raw.series, *(b.series for b in self._rates.values())])
        numbers = np.concatenate([_micros(raw.block.at) // self._length, *(b.number for b in self._rates.values())])
        self._rows = np.unique(self._cells(series, numbers)[self._inside(numbers)])

    def block(self) -> Block:
        series, number = self._rows // self._span, self._rows % self._span + self._low
        keys = {name: values[self._raw.first[series]] for name, values in self._raw.block.keys.items()}
        at = (number * self._length).astype("datetime64[us]")
        spec = KINDS[self._raw.block.kind].fields
        fields = dict(kept for name, f in spec.items() if f.thinned for kept in self._field(name, f.thinned))
        return Block(self._kind.name, keys, at, {name: fields[name] for name in self._kind.fields if name in fields})

    def _field(self, name: str, thinned: str) -> Iterator[tuple[str, Column]]:
        column = self._raw.block.fields.get(name)
        if column is None:
            return
        if thinned == "last":
            yield name, self._last(column)
        elif thinned == "rate":
            yield from self._rate(name, column)
        else:
            chosen = np.flatnonzero(column.valid)
            values = column.values[chosen].astype(np.float64)
            at = self._raw.block.at[chosen]
            yield from self._statistics(name, gauge_buckets(self._raw.series[chosen], at, values, self._length))

    def _last(self, column: Column) -> Column:
        series, number, row = last_of_bucket(self._raw.series, self._raw.block.at, column.valid, self._length)
        return self._placed(series, number, column.values[row])

    def _rate(self, name: str, column: Column) -> Iterator[tuple[str, Column]]:
        buckets = self._rates[name]
        for kept, values in self._statistics(name, buckets):
            yield kept, values if not kept.endswith("_count") else self._or_gap(values, column)
        seconds = self._placed(buckets.series, buckets.number, buckets.known_us / 1e6)
        yield f"{name}_known_s", self._or_gap(seconds, column)

    def _or_gap(self, known: Column, read: Column) -> Column:
        """Zero in the buckets in which the counter was read and no rate is known."""
        series, number, _ = last_of_bucket(self._raw.series, self._raw.block.at, read.valid, self._length)
        there, _ = self._places(series, number)
        valid = known.valid.copy()
        valid[there] = True
        return Column(known.values, valid)

    def _statistics(self, name: str, b: Buckets) -> Iterator[tuple[str, Column]]:
        for statistic, values in (("mean", b.mean), ("min", b.least), ("p95", b.p95), ("max", b.greatest)):
            yield f"{name}_{statistic}", self._placed(b.series, b.number, rounded(values))
        yield f"{name}_count", self._placed(b.series, b.number, b.count.astype(np.int64))

    def _placed(self, series: Ints, number: Micros, values: Array) -> Column:
        rows, found = self._places(series, number)
        blank = "" if values.dtype == object else 0
        column = np.full(len(self._rows), blank, dtype=values.dtype)
        column[rows] = values[found]
        valid = np.zeros(len(self._rows), dtype=bool)
        valid[rows] = True
        return Column(column, valid)

    def _places(self, series: Ints, number: Micros) -> tuple[Ints, Ints]:
        """Rows of the tier, and which of the values given belong there (those of other buckets belong nowhere)."""
        cells = self._cells(series, number)
        place = np.searchsorted(self._rows, cells)
        found = np.flatnonzero(self._inside(number) & (place < len(self._rows)))
        found = found[self._rows[place[found]] == cells[found]]
        return place[found], found

    def _cells(self, series: Ints, number: Micros) -> Micros:
        return series.astype(np.int64) * self._span + (number - self._low)

    def _inside(self, number: Micros) -> Mask:
        inside: Mask = (number >= self._low) & (number < self._low + self._span)
        return inside


def _micros(at: Instants) -> Micros:
    return at.astype("datetime64[us]").astype(np.int64)


def _micro(at: np.datetime64) -> int:
    return int(at.astype("datetime64[us]").astype(np.int64))
