"""Keeping a table in shape: old days dropped, small files merged, the log cut short, dead files deleted.

On handles of its own, beside writers and readers in any process. What a consumer of the journal has not read yet stays
(``held``), files that a reader may still have open for ``GRACE``, whatever nobody named for ``ORPHANED``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote

import polars as pl
import structlog
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from twin.store.commits import LOG, entry_name
from twin.store.compaction import Candidate, drop, merge, to_merge
from twin.store.delta_log import open_table
from twin.store.place import Entry, Place
from twin.store.protocols import Maintained
from twin.store.reading import PATH, live_files
from twin.store.replay import Values, parse_entry
from twin.vocab.schema import KINDS

GRACE = timedelta(hours=1)
"""How long a file that was merged or dropped is left for readers that still have it open."""
ORPHANED = timedelta(days=1)
"""How long a file that no entry names is left: its writer may be about to commit it."""
SETTLED = timedelta(hours=2)
"""How long after its end a day is taken to be over."""
ENTRIES_KEPT = 200
"""So many of the newest log entries are always kept, so that what follows the log need not begin anew."""
CHECKPOINT_EVERY = 100
_LAST_CHECKPOINT = f"{LOG}/_last_checkpoint"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Duty:
    """What is to be done with one table.

    Args:
        now: which days are over, and which too old.
        keep: how long rows are kept, None: for ever.
        needed_from: rows from this time on must stay, however old.
        unread: data files that a consumer of the journal has yet to read.
        held: the version up to which all consumers have read it; None: there are none.
    """

    now: datetime
    keep: timedelta | None = None
    needed_from: datetime | None = None
    unread: frozenset[str] = frozenset()
    held: int | None = None
    stop: Callable[[], bool] = lambda: False
    progress: Callable[[str, int, int], None] = lambda *_: None


def look_after(place: Place, kind: str, duty: Duty) -> Maintained:
    """Do it for the table at a place; nothing if there is none.

    Raises:
        DeltaError, polars.exceptions.PolarsError, OSError: the table can't be read or written; it is as it was.
    """
    try:
        table = open_table(place)
    except TableNotFoundError:
        return Maintained()
    try:
        dropped = _drop_old(table, place, kind, duty)
        merged = _merge_all(table, place, kind, duty)
    except CommitFailedError:
        _log.info("another process rewrites this table now", kind=kind)
        dropped, merged = 0, 0
    deleted = 0 if duty.stop() else _delete_dead(table, place, duty.unread)
    if not duty.stop():
        _shorten_log(table, place, duty.held)
    return Maintained(merged, deleted, dropped_rows=dropped)


def _drop_old(table: DeltaTable, place: Place, kind: str, duty: Duty) -> int:
    """Rows in days that ended longer ago than they are kept."""
    if duty.keep is None:
        return 0
    before = min(filter(None, (duty.now - duty.keep, duty.needed_from)))
    dropped = 0
    for day, files in _days(table):
        if _end(kind, day) <= before:
            drop(table, place, day, files[PATH].to_list())
            dropped += int(files["rows"].sum())
    return dropped


def _merge_all(table: DeltaTable, place: Place, kind: str, duty: Duty) -> int:
    merged, days = 0, _days(table)
    for number, (day, _) in enumerate(days):
        over = _end(kind, day) + SETTLED <= duty.now
        while not duty.stop() and (paths := to_merge(_candidates(table, day), over=over)):
            if not merge(table, place, kind, day, paths):
                return merged
            merged += len(paths)
        duty.progress(kind, number + 1, len(days))
    return merged


def _days(table: DeltaTable) -> list[tuple[date, pl.DataFrame]]:
    return [(day, files) for (day,), files in live_files(table).sort("day").group_by("day", maintain_order=True)]


def _candidates(table: DeltaTable, day: date) -> list[Candidate]:
    files = live_files(table).filter(pl.col("day") == day).select(PATH, "rows", "size", "low", "high")
    return [Candidate(*row) for row in files.iter_rows()]


def _end(kind: str, day: date) -> datetime:
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if KINDS[kind].span == "day":
        return begin + timedelta(days=1)
    return begin.replace(year=day.year + day.month // 12, month=day.month % 12 + 1)


def _delete_dead(table: DeltaTable, place: Place, unread: frozenset[str]) -> int:
    """Files that are no longer part of the table, and whose time is over."""
    present = datetime.now(UTC)
    live = set(live_files(table)[PATH].to_list())
    kept = live | unread
    removed, lately = _removed(place, present - GRACE)
    deleted = 0
    for file in list(_data_files(place)):
        if file.name in kept or file.name in lately:
            continue
        if file.name in removed or present - file.modified > ORPHANED:
            place.delete(file.name)
            deleted += 1
    return deleted


def _data_files(place: Place) -> Iterator[Entry]:
    return (e for e in place.entries() if e.name.startswith("date=") and e.name.endswith(".parquet"))


def _removed(place: Place, since: datetime) -> tuple[set[str], set[str]]:
    """Files that were taken out of the table, as far back as its log goes, and those of them since a time."""
    stamps = {
        unquote(str(values["path"])): int(values.get("deletionTimestamp") or 0)
        for version in _versions(place)
        for name, values in _actions(place, version)
        if name == "remove"
    }
    return set(stamps), {path for path, stamp in stamps.items() if stamp >= since.timestamp() * 1000}


def _actions(place: Place, version: int) -> list[tuple[str, Values]]:
    try:
        return parse_entry(place.read(entry_name(version)))
    except FileNotFoundError:
        return []


def _versions(place: Place) -> list[int]:
    names = (
        e.name.removeprefix(f"{LOG}/").removesuffix(".json") for e in place.entries(LOG) if e.name.endswith(".json")
    )
    return sorted(int(name) for name in names if name.isdecimal())


def _shorten_log(table: DeltaTable, place: Place, held: int | None) -> None:
    """A checkpoint now and then; once it is on disk, entries and checkpoints before it that nobody needs go."""
    table.update_incremental()
    checkpoints = _checkpoints(place)
    if table.version() - max(checkpoints, default=-1) >= CHECKPOINT_EVERY:
        table.create_checkpoint()
        checkpoints = _checkpoints(place)
        place.settle([*(checkpoints[v] for v in sorted(checkpoints)[-1:]), _LAST_CHECKPOINT, LOG])
    if not checkpoints:
        return
    newest = max(checkpoints)
    needed = min(newest, table.version() - ENTRIES_KEPT, *([] if held is None else [held]))
    stale = [entry_name(version) for version in _versions(place) if version < needed]
    for name in [*stale, *(checkpoints[v] for v in sorted(checkpoints)[:-2])]:
        place.delete(name)


def _checkpoints(place: Place) -> dict[int, str]:
    """Version -> the checkpoint of it."""
    found = {}
    for entry in place.entries(LOG):
        version, _, kind = entry.name.removeprefix(f"{LOG}/").partition(".")
        if kind == "checkpoint.parquet" and version.isdecimal():
            found[int(version)] = entry.name
    return found
