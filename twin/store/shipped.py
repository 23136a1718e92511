"""A store whose rows also go to an InfluxDB: everything is written to the local store, which is the journal that a
shipper sends from. Reads come from the local store or from the server."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from threading import Lock
from types import TracebackType
from typing import Self

import numpy as np
import structlog

from twin.store.frames import united
from twin.store.influx import InfluxReader
from twin.store.influx_connection import InfluxConnection
from twin.store.outbox import Outbox
from twin.store.protocols import Batch, Health, Maintained, Match, Progress, Stop, Store, StoreError, When
from twin.store.quota import Quota
from twin.store.samples import cell_length, last_per_cell, micros
from twin.store.server import InfluxServer
from twin.store.ship_lock import ShippedByOtherError
from twin.store.shipper import Shipper, begin_shipping
from twin.vocab.blocks import Block

DOCUMENTS = "record"
CATCH_UP_S = 20.0

_log = structlog.get_logger(__name__)


class ShippedStore:
    """A ``twin.store.Store``: ``local`` and what waits to be shipped from it."""

    def __init__(self, local: Store, outbox: Outbox, server: InfluxServer, *, quota: int, read_there: bool) -> None:
        """From now on the local store keeps for the server what is written. The server is not asked for anything.

        Args:
            outbox: of the local store and the server.
            quota: how many bytes of data files may wait.
            read_there: whether reads are answered by the server; before that, what waits is shipped for some seconds
                unless another does so, so that one reads what one wrote. Documents come from the local store where
                it has them, so that collecting never waits for the server, whose retention may have dropped them.
        """
        self._local = local
        self._connection = InfluxConnection(server)
        self._there = InfluxReader(self._connection, server.database) if read_there else None
        self._quota = Quota(outbox, quota)
        self._shipper = Shipper(outbox, self._connection, server.database)
        self._catching_up = Lock()
        begin_shipping(outbox)

    def write(self, blocks: Sequence[Block], batch: Batch | None = None) -> None:
        """See ``Writer.write``. Raises StoreError as well if too much waits to be shipped."""
        self._quota.check()
        self._local.write(blocks, batch)

    def latest(
        self,
        kind: str,
        keys: Match | None = None,
        fields: Sequence[str] | None = None,
        *,
        as_of: When | None = None,
    ) -> Block:
        if kind == DOCUMENTS and len(found := self._local.latest(kind, keys, fields, as_of=as_of)):
            return found
        return self._reader.latest(kind, keys, fields, as_of=as_of)

    def range(
        self,
        kind: str,
        keys: Match | None,
        start: When,
        end: When,
        fields: Sequence[str] | None = None,
        *,
        step: timedelta | np.timedelta64 | None = None,
        as_of: When | None = None,
    ) -> Block:
        if kind == DOCUMENTS and len(here := self._local.range(kind, keys, start, end, fields, as_of=as_of)):
            block = united(here, self._older(kind, keys, start, end, fields) if as_of is None else None)
            return block if step is None else last_per_cell(block, micros(start), cell_length(step))
        return self._reader.range(kind, keys, start, end, fields, step=step, as_of=as_of)

    def _older(
        self, kind: str, keys: Match | None, start: When, end: When, fields: Sequence[str] | None
    ) -> Block | None:
        """What the server holds from before there was a local store, which keeps documents for ever."""
        if self._there is None:
            return None
        try:
            return self._there.range(kind, keys, start, end, fields)
        except StoreError as problem:
            _log.warning("versions from before shipping may be missing", reason=str(problem))
            return None

    def series(self, kind: str, **match: str | Collection[str]) -> list[dict[str, str]]:
        return self._reader.series(kind, **match)

    def maintain(self, now: datetime, *, progress: Progress | None = None, stop: Stop | None = None) -> Maintained:
        """Of the local store; what is not shipped yet stays."""
        return self._local.maintain(now, progress=progress, stop=stop)

    def health(self) -> Health:
        return self._reader.health()

    def close(self) -> None:
        self._connection.close()
        self._local.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def _reader(self) -> InfluxReader | Store:
        if self._there is None:
            return self._local
        with self._catching_up:
            self._catch_up()
        return self._there

    def _catch_up(self) -> None:
        try:
            if self._shipper.behind():
                status = self._shipper.ship(within=CATCH_UP_S)
                if status.reason:
                    _log.warning("the server lacks what waits to be shipped", reason=status.reason)
        except ShippedByOtherError:
            pass
        except StoreError as problem:
            _log.warning("the server lacks what waits to be shipped", reason=str(problem))
