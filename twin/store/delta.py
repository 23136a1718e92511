"""The embedded store: one Delta Lake table a kind, partitioned by UTC day. Any number of processes may use it at once.

Every ``write`` is one commit a table, synced to disk before it returns. Rows carry when they were written, so that
of a sample written twice the newest values win on reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import RLock
from types import TracebackType
from typing import Self

import deltalake
import numpy as np
import polars as pl
import structlog
from deltalake.exceptions import CommitFailedError, DeltaError

from twin.store.delta_table import KindTable
from twin.store.folder import open_folder
from twin.store.frames import frame_schema, merged, to_block, to_frame
from twin.store.place import Place
from twin.store.protocols import Batch, Health, Maintained, Match, StoreError, When
from twin.store.samples import accepted, cell_length, choices, chosen_fields, last_per_cell, micros, spec_of
from twin.vocab.blocks import Block
from twin.vocab.schema import KINDS

GRACE = timedelta(hours=1)
"""How long a merged file is left for readers that still have it open."""

_log = structlog.get_logger(__name__)


class DeltaStore:
    """A ``twin.store.Store`` at a place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        open_folder(place)
        self._lock = RLock()
        self._tables: dict[str, KindTable] = {}

    def write(self, blocks: Sequence[Block], batch: Batch | None = None) -> None:
        """See ``Writer.write``. A batch already written to a kind's table is not written to it again."""
        frames = {kind: merged(to_frame(block), KINDS[kind].keys) for kind, block in accepted(blocks).items()}
        waiting = list(frames)
        with self._lock:
            for kind, frame in frames.items():
                with self._engine(kind, f"; not written: {', '.join(waiting)}"):
                    self._table_to_write(kind).append(frame, batch)
                waiting.remove(kind)

    def latest(self, kind: str, keys: Match | None = None, fields: Sequence[str] | None = None) -> Block:
        spec, names = spec_of(kind), chosen_fields(spec_of(kind), fields)
        wanted = choices(spec, keys)
        with self._lock, self._engine(kind):
            table = self._table(kind)
            return to_block(kind, table.latest(wanted, names) if table else _nothing(kind, names), names)

    def range(
        self,
        kind: str,
        keys: Match | None,
        start: When,
        end: When,
        fields: Sequence[str] | None = None,
        *,
        step: timedelta | np.timedelta64 | None = None,
    ) -> Block:
        spec, names = spec_of(kind), chosen_fields(spec_of(kind), fields)
        wanted, since, until = choices(spec, keys), micros(start), micros(end)
        length = None if step is None else cell_length(step)
        with self._engine(kind):
            with self._lock:
                table = self._table(kind)
                rows = table.between(since, until) if table else None
            frame = _nothing(kind, names) if table is None or rows is None else table.read(rows, wanted, names)
        block = to_block(kind, frame, names)
        return block if length is None else last_per_cell(block, since, length)

    def series(self, kind: str, **match: str | Collection[str]) -> list[dict[str, str]]:
        spec = spec_of(kind)
        wanted = choices(spec, match)
        with self._lock, self._engine(kind):
            table = self._table(kind)
            return table.series(wanted) if table else []

    def maintain(self, now: datetime) -> Maintained:  # noqa: ARG002 - part of the protocol; all is kept here
        """Merge each day's small files; delete files merged more than ``GRACE`` ago."""
        done = [self._maintain(kind) for kind in KINDS]
        return Maintained(sum(d.merged_files for d in done), sum(d.deleted_files for d in done))

    def _maintain(self, kind: str) -> Maintained:
        with self._lock, self._engine(kind):
            if (table := self._table(kind)) is None:
                return Maintained()
            try:
                merged_files = table.compact()
            except CommitFailedError:
                _log.info("another process is merging files", kind=kind)
                merged_files = 0
            return Maintained(merged_files, table.vacuum(GRACE))

    def health(self) -> Health:
        with self._lock, self._engine("all"):
            tables = [table for kind in KINDS if (table := self._table(kind))]
            kinds = tuple(found for table in tables if (found := table.health()))
        return Health("delta", self._place.address, deltalake.__version__, kinds)

    def close(self) -> None:
        self._tables.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _table(self, kind: str) -> KindTable | None:
        """The kind's table as it is now, if there is one."""
        if (table := self._tables.get(kind)) is not None:
            table.refresh()
        elif (found := KindTable.find(self._place.below(kind), kind)) is not None:
            self._tables[kind] = found
        return self._tables.get(kind)

    def _table_to_write(self, kind: str) -> KindTable:
        if (table := self._table(kind)) is None:
            table = self._tables[kind] = KindTable.create(self._place.below(kind), kind)
        return table

    @contextmanager
    def _engine(self, kind: str, consequence: str = "") -> Iterator[None]:
        try:
            yield
        except (DeltaError, pl.exceptions.PolarsError, OSError) as problem:
            reason = self._place.reason(problem)
            raise StoreError(f"store {self._place.address}, {kind}: {reason}{consequence}") from problem


def _nothing(kind: str, fields: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=frame_schema(kind, fields))
