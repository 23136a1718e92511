"""Raw rows -> the rows of a tier (``KIND_5m``, ``KIND_1h``). Pure.

Counters become rates first (``twin.vocab.rates``); both tiers are made of the same rates, none of another tier.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from twin.vocab.blocks import Array, Block, Column
from twin.vocab.buckets import Buckets, Micros, gauge_buckets, micros, rate_buckets, rounded
from twin.vocab.counters import Ints, Mask
from twin.vocab.rates import Rates, SeriesRates, octet_rates
from twin.vocab.sampling import LONGEST_GAP_S, numbered, samples_of
from twin.vocab.schema import KINDS, TIERS, Kind


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
    return _Thinning(raw, KINDS[f"{raw.block.kind}_{tier}"], start, end).block()


class _Thinning:
    """Cells are all series times all buckets; rows those of them in which there is something."""

    def __init__(self, raw: Raw, kind: Kind, start: np.datetime64, end: np.datetime64) -> None:
        self._raw, self._kind = raw, kind
        self._length = TIERS[kind.tier or ""] * 10**6
        self._low, self._high = (micros(np.array([start, end])) // self._length).tolist()
        rates = {name: _within(of_all, start, end) for name, of_all in raw.rates.items()}
        self._rates = {name: rate_buckets(of_all, self._length) for name, of_all in rates.items()}
        inside, self._cells = self._places(raw.series, micros(raw.block.at) // self._length)
        self._inside = np.flatnonzero(inside)
        there = np.zeros(len(raw.first) * (self._high - self._low), dtype=bool)
        there[self._cells] = True
        for b in self._rates.values():
            there[self._places(b.series, b.number)[1]] = True
        self._filled = np.flatnonzero(there)
        self._row_of = np.cumsum(there) - 1

    def block(self) -> Block:
        series, number = np.divmod(self._filled, self._high - self._low)
        keys = {name: values[self._raw.first[series]] for name, values in self._raw.block.keys.items()}
        at = ((number + self._low) * self._length).astype("datetime64[us]")
        spec = KINDS[self._raw.block.kind].fields
        fields = dict(kept for name, f in spec.items() if f.thinned for kept in self._field(name, f.thinned))
        return Block(self._kind.name, keys, at, {name: fields[name] for name in self._kind.fields if name in fields})

    def _field(self, name: str, thinned: str) -> Iterator[tuple[str, Column]]:
        column = self._raw.block.fields.get(name)
        if column is None:
            return
        rows, cells = self._read(column.valid)
        values = column.values[rows]
        if thinned == "last":
            yield name, self._column(cells, values)  # of several in a cell the last stays
        elif thinned == "rate":
            yield from self._rate(name, cells)
        else:
            series, at = self._raw.series[rows], self._raw.block.at[rows]
            buckets = gauge_buckets(series, at, values.astype(np.float64), self._length)
            yield from self._statistics(name, buckets, cells)

    def _rate(self, name: str, read: Ints) -> Iterator[tuple[str, Column]]:
        buckets = self._rates[name]
        yield from self._statistics(name, buckets, read)
        inside, cells = self._places(buckets.series, buckets.number)
        yield f"{name}_known_s", self._column(cells, buckets.known_us[inside] / 1e6, read)

    def _statistics(self, name: str, b: Buckets, read: Ints) -> Iterator[tuple[str, Column]]:
        inside, cells = self._places(b.series, b.number)
        for statistic, values in (("mean", b.mean), ("min", b.least), ("p95", b.p95), ("max", b.greatest)):
            yield f"{name}_{statistic}", self._column(cells, rounded(values[inside]))
        yield f"{name}_count", self._column(cells, b.count[inside].astype(np.int64), read)

    def _column(self, cells: Ints, values: Array, zero: Ints | None = None) -> Column:
        """Values in their cells' rows; in those of ``zero`` 0 unless there is one."""
        column = np.full(len(self._filled), "" if values.dtype == object else 0, dtype=values.dtype)
        column[self._row_of[cells]] = values
        valid = np.zeros(len(self._filled), dtype=bool)
        valid[self._row_of[cells]] = True
        if zero is not None:
            valid[self._row_of[zero]] = True
        return Column(column, valid)

    def _read(self, measured: Mask) -> tuple[Ints, Ints]:
        """Raw rows in which a field was measured, and their cells."""
        chosen = measured[self._inside]
        return self._inside[chosen], self._cells[chosen]

    def _places(self, series: Ints, number: Micros) -> tuple[Mask, Ints]:
        """Which of these buckets belong to the tier's rows, and the cells of those."""
        inside = (number >= self._low) & (number < self._high)
        return inside, series[inside] * (self._high - self._low) + (number[inside] - self._low)


def _within(of_all: SeriesRates, start: np.datetime64, end: np.datetime64) -> SeriesRates:
    """The rates that hold in [start, end) or a part of it."""
    r = of_all.rates
    chosen = (r.end > start) & (r.start < end)
    rates = Rates(r.start[chosen], r.end[chosen], r.per_second[chosen], r.reason[chosen])
    return SeriesRates(of_all.series[chosen], rates, of_all.over_copies[chosen])
