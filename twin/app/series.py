"""Stored samples -> rates: over a window (what a link carries now) and on the 5-minute grid (what models learn)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from twin.store import Reader
from twin.vocab.blocks import Block, Column
from twin.vocab.counters import Floats, Ints, Samples
from twin.vocab.forecast import SeriesKey
from twin.vocab.rates import Rates, Reason, SeriesRates, octet_rates
from twin.vocab.snapshot import Port
from twin.vocab.time import FIVE_MINUTES, to_datetime

COUNTERS = {"in_bps": "in_octets", "out_bps": "out_octets"}
WITH_COUNTERS = ("counter_bits", "speed_bps", "oper_status", "index", "uptime_cs", "discontinuity_cs")
CLOCKS = ("host_uptime_cs", "engine_boots", "engine_time_s")
LONGEST_GAP_S = 3600.0
ROWS_AT_ONCE = 500_000
NO_COUNTER, ONE_SAMPLE = "no counter", "one sample"


@dataclass(frozen=True)
class PortRates:
    """Mean load of one interface over a window, bit/s; None where nothing could be known, and then why not."""

    in_bps: float | None
    out_bps: float | None
    last: datetime
    reason: str = ""


def window_rates(reader: Reader, start: datetime, end: datetime) -> dict[Port, PortRates]:
    """Mean rate of every polled interface between its first and last sample in ``[start, end)``."""
    found: dict[Port, PortRates] = {}
    for ports, samples in _samples(reader, start, end):
        last = np.zeros(len(ports), dtype="datetime64[us]")
        np.maximum.at(last, samples.series, samples.at)
        rates = octet_rates(samples, LONGEST_GAP_S)
        means, reasons = zip(*(_means(*pair, samples, len(ports)) for pair in enumerate(rates)), strict=True)
        for i, port in enumerate(ports):
            values = [None if np.isnan(mean[i]) else float(mean[i]) for mean in means]
            missing = next((r[i] for v, r in zip(values, reasons, strict=True) if v is None), "")
            found[port] = PortRates(values[0], values[1], to_datetime(last[i]), missing)
    return found


def polled_rates(reader: Reader, start: datetime, end: datetime) -> dict[SeriesKey, Rates]:
    """What the counters of every interface say between each two polls, bit/s."""
    return {
        SeriesKey(ports[number].device, ports[number].interface, metric): _bits(rates)
        for ports, samples in _samples(reader, start, end)
        for metric, of_all in zip(COUNTERS, octet_rates(samples, LONGEST_GAP_S), strict=True)
        for number, rates in of_all.split()
    }


def imported_rates(reader: Reader, start: datetime, end: datetime) -> dict[SeriesKey, Rates]:
    """History that came as rates of 5-minute cells, bit/s."""
    block = reader.range("interface_rate", None, start, end)
    ports, series = _numbered(block)
    parts = np.split(np.arange(len(block)), np.flatnonzero(np.diff(series)) + 1)
    return {
        SeriesKey(port.device, port.interface, metric): _cells(block.take(rows), metric)
        for port, rows in zip(ports, parts if ports else (), strict=True)
        for metric in COUNTERS
    }


def _cells(part: Block, metric: str) -> Rates:
    column = part.fields[metric]
    at = part.at[column.valid]
    return Rates.known(at, at + FIVE_MINUTES, column.values[column.valid])


def _bits(octets: Rates) -> Rates:
    return Rates(octets.start, octets.end, octets.per_second * 8.0, octets.reason)


def _samples(reader: Reader, start: datetime, end: datetime) -> Iterator[tuple[list[Port], Samples]]:
    """All counters between two times, some devices at a time: the ports by number, and their samples."""
    fields = [*COUNTERS.values(), *WITH_COUNTERS]
    block = reader.range("interface", None, start, end, fields)
    clocks = reader.range("device", None, start, end, ["uptime_cs", *CLOCKS])
    devices = block.keys["device"]
    begun = 0
    for edge in [*(np.flatnonzero(devices[1:] != devices[:-1]) + 1).tolist(), len(block)]:
        if edge - begun >= ROWS_AT_ONCE or (edge == len(block) and edge > begun):
            yield _of_devices(block.take(np.arange(begun, edge)), clocks)
            begun = edge


def _of_devices(block: Block, clocks: Block) -> tuple[list[Port], Samples]:
    ports, series = _numbered(block)
    _, device = np.unique(np.array([port.device for port in ports]), return_inverse=True)
    counters = [block.fields[name] for name in COUNTERS.values()]
    told = {name: _numbers(block.fields[name]) for name in WITH_COUNTERS}
    return ports, Samples(
        block.at,
        series,
        device[series],
        np.array([c.values for c in counters]).view(np.uint64),
        np.array([c.valid for c in counters]),
        told | _clocks_beside(block, told["uptime_cs"], clocks),
    )


def _numbered(block: Block) -> tuple[list[Port], Ints]:
    """The ports of a block sorted by them, and the number of each row's."""
    devices, interfaces = block.keys["device"], block.keys["interface"]
    starts = np.ones(len(block), dtype=bool)
    starts[1:] = (devices[1:] != devices[:-1]) | (interfaces[1:] != interfaces[:-1])
    ports = [Port(str(devices[row]), str(interfaces[row])) for row in np.flatnonzero(starts)]
    return ports, np.cumsum(starts) - 1


