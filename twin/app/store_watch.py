"""What an operator must know of the store while something collects: free disk, shipping, and what is wrong with them.

Each alarm is one line and one event when it begins, and one of each when it is over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from twin.app.render import age, size
from twin.store import Outbox, StoreError
from twin.store.dead_letters import dead_letter_file
from twin.store.place import Place
from twin.store.shipper import Shipper

HALF = 0.5
AWAY_S = 60.0
END_S = 1.5
LITTLE_DISK = 1_000_000_000

Happened = Callable[[str, str, str], None]
"""Told an event's name, its subject and details."""


@dataclass(frozen=True)
class ShipFigures:
    """Shipping, as figures: see ``ShipStatus``. ``quota``: bytes that may wait."""

    state: str
    reason: str
    backlog_rows: int
    backlog_bytes: int
    backlog_age_s: float
    quota: int
    sent: int
    dead: int
    expired: int
    retries: int


@dataclass(frozen=True)
class StoreFigures:
    """``free_bytes``: where the store lies, None if there is no end to it; ``ship``: None if nothing is shipped;
    ``alarms``: subject -> what is wrong."""

    free_bytes: int | None = None
    ship: ShipFigures | None = None
    alarms: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Shipping:
    """What ships beside a collector."""

    outbox: Outbox
    shipper: Shipper
    quota: int

    def figures(self) -> ShipFigures:
        s = self.shipper.status
        waited = s.backlog_age.total_seconds() if s.backlog_age else 0.0
        return ShipFigures(
            s.state,
            s.reason,
            s.backlog_rows,
            s.backlog_bytes,
            waited,
            self.quota,
            s.sent,
            s.dead,
            s.expired,
            s.retries,
        )

    def has_dead_letters(self) -> bool:
        file = dead_letter_file(self.outbox)
        return file.exists() and file.stat().st_size > 0


def shipping_alarms(ship: ShipFigures, *, dead_letters: bool) -> dict[str, str]:
    """What is wrong with shipping: subject -> one line. What passes by itself is told when it lasts."""
    found = {}
    if ship.state == "holding":
        found["shipping"] = f"shipping is held until somebody acts: {ship.reason}"
    elif ship.state == "backing off" and ship.backlog_age_s >= AWAY_S:
        found["shipping"] = f"InfluxDB is busy or away: {ship.reason}; what waits is kept, and sent when it is back"
    if ship.backlog_bytes >= HALF * ship.quota:
        found["backlog"] = (
            f"{size(ship.backlog_bytes)} of {size(ship.quota)} wait to be shipped, the oldest for"
            f" {age(ship.backlog_age_s)}: at the quota nothing more is stored"
        )
    if dead_letters:
        found["dead letters"] = "InfluxDB refused lines for good: nettwin store dead list"
    return found


def disk_alarm(free: int | None, little: int) -> dict[str, str]:
    """What is wrong with the disk; ``free`` and ``little`` in bytes, None: there is no end to it."""
    if free is None or free >= little:
        return {}
    return {"disk": f"only {size(free)} are free where the store lies: when it is full nothing more is stored"}


class StoreWatch:
    """Looks now and then; ``figures`` are those of the last look.

    Args:
        shipping: None if nothing is shipped.
        tell, well: called with a line when an alarm begins, and when it is over.
        happened: called with the event of each.
        little: an alarm if less than this is free, in bytes.
    """

    def __init__(
        self,
        place: Place,
        shipping: Shipping | None,
        *,
        tell: Callable[[str], None],
        well: Callable[[str], None],
        happened: Happened,
        little: int = LITTLE_DISK,
    ) -> None:
        self._place, self._shipping, self._little = place, shipping, little
        self._tell, self._well, self._happened = tell, well, happened
        self._alarms: dict[str, str] = {}
        self.figures = StoreFigures()

    def look(self) -> None:
        """Look now: tell what is new."""
        ship: ShipFigures | None = None
        free = self._free()
        alarms = disk_alarm(free, self._little)
        if self._shipping is not None:
            ship = self._shipping.figures()
            alarms |= shipping_alarms(ship, dead_letters=self._shipping.has_dead_letters())
        for subject in alarms.keys() - self._alarms.keys():
            self._tell(alarms[subject])
            self._happened("alarm", subject, alarms[subject])
        for subject in self._alarms.keys() - alarms.keys():
            self._well(f"{subject}: well again")
            self._happened("alarm_over", subject, self._alarms[subject])
        self._alarms = alarms
        self.figures = StoreFigures(free, ship, alarms)

    def _free(self) -> int | None:
        try:
            return self._place.spare()
        except (OSError, StoreError):
            return self.figures.free_bytes


class ShippingBeside:
    """Ships in a thread while inside. A request under way when left is not waited for: it is sent again."""

    def __init__(self, shipper: Shipper) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=shipper.run, args=(self._stop,), name="shipper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(END_S)


class Repeated:
    """Does ``work`` at once, then every so many seconds in a thread while inside, and once more on leaving."""

    def __init__(self, work: Callable[[], None], every: float) -> None:
        self._work, self._every = work, every
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telling", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        self._work()
        while not self._ending.wait(self._every):
            self._work()
        self._work()
