"""Sends what the journal holds to one remote: in order, synchronously, resumed from a durable cursor.

Nothing is dropped without a trace: what is busy or away is tried again for ever, what somebody must mend is held, and a
single line that is refused for good goes to the dead-letter file with its reason. Sending again is harmless: InfluxDB
overwrites a sample by itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Event, Timer
from typing import Protocol

import structlog

from twin.store.bisect import Delivery, deliver
from twin.store.cursors import NOTHING, advance, positions, register
from twin.store.dead_letters import DeadLetter, DeadLetterBox
from twin.store.frames import to_block
from twin.store.journal import VERSION, Journal, Portion, newest_versions
from twin.store.lines import database_of, to_lines
from twin.store.outbox import Outbox
from twin.store.protocols import StoreError
from twin.store.ship_lock import ShippedByOtherError, only_shipper
from twin.store.ship_status import ShipState, ShipStatus, backlog_of, read_status, write_status
from twin.store.triage import Accepted, Busy, Held, Patience, Refused, Verdict
from twin.vocab.schema import KINDS
from twin.vocab.time import now

FEWEST_LINES = 50
FEWEST_BYTES = 1000

_log = structlog.get_logger(__name__)


class Remote(Protocol):
    """Where lines go."""

    def write(self, database: str, lines: Sequence[str]) -> Verdict:
        """Send them at once. Never raises for what the server or the network does."""
        ...


@dataclass(frozen=True)
class ShipLimits:
    """How a shipper behaves.

    Attributes:
        poll: how often an idle one looks for news, and tells its status, in seconds.
        refused_in_a_row: so many lines refused without one accepted are no accident: they are held.
        dead_letter_bytes: how large the dead-letter file may grow before all is held.
    """

    patience: Patience = field(default_factory=Patience)
    poll: float = 1.0
    lines_a_request: int = 5000
    bytes_a_request: int = 4_000_000
    refused_in_a_row: int = 100
    dead_letter_bytes: int = 100_000_000


def begin_shipping(outbox: Outbox) -> bool:
    """From now on keep for its remote whatever is written; False if that was so before.

    What was written earlier is not shipped: ``nettwin store export`` carries it over.

    Raises:
        StoreError: the store can't be read or written.
    """
    if positions(outbox.place, outbox.name) is not None:
        return False
    return register(outbox.place, outbox.name, newest_versions(outbox.place))


def give_up_backlog(outbox: Outbox, kinds: Sequence[str] | None = None) -> dict[str, int]:
    """Do not ship what waits (of these kinds, or of all): kind -> rows given up. They stay in the local store.

    Works beside a running shipper.

    Raises:
        StoreError: the journal or the cursor can't be read or written.
    """
    place, name = outbox.place, outbox.name
    cursor, newest = positions(place, name) or {}, newest_versions(place)
    chosen = [kind for kind in newest if kinds is None or kind in kinds]
    given_up = {k: b.rows for k, b in Journal(place).backlog(cursor).items() if k in chosen}
    advance(place, name, {kind: newest[kind] for kind in chosen})
    _log.warning("backlog given up by the operator", remote=name, rows=given_up)
    return given_up


class Shipper:
    """Ships one store's journal to one remote. For one thread; ``status`` may be read from any."""

    def __init__(
        self,
        outbox: Outbox,
        remote: Remote,
        database: str,
        *,
        limits: ShipLimits | None = None,
        observe: Callable[[ShipStatus], None] = lambda _: None,
    ) -> None:
        """Nothing is sent before ``run`` or ``ship``.

        Args:
            database: where raw kinds go; tiers go to databases named after it.
            observe: told each status that is written; from the thread that ships.
        """
        self._outbox, self._remote, self._database = outbox, remote, database
        self._limits = limits or ShipLimits()
        self._observe = observe
        self._journal = Journal(outbox.place)
        self._status = replace(read_status(outbox), state="off", reason="", next_try=None)
        self._told = 0.0
        self._lines_at_once, self._bytes_at_once = self._limits.lines_a_request, self._limits.bytes_a_request
        self._refused_in_a_row: dict[str, int] = {}
        self._failures = 0

    @property
    def status(self) -> ShipStatus:
        return self._status

    def run(self, stop: Event) -> None:
        """Ship until told to stop. While another process ships to this remote, wait to take over.

        Whatever goes wrong is logged and tried again. A request under way is waited for, at most its timeout: run this
        in a daemon thread where the program must end sooner; what was not acknowledged is sent again.
        """
        while not stop.is_set():
            try:
                with only_shipper(self._outbox):
                    self._ship_until(stop)
            except ShippedByOtherError as other:
                self._status = replace(read_status(self._outbox), state="off", reason=str(other))
                self._observe(self._status)
            except (StoreError, OSError) as problem:
                self._tell("holding", str(problem))
            except Exception as problem:  # noqa: BLE001 - else the thread ends unnoticed
                self._tell("holding", f"a fault of nettwin: {problem!r}")
            stop.wait(5 * self._limits.poll)

    def behind(self) -> bool:
        """Whether anything waits. Raises StoreError if the journal or the cursor can't be read."""
        return bool(self._journal.news(self._cursor()))

    def ship(self, *, stop: Event | None = None, within: float | None = None) -> ShipStatus:
        """Send what waits, once; the first trouble ends it and stands in the status.

        Args:
            within: no more is begun after so many seconds.

        Raises:
            ShippedByOtherError: another process ships to this remote.
            StoreError: the journal, the cursor or the dead-letter file can't be read or written.
        """
        ended = stop or Event()
        with only_shipper(self._outbox), _set_after(within, ended):
            trouble = self._drain(ended, self._open_box(), patient=False)
            self._tell_trouble(trouble, 0.0)
        return self._status

    def _ship_until(self, stop: Event) -> None:
        box = self._open_box()
        while not stop.is_set():
            trouble = self._drain(stop, box, patient=True)
            pause = self._pause(trouble) if trouble else self._limits.poll
            self._tell_trouble(trouble, pause)
            stop.wait(pause)
        self._tell("off")

    def _open_box(self) -> DeadLetterBox:
        begin_shipping(self._outbox)
        return DeadLetterBox(self._outbox, self._cursor(), self._limits.dead_letter_bytes)

    def _cursor(self) -> dict[str, int]:
        return positions(self._outbox.place, self._outbox.name) or {}

    def _drain(self, stop: Event, box: DeadLetterBox, *, patient: bool) -> Busy | Held | None:
        """Send all that waits, one portion of each kind in turn. Trouble with one kind does not stop the others."""
        closed: set[str] = set()
        trouble: Busy | Held | None = None
        while not stop.is_set():
            waiting = [kind for kind in self._journal.news(self._cursor()) if not self._places(kind) & closed]
            if not waiting:
                break
            for kind in waiting:
                found = self._ship_next(kind, stop, box, patient=patient)
                if isinstance(found, Busy) or (found and found.scope == "server"):
                    return found
                if found:
                    trouble = found
                    closed.add(kind if found.scope == "kind" else database_of(kind, self._database))
        return trouble

    def _places(self, kind: str) -> set[str]:
        return {kind, database_of(kind, self._database)}

    def _ship_next(self, kind: str, stop: Event, box: DeadLetterBox, *, patient: bool) -> Busy | Held | None:
        """The next portions of a kind, until one completes a version and the cursor is moved."""
        after = self._cursor().get(kind, NOTHING)
        for portion in self._journal.appended(kind, after):
            trouble = self._ship_portion(portion, stop, box, patient=patient)
            if trouble is not None:
                return trouble
            if portion.done is not None:
                self._journal.sync(kind, after, portion.done)
                advance(self._outbox.place, self._outbox.name, {kind: portion.done})
                box.settled(kind, portion.done)
                self._tell("shipping", often=False)
                return None
        return None

    def _ship_portion(self, portion: Portion, stop: Event, box: DeadLetterBox, *, patient: bool) -> Busy | Held | None:
        """Send it all, and put away what is refused."""
        if portion.rows.is_empty():
            return None
        kind = portion.kind
        lines = to_lines(to_block(kind, portion.rows, tuple(KINDS[kind].fields)))
        last = int(portion.rows[VERSION].item(-1))
        done = deliver(
            lines,
            lambda some: self._send(kind, some, stop if patient else None, last),
            requests=list(_requests(lines, self._lines_at_once, self._bytes_at_once)),
            limit=self._limits.refused_in_a_row,
            in_a_row=min(self._refused_in_a_row.get(kind, 0), self._limits.refused_in_a_row - 1),
        )
        self._refused_in_a_row[kind] = done.refused_in_a_row
        return done.held or self._settle(portion, lines, done, box)

    def _settle(self, portion: Portion, lines: Sequence[str], done: Delivery, box: DeadLetterBox) -> Held | None:
        if done.refused and box.full():
            return Held(f"the dead-letter file is full ({box.size:,} bytes): look at it, then empty it")
        versions, when = portion.rows[VERSION], now().isoformat(timespec="seconds")
        letters = [
            DeadLetter(self._outbox.name, portion.kind, versions[i], lines[i], reason, when)
            for i, reason in done.refused
        ]
        dead = box.put(letters)
        if letters:
            first = letters[0]
            _log.warning(
                "lines refused", remote=self._outbox.name, kind=portion.kind, lines=len(letters), reason=first.reason
            )
        if done.expired:
            _log.warning("too old for the server", remote=self._outbox.name, kind=portion.kind, lines=done.expired)
        self._status = replace(self._status, dead=self._status.dead + dead, expired=self._status.expired + done.expired)
        return None

    def _send(self, kind: str, lines: Sequence[str], stop: Event | None, version: int) -> Verdict:
        """One request, tried again while the server is busy or away (unless ``stop`` is None or set, or the operator
        gives up what is up to ``version``); one that took too long is halved."""
        while True:
            answer = self._remote.write(database_of(kind, self._database), lines)
            self._learn(answer, lines)
            if not isinstance(answer, Busy):
                self._failures = 0
                return answer
            if stop is None or stop.is_set():
                return answer
            pause = self._pause(answer)
            self._tell_trouble(answer, pause)
            if stop.wait(pause) or self._cursor().get(kind, NOTHING) >= version:
                return answer
            if answer.slow and len(lines) > FEWEST_LINES:
                return Refused(answer.reason, too_large=True)

    def _learn(self, answer: Verdict, lines: Sequence[str]) -> None:
        """Count, and fit what is sent at once to what the server takes."""
        status = self._status
        match answer:
            case Accepted():
                self._lines_at_once = min(2 * self._lines_at_once, self._limits.lines_a_request)
                self._status = replace(status, sent=status.sent + len(lines), last_success=now())
            case Busy(slow=slow):
                self._status = replace(status, retries=status.retries + 1)
                if slow:
                    self._lines_at_once = max(len(lines) // 2, FEWEST_LINES)
            case Refused(too_large=True):
                self._bytes_at_once = max(sum(map(len, lines)) // 2, FEWEST_BYTES)

    def _pause(self, trouble: Busy | Held) -> float:
        if isinstance(trouble, Held):
            return self._limits.patience.holding
        self._failures += 1
        return self._limits.patience.pause(self._failures, trouble.asked, random.random())  # noqa: S311 - no secret

    def _tell_trouble(self, trouble: Busy | Held | None, pause: float) -> None:
        if trouble is None:
            self._tell("idle")
        else:
            state: ShipState = "holding" if isinstance(trouble, Held) else "backing off"
            self._tell(state, trouble.reason, pause)

    def _tell(self, state: ShipState, reason: str = "", pause: float | None = None, *, often: bool = True) -> None:
        """Say how it goes: in the log when it changes, in the status file always, or unless it was told just now."""
        moment, before = now(), self._status
        next_try = None if pause is None else moment + timedelta(seconds=pause)
        told = replace(before, state=state, reason=reason, next_try=next_try)
        if before.state != state or (state == "holding" and before.reason != reason):
            _log_change(before, told)
        elif not often and moment.timestamp() - self._told < self._limits.poll:
            return
        self._told = moment.timestamp()
        with suppress(StoreError):
            told = told.with_backlog(backlog_of(self._journal, self._cursor()), moment)
        with suppress(OSError):
            write_status(self._outbox, told)
        self._status = told
        self._observe(told)


@contextmanager
def _set_after(seconds: float | None, event: Event) -> Iterator[None]:
    timer = Timer(seconds or 0.0, event.set)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _requests(lines: Sequence[str], lines_at_once: int, bytes_at_once: int) -> Iterator[range]:
    low = 0
    while low < len(lines):
        high, size = low, 0
        while high < len(lines) and high - low < lines_at_once and (high == low or size < bytes_at_once):
            size += len(lines[high])
            high += 1
        yield range(low, high)
        low = high


def _log_change(before: ShipStatus, after: ShipStatus) -> None:
    if after.state == "holding":
        _log.warning("shipping is held: somebody must act", remote=after.remote, reason=after.reason)
    elif after.state == "backing off":
        _log.warning("shipping waits: busy or away", remote=after.remote, reason=after.reason)
    elif before.state in {"holding", "backing off"}:
        _log.info("shipping again", remote=after.remote, state=after.state)
