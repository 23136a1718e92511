"""Keeping a table in shape: old days dropped, small files merged, the log cut short, dead files deleted.

On handles of its own, beside writers and readers in any process. What a consumer of the journal has not read yet stays
(``held``), files that a reader may still have open for ``GRACE``, whatever nobody named for ``ORPHANED``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from errno import EDQUOT, ENOSPC
from urllib.parse import unquote

import polars as pl
import structlog
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from twin.store.commits import LOG, entry_name
from twin.store.compaction import Candidate, drop, merge, to_merge
from twin.store.delta_log import checkpoint, open_table
from twin.store.latest import Latest
from twin.store.place import Entry, Place
from twin.store.protocols import Maintained
from twin.store.reading import PATH, live_files
from twin.store.replay import LogError, Values, parse_entry
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
    dropped = merged = 0
    try:
        dropped = _drop_old(table, place, kind, duty)
        merged = _merge_all(table, place, kind, duty)
    except CommitFailedError:
        _log.info("another process rewrites this table now", kind=kind)
    except OSError as problem:
        if problem.errno not in (ENOSPC, EDQUOT):
            raise
        _log.warning("no room to merge files; deleting may make some", kind=kind)
    if duty.stop():
        return Maintained(merged, dropped_rows=dropped)
    covered = _leave_newest(place, kind)
    deleted = _delete_dead(table, place, duty.unread)
    _shorten_log(table, place, covered if duty.held is None else min(covered, duty.held))
    return Maintained(merged, deleted, dropped_rows=dropped)


def _leave_newest(place: Place, kind: str) -> int:
    """The newest values for fresh processes, before what they were read from is deleted; up to which version."""
    latest = Latest(place, kind)
    latest.newest()
    latest.save()
    return latest.version()


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
    for number, (day, files) in enumerate(days):
        over, candidates = _end(kind, day) + SETTLED <= duty.now, _candidates(files)
        while not duty.stop() and (paths := to_merge(candidates, over=over)):
            if not merge(table, place, kind, day, paths):
                return merged
            merged += len(paths)
            candidates = _candidates(live_files(table).filter(pl.col("day") == day))
        duty.progress(kind, number + 1, len(days))
    return merged


def _days(table: DeltaTable) -> list[tuple[date, pl.DataFrame]]:
    return [(day, files) for (day,), files in live_files(table).sort("day").group_by("day", maintain_order=True)]


def _candidates(files: pl.DataFrame) -> list[Candidate]:
    return [Candidate(*row) for row in files.select(PATH, "rows", "size", "low", "high").iter_rows()]


def _end(kind: str, day: date) -> datetime:
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if KINDS[kind].span == "day":
        return begin + timedelta(days=1)
    return begin.replace(year=day.year + day.month // 12, month=day.month % 12 + 1)


def _delete_dead(table: DeltaTable, place: Place, unread: frozenset[str]) -> int:
    """Files that are no longer part of the table, and whose time is over."""
    present = datetime.now(UTC)
    files = list(_data_files(place))
    # in this order: what came since the listing is no orphan, and what went since has its grace, whatever its time says
    table.update_incremental()
    kept = unread | set(live_files(table)[PATH].to_list())
    removed, lately = _removed(place, present - GRACE)
    deleted = 0
    for file in files:
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
    except LogError as problem:
        raise OSError(f"{entry_name(version)} {problem}; nettwin store verify tells more") from problem


def _versions(place: Place) -> list[int]:
    return sorted(version for entry in place.entries(LOG) if (version := _number(entry, "json")) is not None)


def _number(entry: Entry, kind: str) -> int | None:
    """The version of a log's file of a kind; None if it is another file."""
    version, _, ending = entry.name.removeprefix(f"{LOG}/").partition(".")
    return int(version) if ending == kind and version.isdecimal() else None


def _shorten_log(table: DeltaTable, place: Place, needed: int) -> None:
    """A checkpoint now and then; once it is on disk, what lies before one that nobody needs goes.

    Args:
        needed: entries from this version on are kept, whatever their number and age.
    """
    table.update_incremental()
    if table.version() - max(_checkpoints(place), default=-1) >= CHECKPOINT_EVERY:
        checkpoint(table, place)
    first = min(needed, table.version() - ENTRIES_KEPT)
    base = max((version for version in _checkpoints(place) if version <= first), default=0)
    before = datetime.now(UTC) - GRACE
    for kind in ("checkpoint.parquet", "json"):
        for entry in sorted(place.entries(LOG), key=lambda e: e.name):
            if (version := _number(entry, kind)) is not None and version < base and entry.modified < before:
                place.delete(entry.name)


def _checkpoints(place: Place) -> list[int]:
    return [v for entry in place.entries(LOG) if (v := _number(entry, "checkpoint.parquet")) is not None]
