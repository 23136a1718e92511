"""Commits to a Delta table that outlive a power cut. deltalake itself calls no fsync.

Data files are on disk before they are committed (``parquet.write_file``); here the log entry that names them and its
folder follow before ``commit`` returns.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.transaction import AddAction, RemoveAction

from twin.store.commits import LAST_CHECKPOINT, LOG, checkpoint_name, entry_name
from twin.store.parquet import DataFile
from twin.store.place import Place
from twin.store.replay import SEAL, Action, seal
from twin.store.settling import UNSYNCED_AT_MOST, settle

DAY = "date"
CHECKSUM = "sha256"
"""Under ``tags`` in ``_last_checkpoint``: the hash of the checkpoint that it names."""
_MAX_RETRIES = 100
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


@dataclass(frozen=True)
class LiveFile:
    """A data file of the table's present version."""

    path: str
    day: date
    size: int


def open_table(place: Place) -> DeltaTable:
    """The table at a place, without what a power cut left torn at its end.

    Raises:
        TableNotFoundError: there is none.
        DeltaError, OSError: it can't be read.
    """
    settle(place)
    return DeltaTable(place.address, storage_options=place.delta_options)


def commit(
    table: DeltaTable,
    place: Place,
    added: Sequence[DataFile],
    removed: Sequence[LiveFile] = (),
    *,
    data_change: bool,
    marks: Sequence[Transaction] = (),
    not_before_ms: int = 0,
) -> None:
    """One new version: these files more, those fewer. On return it is on disk and ``table`` stands at it.

    Args:
        data_change: whether the rows differ (appended, dropped), or only lie elsewhere (merged); what only lies
            elsewhere is left out of the change data feed.
        marks: application transactions; of two commits on one version with a mark in common the second fails.
        not_before_ms: the files are told to be no older than that, whatever the clock says (milliseconds since 1970);
            merged ones are told to be no older than the newest of all.

    Raises:
        CommitFailedError: another process got ahead with a mark of ours, or again and again.
    """
    before = table.version()
    stamp = time.time_ns() // 1_000_000
    made = max(stamp, not_before_ms if data_change else newest_file_ms(table))
    adds = [AddAction(f.path, f.size, {DAY: str(f.day)}, made, data_change, f.stats) for f in added]
    removes = [RemoveAction(f.path, data_change, stamp, f.size, {DAY: str(f.day)}) for f in removed]
    properties = CommitProperties(
        custom_metadata={SEAL: _seal(adds, removes, marks)},
        max_commit_retries=_MAX_RETRIES,
        app_transactions=list(marks) or None,
    )
    table.create_write_transaction(
        [*adds, *removes],
        "append",
        table.schema(),
        [DAY],
        commit_properties=properties,
        post_commithook_properties=_NO_HOOKS,
    )
    table.update_incremental()
    sync_entries(place, max(0, before - UNSYNCED_AT_MOST), table.version())


def _seal(added: Sequence[AddAction], removed: Sequence[RemoveAction], marks: Sequence[Transaction]) -> str:
    """The hash that the entry carries, so that damage to it is found."""
    actions: list[Action] = [("txn", {"appId": m.app_id, "version": m.version}) for m in marks]
    for f in added:
        values = {"path": f.path, "partitionValues": f.partition_values, "size": f.size, "stats": f.stats}
        actions.append(("add", values | {"dataChange": f.data_change, "modificationTime": f.modification_time}))
    for g in removed:
        values = {"path": g.path, "deletionTimestamp": g.deletion_timestamp}
        actions.append(("remove", values | {"dataChange": g.data_change}))
    return seal(actions)


def checkpoint(table: DeltaTable, place: Place) -> None:
    """Write down the table as it is, so that entries before may go. On return it is on disk, and its hash beside it.

    The entries that it repeats are on disk before: else it could tell of one that a power cut took from the journal.
    """
    sync_entries(place, max(0, table.version() - UNSYNCED_AT_MOST), table.version())
    table.create_checkpoint()
    told = json.loads(place.read(LAST_CHECKPOINT))
    name = checkpoint_name(told["version"])
    place.settle([name, LOG])
    told["tags"] = {CHECKSUM: sha256(place.read(name)).hexdigest()}
    place.replace(LAST_CHECKPOINT, json.dumps(told).encode())


def sync_entries(place: Place, first: int, last: int) -> None:
    """The log entries of these versions, and their folder, onto the disk."""
    place.settle([*(entry_name(version) for version in range(first, last + 1)), LOG])


def newest_file_ms(table: DeltaTable) -> int:
    """When the newest of its files was made, as told by whoever committed it (milliseconds since 1970); 0 of none."""
    files = pl.DataFrame(table.get_add_actions(flatten=True))
    return max(files["modification_time"].to_list(), default=0) if len(files) else 0
