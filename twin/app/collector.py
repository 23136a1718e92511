"""The collector that runs for ever: what a watch brings is stored, counted, and told once an interval."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from collectors.backlog import values_of
from collectors.failures import Failed
from collectors.results import Polled, Round
from collectors.watch import Progress
from twin.app.collecting import OBSERVED, Deliveries, RoundReport, read_observed
from twin.app.collector_status import CollectorStatus, FailingPoll, Seconds
from twin.app.events import event_block, store_events
from twin.app.noticing import Identity, Noticing
from twin.app.render import age
from twin.app.store_watch import StoreFigures
from twin.store import Store, StoreError, latest_records
from twin.vocab.blocks import Block
from twin.vocab.errors import NettwinError
from twin.vocab.events import Event
from twin.vocab.time import now

Tell = Callable[[str], None]
LATER = "kept, and tried again in a few seconds"
MOST_EVENTS = 100_000
OWN, SOURCE = "nettwin", "collector"


@dataclass
class _Interval:
    """What came since the last report; ``failures`` and ``answering``: how polls last ended, as known from before."""

    began: datetime
    started: float
    failures: dict[tuple[str, str], Failed] = field(default_factory=dict)
    answering: set[tuple[str, str]] = field(default_factory=set)
    polled: bool = False
    samples: int = 0
    changed: list[str] = field(default_factory=list)

    def add(self, taken: Round, samples: int, changed: tuple[str, ...]) -> None:
        self.samples += samples
        self.changed += changed
        for device, results in taken.results.items():
            self.polled = True
            for result in results:
                who = (device, result.protocol)
                if isinstance(result, Failed):
                    self.failures[who] = result
                    self.answering.discard(who)
                else:
                    self.answering.add(who)
                    self.failures.pop(who, None)

    def report(self, devices: int, clock: float) -> RoundReport:
        return RoundReport(
            self.began,
            devices,
            len({device for device, _ in self.answering}),
            self.samples,
            tuple(self.failures.values()),
            tuple(dict.fromkeys(self.changed)),
            clock - self.started,
        )


class Collector:
    """Delivers to the store and counts. ``deliver`` belongs to one thread, ``heard`` to the polling one.

    Args:
        key: what secrets in configurations are hashed with.
        interval: seconds between reports.
        report: called with what each interval brought.
        tell: called with a line when the store fails, and when it works again.
    """

    def __init__(
        self,
        store: Store,
        key: bytes,
        *,
        devices: int,
        interval: float,
        shard: str,
        report: Callable[[RoundReport], None],
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.progress = Progress()
        self.traps: Callable[[], Mapping[str, int]] = dict
        self.surroundings: Callable[[], StoreFigures] = StoreFigures
        self._store, self._clock = store, clock
        self._deliveries = Deliveries(store, key, f"collect-{shard.replace('/', 'of')}")
        self._devices, self._every, self.shard = devices, interval, shard
        self._report, self._tell = report, tell
        self._started = now()
        self._interval = _Interval(self._started, clock())
        self._last: dict[tuple[str, str], FailingPoll] = {}
        self._polls: Counter[tuple[str, str]] = Counter()
        self._values = self._requests = self._retries = self._stored = self._refused = 0
        self._poll_seconds, self._store_seconds = Seconds(), Seconds()
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._noticing = Noticing(_identities(store))
        self._last_stored: datetime | None = None
        self._store_trouble = ""
        self._trouble_since: datetime | None = None
        self._losing = False

    def heard(self, result: Polled | Failed) -> None:
        """Count one poll."""
        key = (result.device, result.protocol)
        before = self._last.get(key)
        since = before.since if before and before.status == result.status else now()
        self._last[key] = FailingPoll(result.device, result.protocol, result.status, result.reason, since)
        self._polls[result.protocol, result.status] += 1
        self._poll_seconds.add(result.seconds)
        for event in self._noticing.notice(result, now()):
            self.happened(event)
        if isinstance(result, Polled):
            self._values += result.values
            self._requests += result.requests
            self._retries += result.retries

    def happened(self, event: Event) -> None:
        """Something to store beside the samples. May be called from any thread; the oldest of too many are dropped."""
        self._events.append(event)

    def deliver(self, taken: Round) -> bool:
        """Store a round; False if the store failed, and the round is to be offered again before any other."""
        began = self._clock()
        try:
            stored = self._deliveries.put(taken, self._take_events)
        except StoreError as problem:
            self._trouble(str(problem))
            return False
        except ValueError as problem:
            self._refuse(taken, problem)
            return True
        self._well_again()
        self._store_seconds.add(self._clock() - began)
        self._stored += stored.values
        self._last_stored = now()
        self._interval.add(taken, stored.values, stored.changed)
        if self._clock() - self._interval.started >= self._every:
            self.finish()
        return True

    def finish(self) -> None:
        """Report what came since the last report."""
        if self._interval.polled:
            self._report(self._interval.report(self._devices, self._clock()))
        self._interval = _Interval(now(), self._clock(), self._interval.failures, self._interval.answering)

    def close(self) -> None:
        """Report, and store what happened since the last round; call it when nothing more is delivered."""
        self.finish()
        try:
            store_events(self._store, self._all_events())
        except StoreError as problem:
            self._trouble(str(problem))

    def _take_events(self) -> Sequence[Block]:
        events = self._all_events()
        return [event_block(events)] if events else []

    def _all_events(self) -> list[Event]:
        """Taken from the queue one by one: others append to it meanwhile."""
        taken: list[Event] = []
        with suppress(IndexError):
            while len(taken) < MOST_EVENTS:
                taken.append(self._events.popleft())
        return taken

    def _trouble(self, problem: str) -> None:
        if not self._store_trouble:
            self._trouble_since = now()
            self._tell(f"not stored yet: {problem}; {LATER}")
            self.told("alarm", "store", problem)
        elif self.progress.lost and not self._losing:
            self._tell("more waits than is kept: from now on the oldest values are lost")
            self._losing = True
        self._store_trouble = problem

    def _well_again(self) -> None:
        if self._trouble_since is None:
            return
        self._tell("stored again, what was kept included")
        lasted = age((now() - self._trouble_since).total_seconds())
        self.told("alarm_over", "store", f"after {lasted}: {self._store_trouble}; {self.progress.lost:,} values lost")
        self._store_trouble, self._trouble_since, self._losing = "", None, False

    def _refuse(self, taken: Round, problem: ValueError) -> None:
        """What does not fit the schema now never will; that it came so far is a fault of nettwin."""
        lost = sum(values_of(result) for results in taken.results.values() for result in results)
        self._refused += lost
        self._tell(f"{lost:,} values can't be stored, and are lost: {problem}")

    def told(self, event: str, subject: str, detail: str) -> None:
        """Something about the collecting itself: an event of no device but ``nettwin``. From any thread."""
        self.happened(Event(OWN, event, subject, SOURCE, f"collector {self.shard}: {detail}", now()))

    def status(self) -> CollectorStatus:
        """How the collector is now."""
        p, last = self.progress, list(self._last.values())
        return CollectorStatus(
            shard=self.shard,
            started=self._started,
            updated=now(),
            interval_s=self._every,
            devices=self._devices,
            now=dict(Counter(f"{poll.protocol} {poll.status}" for poll in last)),
            failing=tuple(poll for poll in last if poll.status != "ok"),
            polls={f"{protocol} {status}": n for (protocol, status), n in list(self._polls.items())},
            poll_seconds=self._poll_seconds.frozen(),
            skipped=p.skipped,
            out_of_turn=p.out_of_turn,
            under_way=p.running,
            late_s=p.late_s,
            values=self._values,
            requests=self._requests,
            retries=self._retries,
            stored=self._stored,
            waiting=p.waiting,
            lost=p.lost + self._refused,
            store_seconds=self._store_seconds.frozen(),
            last_stored=self._last_stored,
            store_trouble=self._store_trouble,
            trouble_since=self._trouble_since,
            traps=dict(self.traps()),
            surroundings=self.surroundings(),
        )


def _identities(store: Store) -> dict[str, Identity]:
    """What each device last said it is; a record that can't be read is as good as none."""
    found = {}
    for device, record in latest_records(store, OBSERVED).items():
        with suppress(NettwinError):
            found[device] = Identity.of(read_observed(record.content))
    return found
