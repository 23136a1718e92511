"""Parquet -> blocks, slice by slice. Null is a value that was not measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from twin.store.frames import AT, to_block
from twin.store.transfer.rows import FIVE_MINUTES_US, LATEST_US
from twin.store.transfer.tables import KIND, TIME, Columns, columns_of
from twin.vocab.blocks import Block
from twin.vocab.errors import InputError, Place, UsageError
from twin.vocab.schema import Field

ROWS_AT_ONCE = 100_000
_REASON = "reason__"


@dataclass(frozen=True)
class Slice:
    """Some rows: those that hold as a block, and (row from 1, reason, the row as CSV) of each that does not."""

    block: Block
    rows: int
    refused: tuple[tuple[int, str, str], ...]


def parquet_head(path: Path, kind: str | None) -> tuple[Columns, int]:
    """What a file's columns are, and how many rows it has.

    Raises:
        UsageError: it can't be read.
        InputError: its columns are not those of a kind, or hold what can't be such values.
    """
    try:
        scan = pl.scan_parquet(path)
        schema = scan.collect_schema()
        told = scan.select(pl.col(KIND).cast(pl.String)).head(1).collect() if KIND in schema else None
        rows = int(scan.select(pl.len()).collect().item())
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise UsageError(f"{path}: can't be read: {str(problem).splitlines()[0]}") from problem
    names = list(schema)
    columns = columns_of(names, path, wanted=kind, told=told.item() if told is not None and rows else None)
    for name in names:
        if not _may_hold(name, columns, schema[name]):
            raise InputError(Place(path, None, name), f"holds {schema[name]}, not {_wanted(name, columns)}")
    return columns, rows


def parquet_slices(path: Path, columns: Columns, offset: int, present: int) -> Iterator[Slice]:
    """The rows from ``offset`` on, ``ROWS_AT_ONCE`` at a time."""
    while True:
        try:
            frame = pl.scan_parquet(path).slice(offset, ROWS_AT_ONCE).collect()
        except (OSError, pl.exceptions.PolarsError) as problem:
            raise UsageError(f"{path}: can't be read: {str(problem).splitlines()[0]}") from problem
        if frame.is_empty():
            return
        yield _slice(frame, columns, offset, present)
        offset += len(frame)


def _slice(frame: pl.DataFrame, columns: Columns, offset: int, present: int) -> Slice:
    judged = frame.with_columns(_time(frame.schema[TIME])).with_columns(_reason(frame, columns, present))
    judged = judged.with_columns(pl.int_range(offset + 1, offset + 1 + len(frame), dtype=pl.Int64).alias("row__"))
    bad = judged.filter(pl.col(_REASON).is_not_null())
    texts = bad.select(frame.columns).write_csv(include_header=False, quote_style="non_numeric").splitlines()
    refused = tuple(zip(bad["row__"].to_list(), bad[_REASON].to_list(), texts, strict=False))
    good = judged.filter(pl.col(_REASON).is_null())
    made = good.select(
        *(pl.col(key).cast(pl.String) for key in columns.spec.keys),
        pl.col(TIME).alias("at"),
        *(_value(good[name], columns.spec.fields[name]) for name in columns.fields),
    )
    return Slice(to_block(columns.spec.name, made, columns.fields), len(frame), refused)


def _time(dtype: pl.DataType) -> pl.Expr:
    column = pl.col(TIME)
    if dtype == pl.String:
        return column.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    assert isinstance(dtype, pl.Datetime)
    aware = column.dt.replace_time_zone("UTC") if dtype.time_zone is None else column.dt.convert_time_zone("UTC")
    return aware.dt.cast_time_unit("us").cast(AT)


def _reason(frame: pl.DataFrame, columns: Columns, present: int) -> pl.Expr:
    spec = columns.spec
    at = pl.col(TIME).dt.epoch("us")
    tests = [(pl.col(key).is_null(), f"{key}: is empty") for key in spec.keys]
    tests.append((pl.col(TIME).is_null(), "time: is empty, or no ISO 8601 time"))
    tests.append(((at < 0) | (at >= LATEST_US), "its time is outside the years 1970 to 2199"))
    if KIND in frame.columns:
        tests.append((pl.col(KIND).cast(pl.String) != spec.name, f"kind: not {spec.name}: one kind a file"))
    parts = [n for n in columns.fields if spec.fields[n].type == "int" and frame.schema[n].is_float()]
    tests += [(pl.col(name) != pl.col(name).round(), f"{name}: is not a whole number") for name in parts]
    if spec.name == "interface_rate":
        tests.append((at > present, "its time is not past: history is what was"))
        tests.append((at % FIVE_MINUTES_US != 0, "its time is not on a 5-minute mark: rates are 5-minute means"))
        tests += [(pl.col(name) < 0, f"{name} is negative") for name in columns.fields]
    reason = pl.lit(None, pl.String)
    for test, text in reversed(tests):
        reason = pl.when(test.fill_null(value=False)).then(pl.lit(text)).otherwise(reason)
    return reason.alias(_REASON)


def _value(values: pl.Series, wanted: Field) -> pl.Series:
    if wanted.type == "str":
        return values.cast(pl.String)
    if wanted.type == "float":
        return values.cast(pl.Float64)
    return values.reinterpret(signed=True) if values.dtype == pl.UInt64 else values.cast(pl.Int64)


def _may_hold(name: str, columns: Columns, dtype: pl.DataType) -> bool:
    if name == TIME:
        return dtype == pl.String or isinstance(dtype, pl.Datetime)
    wanted = columns.spec.fields.get(name)
    if wanted is None or wanted.type == "str":
        return dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)
    return dtype.is_numeric() or dtype == pl.Null


def _wanted(name: str, columns: Columns) -> str:
    if name == TIME:
        return "times"
    wanted = columns.spec.fields.get(name)
    return "text" if wanted is None or wanted.type == "str" else "numbers"
