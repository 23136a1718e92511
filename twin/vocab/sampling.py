"""Column blocks of counters -> the samples that rates are computed from, with the clocks read beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from twin.vocab.blocks import Block, Column
from twin.vocab.counters import Floats, Ints, Samples
from twin.vocab.time import Instants

Texts = npt.NDArray[np.str_]
WITH_COUNTERS = ("counter_bits", "speed_bps", "oper_status", "index", "uptime_cs", "discontinuity_cs")
CLOCKS = ("host_uptime_cs", "engine_boots", "engine_time_s")
LONGEST_GAP_S = 3600.0
"""Between samples further apart no rate is known."""
ROWS_AT_ONCE = 500_000


def numbered(block: Block) -> tuple[Ints, Ints]:
    """Of a block sorted by its keys: the first row of each series, and the number of each row's series."""
    starts = np.ones(len(block), dtype=bool)
    starts[1:] = np.logical_or.reduce([names[1:] != names[:-1] for names in block.keys.values()])
    return np.flatnonzero(starts), np.cumsum(starts) - 1


def some_devices(block: Block) -> Iterator[Block]:
    """A block sorted by device in parts of about ``ROWS_AT_ONCE`` rows, each device whole."""
    devices = block.keys["device"]
    begun = 0
    for edge in [*(np.flatnonzero(devices[1:] != devices[:-1]) + 1).tolist(), len(block)]:
        if edge - begun >= ROWS_AT_ONCE or (edge == len(block) and edge > begun):
            yield block.take(np.arange(begun, edge))
            begun = edge


def samples_of(block: Block, counters: Sequence[str], clocks: Block | None = None) -> Samples:
    """The named counters of a block sorted by its keys, then time.

    Args:
        clocks: a block of kind ``device`` sorted by device and time, with the clocks of the same rounds.
    """
    first, series = numbered(block)
    names, number = np.unique(block.keys["device"][first].astype(str), return_inverse=True)
    device = number[series]
    columns = [block.fields[name] for name in counters]
    told = {name: _numbers(block.fields[name]) for name in WITH_COUNTERS if name in block.fields}
    if clocks is not None and "uptime_cs" in told:
        told |= _clocks_beside(block.at, device, told["uptime_cs"], clocks, names)
    counts = np.array([c.values for c in columns]).view(np.uint64)
    return Samples(block.at, series, device, counts, np.array([c.valid for c in columns]), told)


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
