"""The newest value of every field of every series: a lattice that grows by rows in any order and answers ``latest``.

Pure and numpy alone, so that a fresh process answers without loading a data frame library. Of a field the newest
value is the one with the largest time, then the latest written; so of what was folded neither order nor repetition
matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.vocab.blocks import Array, Block, Column, Mask
from twin.vocab.schema import KINDS

Whole = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
NEVER = np.iinfo(np.int64).min
_BLANK: dict[str, Any] = {"int": 0, "float": np.nan, "str": ""}
_DTYPES: dict[str, Any] = {"int": np.int64, "float": np.float64, "str": object}


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of text: its distinct values, sorted, and the number of each row's."""

    names: Array
    codes: npt.NDArray[np.int32]

    def strings(self) -> Array:
        """One object for each distinct text."""
        return self.names.take(self.codes)


@dataclass(frozen=True, eq=False)
class Times:
    """For each series when a field's newest value was measured and written (UTC microseconds; ``NEVER``)."""

    at: Whole
    written: Whole


@dataclass(frozen=True, eq=False)
class Cells:
    """A field's newest values; where its time is ``NEVER`` the value means nothing. Fields share their times."""

    times: Times
    values: Array


@dataclass(frozen=True, eq=False)
class Newest:
    """Series, each once and sorted, and of each field measured in any of them the newest values."""

    kind: str
    keys: Mapping[str, Texts]
    fields: Mapping[str, Cells]

    def __len__(self) -> int:
        return len(next(iter(self.keys.values())).codes)


def nothing(kind: str) -> Newest:
    texts = Texts(np.empty(0, dtype=object), np.empty(0, dtype=np.int32))
    return Newest(kind, dict.fromkeys(KINDS[kind].keys, texts), {})


@dataclass(frozen=True, eq=False)
class Measured:
    """A field in rows: which hold a value, and how to get the values of some of them."""

    valid: Mask
    values: Any
    """Row numbers -> values, in the field's type."""


def reduced(kind: str, keys: Mapping[str, Texts], times: Times, fields: Mapping[str, Measured]) -> Newest:
    """Rows in any order -> the newest of each series and field."""
    codes = [texts.codes for texts in keys.values()]
    order = _sorted_order([times.written, times.at, *reversed(codes)])
    if order is not None:
        codes = [c[order] for c in codes]
    ends = np.flatnonzero(_starts(codes, after=True))
    found: dict[str, Cells] = {}
    shared: dict[bytes, tuple[Rows, Times]] = {}
    for name, field in fields.items():
        if not field.valid.any():
            continue
        rows, when = _last_rows(field.valid if order is None else field.valid[order], ends, order, times, shared)
        values = _blank(kind, name, len(ends))
        ever = when.at != NEVER
        values[ever] = field.values(rows[ever])
        found[name] = Cells(when, values)
    lasting = {key: Texts(texts.names, c[ends]) for (key, texts), c in zip(keys.items(), codes, strict=True)}
    return Newest(kind, lasting, found)


def _last_rows(
    valid: Mask, ends: Rows, order: Rows | None, times: Times, shared: dict[bytes, tuple[Rows, Times]]
) -> tuple[Rows, Times]:
    """Of each series (its rows end at ``ends``) the number of its last valid row, and that row's times."""
    whole = bool(valid.all())
    name = b"" if whole else np.packbits(valid).tobytes()
    if name not in shared:
        if whole:
            last, ever = ends, np.ones(len(ends), dtype=bool)
        else:
            last = np.maximum.accumulate(np.where(valid, np.arange(len(valid)), -1))[ends]
            ever = last >= np.concatenate([[0], ends[:-1] + 1])
        rows = last if order is None else order[last]
        shared[name] = rows, Times(np.where(ever, times.at[rows], NEVER), np.where(ever, times.written[rows], NEVER))
    return shared[name]


def _sorted_order(columns: Sequence[Array]) -> Rows | None:
    """The order that sorts rows by the last column, then the one before; None if they are so already."""
    later = np.zeros(max(0, len(columns[0]) - 1), dtype=bool)
    undecided = ~later
    for column in reversed(columns):
        if (undecided & (column[1:] < column[:-1])).any():
            return np.lexsort(tuple(columns))
        undecided &= column[1:] == column[:-1]
    return None


def _starts(codes: Sequence[Array], *, after: bool = False) -> Mask:
    """Rows that differ from the one before (``after``: from the one after) in some column."""
    differs = np.zeros(max(0, len(codes[0]) - 1), dtype=bool)
    for column in codes:
        differs |= column[1:] != column[:-1]
    edge = np.ones(min(1, len(codes[0])), dtype=bool)
    return np.concatenate([differs, edge] if after else [edge, differs])


def joined(one: Newest, other: Newest) -> Newest:
    """The newest of both."""
    if not len(one) or not len(other):
        return one if len(one) else other
    keys, places, others = _united(one.keys, other.keys)
    rows = len(next(iter(keys.values())).codes)
    shared: dict[tuple[int, int], tuple[Times, Mask]] = {}
    fields = {}
    for name in KINDS[one.kind].fields:
        mine, theirs = one.fields.get(name), other.fields.get(name)
        if mine is None and theirs is None:
            continue
        known, found = mine.times if mine else None, theirs.times if theirs else None
        if (id(known), id(found)) not in shared:
            shared[id(known), id(found)] = _later(rows, places, known, others, found)
        times, replaced = shared[id(known), id(found)]
        values = _blank(one.kind, name, rows)
        if mine is not None:
            values[places] = mine.values
        if theirs is not None:
            values[others[replaced]] = theirs.values[replaced]
        fields[name] = Cells(times, values)
    return Newest(one.kind, keys, fields)


