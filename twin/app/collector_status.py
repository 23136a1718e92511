"""How a running collector is: kept in a small file beside the data, and told as a table, JSON or Prometheus text."""

from __future__ import annotations

import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from twin.app.store_watch import StoreFigures
from twin.vocab.errors import UsageError
from twin.vocab.plain import from_plain

STATUS_VERSION = 2
RECENT = 2000
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True)
class FailingPoll:
    """How a device last answered by one protocol, and since when so. ``reason``: why it gave nothing."""

    device: str
    protocol: str
    status: str
    reason: str
    since: datetime


@dataclass(frozen=True)
class SecondsSeen:
    """A histogram: how many took at most ``BUCKETS[i]`` seconds (not cumulated; the last: longer), and their sum.

    ``median_s``, ``p99_s`` and ``longest_s`` are those of the last ``RECENT``.
    """

    counts: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)
    total_s: float = 0.0
    median_s: float = 0.0
    p99_s: float = 0.0
    longest_s: float = 0.0


@dataclass
class Seconds:
    """The same, while it grows."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total_s: float = 0.0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def add(self, seconds: float) -> None:
        self.recent.append(seconds)
        self.counts[next((i for i, edge in enumerate(BUCKETS) if seconds <= edge), len(BUCKETS))] += 1
        self.total_s += seconds

    def frozen(self) -> SecondsSeen:
        ordered = sorted(self.recent.copy()) or [0.0]
        last = len(ordered) - 1
        return SecondsSeen(
            tuple(self.counts), self.total_s, ordered[last // 2], ordered[math.ceil(0.99 * last)], ordered[last]
        )


@dataclass(frozen=True)
class CollectorStatus:
    """One collector. ``now``: how many devices are in each ``protocol status``; other figures count since ``started``.

    ``store_trouble`` and ``trouble_since``: why the store takes nothing, "" and None if it does.
    ``skipped``: polls not made because the one before still ran; ``waiting`` and ``lost``: values not stored yet, and
    never; ``late_s``: how late the last poll began; ``traps``: notifications taken, and dropped for which reason;
    ``surroundings``: free disk, shipping, alarms.
    """

    shard: str
    started: datetime
    updated: datetime
    interval_s: float
    devices: int
    now: dict[str, int]
    failing: tuple[FailingPoll, ...]
    polls: dict[str, int]
    poll_seconds: SecondsSeen
    skipped: int
    out_of_turn: int
    under_way: int
    late_s: float
    values: int
    requests: int
    retries: int
    stored: int
    waiting: int
    lost: int
    store_seconds: SecondsSeen
    last_stored: datetime | None
    store_trouble: str
    trouble_since: datetime | None = None
    traps: dict[str, int] = field(default_factory=dict)
    surroundings: StoreFigures = field(default_factory=StoreFigures)
    pid: int = field(default_factory=os.getpid)
    schema_version: int = STATUS_VERSION

    def is_running(self, present: datetime) -> bool:
        """Whether its process is there and it told of itself lately."""
        fresh = (present - self.updated).total_seconds() < max(60.0, 3 * self.interval_s)
        return fresh and Path(f"/proc/{self.pid}").exists()


def status_file(folder: Path, shard: str) -> Path:
    return folder / f"collect-{shard.replace('/', 'of')}.json"


def read_statuses(folder: Path) -> tuple[CollectorStatus, ...]:
    """Of every collector that ever ran on this data folder; files of another form are passed over."""
    found = []
    for path in sorted(folder.glob("collect-*of*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            plain = json.loads(path.read_text(encoding="utf-8"))
            if plain["schema_version"] == STATUS_VERSION:
                found.append(from_plain(CollectorStatus, plain))
    return tuple(found)


def prometheus_text(statuses: tuple[CollectorStatus, ...]) -> str:
    """The statuses in Prometheus' text form."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(lambda: statuses))
    return generate_latest(registry).decode()


