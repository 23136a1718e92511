"""Stored samples -> rates: over a window (what a link carries now) and on the 5-minute grid (what models learn)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from twin.store import Reader
from twin.vocab.blocks import Block, Column
from twin.vocab.forecast import SeriesKey
from twin.vocab.rates import Rates, counter_rates
from twin.vocab.snapshot import Port
from twin.vocab.time import FIVE_MINUTES

COUNTERS = {"in_bps": "in_octets", "out_bps": "out_octets"}
LONGEST_GAP_S = 3600.0


@dataclass(frozen=True)
class PortRates:
    """Mean load of one interface over a window, bit/s; None where nothing could be known."""

    in_bps: float | None
    out_bps: float | None
    last: datetime


def window_rates(reader: Reader, start: datetime, end: datetime) -> dict[Port, PortRates]:
    """Mean rate of every polled interface between its first and last sample in ``[start, end)``."""
    found: dict[Port, PortRates] = {}
    for port, part in _by_port(_counters(reader, start, end)):
        means = {metric: _mean(_rates(part, field)) for metric, field in COUNTERS.items()}
        last = part.at[-1].astype("datetime64[us]").item()
        found[port] = PortRates(means["in_bps"], means["out_bps"], last.replace(tzinfo=end.tzinfo))
    return found


def polled_rates(reader: Reader, start: datetime, end: datetime) -> dict[SeriesKey, Rates]:
    """What the counters of every interface say between each two polls, bit/s."""
    return {
        SeriesKey(port.device, port.interface, metric): _rates(part, field)
        for port, part in _by_port(_counters(reader, start, end))
        for metric, field in COUNTERS.items()
    }


def imported_rates(reader: Reader, start: datetime, end: datetime) -> dict[SeriesKey, Rates]:
    """History that came as rates of 5-minute cells, bit/s."""
    return {
        SeriesKey(port.device, port.interface, metric): _cells(part, part.fields[metric])
        for port, part in _by_port(reader.range("interface_rate", None, start, end))
        for metric in COUNTERS
        if metric in part.fields
    }


def _cells(part: Block, column: Column) -> Rates:
    at, values = part.at[column.valid], column.values[column.valid]
    return Rates(at, at + FIVE_MINUTES, values, np.full(len(at), "", dtype="<U13"))


def _counters(reader: Reader, start: datetime, end: datetime) -> Block:
    fields = [*COUNTERS.values(), "counter_bits", "speed_bps", "uptime_cs", "discontinuity_cs"]
    return reader.range("interface", None, start, end, fields)


def _by_port(block: Block) -> Iterator[tuple[Port, Block]]:
    """The part of each port, in time order."""
    if len(block) == 0:
        return
    devices, interfaces = block.keys["device"].astype(str), block.keys["interface"].astype(str)
    order = np.lexsort((block.at, interfaces, devices))
    edges = (devices[order][1:] != devices[order][:-1]) | (interfaces[order][1:] != interfaces[order][:-1])
    for rows in np.split(order, np.flatnonzero(edges) + 1):
        yield Port(str(devices[rows[0]]), str(interfaces[rows[0]])), block.take(rows)


def _rates(part: Block, field: str) -> Rates:
    """bit/s between the samples of one interface."""
    column = part.fields.get(field)
    if column is None or column.valid.sum() < 2:
        nothing = part.at[:0]
        return Rates(nothing, nothing, np.empty(0), np.empty(0, dtype="<U13"))
    bits = part.fields.get("counter_bits")
    speed = part.fields.get("speed_bps")
    narrow = bits is not None and bool(bits.valid.any()) and bits.values[bits.valid][-1] == 32
    octets = counter_rates(
        part.at,
        column.values,
        bits=32 if narrow else 64,
        valid=column.valid,
        uptime_cs=_whole(part, "uptime_cs"),
        discontinuity_cs=_whole(part, "discontinuity_cs"),
        ceiling=_ceiling(speed.values[speed.valid]) if narrow and speed is not None and speed.valid.any() else None,
        longest_gap_s=LONGEST_GAP_S,
    )
    return Rates(octets.start, octets.end, octets.per_second * 8.0, octets.reason)


def _ceiling(speeds: npt.NDArray[np.int64]) -> float | None:
    """Octets per second beyond which a 32-bit decrease is no wrap; bursts and header bytes are allowed for."""
    fastest = float(speeds.max())
    return fastest / 8.0 * 1.5 if fastest > 0 else None


def _whole(part: Block, name: str) -> npt.NDArray[np.int64] | None:
    column = part.fields.get(name)
    return column.values if column is not None and bool(column.valid.all()) else None


def _mean(rates: Rates) -> float | None:
    seconds = (rates.end - rates.start) / np.timedelta64(1, "s")
    known = np.isfinite(rates.per_second)
    if not known.any():
        return None
    return float(np.average(rates.per_second[known], weights=seconds[known]))
