"""Which data files a question needs, and their rows. Pure but for reading the files."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import islice
from urllib.parse import unquote

import numpy as np
import polars as pl
from deltalake import DeltaTable

from twin.store.delta_log import open_table
from twin.store.folding import folded
from twin.store.frames import AT, frame_schema, merged
from twin.store.newest import Newest, joined, nothing
from twin.store.place import Place
from twin.vocab.schema import KINDS, Kind

Choices = Mapping[str, Sequence[str]]
WRITTEN = "written"
PATH = "path"
_FILES: dict[str, pl.DataType] = {
    PATH: pl.String(), "day": pl.Date(), "rows": pl.Int64(), "size": pl.Int64(), "first": AT, "last": AT,
    "low": pl.String(), "high": pl.String(),
}  # fmt: skip
_CUT = timedelta(milliseconds=1)
"""Delta's file statistics are cut to milliseconds."""

_FOLDED_AT_ONCE = 1_000_000


def live_files(table: DeltaTable) -> pl.DataFrame:
    """path, day, rows, size, first, last (both cut to milliseconds), low, high (of the first key) of each file.

    Bounds of text may be cut short.
    """
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    if actions.is_empty():
        return pl.DataFrame(schema=_FILES)
    key = next(iter(KINDS[table.metadata().name].keys))
    columns = {"day": "partition.date", "rows": "num_records", "size": "size_bytes"}
    columns |= {"first": "min.at", "last": "max.at", "low": f"min.{key}", "high": f"max.{key}"}
    paths = pl.Series(PATH, [unquote(path) for path in actions["path"].to_list()])
    return actions.select(paths, *(pl.col(column).alias(name) for name, column in columns.items()))


def overlapping(files: pl.DataFrame, since: pl.Expr, until: pl.Expr) -> pl.DataFrame:
    """Files with rows of since <= at < until."""
    return files.filter(pl.col("last") + _CUT > since, pl.col("first") < until)


def touching(files: pl.DataFrame, times: pl.Series) -> pl.DataFrame:
    """Files that may have rows at one of these times."""
    known = times.sort()
    nearest = known.search_sorted(files["first"], "left")
    following = known.gather(nearest.clip(upper_bound=len(known) - 1)) if len(known) else known
    return files.filter((nearest < len(known)) & (following <= files["last"] + _CUT)) if len(known) else files.clear()


def holding(files: pl.DataFrame, kind: Kind, wanted: Choices) -> pl.DataFrame:
    """Files that may have rows of the series wanted."""
    names = wanted.get(kind.keys[0])
    if names is None:
        return files
    among = sorted(set(names))
    bounds = zip(files["low"].to_list(), files["high"].to_list(), strict=True)
    return files.filter(pl.Series([_may_hold(among, low, high) for low, high in bounds], dtype=pl.Boolean))


def _may_hold(names: Sequence[str], low: str | None, high: str | None) -> bool:
    """Whether one of the sorted names lies between; a bound may be only how it begins."""
    if low is None or high is None:
        return True
    return any(name[: len(high)] <= high for name in islice(names, bisect_left(names, low), None))


def scan(table: Place, kind: str, paths: Sequence[str]) -> pl.LazyFrame:
    """All rows of these files of a kind's table, with every column; nothing for no files."""
    schema = frame_schema(kind) | {WRITTEN: AT}
    if not paths:
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(
        [f"{table.address}/{path}" for path in paths],
        storage_options=table.scan_options,
        schema=schema,
        missing_columns="insert",
        extra_columns="ignore",
        hive_partitioning=False,
        glob=False,
    )


def measured(kind: str, fields: Sequence[str]) -> pl.Expr:
    """Rows with a value in one of ``fields``; each row has one in some field."""
    if len(fields) == len(KINDS[kind].fields):
        return pl.lit(value=True)
    return pl.any_horizontal([pl.col(name).is_not_null() for name in fields])


def matching(wanted: Choices) -> pl.Expr:
    tests = [pl.col(key).is_in(list(values)) for key, values in wanted.items()]
    return pl.all_horizontal(tests) if tests else pl.lit(value=True)


def instant_of(when: np.datetime64) -> pl.Expr:
    """A time in microseconds, to compare with."""
    return pl.lit(int(when.astype(np.int64))).cast(AT)


def written_by(known: np.datetime64 | None) -> pl.Expr:
    """Rows written at that time or before it; all if None."""
    return pl.lit(value=True) if known is None else pl.col(WRITTEN) <= instant_of(known)


def read(kind: str, rows: pl.LazyFrame, fields: Sequence[str]) -> pl.DataFrame:
    """Of these rows those in which one of ``fields`` was measured; sorted, repeated ones merged."""
    keys = KINDS[kind].keys
    chosen = rows.filter(measured(kind, fields)).select(*keys, "at", WRITTEN, *fields)
    return merged(chosen.collect(), keys, by=[WRITTEN])


def rows_by_path(table: Place) -> tuple[int, dict[str, int]]:
    """The table's newest version, and its files with their rows."""
    opened = open_table(table)
    files = live_files(opened)
    return opened.version(), dict(files.select(PATH, "rows").iter_rows())


def newest_of(table: Place, kind: str, files: Mapping[str, int], known: np.datetime64 | None = None) -> Newest:
    """The newest values in these files (path -> rows), read in portions, of those written by ``known`` (None: all)."""
    found = nothing(kind)
    for paths, start in _portions(files):
        found = joined(found, folded(kind, _foldable(scan(table, kind, paths), kind, start, known)))
    return found


def _foldable(rows: pl.LazyFrame, kind: str, start: int, known: np.datetime64 | None) -> pl.DataFrame:
    fields = [
        pl.col(name).is_not_null() if field.document else pl.col(name) for name, field in KINDS[kind].fields.items()
    ]
    part = rows.slice(start, _FOLDED_AT_ONCE).filter(written_by(known))
    return part.select(*KINDS[kind].keys, "at", WRITTEN, *fields).collect()


def _portions(files: Mapping[str, int]) -> list[tuple[list[str], int]]:
    """Small files in groups, large ones in slices (path, first row) of about ``_FOLDED_AT_ONCE`` rows."""
    portions: list[tuple[list[str], int]] = []
    group: list[str] = []
    grouped = 0
    for path, rows in files.items():
        if rows > _FOLDED_AT_ONCE:
            portions += [([path], start) for start in range(0, rows, _FOLDED_AT_ONCE)]
            continue
        if grouped + rows > _FOLDED_AT_ONCE:
            portions.append((group, 0))
            group, grouped = [], 0
        group.append(path)
        grouped += rows
    return [*portions, (group, 0)] if group else portions