@contextmanager
def served(address: str, status: Callable[[], CollectorStatus]) -> Iterator[None]:
    """Answer Prometheus at ADDRESS:PORT while inside.

    Raises:
        UsageError: that address can't be listened at.
    """
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(lambda: (status(),)))
    host, _, port = address.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except OSError as problem:
        hint = "; ports below 1024 need root, 9469 does not" if isinstance(problem, PermissionError) else ""
        raise UsageError(
            f"collect.metrics: can't listen at {address}: {problem.strerror or problem}{hint}"
        ) from problem
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class _Told:
    statuses: Callable[[], tuple[CollectorStatus, ...]]

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        yield from self._by_status(
            "nettwin_collect_devices", "Devices by how they last answered.", "now", GaugeMetricFamily
        )
        yield from self._by_status("nettwin_collect_polls", "Polls by how they ended.", "polls", CounterMetricFamily)
        for name, text in _GAUGES.items():
            yield self._plain(f"nettwin_collect_{name}", text, name, GaugeMetricFamily)
        for name, text in _COUNTERS.items():
            yield self._plain(f"nettwin_collect_{name}", text, name, CounterMetricFamily)
        yield self._traps(CounterMetricFamily)
        yield from self._store()
        yield self._histogram("nettwin_collect_poll_seconds", "How long polls took.", "poll_seconds")
        yield self._histogram("nettwin_collect_store_seconds", "How long storing took.", "store_seconds")

    def _by_status(self, name: str, text: str, attribute: str, family: Any) -> Iterator[Any]:
        made = family(name, text, labels=("shard", "protocol", "status"))
        for status in self.statuses():
            for words, number in getattr(status, attribute).items():
                made.add_metric((status.shard, *words.split()), number)
        yield made

    def _traps(self, family: Any) -> Any:
        text = "Traps and informs, taken or dropped for which reason."
        made = family("nettwin_collect_traps", text, labels=("shard", "outcome"))
        for status in self.statuses():
            for outcome, number in status.traps.items():
                made.add_metric((status.shard, outcome), number)
        return made

    def _store(self) -> Iterator[Any]:
        """Where several collectors share a store, each tells what it sees."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        free = GaugeMetricFamily("nettwin_store_free_bytes", "Free where the store lies.", labels=("shard",))
        alarms = GaugeMetricFamily("nettwin_alarm", "1 for what is wrong with the store.", labels=("shard", "subject"))
        state = GaugeMetricFamily("nettwin_ship_state", "1 for the state shipping is in.", labels=("shard", "state"))
        figures: dict[str, Any] = {
            **{n: GaugeMetricFamily(f"nettwin_ship_{n}", t, labels=("shard",)) for n, t in _SHIP_GAUGES.items()},
            **{n: CounterMetricFamily(f"nettwin_ship_{n}", t, labels=("shard",)) for n, t in _SHIP_COUNTERS.items()},
        }
        for status in self.statuses():
            seen, shard = status.surroundings, status.shard
            if seen.free_bytes is not None:
                free.add_metric((shard,), seen.free_bytes)
            for subject in (*(seen.alarms or ()), *(("store",) if status.store_trouble else ())):
                alarms.add_metric((shard, subject), 1)
            if seen.ship is not None:
                state.add_metric((shard, seen.ship.state), 1)
                for name, family in figures.items():
                    family.add_metric((shard,), getattr(seen.ship, name))
        yield from (free, alarms, state, *figures.values())

    def _plain(self, name: str, text: str, attribute: str, family: Any) -> Any:
        made = family(name, text, labels=("shard",))
        for status in self.statuses():
            value = getattr(status, attribute)
            made.add_metric((status.shard,), value.timestamp() if isinstance(value, datetime) else value or 0)
        return made

    def _histogram(self, name: str, text: str, attribute: str) -> Any:
        from prometheus_client.core import HistogramMetricFamily

        made = HistogramMetricFamily(name, text, labels=("shard",))
        for status in self.statuses():
            seen: SecondsSeen = getattr(status, attribute)
            edges = [*map(str, BUCKETS), "+Inf"]
            cumulated = [(edge, sum(seen.counts[: i + 1])) for i, edge in enumerate(edges)]
            made.add_metric((status.shard,), cumulated, seen.total_s)
        return made


_GAUGES = {
    "under_way": "Polls under way.",
    "late_s": "How late the last poll began, seconds.",
    "waiting": "Measured values not stored yet.",
    "last_stored": "When something was last stored, seconds since 1970.",
    "updated": "When these figures were taken, seconds since 1970.",
}
_SHIP_GAUGES = {
    "backlog_rows": "Rows that wait to be shipped.",
    "backlog_bytes": "Bytes of data files that wait to be shipped.",
    "backlog_age_s": "How long the oldest of them waits, seconds.",
    "quota": "Bytes that may wait before nothing more is stored.",
}
_SHIP_COUNTERS = {
    "sent": "Points sent.",
    "dead": "Lines refused for good.",
    "expired": "Points older than the server keeps them.",
    "retries": "Requests that came to nothing, and were sent again.",
}
_COUNTERS = {
    "skipped": "Polls not made because the one before still ran.",
    "out_of_turn": "Polls made at once because something was told of the device.",
    "values": "Values read.",
    "requests": "SNMP requests sent.",
    "retries": "SNMP requests sent again.",
    "stored": "Measured values stored.",
    "lost": "Measured values that could never be stored.",
}
