"""How shipping to a remote goes, for operators: kept in a small file beside the cursor. A lost one harms nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from twin.store.cursors import positions
from twin.store.journal import Backlog, Journal
from twin.store.outbox import Outbox
from twin.store.ship_lock import holder

ShipState = Literal["shipping", "idle", "backing off", "holding", "off"]


@dataclass(frozen=True)
class ShipStatus:
    """What a shipper does and has done. Times are aware; counts go on over restarts.

    Attributes:
        state: ``shipping``, ``idle`` (all is sent), ``backing off`` (busy or away, tried again by itself),
            ``holding`` (somebody must act; tried again gently) or ``off`` (no process ships).
        reason: of the last two; names what was refused.
        backlog_age: since the oldest row not sent was written.
        sent: lines accepted, one sent again after a crash counted twice; ``dead``: lines put in the dead-letter
            file; ``expired``: lines older than the server keeps them; ``retries``: requests that came to nothing.
    """

    remote: str
    state: ShipState = "off"
    reason: str = ""
    backlog_rows: int = 0
    backlog_bytes: int = 0
    backlog_age: timedelta | None = None
    last_success: datetime | None = None
    next_try: datetime | None = None
    sent: int = 0
    dead: int = 0
    expired: int = 0
    retries: int = 0
    at: datetime | None = None

    def with_backlog(self, backlog: Backlog, now: datetime) -> ShipStatus:
        """The same with what waits now."""
        age = None
        if backlog.oldest_ms is not None:
            age = max(now - datetime.fromtimestamp(backlog.oldest_ms / 1000, UTC), timedelta())
        return replace(self, backlog_rows=backlog.rows, backlog_bytes=backlog.size_bytes, backlog_age=age, at=now)


_FILE = ".status.json"
_TIMES = ("last_success", "next_try", "at")


def read_status(outbox: Outbox) -> ShipStatus:
    """As last written; a fresh one if there is none or it can't be read."""
    try:
        plain = json.loads(outbox.file(_FILE).read_bytes())
        plain |= {name: datetime.fromisoformat(plain[name]) for name in _TIMES if plain[name]}
        age = plain["backlog_age"]
        return ShipStatus(**plain | {"backlog_age": None if age is None else timedelta(seconds=age)})
    except (OSError, ValueError, TypeError, KeyError):
        return ShipStatus(outbox.name)


def write_status(outbox: Outbox, status: ShipStatus) -> None:
    """Raises OSError if it can't be written."""
    plain = asdict(status) | {name: _text(getattr(status, name)) for name in _TIMES}
    plain["backlog_age"] = None if status.backlog_age is None else status.backlog_age.total_seconds()
    file = outbox.file(_FILE)
    fresh = outbox.file(f"{_FILE}.{os.getpid()}")
    fresh.write_text(json.dumps(plain) + "\n", encoding="utf-8")
    fresh.replace(file)


def _text(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()


def ship_status(outbox: Outbox, now: datetime) -> ShipStatus:
    """How it stands now: the backlog is counted anew; ``off`` if no process ships.

    Raises:
        StoreError: the journal or the cursor can't be read.
    """
    status = read_status(outbox)
    if holder(outbox) is None:
        status = replace(status, state="off", next_try=None)
    return status.with_backlog(backlog_of(Journal(outbox.place), positions(outbox.place, outbox.name)), now)


def backlog_of(journal: Journal, cursor: Mapping[str, int] | None) -> Backlog:
    """What waits of all kinds; nothing for who has not begun."""
    return sum(journal.backlog(cursor).values(), Backlog()) if cursor is not None else Backlog()
