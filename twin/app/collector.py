"""The collector that runs for ever: what a watch brings is stored, counted, and told once an interval."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from collectors.failures import Failed
from collectors.results import Polled, Round
from collectors.watch import Progress
from twin.app.collecting import OBSERVED, RoundReport, Upkeep, read_observed, store_round
from twin.app.collector_status import CollectorStatus, FailingPoll, Seconds
from twin.app.events import store_events
from twin.app.noticing import Identity, Noticing
from twin.store import Store, StoreError, latest_records
from twin.vocab.errors import NettwinError
from twin.vocab.events import Event
from twin.vocab.time import now

Tell = Callable[[str], None]
LATER = "kept, and tried again in a few seconds"
MOST_EVENTS = 100_000


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
        self._store, self._key, self._clock = store, key, clock
        self._devices, self._every, self.shard = devices, interval, shard
        self._report, self._tell = report, tell
        self._upkeep = Upkeep(store, clock)
        self._started = now()
        self._interval = _Interval(self._started, clock())
        self._last: dict[tuple[str, str], FailingPoll] = {}
        self._polls: Counter[tuple[str, str]] = Counter()
        self._values = self._requests = self._retries = self._stored = 0
        self._poll_seconds, self._store_seconds = Seconds(), Seconds()
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._noticing = Noticing(_identities(store))
        self._last_stored: datetime | None = None
        self._store_trouble = ""

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
        """Store a round; False if the store failed, and the round is to be offered again."""
        began = self._clock()
        try:
            samples, changed = store_round(self._store, taken, self._key)
            self._store_events()
        except StoreError as problem:
            self._trouble(str(problem))
            return False
        self._trouble("")
        self._store_seconds.add(self._clock() - began)
        self._stored += samples
        self._last_stored = now()
        self._interval.add(taken, samples, changed)
        if self._clock() - self._interval.started >= self._every:
            self.finish()
        self._maintain()
        return True

    def finish(self) -> None:
        """Report what came since the last report."""
        if self._interval.polled:
            self._report(self._interval.report(self._devices, self._clock()))
        self._interval = _Interval(now(), self._clock(), self._interval.failures, self._interval.answering)

    def _store_events(self) -> None:
        waiting = list(self._events)
        store_events(self._store, waiting)
        for _ in waiting:
            self._events.popleft()

    def _trouble(self, problem: str) -> None:
        if problem and not self._store_trouble:
            self._tell(f"not stored yet: {problem}; {LATER}")
        elif self._store_trouble and not problem:
            self._tell("stored again, what was kept included")
        self._store_trouble = problem

    def _maintain(self) -> None:
        try:
            self._upkeep()
        except StoreError as problem:
            self._tell(f"the store could not be maintained: {problem}")

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
            polls={f"{protocol} {status}": n for (protocol, status), n in self._polls.items()},
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
            lost=p.lost,
            store_seconds=self._store_seconds.frozen(),
            last_stored=self._last_stored,
            store_trouble=self._store_trouble,
            traps=dict(self.traps()),
        )


def _identities(store: Store) -> dict[str, Identity]:
    """What each device last said it is; a record that can't be read is as good as none."""
    found = {}
    for device, record in latest_records(store, OBSERVED).items():
        with suppress(NettwinError):
            found[device] = Identity.of(read_observed(record.content))
    return found
