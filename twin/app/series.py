"""Stored samples -> rates: over a window (what a link carries now) and on the 5-minute grid (what models learn)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import numpy as np

from twin.store import Reader
from twin.vocab.blocks import Block
from twin.vocab.counters import LONGEST_CACHE_S, Floats, Mask, Samples
from twin.vocab.forecast import SeriesKey
from twin.vocab.rates import Rates, Reason, SeriesRates, octet_rates
from twin.vocab.sampling import CLOCKS, LONGEST_GAP_S, WITH_COUNTERS, numbered, samples_of, some_devices
from twin.vocab.snapshot import Port
from twin.vocab.time import FIVE_MINUTES, Instants, instant, to_datetime

COUNTERS = {"in_bps": "in_octets", "out_bps": "out_octets"}
_HOURS_BACK = tuple(2**power for power in range(1, 11))
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
    """What the counters of every interface said, bit/s: of hours that are thinned by 5 minutes, then poll by poll."""
    found = thinned_rates(reader, start, end)
    reached = {(key.device, key.interface): rates.end[-1] for key, rates in found.items()}
    for since, devices in _not_thinned(reader, found, start).items():
        for ports, samples in _samples(reader, since - timedelta(seconds=LONGEST_GAP_S), end, devices):
            for metric, of_all in zip(COUNTERS, octet_rates(samples, LONGEST_GAP_S), strict=True):
                for number, rates in of_all.split():
                    key = SeriesKey(ports[number].device, ports[number].interface, metric)
                    newer = _from(_bits(rates), reached.get((key.device, key.interface), instant(since)))
                    found[key] = _joined(found[key], newer) if key in found else newer
    return found


def thinned_rates(reader: Reader, start: datetime, end: datetime) -> dict[SeriesKey, Rates]:
    """Mean rates of 5 minutes, bit/s, as far as hours are thinned; a bucket known for less than half of it is a gap."""
    names = {metric: (f"{counter}_mean", f"{counter}_known_s") for metric, counter in COUNTERS.items()}
    block = reader.range("interface_5m", None, start, end, [name for pair in names.values() for name in pair])
    first, _ = numbered(block)
    parts = np.split(np.arange(len(block)), first[1:]) if len(block) else []
    return {
        SeriesKey(port.device, port.interface, metric): _buckets(block.take(rows), *pair)
        for port, rows in zip(_ports(block), parts, strict=True)
        for metric, pair in names.items()
    }


def _buckets(part: Block, mean: str, known_s: str) -> Rates:
    half = FIVE_MINUTES / np.timedelta64(1, "s") / 2
    known = part.fields[mean].valid & (part.fields[known_s].values >= half)
    per_second = np.where(known, part.fields[mean].values * 8.0, np.nan)
    reason = np.where(known, Reason.KNOWN, Reason.GAP).astype(np.uint8)
    return Rates(part.at, part.at + FIVE_MINUTES, per_second, reason)


def _not_thinned(reader: Reader, thinned: Mapping[SeriesKey, Rates], start: datetime) -> dict[datetime, list[str]]:
    """From when on devices have to be read poll by poll: those thinned to about the same time together."""
    reached: dict[str, np.datetime64] = {}
    for key, rates in thinned.items():
        reached[key.device] = max(rates.end[-1], reached.get(key.device, rates.end[-1]))
    edges = [max(reached.values()) - np.timedelta64(hours, "h") for hours in _HOURS_BACK] if reached else []
    groups: dict[datetime, list[str]] = {}
    for device in sorted({keys["device"] for keys in reader.series("interface")}):
        end = reached.get(device)
        since = next((to_datetime(edge) for edge in edges if end is not None and end >= edge), start)
        groups.setdefault(max(since, start), []).append(device)
    return groups


def _from(rates: Rates, since: np.datetime64) -> Rates:
    """What held after a time."""
    later = rates.end > since
    start = np.maximum(rates.start[later], since)
    return Rates(start, rates.end[later], rates.per_second[later], rates.reason[later])


def _joined(earlier: Rates, later: Rates) -> Rates:
    parts = [(getattr(earlier, f.name), getattr(later, f.name)) for f in fields(Rates)]
    return Rates(*(np.concatenate(pair) for pair in parts))


def imported_rates(reader: Reader, start: datetime, end: datetime) -> dict[SeriesKey, Rates]:
    """History that came as rates of 5-minute cells, bit/s."""
    block = reader.range("interface_rate", None, start, end)
    ports, (first, _) = _ports(block), numbered(block)
    parts = np.split(np.arange(len(block)), first[1:])
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


def _samples(
    reader: Reader, start: datetime, end: datetime, devices: list[str] | None = None
) -> Iterator[tuple[list[Port], Samples]]:
    """All counters between two times, some devices at a time: the ports by number, and their samples."""
    chosen = None if devices is None else {"device": devices}
    block = reader.range("interface", chosen, start, end, [*COUNTERS.values(), *WITH_COUNTERS])
    clocks = reader.range("device", chosen, start, end, ["uptime_cs", *CLOCKS])
    for part in some_devices(block):
        yield _ports(part), samples_of(part, list(COUNTERS.values()), clocks)


def _ports(block: Block) -> list[Port]:
    """Those of a block sorted by them, by number."""
    devices, interfaces = block.keys["device"], block.keys["interface"]
    return [Port(str(devices[row]), str(interfaces[row])) for row in numbered(block)[0]]


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
