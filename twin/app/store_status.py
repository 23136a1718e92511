"""How the store is: what lies in it, its journal's readers, what waits for InfluxDB, its last upkeep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from twin.app.settings import Settings
from twin.app.upkeep import Upkept, last_upkeep
from twin.app.wiring import data_of, local_store_of, outbox_of, place_of, retention_in
from twin.store import KindHealth
from twin.store.cursors import consumers, positions
from twin.store.dead_letters import dead_letters
from twin.store.journal import Journal
from twin.store.place import Place
from twin.store.ship_lock import holder
from twin.store.ship_status import ShipStatus, backlog_of, ship_status
from twin.store.thinning import THINNED, not_thinned_since
from twin.vocab.schema import KINDS


@dataclass(frozen=True)
class KindStatus:
    """What is there of one kind: see ``KindHealth``. ``thins``: the kind it is a tier of; ``kept``: how long, None for
    ever."""

    kind: str
    rows: int
    size_bytes: int | None
    first: datetime
    last: datetime
    thins: str | None
    kept: timedelta | None


@dataclass(frozen=True)
class ConsumerStatus:
    """Who reads the journal, and what it has not read yet: rows, bytes and since when."""

    name: str
    rows: int
    size_bytes: int
    oldest_ms: int | None


@dataclass(frozen=True)
class RemoteStatus:
    """Shipping to the settings' InfluxDB. ``shipper``: which process ships, None if none does; ``quota``: bytes that
    may wait; ``dead``: lines in the dead-letter file."""

    url: str
    status: ShipStatus
    shipper: str | None
    quota: int
    dead: int


@dataclass(frozen=True)
class StoreStatus:
    """All of it. ``reads``: which engine answers; ``spare_bytes``: free where it lies, None if there is no end;
    ``thinned_to``: kind -> the earliest hour that still waits to be thinned."""

    engine: str
    version: str
    where: str
    reads: str
    kinds: tuple[KindStatus, ...]
    spare_bytes: int | None
    consumers: tuple[ConsumerStatus, ...]
    thinned_to: Mapping[str, datetime]
    remote: RemoteStatus | None
    upkeep: Upkept | None


def store_status(settings: Settings, present: datetime) -> StoreStatus:
    """Asks the local store and its files; the server is not asked for anything.

    Raises:
        UsageError: the settings can't be followed.
        StoreError: the store can't be read.
    """
    place, lengths = place_of(settings), retention_in(settings)
    with local_store_of(settings) as store:
        health = store.health()
    return StoreStatus(
        health.engine,
        health.version,
        health.where,
        settings.file.store.engine,
        tuple(_kind(k, lengths.get(k.kind)) for k in health.kinds),
        place.spare(),
        tuple(_consumer(place, name) for name in consumers(place)),
        {kind: since for kind in THINNED if (since := not_thinned_since(place, kind)) is not None},
        _remote(settings, present),
        last_upkeep(data_of(settings)),
    )


def _kind(found: KindHealth, kept: timedelta | None) -> KindStatus:
    thins = KINDS[found.kind].thins
    return KindStatus(found.kind, found.rows, found.size_bytes, found.first, found.last, thins, kept)


def _consumer(place: Place, name: str) -> ConsumerStatus:
    waiting = backlog_of(Journal(place), positions(place, name))
    return ConsumerStatus(name, waiting.rows, waiting.size_bytes, waiting.oldest_ms)


def _remote(settings: Settings, present: datetime) -> RemoteStatus | None:
    section = settings.file.store.influxdb
    if section is None:
        return None
    outbox = outbox_of(settings, section.name)
    dead = sum(1 for _ in dead_letters(outbox))
    return RemoteStatus(section.url, ship_status(outbox, present), holder(outbox), section.quota, dead)
