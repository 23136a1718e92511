"""Samples, records and small state that outlive the process.

``open_delta`` (embedded, no server) and ``open_influx`` give the same ``Store``; ``State`` keeps the ledger and the
jobs; ``put_records``, ``latest_records`` and ``record_history`` keep versioned documents in a Store.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from twin.store.place import LocalPlace, Place
from twin.store.protocols import (
    Batch,
    Health,
    KindHealth,
    Maintained,
    Match,
    Reader,
    Store,
    StoreError,
    When,
    Writer,
)
from twin.store.records import (
    DamagedRecordError,
    Document,
    RecordEntry,
    RecordVersion,
    StoredRecord,
    latest_records,
    put_record,
    put_records,
    record_at,
    record_block,
    record_history,
    stored_records,
)
from twin.store.state import State
from twin.vocab.inventory import Secret

__all__ = [
    "Batch",
    "DamagedRecordError",
    "Document",
    "Health",
    "KindHealth",
    "Maintained",
    "Match",
    "Reader",
    "RecordEntry",
    "RecordVersion",
    "State",
    "Store",
    "StoreError",
    "StoredRecord",
    "When",
    "Writer",
    "latest_records",
    "open_delta",
    "open_influx",
    "put_record",
    "put_records",
    "record_at",
    "record_block",
    "record_history",
    "stored_records",
]


def open_delta(where: Path | Place) -> Store:
    """The embedded store in a folder (or at another place), made if it is not there.

    Raises:
        UsageError: the place holds something else, or was written by a newer version.
        StoreError: it can't be made or read.
    """
    from twin.store.delta import DeltaStore  # noqa: PLC0415 - the engine is loaded only where it is used

    return DeltaStore(LocalPlace(where) if isinstance(where, Path) else where)


def open_influx(
    url: str,
    database: str,
    token: Secret | None = None,
    *,
    organisation: str = "-",
    timeout: timedelta = timedelta(seconds=10),
    deadline: timedelta = timedelta(seconds=30),
) -> Store:
    """A store in InfluxDB; the database is made where the server permits it.

    Args:
        token: a token, or ``user:password`` for 1.x.
        timeout: of one request.
        deadline: how long one ``write`` keeps trying a server that is busy or away.

    Raises:
        UsageError: ``url`` is not an http(s) address.
        StoreError: the server can't be reached, refuses the token, or has no such database and makes none.
    """
    from twin.store.influx import InfluxStore  # noqa: PLC0415 - as above

    return InfluxStore(url, database, token, organisation=organisation, timeout=timeout, deadline=deadline)
