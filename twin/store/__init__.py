"""Samples, records and small state that outlive the process.

``open_delta`` gives the embedded ``Store``; ``open_shipped`` the same, whose rows an ``open_shipper`` sends to an
InfluxDB. ``State`` keeps the ledger and the jobs; ``put_records``, ``latest_records`` and ``record_history`` keep
versioned documents in a Store.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.store.outbox import Outbox
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
    StoreFullError,
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
from twin.store.server import InfluxServer

if TYPE_CHECKING:
    from twin.store.shipper import Shipper
    from twin.store.state import State

__all__ = [
    "Batch",
    "DamagedRecordError",
    "Document",
    "Health",
    "InfluxServer",
    "KindHealth",
    "Maintained",
    "Match",
    "Outbox",
    "Place",
    "Reader",
    "RecordEntry",
    "RecordVersion",
    "State",
    "Store",
    "StoreError",
    "StoreFullError",
    "StoredRecord",
    "When",
    "Writer",
    "latest_records",
    "open_delta",
    "open_shipped",
    "open_shipper",
    "put_record",
    "put_records",
    "record_at",
    "record_block",
    "record_history",
    "stored_records",
]


def __getattr__(name: str) -> Any:
    """``State`` is loaded where it is used: SQLite takes a third of the time in which ``latest`` is answered."""
    if name != "State":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from twin.store.state import State  # noqa: PLC0415

    return State


def open_delta(where: Path | Place, *, retention: Mapping[str, timedelta] | None = None, spare_disk: int = 0) -> Store:
    """The embedded store in a folder (or at another place), made if it is not there.

    Args:
        retention: kind -> how long its rows are kept; of kinds not named, for ever.
        spare_disk: bytes; with less free than that ``write`` raises StoreFullError and upkeep does not thin.

    Raises:
        UsageError: the place holds something else, or was written by a newer version.
        StoreError: it can't be made or read.
    """
    from twin.store.delta import DeltaStore  # noqa: PLC0415 - the engine is loaded only where it is used

    return DeltaStore(LocalPlace(where) if isinstance(where, Path) else where, retention or {}, spare_disk)


def open_shipped(local: Store, outbox: Outbox, server: InfluxServer, *, quota: int, read_there: bool) -> Store:
    """A local store whose rows also go to an InfluxDB. The server need not be there.

    Args:
        local: the store of ``outbox``; closed with this one.
        quota: how many bytes of what is not shipped yet may wait before ``write`` refuses.
        read_there: whether reads are answered by the server.

    Raises:
        UsageError: the server's address is none.
        StoreError: the local store can't be read or written.
    """
    from twin.store.shipped import ShippedStore  # noqa: PLC0415 - as above

    return ShippedStore(local, outbox, server, quota=quota, read_there=read_there)


def open_shipper(outbox: Outbox, server: InfluxServer, *, dead_letter_bytes: int) -> Shipper:
    """What sends the store of ``outbox`` to the server: ``run`` it for ever, or ``ship`` what waits.

    Args:
        dead_letter_bytes: how large the file of refused lines may grow before all is held.

    Raises:
        UsageError: the server's address is none.
    """
    from twin.store.influx_connection import InfluxConnection  # noqa: PLC0415 - as above
    from twin.store.shipper import ShipLimits, Shipper  # noqa: PLC0415 - as above

    limits = ShipLimits(dead_letter_bytes=dead_letter_bytes)
    return Shipper(outbox, InfluxConnection(server), server.database, limits=limits)
