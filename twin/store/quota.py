"""Back-pressure: what a remote has not taken yet must not fill the disk."""

from __future__ import annotations

import time
from threading import Lock

import structlog

from twin.store.cursors import positions
from twin.store.journal import Journal
from twin.store.outbox import Outbox
from twin.store.protocols import StoreError
from twin.store.ship_status import backlog_of

_EVERY_S = 2.0
_WARN_EVERY_S = 600.0
_WARN_FROM = 0.5

_log = structlog.get_logger(__name__)


class Quota:
    """How much may wait for a remote, in bytes of data files. May be used from several threads."""

    def __init__(self, outbox: Outbox, size_bytes: int) -> None:
        self._outbox, self._most = outbox, size_bytes
        self._journal = Journal(outbox.place)
        self._lock = Lock()
        self._waiting, self._counted, self._warned = 0, float("-inf"), float("-inf")

    def check(self) -> None:
        """Warns from half of it. Counts anew every two seconds at most.

        Raises:
            StoreError: so much waits that no more may be written.
        """
        with self._lock:
            moment = time.monotonic()
            if moment - self._counted >= _EVERY_S:
                cursor = positions(self._outbox.place, self._outbox.name)
                self._waiting, self._counted = backlog_of(self._journal, cursor).size_bytes, moment
            if self._waiting >= self._most:
                self._counted = float("-inf")  # once something was shipped or given up, go on at once
                raise StoreError(
                    f"store {self._outbox.place.address}: {_size(self._waiting)} wait to be shipped to"
                    f" {self._outbox.name}, more than store.influxdb.quota {_size(self._most)} allows; mend the server,"
                    " or give the backlog up: nettwin store ship --give-up"
                )
            if self._waiting >= _WARN_FROM * self._most and moment - self._warned >= _WARN_EVERY_S:
                self._warned = moment
                _log.warning(
                    "much waits to be shipped: at the quota nothing more is stored",
                    remote=self._outbox.name,
                    waiting=_size(self._waiting),
                    quota=_size(self._most),
                )


def _size(octets: int) -> str:
    return f"{octets / 1e6:,.1f} MB"
