"""Block <-> polars frame: null = not measured, time in UTC microseconds. Pure, round-trip tested."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from twin.vocab.blocks import Array, Block, Column
from twin.vocab.schema import KINDS, FieldType

AT = pl.Datetime("us", "UTC")
_TYPES: dict[FieldType, type[pl.DataType]] = {"int": pl.Int64, "float": pl.Float64, "str": pl.String}


def frame_schema(kind: str, fields: Sequence[str] | None = None) -> dict[str, pl.DataType]:
    """Keys, ``at`` and the fields (all if None) with their types."""
    spec = KINDS[kind]
    names = spec.fields if fields is None else fields
    return (
        {key: pl.String() for key in spec.keys}
        | {"at": AT}
        | {name: _TYPES[spec.fields[name].type]() for name in names}
    )


def to_frame(block: Block) -> pl.DataFrame:
    """All columns of the kind, in schema order."""
    schema = frame_schema(block.kind)
    columns = [pl.Series(key, block.keys[key].tolist(), dtype=pl.String) for key in KINDS[block.kind].keys]
    columns.append(pl.Series("at", block.at).dt.replace_time_zone("UTC"))
    for name in KINDS[block.kind].fields:
        column = block.fields.get(name)
        if column is None:
            columns.append(pl.Series(name, [None], dtype=schema[name]).new_from_index(0, len(block)))
        else:
            columns.append(_nullable(name, column))
    return pl.DataFrame(columns)


def _nullable(name: str, column: Column) -> pl.Series:
    if column.values.dtype == object:
        texts = column.values.copy()
        texts[~column.valid] = None
        return pl.Series(name, texts.tolist(), dtype=pl.String)
    values = pl.when(pl.Series(column.valid)).then(pl.Series(np.ascontiguousarray(column.values)))
    return pl.select(values.alias(name)).to_series()


def to_block(kind: str, frame: pl.DataFrame, fields: Sequence[str]) -> Block:
    """A frame with the keys, ``at`` and ``fields`` -> block."""
    keys = {key: _shared_text(frame[key]) for key in KINDS[kind].keys}
    at = frame["at"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    return Block(kind, keys, at, {name: _column(frame[name]) for name in fields})


def united(newer: Block, older: Block | None) -> Block:
    """Both, sorted by series and time; where both have a value, the newer one's."""
    if older is None or not len(older):
        return newer
    fields = [name for name in KINDS[newer.kind].fields if name in newer.fields]
    frame = merged(pl.concat([to_frame(older), to_frame(newer)]), KINDS[newer.kind].keys)
    return to_block(newer.kind, frame, fields)


def _shared_text(texts: pl.Series) -> Array:
    """As objects, one Python string for each distinct text."""
    numbers = coded(texts)
    assert isinstance(numbers.dtype, pl.Enum)
    names: Array = np.array(numbers.dtype.categories.to_list(), dtype=object)
    return names.take(numbers.to_physical().to_numpy())


def coded(texts: pl.Series) -> pl.Series:
    """The same as numbers of its distinct texts, which are in order: fast to sort and compare."""
    return texts if isinstance(texts.dtype, pl.Enum) else texts.cast(pl.Enum(texts.unique().sort()))


def _column(values: pl.Series) -> Column:
    valid = values.is_not_null().to_numpy()
    if values.dtype == pl.String:
        return Column(np.array(values.fill_null("").to_list(), dtype=object), valid)
    blank = np.nan if values.dtype == pl.Float64 else 0
    return Column(values.fill_null(blank).to_numpy(writable=True), valid)


def merged(frame: pl.DataFrame, keys: Sequence[str], *, by: Sequence[str] = ()) -> pl.DataFrame:
    """Sorted by series and time; rows of the same series and time become one, field by field the newest value.

    The newest is the last by ``by``, then by place in the frame. Keys become polars Enums.
    """
    same = [*keys, "at"]
    frame = frame.with_columns(coded(frame[key]) for key in keys)
    frame = frame.sort([*same, *by], maintain_order=True)
    as_before = pl.all_horizontal(pl.col(same) == pl.col(same).shift(1)).fill_null(value=False)
    repeated = frame.select(as_before | as_before.shift(-1, fill_value=False)).to_series()
    if not repeated.any():
        return frame
    united = frame.filter(repeated).group_by(same, maintain_order=True).agg(pl.all().drop_nulls().last())
    return pl.concat([frame.filter(~repeated), united.select(frame.columns)]).sort(same)