def _numbers(column: Column) -> Floats:
    return np.where(column.valid, column.values, np.nan).astype(np.float64)


def _clocks_beside(block: Block, uptime: Floats, clocks: Block) -> dict[str, Floats]:
    """The device's other clocks as read in the same round: next to the sample in time, with the same sysUpTime."""
    found = {name: np.full(len(block), np.nan) for name in CLOCKS}
    names, number = np.unique(block.keys["device"].astype(str), return_inverse=True)
    theirs = np.searchsorted(names, clocks.keys["device"].astype(str))
    kept = np.flatnonzero(np.isin(clocks.keys["device"].astype(str), names))
    clocks, theirs = clocks.take(kept), theirs[kept]
    if len(clocks) == 0:
        return found
    origin, span = _span(block, clocks)
    order = theirs * span + (clocks.at - origin).astype(np.int64)
    place = np.searchsorted(order, number * span + (block.at - origin).astype(np.int64))
    known = _numbers(clocks.fields["uptime_cs"])
    for beside in (np.minimum(place, len(clocks) - 1), np.maximum(place - 1, 0)):
        same = (theirs[beside] == number) & (known[beside] == uptime)
        for name, column in found.items():
            column[same] = _numbers(clocks.fields[name])[beside[same]]
    return found


def _span(*blocks: Block) -> tuple[np.datetime64, int]:
    """The earliest time, and more microseconds than lie between it and the latest."""
    first, last = min(b.at.min() for b in blocks), max(b.at.max() for b in blocks)
    return first, int((last - first).astype(np.int64)) + 1


def _means(counter: int, octets: SeriesRates, samples: Samples, count: int) -> tuple[Floats, list[str]]:
    """[count] mean rates in bit/s, NaN where none is known, and the reason of the last interval that has none."""
    rates, series = octets.rates, octets.series
    known = np.isfinite(rates.per_second)
    seconds = np.where(known, (rates.end - rates.start) / np.timedelta64(1, "s"), 0.0)
    total = np.bincount(series, np.where(known, rates.per_second, 0.0) * seconds, count)
    covered = np.bincount(series, seconds, count)
    counted = np.bincount(samples.series, samples.measured[counter], count)
    reasons = [ONE_SAMPLE if number else NO_COUNTER for number in counted]
    for row in np.flatnonzero(~known):
        reasons[series[row]] = Reason(rates.reason[row]).text
    return np.divide(total * 8.0, covered, out=np.full(count, np.nan), where=covered > 0), reasons
