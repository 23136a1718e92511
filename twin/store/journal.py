"""The store as a journal: what was appended to each kind's table, in the order of its versions.

Delta's change data feed lists exactly the appended rows; versions made by compaction and retention are left out. The
log entries say beforehand how much there is, so that it is read in portions.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from twin.store.commits import LAST_CHECKPOINT, entry_name
from twin.store.cursors import NOTHING, held
from twin.store.delta_log import open_table, sync_entries
from twin.store.engine import is_engine_error
from twin.store.frames import frame_schema
from twin.store.place import Place
from twin.store.protocols import StoreError
from twin.vocab.schema import KINDS

VERSION = "_commit_version"
ROWS_AT_ONCE = 50_000
_CHANGE = "_change_type"


@dataclass(frozen=True)
class Entry:
    """One version of a table. ``rows`` and ``size`` (bytes) of what it appended: 0 if it appended nothing."""

    version: int
    rows: int
    size: int
    committed_ms: int


@dataclass(frozen=True)
class Portion:
    """Rows appended to a kind, with their version in column ``VERSION``, in its order.

    ``done``: the version that is complete with this portion; None within a version too large for one portion.
    """

    kind: str
    rows: pl.DataFrame
    done: int | None


@dataclass(frozen=True)
class Backlog:
    """What a consumer has not done yet. ``oldest_ms``: when the oldest of it was written; None if nothing waits."""

    rows: int = 0
    size_bytes: int = 0
    oldest_ms: int | None = None

    def __add__(self, other: Backlog) -> Backlog:
        oldest = [b.oldest_ms for b in (self, other) if b.oldest_ms is not None]
        return Backlog(self.rows + other.rows, self.size_bytes + other.size_bytes, min(oldest, default=None))


def newest_versions(store: Place) -> dict[str, int]:
    """Kind -> the newest version of its table; kinds without a table are left out.

    Raises:
        StoreError: a table can't be read.
    """
    found = {}
    for kind in KINDS:
        try:
            found[kind] = open_table(store.below(kind)).version()
        except TableNotFoundError:
            continue
        except BaseException as problem:
            if not is_engine_error(problem):
                raise
            raise StoreError(f"journal {store.address}, {kind}: {store.reason(problem)}") from problem
    return found


def unread_files(store: Place, kind: str) -> frozenset[str]:
    """The data files, by their names in the table's folder, that the slowest consumer has yet to read: merged ones too.

    Log entries after ``cursors.held`` must be kept as well.

    Raises:
        StoreError: a cursor or the log can't be read; then nothing may be deleted.
    """
    after = held(store, kind)
    if after is None:
        return frozenset()
    table, names = store.below(kind), set[str]()
    for version in count(after + 1):
        if (actions := _actions(table, version)) is None:
            return frozenset(names)
        names |= {unquote(add["path"]) for add in _appended(actions)}
    raise AssertionError


class Journal:
    """The journal of one store, read by one consumer. Not for several threads at once."""

    def __init__(self, store: Place, rows_at_once: int = ROWS_AT_ONCE) -> None:
        self._store = store
        self._rows_at_once = rows_at_once
        self._known: dict[str, _Known] = {}
        self._tables: dict[str, DeltaTable] = {}

    def backlog(self, after: Mapping[str, int]) -> dict[str, Backlog]:
        """What waits of each kind after these versions (``NOTHING`` for kinds not named).

        Raises:
            StoreError: the log is damaged, or no longer reaches back so far.
        """
        found = {kind: self._waiting(kind, after.get(kind, NOTHING)) for kind in KINDS}
        return {kind: _sum(entries) for kind, entries in found.items() if any(e.rows for e in entries)}

    def news(self, after: Mapping[str, int]) -> list[str]:
        """Kinds with later versions than these. Raises StoreError as ``backlog``."""
        return [kind for kind in KINDS if self._waiting(kind, after.get(kind, NOTHING))]

    def appended(self, kind: str, after: int, upto: int | None = None) -> Iterator[Portion]:
        """The rows appended in the versions ``after`` < v <= ``upto`` (None: all there are), oldest first.

        Raises:
            StoreError: the log or a data file is damaged or gone.
        """
        entries = [e for e in self._waiting(kind, after) if upto is None or e.version <= upto]
        for run in _runs(entries, self._rows_at_once):
            yield from self._read(kind, run)

    def sync(self, kind: str, after: int, upto: int) -> None:
        """Make the log entries read outlive a power cut, before a cursor says that they were read.

        Otherwise a version that was read before its writer had synced it could be lost, written anew with other
        rows, and never be read.
        """
        try:
            sync_entries(self._store.below(kind), after + 1, upto)
        except OSError as problem:
            raise StoreError(f"journal {self._store.address}, {kind}: {self._store.reason(problem)}") from problem

    def _waiting(self, kind: str, after: int) -> Sequence[Entry]:
        known = self._known.get(kind)
        if known is None or after < known.after:
            known = self._known[kind] = _Known(after, after)
        known.forget(after)
        for entry in self._entries_after(kind, max(known.last, after)):
            known.add(entry)
        return known.entries

    def _entries_after(self, kind: str, after: int) -> Iterator[Entry]:
        table, version = self._store.below(kind), after + 1
        try:
            while (entry := _entry(table, version)) is not None:
                yield entry
                version += 1
            if version == after + 1:
                _check_complete(table, after)
        except OSError as problem:
            raise StoreError(f"journal {self._store.address}, {kind}: {self._store.reason(problem)}") from problem

    def _read(self, kind: str, run: Sequence[Entry]) -> Iterator[Portion]:
        if not run[0].rows:
            yield Portion(kind, _no_rows(kind), run[-1].version)
            return
        first, last = run[0].version, run[-1].version
        try:
            feed = self._table(kind).load_cdf(starting_version=first, ending_version=last)
            if sum(e.rows for e in run) <= self._rows_at_once:
                yield Portion(kind, _inserted(kind, pl.DataFrame(feed)), last)
                return
            for batch in feed:
                rows = _inserted(kind, pl.DataFrame(batch))
                for part in rows.iter_slices(self._rows_at_once):
                    yield Portion(kind, part, None)
            yield Portion(kind, _no_rows(kind), last)
        except BaseException as problem:
            if not is_engine_error(problem):
                raise
            self._tables.pop(kind, None)  # what a panic left of the handle is not to be trusted
            reason = self._store.reason(problem)
            where = f"journal {self._store.address}, {kind}, versions {first} to {last}"
            raise StoreError(f"{where}: {reason}") from problem

    def _table(self, kind: str) -> DeltaTable:
        if (table := self._tables.get(kind)) is None:
            table = self._tables[kind] = open_table(self._store.below(kind))
        else:
            table.update_incremental()
        return table


@dataclass
class _Known:
    """Entries read already, so that asking again costs only what is new."""

    after: int
    last: int
    entries: deque[Entry] = field(default_factory=deque)

    def forget(self, after: int) -> None:
        while self.entries and self.entries[0].version <= after:
            self.entries.popleft()
        self.after = after
        self.last = max(self.last, after)

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.last = entry.version


def _sum(entries: Sequence[Entry]) -> Backlog:
    appended = [e for e in entries if e.rows]
    oldest = appended[0].committed_ms if appended else None
    return Backlog(sum(e.rows for e in appended), sum(e.size for e in appended), oldest)


def _runs(entries: Sequence[Entry], rows_at_once: int) -> Iterator[list[Entry]]:
    """Neighbours that all append (together at most so many rows), or that all append nothing."""
    run: list[Entry] = []
    for entry in entries:
        fits = sum(e.rows for e in run) + entry.rows <= rows_at_once
        if run and not (bool(run[0].rows) == bool(entry.rows) and fits):
            yield run
            run = []
        run.append(entry)
    if run:
        yield run


def _no_rows(kind: str) -> pl.DataFrame:
    return pl.DataFrame(schema=frame_schema(kind) | {VERSION: pl.Int64()})


def _inserted(kind: str, feed: pl.DataFrame) -> pl.DataFrame:
    schema = frame_schema(kind)
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in feed.columns]
    rows = feed.filter(pl.col(_CHANGE) == "insert").with_columns(*missing, pl.col(VERSION).cast(pl.Int64))
    return rows.select(*schema, VERSION).sort(VERSION, maintain_order=True)


def _entry(table: Place, version: int) -> Entry | None:
    """What a version appended; None if there is no such version (yet)."""
    actions = _actions(table, version)
    return None if actions is None else _entry_of(version, actions)


def _actions(table: Place, version: int) -> list[dict[str, Any]] | None:
    try:
        content = table.read(entry_name(version))
    except FileNotFoundError:
        return None
    try:
        actions = [json.loads(line) for line in content.splitlines()]
    except ValueError:  # torn by a power cut, or empty: whoever opens the table next settles it
        return None
    return actions or None


def _appended(actions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [a["add"] for a in actions if "add" in a and a["add"]["dataChange"]]


def _entry_of(version: int, actions: Sequence[Mapping[str, Any]]) -> Entry:
    added = _appended(actions)
    stamps = [a["commitInfo"]["timestamp"] for a in actions if "timestamp" in a.get("commitInfo", {})]
    return Entry(
        version,
        sum(_rows_of(add) for add in added),
        sum(add["size"] for add in added),
        int(stamps[0]) if stamps else max((add["modificationTime"] for add in added), default=0),
    )


def _rows_of(add: Mapping[str, Any]) -> int:
    return int(json.loads(add.get("stats") or "{}").get("numRecords", 1))


def _check_complete(table: Place, after: int) -> None:
    """Where the entry after this version is not there: is it yet to come, or was it cleaned up or never written?

    Entries are only ever deleted behind a checkpoint.
    """
    try:
        checkpoint = int(json.loads(table.read(LAST_CHECKPOINT))["version"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        checkpoint = NOTHING
    if checkpoint > after and _entry(table, after + 1) is None:  # it may have come since it was looked for
        raise StoreError(f"journal {table.address}: what came after version {after} is no longer there")
    if after > checkpoint and _entry(table, after) is None:
        raise StoreError(f"journal {table.address}: was read up to version {after}, which is not there: an older copy?")
