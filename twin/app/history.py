"""History that came from elsewhere: a table of interface rates -> the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from twin.vocab.blocks import Block, Column
from twin.vocab.errors import InputError, Place, UsageError
from twin.vocab.time import FIVE_MINUTES, instant, now

EARLIEST = np.datetime64("1990-01-01", "us")
COLUMNS = ("time", "device", "interface", "in_bps", "out_bps")
READERS: dict[str, Any] = {".csv": pl.read_csv, ".parquet": pl.read_parquet}


def read_history(path: Path) -> Block:
    """CSV or Parquet with time (UTC, ISO 8601), device, interface, in_bps, out_bps (bit/s; empty = unknown) -> block.

    Raises:
        UsageError: the file can't be read, or is neither CSV nor Parquet.
        InputError: a column is missing or unknown, a time can't be read, or a rate is negative; with row and column.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: history comes as .csv or .parquet")
    try:
        frame: pl.DataFrame = reader(path)
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise UsageError(f"{path}: can't be read: {str(problem).splitlines()[0]}") from problem
    _check_columns(frame, path)
    at = _times(frame, path)
    _check_cells(frame, at, path)
    return Block(
        "interface_rate",
        {k: frame[k].cast(pl.String).to_numpy().astype(object) for k in ("device", "interface")},
        at,
        {f: _rate(frame, f, path) for f in ("in_bps", "out_bps")},
    ).checked()


def _check_columns(frame: pl.DataFrame, path: Path) -> None:
    if missing := [c for c in COLUMNS if c not in frame.columns]:
        raise InputError(Place(path, 1), f"no column {', '.join(missing)}; needed: {', '.join(COLUMNS)}")
    if strange := [c for c in frame.columns if c not in COLUMNS]:
        raise InputError(Place(path, 1, strange[0]), "unknown column")
    for name in ("device", "interface"):
        if (row := _first(frame[name].is_null())) is not None:
            raise InputError(Place(path, row + 2, name), "is empty")


def _times(frame: pl.DataFrame, path: Path) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    column = frame["time"]
    if column.dtype == pl.String:
        column = column.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    if not isinstance(column.dtype, pl.Datetime):
        raise InputError(Place(path, 1, "time"), f"holds {column.dtype}, not times")
    if (row := _first(column.is_null())) is not None:
        raise InputError(Place(path, row + 2, "time"), f"{frame['time'][row]!r} is not an ISO 8601 time")
    if column.dtype.time_zone not in (None, "UTC"):
        column = column.dt.convert_time_zone("UTC")
    return column.dt.replace_time_zone(None).dt.cast_time_unit("us").to_numpy().astype("datetime64[us]")


def _check_cells(frame: pl.DataFrame, at: np.ndarray[Any, np.dtype[np.datetime64]], path: Path) -> None:
    """Each row is one whole 5-minute cell of one interface."""
    strange = pl.Series((at < EARLIEST) | (at > instant(now())))
    if (row := _first(strange)) is not None:
        raise InputError(Place(path, row + 2, "time"), f"{at[row]} is no past time: history is what was")
    off = pl.Series((at - np.datetime64(0, "us")) % FIVE_MINUTES != np.timedelta64(0, "us"))
    if (row := _first(off)) is not None:
        raise InputError(Place(path, row + 2, "time"), f"{at[row]} is not on a 5-minute mark: rows are 5-minute means")
    repeated = frame.select(
        pl.struct("device", "interface", pl.Series("at", at)).is_first_distinct().not_()
    ).to_series()
    if (row := _first(repeated)) is not None:
        raise InputError(
            Place(path, row + 2), f"stands twice: {frame['device'][row]} {frame['interface'][row]} {at[row]}"
        )


def _rate(frame: pl.DataFrame, name: str, path: Path) -> Column:
    try:
        values = frame[name].cast(pl.Float64)
    except pl.exceptions.PolarsError as problem:
        raise InputError(Place(path, None, name), "holds something that is not a number") from problem
    if (row := _first((values < 0).fill_null(value=False))) is not None:
        raise InputError(Place(path, row + 2, name), f"{values[row]} is negative")
    filled = values.fill_null(float("nan")).to_numpy().astype(np.float64)
    return Column(filled, np.isfinite(filled))


def _first(flags: pl.Series) -> int | None:
    return int(flags.arg_max() or 0) if flags.any() else None
