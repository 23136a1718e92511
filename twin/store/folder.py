"""The store's folder: its version, getting older ones up to date, and making written files outlive a power cut."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from deltalake import DeltaTable

from twin.store.protocols import StoreError
from twin.vocab.errors import UsageError
from twin.vocab.schema import SCHEMA_VERSION

MARKER = "store.json"
FORMAT = "nettwin samples"
_NOT_IN_PATHS = frozenset("[]^|\\")  # deltalake 1.6 takes a path for an address
TABLE_PROPERTIES = {
    "delta.enableChangeDataFeed": "true",
    "delta.logRetentionDuration": "interval 2 days",
    "delta.setTransactionRetentionDuration": "interval 7 days",
}
Migration = Callable[[Path], None]


def _keep_a_journal(folder: Path) -> None:
    """Version 1 -> 2: tables tell what was appended (change data feed) from now on."""
    for log in sorted(folder.glob("*/_delta_log")):
        DeltaTable(log.parent).alter.set_table_properties(TABLE_PROPERTIES)
        sync([*log.iterdir(), log])


MIGRATIONS: dict[int, Migration] = {1: _keep_a_journal}
"""Version -> what brings a folder of that version to the next one; may be run again after a crash."""


def open_folder(path: Path, *, version: int = SCHEMA_VERSION, migrations: Mapping[int, Migration] = MIGRATIONS) -> None:
    """Make the folder a store of ``version``: new, as it is, or migrated step by step.

    Raises:
        UsageError: it holds something else, is newer than this program, or has no way up from its version.
        StoreError: it can't be made, read or written.
    """
    if unusable := set(str(path)) & _NOT_IN_PATHS:
        raise UsageError(f"store {path}: its path can't contain {' '.join(sorted(unusable))} (a limit of Delta Lake)")
    try:
        found = _version(path)
        if found is None:
            _begin(path, version)
            return
        if found > version:
            raise UsageError(f"store {path}: has version {found}, this nettwin knows {version}; use a newer nettwin")
        for step in range(found, version):
            if step not in migrations:
                raise UsageError(f"store {path}: has version {step}, which this nettwin can't bring up to date")
            migrations[step](path)
            _mark(path, step + 1)
    except OSError as problem:
        raise StoreError(f"store {path}: {problem.strerror or problem}") from problem


def _version(path: Path) -> int | None:
    marker = path / MARKER
    try:
        text = marker.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        plain = json.loads(text)
        if plain["format"] == FORMAT and isinstance(plain["schema_version"], int):
            return int(plain["schema_version"])
    except (ValueError, KeyError, TypeError):
        pass
    raise UsageError(f"{marker}: does not describe a store")


def _begin(path: Path, version: int) -> None:
    if path.is_dir() and any(not entry.name.startswith(MARKER) for entry in path.iterdir()):
        raise UsageError(f"store {path}: the folder holds something else; name an empty or new one")
    path.mkdir(parents=True, exist_ok=True)
    _mark(path, version)
    sync([path.parent])


def _mark(path: Path, version: int) -> None:
    fresh = path / f"{MARKER}.{os.getpid()}"
    fresh.write_text(json.dumps({"format": FORMAT, "schema_version": version}) + "\n", encoding="utf-8")
    sync([fresh])
    fresh.replace(path / MARKER)
    sync([path])


def sync(paths: Iterable[Path]) -> None:
    """fsync files and folders; one that is gone meanwhile is left out."""
    for path in paths:
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
