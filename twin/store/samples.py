"""What both engines do alike: accept blocks, check questions, thin rows. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.store.protocols import Match, When
from twin.vocab.blocks import Block, Column, concat
from twin.vocab.schema import KINDS, Kind
from twin.vocab.time import instant

_EARLIEST = np.datetime64("1970-01-01", "us")
_LATEST = np.datetime64("2200-01-01", "us")


def accepted(blocks: Sequence[Block]) -> dict[str, Block]:
    """Blocks -> one checked block a kind, without rows in which nothing was measured.

    Raises:
        ValueError: a block does not fit the schema, has a time outside the years 1970 to 2199, or text that is none.
    """
    by_kind: defaultdict[str, list[Block]] = defaultdict(list)
    for block in blocks:
        _check_times(block.checked())
        _check_texts(block)
        by_kind[block.kind].append(_finite(block))
    joined = (concat(parts) for parts in by_kind.values())
    kept = ((block, measured(block)) for block in joined)
    return {b.kind: b if rows.all() else b.take(rows) for b, rows in kept if rows.any()}


def measured(block: Block) -> npt.NDArray[np.bool_]:
    """Which rows hold at least one value."""
    rows = np.zeros(len(block), dtype=bool)
    for column in block.fields.values():
        rows |= column.valid
    return rows


def _check_times(block: Block) -> None:
    outside = (block.at < _EARLIEST) | (block.at >= _LATEST)
    if outside.any():
        raise ValueError(f"kind {block.kind!r}: {block.at[outside][0]} is not a time to store")


def _check_texts(block: Block) -> None:
    texts = dict(block.keys)
    texts |= {name: c.values[c.valid] for name, c in block.fields.items() if c.values.dtype == object}
    for name, values in texts.items():
        try:
            "".join(values.tolist()).encode()
        except (TypeError, UnicodeError) as problem:
            raise ValueError(f"kind {block.kind!r}: {name} holds something that is not text") from problem


def _finite(block: Block) -> Block:
    fields = {
        name: Column(c.values, c.valid & np.isfinite(c.values)) if c.values.dtype == np.float64 else c
        for name, c in block.fields.items()
    }
    return Block(block.kind, block.keys, block.at, fields)


def spec_of(kind: str) -> Kind:
    """The kind's schema. Raises ValueError for an unknown one."""
    spec = KINDS.get(kind)
    if spec is None:
        raise ValueError(f"unknown kind {kind!r}; there are {', '.join(KINDS)}")
    return spec


def chosen_fields(spec: Kind, fields: Sequence[str] | None) -> tuple[str, ...]:
    """The fields asked for, in schema order. Raises ValueError for an unknown one."""
    if fields is None:
        return tuple(spec.fields)
    if strange := set(fields) - set(spec.fields):
        raise ValueError(
            f"kind {spec.name!r} has no field {', '.join(sorted(strange))}; it has {', '.join(spec.fields)}"
        )
    return tuple(name for name in spec.fields if name in fields)


def choices(spec: Kind, keys: Match | None) -> dict[str, tuple[str, ...]]:
    """Key -> the values it may have. Raises ValueError for an unknown key."""
    wanted: Mapping[str, str | Collection[str]] = keys or {}
    if strange := set(wanted) - set(spec.keys):
        raise ValueError(f"kind {spec.name!r} has no key {sorted(strange)}; it is keyed by {', '.join(spec.keys)}")
    return {k: (v,) if isinstance(v, str) else tuple(v) for k, v in wanted.items()}


def micros(when: When) -> np.datetime64:
    """A time as the store keeps it. Raises ValueError for a naive one."""
    return instant(when) if isinstance(when, datetime) else when.astype("datetime64[us]")


def cell_length(step: timedelta | np.timedelta64) -> np.timedelta64:
    """Raises ValueError unless longer than nothing."""
    length: np.timedelta64 = np.timedelta64(step).astype("timedelta64[us]")
    if length <= np.timedelta64(0, "us"):
        raise ValueError(f"a step must be longer than nothing, not {step}")
    return length


def last_per_cell(block: Block, start: np.datetime64, length: np.timedelta64) -> Block:
    """Of a block sorted by series and time: the last row of each series in each cell [start + i*length, ...)."""
    if len(block) == 0:
        return block
    cell = (block.at - start) // length
    ends = np.ones(len(block), dtype=bool)
    ends[:-1] = cell[1:] != cell[:-1]
    for values in block.keys.values():
        ends[:-1] |= values[1:] != values[:-1]
    return block.take(ends)


def filled(block: Block, source: Block, names: Sequence[str]) -> Block:
    """The block with these fields as they are in the rows of ``source`` of the same series and time."""
    rows = {name: i for i, name in enumerate(_names(source))}
    found = np.array([rows.get(name, -1) for name in _names(block)], dtype=np.intp)
    there = found >= 0
    fields = dict(block.fields)
    for name in names:
        column = source.fields[name]
        values, valid = block.fields[name].values.copy(), np.zeros(len(block), dtype=bool)
        values[there], valid[there] = column.values[found[there]], column.valid[found[there]]
        fields[name] = Column(values, valid)
    return Block(block.kind, block.keys, block.at, fields)


def _names(block: Block) -> list[tuple[Any, ...]]:
    return list(zip(*(values.tolist() for values in block.keys.values()), block.at.tolist(), strict=True))
