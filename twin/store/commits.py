"""What a table's log says was done, entry by entry, read without loading the library that writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from twin.store.place import Place
from twin.store.replay import LogError, data_file, parse_entry

LOG = "_delta_log"
LAST_CHECKPOINT = f"{LOG}/_last_checkpoint"
_DATE = "date"


@dataclass(frozen=True)
class Changed:
    """A data file that came or went: its path relative to the table, its partition (yyyy-mm-dd), its rows.

    ``data_change``: false if only rows that lie elsewhere, too, were moved.
    ``removed_ms``: when it was taken out (milliseconds since 1970).
    """

    path: str
    date: str
    rows: int
    data_change: bool
    removed_ms: int = 0


@dataclass(frozen=True)
class Commit:
    """One version of the table; ``digest``: the hash of its entry."""

    version: int
    digest: str
    added: tuple[Changed, ...]
    removed: tuple[Changed, ...]


def entry_name(version: int) -> str:
    return f"{LOG}/{version:020d}.json"


def checkpoint_name(version: int) -> str:
    return f"{LOG}/{version:020d}.checkpoint.parquet"


def has_table(place: Place) -> bool:
    """Whether there is a table, of any version."""
    return any(entry.name.endswith(".json") for entry in place.entries(LOG))


def commit_of(table: Place, version: int) -> Commit | None:
    """What a version did; None if there is no such entry, or one torn by a power cut."""
    try:
        content = table.read(entry_name(version))
        actions = parse_entry(content)
        added = tuple(_added(values) for name, values in actions if name == "add")
        removed = tuple(_removed(values) for name, values in actions if name == "remove")
    except (FileNotFoundError, LogError):
        return None
    return Commit(version, sha256(content).hexdigest(), added, removed)


def commits_after(table: Place, version: int) -> Iterator[Commit]:
    """Those that come after a version, without a gap."""
    while (commit := commit_of(table, version + 1)) is not None:
        yield commit
        version += 1


def _added(values: Mapping[str, Any]) -> Changed:
    file = data_file(values)
    return Changed(
        file.path, str(file.partition.get(_DATE)), int(file.stats.get("numRecords", 0)), values["dataChange"]
    )


def _removed(values: Mapping[str, Any]) -> Changed:
    date = str((values.get("partitionValues") or {}).get(_DATE))
    return Changed(unquote(values["path"]), date, 0, values["dataChange"], int(values.get("deletionTimestamp") or 0))
