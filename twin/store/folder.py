"""The store's folder: its version, getting older ones up to date, and making written files outlive a power cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from twin.store.commits import LOG
from twin.store.place import Place
from twin.store.protocols import StoreError
from twin.vocab.errors import UsageError
from twin.vocab.schema import SCHEMA_VERSION

MARKER = "store.json"
FORMAT = "nettwin samples"
_NOT_IN_PATHS = frozenset("[]^|\\")  # deltalake 1.6 takes a path for an address
TABLE_PROPERTIES = {
    "delta.enableChangeDataFeed": "true",
    "delta.logRetentionDuration": "interval 2 days",
    "delta.deletedFileRetentionDuration": "interval 2 hours",
    "delta.setTransactionRetentionDuration": "interval 7 days",
}
Migration = Callable[[Place], None]


def _keep_a_journal(store: Place) -> None:
    """Version 1 -> 2: tables tell what was appended (change data feed) from now on."""
    from twin.store.delta_log import open_table  # noqa: PLC0415 - loaded only where it is used

    for kind in sorted({e.name.partition("/")[0] for e in store.entries() if f"/{LOG}/" in e.name}):
        table = store.below(kind)
        open_table(table).alter.set_table_properties(TABLE_PROPERTIES)
        table.settle([*(entry.name for entry in table.entries(LOG)), LOG])


MIGRATIONS: dict[int, Migration] = {1: _keep_a_journal}
"""Version -> what brings a folder of that version to the next one; may be run again after a crash."""


def open_folder(
    store: Place, *, version: int = SCHEMA_VERSION, migrations: Mapping[int, Migration] = MIGRATIONS
) -> None:
    """Make the place a store of ``version``: new, as it is, or migrated step by step.

    Raises:
        UsageError: it holds something else, is newer than this program, or has no way up from its version.
        StoreError: it can't be made, read or written.
    """
    where = store.address
    if unusable := set(where) & _NOT_IN_PATHS:
        raise UsageError(f"store {where}: its path can't contain {' '.join(sorted(unusable))} (a limit of Delta Lake)")
    try:
        found = _version(store)
        if found is None:
            _begin(store, version)
            return
        if found > version:
            raise UsageError(f"store {where}: has version {found}, this nettwin knows {version}; use a newer nettwin")
        for step in range(found, version):
            if step not in migrations:
                raise UsageError(f"store {where}: has version {step}, which this nettwin can't bring up to date")
            migrations[step](store)
            _mark(store, step + 1)
    except OSError as problem:
        raise StoreError(f"store {where}: {problem.strerror or store.reason(problem)}") from problem


def _version(store: Place) -> int | None:
    try:
        text = store.read(MARKER)
    except FileNotFoundError:
        return None
    try:
        plain = json.loads(text)
        if plain["format"] == FORMAT and isinstance(plain["schema_version"], int):
            return int(plain["schema_version"])
    except (ValueError, KeyError, TypeError):
        pass
    raise UsageError(f"{store.address}/{MARKER}: does not describe a store")


def _begin(store: Place, version: int) -> None:
    if any(not entry.name.removeprefix(".").startswith(MARKER) for entry in store.entries()):
        raise UsageError(f"store {store.address}: the folder holds something else; name an empty or new one")
    store.check()
    _mark(store, version)
    store.settle([".."])


def _mark(store: Place, version: int) -> None:
    text = json.dumps({"format": FORMAT, "schema_version": version}) + "\n"
    store.replace(MARKER, text.encode())
