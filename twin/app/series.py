"""Stored samples -> rates: over a window (what a link carries now) and on the 5-minute grid (what models learn)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from twin.store import Reader
from twin.vocab.blocks import Block, Column
from twin.vocab.counters import LONGEST_CACHE_S, Floats, Ints, Mask, Samples
from twin.vocab.forecast import SeriesKey
from twin.vocab.rates import Rates, Reason, SeriesRates, octet_rates
from twin.vocab.snapshot import Port
from twin.vocab.time import FIVE_MINUTES, Instants, instant, to_datetime

Texts = npt.NDArray[np.str_]
COUNTERS = {"in_bps": "in_octets", "out_bps": "out_octets"}
WITH_COUNTERS = ("counter_bits", "speed_bps", "oper_status", "index", "uptime_cs", "discontinuity_cs")
CLOCKS = ("host_uptime_cs", "engine_boots", "engine_time_s")
LONGEST_GAP_S = 3600.0
ROWS_AT_ONCE = 500_000
NO_COUNTER, ONE_SAMPLE, COPIED = "no counter", "one sample", "copied"


@dataclass(frozen=True)
class PortRates:
    """Mean load of one interface over a window, bit/s; None where nothing could be known, and then why not."""

    in_bps: float | None
    out_bps: float | None
    last: datetime
    reason: str = ""


def window_rates(reader: Reader, start: datetime, end: datetime) -> dict[Port, PortRates]:
    """Mean rate of every polled interface between its first and last sample in ``[start, end)``.

    Of an agent that answers from a copy also what it showed before, as far as its present copy reaches back.
    """
    found: dict[Port, PortRates] = {}
    since = instant(start)
    for ports, samples in _samples(reader, start - timedelta(seconds=LONGEST_CACHE_S), end):
        last = np.zeros(len(ports), dtype="datetime64[us]")
        np.maximum.at(last, samples.series, samples.at)
        rates = octet_rates(samples, LONGEST_GAP_S)
        means = [_means(r, len(ports), since) for r in rates]
        pairs = zip(rates, samples.measured, strict=True)
        reasons = [_reasons(r, measured, samples, len(ports), since) for r, measured in pairs]
        for i in np.flatnonzero(last >= since).tolist():
            in_bps, out_bps = (None if np.isnan(mean[i]) else float(mean[i]) for mean in means)
            why = reasons[0][i] if in_bps is None else reasons[1][i] if out_bps is None else ""
            found[ports[i]] = PortRates(in_bps, out_bps, to_datetime(last[i]), why)
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
    names, number = np.unique(np.array([port.device for port in ports]), return_inverse=True)
    device = number[series]
    counters = [block.fields[name] for name in COUNTERS.values()]
    told = {name: _numbers(block.fields[name]) for name in WITH_COUNTERS}
    return ports, Samples(
        block.at,
        series,
        device,
        np.array([c.values for c in counters]).view(np.uint64),
        np.array([c.valid for c in counters]),
        told | _clocks_beside(block.at, device, told["uptime_cs"], clocks, names),
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


def _clocks_beside(at: Instants, device: Ints, uptime: Floats, clocks: Block, names: Texts) -> dict[str, Floats]:
    """The other clocks of each sample's device, read in the same round: next to it in time, with the same sysUpTime."""
    found = {name: np.full(len(at), np.nan) for name in CLOCKS}
    clocks = clocks.take(np.isin(clocks.keys["device"].astype(str), names))
    if len(clocks) == 0:
        return found
    theirs = np.searchsorted(names, clocks.keys["device"].astype(str))
    origin, span = _span(at, clocks.at)
    place = np.searchsorted(_order(theirs, clocks.at, origin, span), _order(device, at, origin, span))
    known, told = _numbers(clocks.fields["uptime_cs"]), {name: _numbers(clocks.fields[name]) for name in CLOCKS}
    for beside in (np.minimum(place, len(clocks) - 1), np.maximum(place - 1, 0)):
        same = (theirs[beside] == device) & (known[beside] == uptime)
        for name, column in found.items():
            column[same] = told[name][beside[same]]
    return found


def _order(device: Ints, at: Instants, origin: np.datetime64, span: int) -> Ints:
    """Numbers that sort by device, then time."""
    return device * span + (at - origin).astype(np.int64)


def _span(*times: Instants) -> tuple[np.datetime64, int]:
    """The earliest time, and more microseconds than lie between it and the latest."""
    first, last = min(at.min() for at in times), max(at.max() for at in times)
    return first, int((last - first).astype(np.int64)) + 1


def _means(octets: SeriesRates, count: int, since: np.datetime64) -> Floats:
    """[count] mean rates in bit/s, NaN where none is known."""
    rates = octets.rates
    counted = _counted(octets, since) & np.isfinite(rates.per_second)
    began: Instants = np.where(rates.start < since, since, rates.start)
    seconds: Floats = np.where(counted, (rates.end - began) / np.timedelta64(1, "s"), 0.0)
    total = np.bincount(octets.series, np.where(counted, rates.per_second, 0.0) * seconds, count)
    covered = np.bincount(octets.series, seconds, count)
    means: Floats = np.divide(total * 8.0, covered, out=np.full(count, np.nan), where=covered > 0)
    return means


def _counted(octets: SeriesRates, since: np.datetime64) -> Mask:
    """What lies in the window, and of what began before it that which holds over copies."""
    rates = octets.rates
    counted: Mask = (rates.start >= since) | (octets.over_copies & (rates.end > since))
    return counted


def _reasons(octets: SeriesRates, measured: Mask, samples: Samples, count: int, since: np.datetime64) -> list[str]:
    """[count] why the last interval has no rate, or why there is no interval."""
    counted = _counted(octets, since)
    last = np.zeros(count, dtype=np.uint8)
    last[octets.series[counted]] = octets.rates.reason[counted]
    ever, lately = (np.bincount(samples.series, m, count) for m in (measured, measured & (samples.at >= since)))
    none = np.where(ever == 0, NO_COUNTER, np.where(lately < 2, ONE_SAMPLE, COPIED))
    some = np.bincount(octets.series[counted], minlength=count) > 0
    return [
        Reason(reason).text if known else str(why) for reason, known, why in zip(last.tolist(), some, none, strict=True)
    ]
