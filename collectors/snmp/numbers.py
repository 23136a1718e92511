"""Pure: columns of plain numbers as arrays, for the tables that come large and often (interfaces)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from collectors.profiles import Source
from collectors.profiles import Value as Wanted
from collectors.snmp.sheet import Sheet, cells_of
from collectors.snmp.wire import Oid, Value
from twin.vocab.blocks import Mask

Ints = npt.NDArray[np.int64]
_LOW_32 = np.int64(0xFFFFFFFF)


@dataclass(frozen=True)
class Numbers:
    """One column of counters or gauges (unsigned 64-bit ones keep their bits), which rows have one, their width.

    ``bits`` is 0 where the source says none; ``used`` and ``missing`` as in ``Cells``.
    """

    values: Ints
    valid: Mask
    bits: Ints
    used: tuple[Source, ...] = ()
    missing: tuple[Oid, ...] = ()

    def take(self, rows: Mask) -> Numbers:
        return Numbers(self.values[rows], self.valid[rows], self.bits[rows])


def numbers_of(wanted: Wanted, sheet: Sheet) -> Numbers:
    """As ``cells_of`` for an int column, many rows at once where the sources are plain."""
    if not wanted.is_plain:
        return _cell_by_cell(wanted, sheet)
    count, first = len(sheet), wanted.sources[0]
    if count and sheet.walked.has(first):
        given, there = _plain(first, sheet)
        if there is every(count):
            return Numbers(given, there, width(count, first.bits or 0), (first,))
    return _one_after_another(wanted.sources, sheet)


def _one_after_another(sources: Sequence[Source], sheet: Sheet) -> Numbers:
    """Each source in the rows where those before it gave nothing."""
    count, used = len(sheet), list[Source]()
    values, valid, bits = np.zeros(count, dtype=np.int64), every(count, value=False), width(count, 0)
    for source in sources:
        if valid is every(count) and count:
            break
        if not sheet.walked.has(source):
            return Numbers(values, valid, bits, tuple(used), source.oids)
        given, there = _plain(source, sheet)
        fresh = there & ~valid
        if fresh.any():
            used.append(source)
            values, bits = np.where(fresh, given, values), np.where(fresh, source.bits or 0, bits)
            valid = _shared(valid | fresh)
    return Numbers(values, valid, bits, tuple(used))


@lru_cache(maxsize=4096)
def every(count: int, *, value: bool = True) -> Mask:
    """A mask of all rows (or none), the same object each time: cheap to make and to tell from others."""
    mask = np.full(count, value, dtype=bool)
    mask.flags.writeable = False
    return mask


@lru_cache(maxsize=4096)
def width(count: int, bits: int) -> Ints:
    """One counter width for all rows, the same object each time."""
    widths = np.full(count, bits, dtype=np.int64)
    widths.flags.writeable = False
    return widths


def _shared(mask: Mask) -> Mask:
    return every(len(mask)) if mask.all() else mask


def _plain(source: Source, sheet: Sheet) -> tuple[Ints, Mask]:
    values, valid = array_of(sheet.along(source.own))
    for unknown in source.unknown:
        valid = _shared(valid & (values != unknown))
    for oid in source.plus:
        other, there = array_of(sheet.along(oid))
        values = values + _known(other, there)
    for oid in source.minus:
        other, there = array_of(sheet.along(oid))
        values = values - _known(other, there)
    if source.bits == 32:
        values = values & _LOW_32
    if source.scale != 1.0:
        factor = int(source.scale)
        valid = _shared(valid & (values >= 0) & (values <= 2**63 // factor - 1))
        values = values * factor
    return values, valid


def _known(values: Ints, valid: Mask) -> Ints:
    """0 where there is none."""
    return values if valid is every(len(valid)) else np.where(valid, values, 0)


def array_of(values: Sequence[Value | None]) -> tuple[Ints, Mask]:
    """Integers -> their low 64 bits; what is no integer of 64 bits, signed or unsigned, is not valid."""
    try:
        array = np.array(values)
    except ValueError:  # object identifiers of several lengths
        return _one_by_one(values)
    if array.ndim == 1 and array.dtype in (np.int64, np.uint64):
        return array.view(np.int64), every(len(array))
    return _one_by_one(values)


def _one_by_one(values: Sequence[Value | None]) -> tuple[Ints, Mask]:
    valid = np.array([isinstance(v, int) and -(2**63) <= v < 2**64 for v in values], dtype=bool)
    wrapped = [v % 2**64 if ok and isinstance(v, int) else 0 for v, ok in zip(values, valid, strict=True)]
    return np.array(wrapped, dtype=np.uint64).view(np.int64), _shared(valid)


def _cell_by_cell(wanted: Wanted, sheet: Sheet) -> Numbers:
    cells = cells_of(wanted, "int", sheet)
    values, valid = array_of(cells.values)
    width = next((source.bits for source in cells.used if source.bits), 0)
    return Numbers(values, valid, np.where(valid, width, 0), cells.used, cells.missing)
