"""One kind's Delta table: append, which files to read, newest rows, upkeep. Delta's words stay here."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote

import numpy as np
import polars as pl
from deltalake import DeltaTable, Schema, Transaction, WriterProperties
from deltalake.exceptions import DeltaError, TableNotFoundError

from twin.store.delta_log import DAY, LOG, commit, open_table, sync_entries
from twin.store.folder import TABLE_PROPERTIES
from twin.store.frames import AT, frame_schema, merged
from twin.store.parquet import write_file
from twin.store.place import Place
from twin.store.protocols import Batch, KindHealth
from twin.vocab.schema import KINDS

Choices = Mapping[str, Sequence[str]]
_WRITTEN = "written"
_PATH = "path"
_ROWS_AT_ONCE = 4_000_000
_COMPRESSION = WriterProperties(compression="ZSTD", compression_level=3)


class KindTable:
    """A table that exists. Not for several threads at once."""

    def __init__(self, place: Place, kind: str, table: DeltaTable) -> None:
        self._place = place
        self._kind = kind
        self._keys = KINDS[kind].keys
        self._table = table
        self._last_written = 0
        self._newest: dict[tuple[str, ...], _Index] = {}

    @classmethod
    def find(cls, place: Place, kind: str) -> KindTable | None:
        try:
            return cls(place, kind, open_table(place))
        except TableNotFoundError:
            return None

    @classmethod
    def create(cls, place: Place, kind: str) -> KindTable:
        schema = {DAY: pl.Date()} | frame_schema(kind) | {_WRITTEN: AT}
        configuration = TABLE_PROPERTIES | {"delta.dataSkippingStatsColumns": ",".join((*KINDS[kind].keys, "at"))}
        fields = Schema.from_arrow(pl.Schema(schema))
        try:
            table = DeltaTable.create(
                place.address,
                fields,
                mode="ignore",
                partition_by=[DAY],
                name=kind,
                configuration=configuration,
                storage_options=place.delta_options,
            )
        except DeltaError:  # another process made it first
            table = open_table(place)
        sync_entries(place, 0, 0)
        place.settle(["", ".."])
        return cls(place, kind, table)

    def refresh(self) -> None:
        self._table.update_incremental()

    def append(self, frame: pl.DataFrame, batch: Batch | None) -> None:
        """One commit, on disk on return; none if the batch was written before."""
        if batch is not None and self._has(batch):
            return
        self._last_written = max(time.time_ns() // 1000, self._last_written + 1)
        columns = frame.with_columns(
            pl.col(self._keys).cast(pl.String), pl.lit(self._last_written).cast(AT).alias(_WRITTEN)
        )
        added = [write_file(self._place, day, rows, self._keys) for day, rows in _by_day(columns)]
        marks = [Transaction(batch.writer, batch.number)] if batch else []
        commit(self._table, self._place, added, data_change=True, marks=marks)

    def _has(self, batch: Batch) -> bool:
        last = self._table.transaction_version(batch.writer)
        return last is not None and batch.number <= last

    def files(self) -> pl.DataFrame:
        """path, rows, size, first, last (both cut to milliseconds) of each file of the present version."""
        actions = pl.DataFrame(self._table.get_add_actions(flatten=True))
        if actions.is_empty():
            return pl.DataFrame(schema={_PATH: pl.String, "rows": pl.Int64, "size": pl.Int64, "first": AT, "last": AT})
        return actions.select(
            _PATH,
            pl.col("num_records").alias("rows"),
            pl.col("size_bytes").alias("size"),
            pl.col("min.at").alias("first"),
            pl.col("max.at").alias("last"),
        )

    def between(self, start: np.datetime64, end: np.datetime64) -> pl.LazyFrame:
        """All rows with start <= at < end, as the table is now."""
        since, until = (pl.lit(int(t.astype(np.int64))).cast(AT) for t in (start, end))
        cut = pl.lit(timedelta(milliseconds=1))  # Delta's file statistics are cut to milliseconds
        files = self.files().filter((pl.col("last") + cut > since) & (pl.col("first") < until))
        return self._scan(files[_PATH].to_list()).filter((pl.col("at") >= since) & (pl.col("at") < until))

    def read(self, rows: pl.LazyFrame, wanted: Choices, fields: Sequence[str]) -> pl.DataFrame:
        """Of these rows those wanted, in which one of ``fields`` was measured; sorted, repeated ones merged."""
        chosen = rows.filter(_matching(wanted), self._measured(fields)).select(*self._keys, "at", _WRITTEN, *fields)
        return merged(chosen.collect(), self._keys, by=[_WRITTEN])

    def latest(self, wanted: Choices, fields: tuple[str, ...]) -> pl.DataFrame:
        newest = self._fold(fields).rows.filter(_matching(wanted))
        if newest.is_empty():
            return pl.DataFrame(schema=frame_schema(self._kind, fields))
        rows = self._scan(newest[_PATH].unique().to_list()).filter(pl.col("at") >= newest["at"].min())
        same = [*self._keys, "at"]
        return self.read(rows.join(newest.select(same).unique().lazy(), on=same, how="semi"), {}, fields)

    def series(self, wanted: Choices) -> list[dict[str, str]]:
        rows = self._fold(tuple(KINDS[self._kind].fields)).rows
        return rows.filter(_matching(wanted)).select(self._keys).unique().sort(self._keys).to_dicts()

    def _fold(self, fields: tuple[str, ...]) -> _Index:
        """Where each series' newest row is: what was known of files still there, and the files new since."""
        files = self.files()
        known = self._newest.get(fields, _Index(frozenset(), self._no_rows()))
        here = frozenset(files[_PATH])
        rows = known.rows.filter(pl.col(_PATH).is_in(list(here & known.files)))
        for paths in _portions(files.filter(~pl.col(_PATH).is_in(list(known.files)))):
            found = self._scan(paths).filter(self._measured(fields)).select(*self._keys, "at", _PATH).collect()
            rows = _newest(pl.concat([rows, _newest(found, self._keys)]), self._keys)
        self._newest[fields] = _Index(here, rows)
        return self._newest[fields]

    def _measured(self, fields: Sequence[str]) -> pl.Expr:
        """Rows with a value in one of ``fields``; each row has one in some field."""
        if len(fields) == len(KINDS[self._kind].fields):
            return pl.lit(value=True)
        return pl.any_horizontal([pl.col(name).is_not_null() for name in fields])

    def _no_rows(self) -> pl.DataFrame:
        return pl.DataFrame(schema=frame_schema(self._kind, ()) | {_PATH: pl.String()})

    def _scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        schema = frame_schema(self._kind) | {_WRITTEN: AT}
        if not paths:
            return pl.LazyFrame(schema=schema | {_PATH: pl.String()})
        frame = pl.scan_parquet(
            [f"{self._place.address}/{unquote(path)}" for path in paths],
            storage_options=self._place.scan_options,
            schema=schema,
            missing_columns="insert",
            extra_columns="ignore",
            hive_partitioning=False,
            glob=False,
            include_file_paths=_PATH,
        )
        return frame.with_columns(pl.col(_PATH).str.strip_prefix(f"{self._place.address}/"))

    def compact(self) -> int:
        """Merge small files of each day; how many there were."""
        before = self._table.version()
        done = self._table.optimize.compact(writer_properties=_COMPRESSION)
        self._sync(before + 1)
        return int(done["numFilesRemoved"])

    def _sync(self, first: int) -> None:
        last = self._table.version()
        entries = [f"{LOG}/{version:020d}.json" for version in range(first, last + 1)]
        added = [name for entry in entries for name in _added(self._place, entry)]
        self._place.settle([*added, *{name.rpartition("/")[0] for name in added}])
        sync_entries(self._place, first, last)

    def vacuum(self, grace: timedelta) -> int:
        """Delete files merged away longer than ``grace`` ago; how many."""
        hours = grace // timedelta(hours=1)
        return len(self._table.vacuum(hours, dry_run=False, enforce_retention_duration=False))

    def health(self) -> KindHealth | None:
        files = self.files()
        if files.is_empty():
            return None
        first, last = files["first"].min(), files["last"].max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        size = int(files["size"].sum())
        return KindHealth(self._kind, int(files["rows"].sum()), first.astimezone(UTC), last.astimezone(UTC), size)


