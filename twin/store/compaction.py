"""Which files of a table are merged, and merging them. Every row is kept: only where it lies changes.

While a day goes on, files of like size are merged eight at a time, up to a million rows, so that a row is rewritten
once for each factor of eight. When the day is over it becomes one sorted run, cut by key range into files of a few
million rows: 30 days of a device then lie in 30 places. Late rows are merged among themselves until they are an eighth
of the day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil, log

import polars as pl
from deltalake import DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError

from twin.store.delta_log import LiveFile, commit
from twin.store.parquet import DataFile, write_file
from twin.store.place import Place
from twin.store.reading import PATH, WRITTEN, live_files, scan
from twin.vocab.schema import KINDS

FAN_IN = 8
"""So many files of like size are merged into one."""
LARGE = 1_000_000
"""A file of so many rows is left alone until its day is over."""
LATE_SHARE = 8
"""A day is sorted anew once its unsorted rows are one in so many."""
CELLS_A_FILE = 48_000_000
BYTES_A_FILE = 100_000_000
ROWS_A_GROUP = 32_768
"""What is read of a file at least; a device of 50 interfaces has half as many in a day of five minutes."""
REWRITE = "rewrite"
"""The mark that all rewriting commits bear: of two at once the second fails, so that no row is there twice."""


@dataclass(frozen=True)
class Candidate:
    """A file as planning sees it; ``low`` and ``high`` of its first key (None: not known)."""

    path: str
    rows: int
    size: int
    low: str | None
    high: str | None


def to_merge(files: Sequence[Candidate], *, over: bool) -> list[str]:
    """Which files of one day (or month) are to be merged into one run now; none if they lie well.

    Args:
        over: nothing but late rows is expected any more.
    """
    if len(files) < 2:
        return []
    if not over:
        return _of_like_size([f for f in files if f.rows < LARGE])
    apart = _sorted_run(files)
    loose = [f for f in files if f not in apart]
    if not loose:
        return []
    if sum(f.rows for f in loose) * LATE_SHARE >= sum(f.rows for f in files):
        return [f.path for f in files]
    return _of_like_size(loose)


def _of_like_size(files: Sequence[Candidate]) -> list[str]:
    """The largest level that is full, and all below it."""
    levels = {f.path: int(log(max(f.rows, 1), FAN_IN)) for f in files}
    full = [level for level in set(levels.values()) if sum(x == level for x in levels.values()) >= FAN_IN]
    return [path for path, level in levels.items() if level <= max(full)] if full else []


def _sorted_run(files: Sequence[Candidate]) -> list[Candidate]:
    """The most rows one can have in files whose key ranges do not overlap, taking large ones first."""
    run: list[Candidate] = []
    for file in sorted(files, key=lambda f: f.rows, reverse=True):
        if all(_apart(file, other) for other in run):
            run.append(file)
    return run


def _apart(one: Candidate, other: Candidate) -> bool:
    bounds = (one.low, one.high, other.low, other.high)
    return None not in bounds and (str(one.high) < str(other.low) or str(other.high) < str(one.low))


def merge(table: DeltaTable, place: Place, kind: str, day: date, paths: Sequence[str]) -> bool:
    """Put the rows of these files of one day into sorted files; False if another process rewrites this table now.

    Raises:
        DeltaError, polars.exceptions.PolarsError, OSError: it can't be done; nothing has changed.
    """
    known = live_files(table).filter(pl.col(PATH).is_in(list(paths)))
    removed = [LiveFile(path, day, size) for path, size in known.select(PATH, "size").iter_rows()]
    added: list[DataFile] = []
    try:
        parts = _sorted_parts(place, kind, paths, int(known["rows"].sum()), int(known["size"].sum()))
        keys = KINDS[kind].keys
        added.extend(write_file(place, day, rows, keys, rows_a_group=ROWS_A_GROUP) for rows in parts)
    except BaseException:
        _delete(place, added)
        raise
    try:
        commit(table, place, added, removed, data_change=False, marks=[_mark(table)])
    except CommitFailedError:  # another process got ahead, or object storage took it and its answer was lost
        if _holds(table, added):
            return True
        _delete(place, added)
        return False
    return True


def _delete(place: Place, files: Sequence[DataFile]) -> None:
    """Only files that no commit can name: of one whose end is unknown they stay, and are orphans at worst."""
    for file in files:
        place.delete(file.path)


def _holds(table: DeltaTable, files: Sequence[DataFile]) -> bool:
    table.update_incremental()
    return not {file.path for file in files}.isdisjoint(live_files(table)[PATH].to_list())


def drop(table: DeltaTable, place: Place, day: date, paths: Sequence[str]) -> None:
    """Take these files of one day, and their rows, out of the table.

    Raises:
        CommitFailedError: another process rewrites this table now.
    """
    known = live_files(table).filter(pl.col(PATH).is_in(list(paths)))
    removed = [LiveFile(path, day, size) for path, size in known.select(PATH, "size").iter_rows()]
    commit(table, place, [], removed, data_change=True, marks=[_mark(table)])


def _mark(table: DeltaTable) -> Transaction:
    return Transaction(REWRITE, table.version() + 1)


def _sorted_parts(place: Place, kind: str, paths: Sequence[str], rows: int, size: int) -> Iterator[pl.DataFrame]:
    """All rows of the files, sorted by key and time, a range of the first key at a time."""
    keys = KINDS[kind].keys
    columns = len(keys) + len(KINDS[kind].fields) + 2
    parts = ceil(max(rows * columns / CELLS_A_FILE, size / BYTES_A_FILE))
    every = scan(place, kind, paths)
    for low, high in _ranges(every, keys[0], ceil(rows / parts)) if parts > 1 else [(None, None)]:
        between = [pl.col(keys[0]) >= low] if low is not None else []
        between += [pl.col(keys[0]) < high] if high is not None else []
        yield _sorted(every.filter(*between).collect(), keys)


def _ranges(every: pl.LazyFrame, key: str, rows: int) -> list[tuple[str | None, str | None]]:
    """Half-open ranges of the key's values, each with about so many rows or a single value."""
    counts = every.group_by(key).len().sort(key).collect()
    part = (counts["len"].cum_sum() - counts["len"]) // rows
    starts = counts.filter(part != part.shift(1))[key].to_list()
    return list(zip([None, *starts], [*starts, None], strict=True))


def _sorted(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Names are sorted as numbers, which is much faster."""
    coded = [rows[key].cast(pl.Enum(rows[key].unique().sort())) for key in keys]
    ordered = rows.with_columns(coded).sort([*keys, "at", WRITTEN], maintain_order=True)
    return ordered.with_columns(pl.col(list(keys)).cast(pl.String))
