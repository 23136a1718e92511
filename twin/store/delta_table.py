"""One kind's Delta table: append, and which files to read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt
import polars as pl
from deltalake import DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from twin.store.delta_log import DAY, commit, newest_file_ms, open_table, sync_entries
from twin.store.folder import TABLE_PROPERTIES
from twin.store.frames import AT, frame_schema
from twin.store.parquet import DataFile, write_file
from twin.store.place import Place
from twin.store.protocols import Batch, KindHealth
from twin.store.reading import (
    PATH,
    WRITTEN,
    Choices,
    holding,
    instant_of,
    live_files,
    matching,
    overlapping,
    scan,
    touching,
    written_by,
)
from twin.store.settling import UNSYNCED_AT_MOST
from twin.vocab.schema import KINDS


class KindTable:
    """A table that exists. Not for several threads at once."""

    def __init__(self, place: Place, kind: str, table: DeltaTable) -> None:
        self._place = place
        self._kind = kind
        self._keys = KINDS[kind].keys
        self._table = table
        self._last_written = 0
        self._seen = -1

    @classmethod
    def find(cls, place: Place, kind: str) -> KindTable | None:
        try:
            return cls(place, kind, open_table(place))
        except TableNotFoundError:
            return None

    @classmethod
    def create(cls, place: Place, kind: str) -> KindTable:
        schema = {DAY: pl.Date()} | frame_schema(kind) | {WRITTEN: AT}
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

    def version(self) -> int:
        return int(self._table.version())

    def refresh(self) -> None:
        self._table.update_incremental()

    def append(self, frame: pl.DataFrame, batch: Batch | None) -> None:
        """One commit, on disk on return; none if the batch was written before."""
        if self._has(batch):
            return
        self._last_written = self._written_now()
        columns = frame.with_columns(
            pl.col(self._keys).cast(pl.String), pl.lit(self._last_written).cast(AT).alias(WRITTEN)
        )
        added = [write_file(self._place, day, rows, self._keys) for day, rows in _by_span(columns, self._kind)]
        before = self.version()
        self._commit(added, batch)
        self._seen = min(self.version(), before + 1)  # what others wrote meanwhile is looked at before the next

    def _commit(self, added: Sequence[DataFile], batch: Batch | None) -> None:
        """Once more if another writer changed the table itself, or wrote an older batch of the same name, meanwhile.

        Object storage may have taken a commit whose answer was lost: without a batch it can't be known again.
        """
        marks = [Transaction(batch.writer, batch.number)] if batch else []
        for tries_left in (1, 0):
            try:
                made = self._last_written // 1000 + 1
                commit(self._table, self._place, added, data_change=True, marks=marks, not_before_ms=made)
            except CommitFailedError:
                self.refresh()
                if self._has(batch):
                    return
                if batch is None or not tries_left:
                    raise
            else:
                return

    def _written_now(self) -> int:
        """Later than all written before (microseconds since 1970), also where the clock was set back meanwhile."""
        if self.version() > self._seen:  # others wrote, or compacted, since
            self._last_written = max(self._last_written, 1000 * newest_file_ms(self._table))
        return max(time.time_ns() // 1000, self._last_written + 1)

    def _has(self, batch: Batch | None) -> bool:
        """Whether the batch was written before; if so, on return it is on disk."""
        last = self._table.transaction_version(batch.writer) if batch else None
        if batch is None or last is None or batch.number > last:
            return False
        sync_entries(self._place, max(0, self.version() - UNSYNCED_AT_MOST), self.version())
        return True

    def files(self) -> pl.DataFrame:
        """Each file of the present version, as ``live_files`` tells."""
        return live_files(self._table)

    def rows_by_path(self, wanted: Choices) -> dict[str, int]:
        """The files that may hold rows wanted, and how many rows they hold."""
        return dict(holding(self.files(), KINDS[self._kind], wanted).select(PATH, "rows").iter_rows())

    def between(
        self, start: np.datetime64, end: np.datetime64, known: np.datetime64 | None, wanted: Choices
    ) -> pl.LazyFrame:
        """The rows wanted with start <= at < end, of those written by ``known`` (None: all)."""
        since, until = (instant_of(t) for t in (start, end))
        files = overlapping(holding(self.files(), KINDS[self._kind], wanted), since, until)
        rows = scan(self._place, self._kind, files[PATH].to_list())
        return rows.filter(pl.col("at") >= since, pl.col("at") < until, matching(wanted), written_by(known))

    def at_times(self, times: npt.NDArray[np.datetime64], wanted: Choices, known: np.datetime64 | None) -> pl.LazyFrame:
        """The rows wanted at one of these times, of those written by ``known`` (None: all)."""
        instants = pl.Series("at", times).dt.replace_time_zone("UTC")
        files = touching(holding(self.files(), KINDS[self._kind], wanted), instants)
        rows = scan(self._place, self._kind, files[PATH].to_list())
        return rows.filter(pl.col("at").is_in(instants.implode()), matching(wanted), written_by(known))

    def health(self) -> KindHealth | None:
        files = self.files()
        if files.is_empty():
            return None
        first, last = files["first"].min(), files["last"].max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        size = int(files["size"].sum())
        return KindHealth(self._kind, int(files["rows"].sum()), first.astimezone(UTC), last.astimezone(UTC), size)


def _by_span(frame: pl.DataFrame, kind: str) -> Iterator[tuple[date, pl.DataFrame]]:
    """The rows of each day or month, by its first day."""
    length = {"day": "1d", "month": "1mo"}[KINDS[kind].span]
    for (begin,), rows in frame.group_by(pl.col("at").dt.truncate(length).dt.date(), maintain_order=True):
        assert isinstance(begin, date)
        yield begin, rows