def _blank(kind: str, field: str, rows: int) -> Array:
    kind_of = KINDS[kind].fields[field].type
    return np.full(rows, _BLANK[kind_of], _DTYPES[kind_of])


def _later(rows: int, places: Rows, known: Times | None, others: Rows, found: Times | None) -> tuple[Times, Mask]:
    """The later of two at each place, and which of those found are."""
    at, written = np.full(rows, NEVER), np.full(rows, NEVER)
    if known is not None:
        at[places], written[places] = known.at, known.written
    if found is None:
        return Times(at, written), np.zeros(len(others), dtype=bool)
    before, written_before = at[others], written[others]
    replaced = (found.at > before) | ((found.at == before) & (found.written > written_before))
    at[others[replaced]], written[others[replaced]] = found.at[replaced], found.written[replaced]
    return Times(at, written), replaced


def _united(one: Mapping[str, Texts], other: Mapping[str, Texts]) -> tuple[dict[str, Texts], Rows, Rows]:
    """All series of both, sorted, and where those of each are among them."""
    columns = {key: _recoded(one[key], other[key]) for key in one}
    codes = [np.concatenate([mine, theirs]) for _, mine, theirs in columns.values()]
    order = np.lexsort(tuple(reversed(codes)))
    starts = _starts([c[order] for c in codes])
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.cumsum(starts) - 1
    first = order[starts]
    keys = {key: Texts(names, c[first]) for (key, (names, _, _)), c in zip(columns.items(), codes, strict=True)}
    count = len(next(iter(one.values())).codes)
    return keys, place[:count], place[count:]


def _recoded(one: Texts, other: Texts) -> tuple[Array, npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Both columns numbered by the names of both."""
    if len(one.names) == len(other.names) and (one.names == other.names).all():
        return one.names, one.codes, other.codes
    names = np.array(sorted({*one.names.tolist(), *other.names.tolist()}), dtype=object)
    number = {name: i for i, name in enumerate(names.tolist())}
    mine, theirs = (np.array([number[n] for n in t.names.tolist()], dtype=np.int32) for t in (one, other))
    return names, mine[one.codes], theirs[other.codes]


def since(newest: Newest, start: int) -> Newest:
    """Without what was measured before ``start`` (UTC microseconds), as if it had never been."""
    shared: dict[int, Times] = {}
    for cells in newest.fields.values():
        times, kept = cells.times, cells.times.at >= start
        shared[id(times)] = Times(np.where(kept, times.at, NEVER), np.where(kept, times.written, NEVER))
    fields = {name: replace(cells, times=shared[id(cells.times)]) for name, cells in newest.fields.items()}
    left = np.zeros(len(newest), dtype=bool)
    for times in shared.values():
        left |= times.at != NEVER
    return _taken(Newest(newest.kind, newest.keys, fields), left)


def _taken(newest: Newest, rows: Mask) -> Newest:
    if rows.all():
        return newest
    shared = {id(c.times): Times(c.times.at[rows], c.times.written[rows]) for c in newest.fields.values()}
    keys = {key: Texts(texts.names, texts.codes[rows]) for key, texts in newest.keys.items()}
    fields = {name: Cells(shared[id(c.times)], c.values[rows]) for name, c in newest.fields.items()}
    return Newest(newest.kind, keys, fields)


def chosen(newest: Newest, wanted: Mapping[str, Sequence[str]]) -> Mask:
    """The series whose keys have one of the values wanted."""
    rows = np.ones(len(newest), dtype=bool)
    for key, values in wanted.items():
        texts, among = newest.keys[key], set(values)
        fits = np.array([name in among for name in texts.names.tolist()], dtype=bool)
        rows &= fits[texts.codes] if len(fits) else False
    return rows


def answer(newest: Newest, wanted: Mapping[str, Sequence[str]], fields: Sequence[str]) -> Block:
    """The newest row of each series wanted in which one of ``fields`` was measured, sorted by series."""
    at = np.full(len(newest), NEVER)
    for name in fields:
        if name in newest.fields:
            np.maximum(at, newest.fields[name].times.at, out=at)
    rows = np.flatnonzero(chosen(newest, wanted) & (at != NEVER))
    keys = {key: texts.names.take(texts.codes[rows]) for key, texts in newest.keys.items()}
    columns = {name: _column(newest, name, rows, at[rows]) for name in fields}
    return Block(newest.kind, keys, at[rows].view("datetime64[us]"), columns)


def _column(newest: Newest, name: str, rows: Rows, at: Whole) -> Column:
    values = _blank(newest.kind, name, len(rows))
    cells = newest.fields.get(name)
    if cells is None:
        return Column(values, np.zeros(len(rows), dtype=bool))
    valid = cells.times.at[rows] == at
    values[valid] = cells.values[rows[valid]]
    return Column(values, valid)


def series(newest: Newest, wanted: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """The keys of each series wanted, sorted."""
    rows = np.flatnonzero(chosen(newest, wanted))
    columns = [texts.names.take(texts.codes[rows]).tolist() for texts in newest.keys.values()]
    return [dict(zip(newest.keys, values, strict=True)) for values in zip(*columns, strict=True)]
