"""The embedded store: one Delta Lake table a kind, partitioned by UTC day. Any number of processes may use it at once.

Every ``write`` is one commit a table, synced to disk before it returns. Rows carry when they were written, so that
of a sample written twice the newest values win on reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from twin.store.commits import has_table
from twin.store.cursors import held
from twin.store.engine import is_engine_error
from twin.store.folder import open_folder
from twin.store.latest import EVERY, Latest
from twin.store.newest import Newest, answer, nothing, series
from twin.store.place import Place
from twin.store.protocols import (
    Batch,
    Health,
    KindHealth,
    Maintained,
    Match,
    Progress,
    Stop,
    StoreError,
    StoreFullError,
    When,
)
from twin.store.samples import accepted, cell_length, choices, chosen_fields, filled, last_per_cell, micros, spec_of
from twin.vocab.blocks import Block
from twin.vocab.schema import KINDS

if TYPE_CHECKING:
    from twin.store.delta_table import KindTable

Choices = Mapping[str, Sequence[str]]
_DAMAGE = "; if files are damaged, nettwin store verify names them"


class DeltaStore:
    """A ``twin.store.Store`` at a place."""

    def __init__(self, place: Place, retention: Mapping[str, timedelta], spare_disk: int) -> None:
        self._place = place
        self._retention = retention
        self._spare_disk = spare_disk
        open_folder(place)
        self._lock = RLock()
        self._tables: dict[str, KindTable] = {}
        self._following = RLock()
        self._latest: dict[str, Latest] = {}

    def write(self, blocks: Sequence[Block], batch: Batch | None = None) -> None:
        """See ``Writer.write``. A batch already written to a kind's table is not written to it again."""
        from twin.store.frames import merged, to_frame

        self._check_room()
        frames = {kind: merged(to_frame(block), KINDS[kind].keys) for kind, block in accepted(blocks).items()}
        waiting = list(frames)
        with self._lock:
            for kind, frame in frames.items():
                with self._engine(kind, f"; not written: {', '.join(waiting)}"):
                    self._table_to_write(kind).append(frame, batch)
                waiting.remove(kind)
        for kind in frames:
            self._keep_newest(kind)

    def _check_room(self) -> None:
        if reason := self._too_full():
            raise StoreFullError(f"store {self._place.address}: {reason}; nothing was written")

    def _too_full(self) -> str:
        """Why nothing may be written; "" if there is room."""
        with self._engine("free disk"):
            free = self._place.spare() if self._spare_disk else None
        if free is None or free >= self._spare_disk:
            return ""
        return f"{free / 1e6:,.0f} MB are free, less than the {self._spare_disk / 1e6:,.0f} MB of store.spare_disk"

    def latest(
        self,
        kind: str,
        keys: Match | None = None,
        fields: Sequence[str] | None = None,
        *,
        as_of: When | None = None,
    ) -> Block:
        spec, names = spec_of(kind), chosen_fields(spec_of(kind), fields)
        wanted, known = choices(spec, keys), None if as_of is None else micros(as_of)
        with self._engine(kind, _DAMAGE):
            newest = self._newest(kind) if known is None else self._newest_then(kind, wanted, known)
            found = answer(newest, wanted, names)
            documents = [name for name in names if spec.fields[name].document and found.fields[name].valid.any()]
            return self._with_documents(found, wanted, documents, known) if documents else found

    def _newest(self, kind: str) -> Newest:
        with self._following:
            known = self._latest_of(kind)
            return nothing(kind) if known is None else known.newest()

    def _newest_then(self, kind: str, wanted: Choices, known: np.datetime64) -> Newest:
        """As it was known then, from all rows."""
        from twin.store.reading import newest_of

        with self._lock:
            table = self._table(kind)
            files = table.rows_by_path(wanted) if table else {}
        return newest_of(self._place.below(kind), kind, files, known)

    def _latest_of(self, kind: str) -> Latest | None:
        if kind not in self._latest and has_table(self._place.below(kind)):
            self._latest[kind] = Latest(self._place.below(kind), kind)
        return self._latest.get(kind)

    def _keep_newest(self, kind: str) -> None:
        """Every few versions whoever wrote the last one leaves the newest values for fresh processes."""
        with self._lock:
            table = self._tables.get(kind)
            if table is None or table.version() % EVERY:
                return
        try:
            with self._following:
                Latest(self._place.below(kind), kind).keep()
        except BaseException as problem:
            if not is_engine_error(problem):
                raise
            _warn("the newest values could not be left for fresh processes", kind, self._place.reason(problem))

    def _with_documents(
        self, found: Block, wanted: Choices, names: Sequence[str], known: np.datetime64 | None
    ) -> Block:
        from twin.store.frames import to_block
        from twin.store.reading import read

        with self._lock:
            table = self._table(found.kind)
            rows = table.at_times(np.unique(found.at), wanted, known) if table else None
        there = to_block(found.kind, read(found.kind, rows, names), names) if rows is not None else found
        return filled(found, there, names)

    def range(
        self,
        kind: str,
        keys: Match | None,
        start: When,
        end: When,
        fields: Sequence[str] | None = None,
        *,
        step: timedelta | np.timedelta64 | None = None,
        as_of: When | None = None,
    ) -> Block:
        spec, names = spec_of(kind), chosen_fields(spec_of(kind), fields)
        wanted, since, until = choices(spec, keys), micros(start), micros(end)
        known = None if as_of is None else micros(as_of)
        length = None if step is None else cell_length(step)
        with self._engine(kind, _DAMAGE):
            block = self._rows(kind, wanted, (since, until, known), names)
        return block if length is None else last_per_cell(block, since, length)

    def _rows(
        self,
        kind: str,
        wanted: Choices,
        times: tuple[np.datetime64, np.datetime64, np.datetime64 | None],
        names: Sequence[str],
    ) -> Block:
        from twin.store.frames import to_block
        from twin.store.reading import read

        for last_try in (False, True):
            with self._lock:
                table = self._table(kind)
                rows = table.between(*times, wanted) if table else None
            if rows is None:
                break
            try:
                return to_block(kind, read(kind, rows, names), names)
            except FileNotFoundError:  # merged away longer ago than the grace, but read in this very moment
                if last_try:
                    raise
        return answer(nothing(kind), {}, names)

    def series(self, kind: str, **match: str | Collection[str]) -> list[dict[str, str]]:
        spec = spec_of(kind)
        wanted = choices(spec, match)
        with self._engine(kind, _DAMAGE):
            return series(self._newest(kind), wanted)

    def maintain(self, now: datetime, *, progress: Progress | None = None, stop: Stop | None = None) -> Maintained:
        """See ``Store.maintain``. On handles of its own; what other processes rewrite meanwhile is left to them."""
        from twin.store.journal import unread_files
        from twin.store.thinning import THINNED, Thinning, raw_needed_since
        from twin.store.upkeep import Duty, look_after

        told, stopped = progress or _silent, stop or _never
        gone = {kind: now - kept for kind, kept in self._retention.items()}
        thinning = Thinning(self, self._place, gone_before=gone, progress=told, stop=stopped)
        done = Maintained()
        if reason := self._too_full():
            _warn("nothing is thinned", "all", reason)
        for kind in (k for k in THINNED if not (reason or stopped()) and has_table(self._place.below(k))):
            with self._engine(kind):
                done += Maintained(thinned_rows=thinning(kind, now))
        for kind in (kind for kind in KINDS if not stopped()):
            with self._engine(kind):
                needed = raw_needed_since(self._place, kind) if kind in THINNED else None
                unread = unread_files(self._place, kind), held(self._place, kind)
                duty = Duty(now, self._retention.get(kind), needed, *unread, stopped, told)
                done += look_after(self._place.below(kind), kind, duty)
        return done

    def health(self) -> Health:
        import deltalake

        with self._lock:
            kinds = tuple(found for kind in KINDS if (found := self._health_of(kind)))
        return Health("delta", self._place.address, deltalake.__version__, kinds)

    def _health_of(self, kind: str) -> KindHealth | None:
        with self._engine(kind, _DAMAGE):
            table = self._table(kind)
            return table.health() if table else None

    def close(self) -> None:
        self._tables.clear()
        self._latest.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _table(self, kind: str) -> KindTable | None:
        """The kind's table as it is now, if there is one."""
        from twin.store.delta_table import KindTable

        if (table := self._tables.get(kind)) is not None:
            table.refresh()
        elif (found := KindTable.find(self._place.below(kind), kind)) is not None:
            self._tables[kind] = found
        return self._tables.get(kind)

    def _table_to_write(self, kind: str) -> KindTable:
        from twin.store.delta_table import KindTable

        if (table := self._table(kind)) is None:
            table = self._tables[kind] = KindTable.create(self._place.below(kind), kind)
        return table

    @contextmanager
    def _engine(self, kind: str, consequence: str = "") -> Iterator[None]:
        try:
            yield
        except BaseException as problem:
            if not is_engine_error(problem):
                raise
            self._tables.pop(kind, None)  # what a panic left of the handle is not to be trusted
            reason = self._place.reason(problem)
            raise StoreError(f"store {self._place.address}, {kind}: {reason}{consequence}") from problem


def _silent(kind: str, done: int, of: int) -> None:
    """Nobody asked."""


def _never() -> bool:
    return False


def _warn(what: str, kind: str, problem: str) -> None:
    import structlog

    structlog.get_logger(__name__).warning(what, kind=kind, problem=problem)
