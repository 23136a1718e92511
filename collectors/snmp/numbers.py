"""Pure: columns of plain numbers as arrays, for the tables that come large and often (interfaces)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collectors.profiles import Source
from collectors.profiles import Value as Wanted
from collectors.snmp.sheet import Sheet, cells_of
from collectors.snmp.wire import Oid, Value
from twin.vocab.blocks import Column, Mask

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
    if not all(source.is_plain for source in wanted.sources):
        return _cell_by_cell(wanted, sheet)
    values, valid = np.zeros(len(sheet), dtype=np.int64), np.zeros(len(sheet), dtype=bool)
    bits = np.zeros(len(sheet), dtype=np.int64)
    used: list[Source] = []
    for source in wanted.sources:
        if valid.all() and len(sheet):
            break
        if not sheet.walked.has(source):
            return Numbers(values, valid, bits, tuple(used), source.oids)
        given, there = _plain(source, sheet)
        if not there.any():
            continue
        fresh = there & ~valid
        if not fresh.any():
            continue
        used.append(source)
        if fresh.all():
            values, valid = given, there
            bits = np.full(len(sheet), source.bits or 0, dtype=np.int64)
        else:
            values, valid = np.where(fresh, given, values), valid | fresh
            bits = np.where(fresh, source.bits or 0, bits)
    return Numbers(values, valid, bits, tuple(used))


def _plain(source: Source, sheet: Sheet) -> tuple[Ints, Mask]:
    values, valid = array_of(sheet.along(source.own))
    for unknown in source.unknown:
        valid = valid & (values != unknown)
    for oid in source.plus:
        other, there = array_of(sheet.along(oid))
        values = values + np.where(there, other, 0)
    for oid in source.minus:
        other, there = array_of(sheet.along(oid))
        values = values - np.where(there, other, 0)
    if source.bits == 32:
        values = values & _LOW_32
    if source.scale != 1.0:
        factor = int(source.scale)
        valid = valid & (values >= 0) & (values <= 2**63 // factor - 1)
        values = values * factor
    return values, valid


def array_of(values: Sequence[Value | None]) -> tuple[Ints, Mask]:
    """Integers -> their low 64 bits; what is no integer of 64 bits, signed or unsigned, is not valid."""
    try:
        array = np.array(values)
    except ValueError:  # object identifiers of several lengths
        return _one_by_one(values)
    if array.ndim == 1 and array.dtype in (np.int64, np.uint64):
        return array.view(np.int64), np.ones(len(array), dtype=bool)
    return _one_by_one(values)


def _one_by_one(values: Sequence[Value | None]) -> tuple[Ints, Mask]:
    valid = np.array([isinstance(v, int) and -(2**63) <= v < 2**64 for v in values], dtype=bool)
    wrapped = [v % 2**64 if ok and isinstance(v, int) else 0 for v, ok in zip(values, valid, strict=True)]
    return np.array(wrapped, dtype=np.uint64).view(np.int64), valid


def _cell_by_cell(wanted: Wanted, sheet: Sheet) -> Numbers:
    cells = cells_of(wanted, "int", sheet)
    values, valid = array_of(cells.values)
    width = next((source.bits for source in cells.used if source.bits), 0)
    return Numbers(values, valid, np.where(valid, width, 0), cells.used, cells.missing)


def column_of(numbers: Numbers) -> Column:
    """As blocks carry it."""
    return Column(numbers.values, numbers.valid)