@dataclass(frozen=True)
class _Index:
    """keys, at, path of each series' newest rows, over ``files``."""

    files: frozenset[str]
    rows: pl.DataFrame


def _by_day(frame: pl.DataFrame) -> Iterator[tuple[date, pl.DataFrame]]:
    for (day,), rows in frame.group_by(pl.col("at").dt.date(), maintain_order=True):
        assert isinstance(day, date)
        yield day, rows


def _added(place: Place, entry: str) -> list[str]:
    """The data files a log entry adds; none if the log was cleaned up meanwhile."""
    try:
        lines = place.read(entry).splitlines()
    except FileNotFoundError:
        return []
    actions = (json.loads(line) for line in lines)
    return [unquote(action["add"]["path"]) for action in actions if "add" in action]


def _matching(wanted: Choices) -> pl.Expr:
    tests = [pl.col(key).is_in(list(values)) for key, values in wanted.items()]
    return pl.all_horizontal(tests) if tests else pl.lit(value=True)


def _newest(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    return rows.filter(pl.col("at") == pl.col("at").max().over(keys)).unique()


def _portions(files: pl.DataFrame) -> list[list[str]]:
    """Paths in groups of about ``_ROWS_AT_ONCE`` rows."""
    portions = files.with_columns((pl.col("rows").cum_sum() // _ROWS_AT_ONCE).alias("portion"))
    return [group[_PATH].to_list() for _, group in portions.group_by("portion", maintain_order=True)]
