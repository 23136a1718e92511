"""What was polled is in the store once and in order, however often the store refuses, stops half way or seems to."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from collectors.backlog import Backlog, room_of
from collectors.results import Polled
from twin.app.collector import Collector
from twin.app.events import read_events
from twin.store import Batch, StoreError, latest_records, open_delta
from twin.vocab.blocks import Block
from twin.vocab.events import Event

Fault = Literal["refuses", "stops half way", "stores and fails", ""]
BEGAN = np.datetime64("2026-01-01T00:00:00", "us")
START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
VALUES = 3


def polled(number: int) -> Polled:
    at = BEGAN + np.timedelta64(number, "s")
    device = f"r{number % 2}"
    block = Block.from_rows("device", [{"device": device, "uptime_cs": number}], at)
    return Polled(device, "snmp", (block,), None, {"config": f"hostname {number}"}, 0.1, VALUES, at=at)


class Flaky:
    """A real store that does what ``fault`` says with its next write."""

    def __init__(self, path: Path) -> None:
        self.inner, self.fault = open_delta(path), ""
        self.numbers: list[int] = []

    def write(self, blocks: Sequence[Block], batch: Batch | None = None) -> None:
        fault, self.fault = self.fault, ""
        if fault == "refuses":
            raise StoreError("disk full")
        self.inner.write(blocks[:1] if fault == "stops half way" else blocks, batch)
        if fault:
            raise StoreError("disk full")
        if batch:
            self.numbers.append(batch.number)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Machine(RuleBasedStateMachine):
    """Polls come, events happen, and rounds are offered to a store that may fail."""

    @initialize(keep=st.sampled_from([4, 1000]), most=st.sampled_from([1, 3, 1000]))
    def begin(self, keep: int, most: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = Flaky(Path(self.folder.name) / "store")
        self.collector = Collector(
            self.store,
            b"k" * 32,
            devices=2,
            interval=60.0,
            shard="1/1",
            report=lambda _: None,
            tell=lambda _: None,
        )
        each = room_of(polled(0))
        self.backlog = Backlog(keep * each, most * each)
        self.came: list[Polled] = []
        self.happened = 0

    @rule(count=st.integers(1, 4))
    def polls(self, count: int) -> None:
        for _ in range(count):
            self.came.append(polled(len(self.came)))
            self.backlog.add([self.came[-1]])

    @rule()
    def happens(self) -> None:
        self.happened += 1
        at = START + timedelta(seconds=self.happened)
        self.collector.happened(Event("r1", "linkDown", "eth1", "snmp-trap", "", at))

    @rule(fault=st.sampled_from(["", "refuses", "stops half way", "stores and fails"]))
    def hands_on(self, fault: Fault) -> None:
        self.store.fault = fault
        if (taken := self.backlog.offer()) is None:
            return
        again = self.backlog.offer()
        assert again is taken
        if self.collector.deliver(taken):
            self.backlog.stored()

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        with self.folder, self.store.inner:
            self.store.fault = ""
            while (taken := self.backlog.offer()) is not None:
                assert self.collector.deliver(taken)
                self.backlog.stored()
            self.collector.close()
            self.check()

    def check(self) -> None:
        stored = sorted(row["uptime_cs"] for row in self.store.range("device", None, START, END).rows())
        assert self.backlog.waiting == 0
        assert self.backlog.done == self.backlog.came == len(self.came)
        assert self.backlog.lost == VALUES * (len(self.came) - len(stored))
        assert self.store.numbers == list(range(len(self.store.numbers)))
        rows = {kind.kind: kind.rows for kind in self.store.health().kinds}
        assert rows.get("device", 0) == rows.get("record", 0) == rows.get("poll", 0) == len(stored)
        told = [event for event in read_events(self.store.inner, START, END) if event.device != "nettwin"]
        assert len(told) == self.happened
        assert rows.get("event", 0) == len(read_events(self.store.inner, START, END))
        newest = {f"r{number % 2}": f"hostname {number}" for number in stored}
        assert {d: r.content for d, r in latest_records(self.store.inner, "config").items()} == newest


def test_rounds_are_stored_once_and_in_order() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=12, stateful_step_count=12, deadline=None))


def test_what_is_lost_is_the_oldest_that_was_not_offered() -> None:
    each = room_of(polled(0))
    backlog = Backlog(2 * each)
    polls = [polled(number) for number in range(5)]
    backlog.add(polls[:1])
    first = backlog.offer()
    backlog.add(polls[1:])
    assert (backlog.lost, backlog.waiting, backlog.offer()) == (2 * VALUES, 3 * VALUES, first)
    backlog.stored()
    second = backlog.offer()
    assert second is not None
    assert [result for results in second.results.values() for result in results] == polls[3:]
    assert second.number == 1
