"""Watching: each device in its own time, nothing held up by another, nothing lost on the way to the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from collectors.failures import Failed
from collectors.pace import Pace
from collectors.results import Polled, Round
from collectors.watch import Nudges, Results, Timing, Watch
from twin.vocab.inventory import Device

TICK = 0.05


def polled(device: str, values: int = 10) -> Polled:
    return Polled(device, "snmp", (), None, {}, 0.0, values)


@dataclass
class Scene:
    """Devices, how each behaves, and a store that refuses its first ``refusals`` rounds."""

    names: tuple[str, ...] = ("r1", "r2")
    slow: dict[str, float] = field(default_factory=dict)
    refusals: int = 0
    keep: int = 1_000_000
    interval: float = TICK
    asked: list[tuple[str, bool, bool]] = field(default_factory=list)
    stored: list[Round] = field(default_factory=list)
    nudges: Nudges = field(default_factory=Nudges)

    async def poll(self, device: Device, full: bool, urgent: bool) -> Results:
        self.asked.append((device.name, full, urgent))
        await asyncio.sleep(self.slow.get(device.name, 0.0))
        return (polled(device.name),)

    def deliver(self, taken: Round) -> bool:
        if self.refusals:
            self.refusals -= 1
            return False
        self.stored.append(taken)
        return True

    def play(self, seconds: float, meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None) -> Watch:
        timing = Timing(Pace(time.monotonic(), self.interval, 3), self.interval / 2, TICK, TICK, self.keep)
        made: list[Watch] = []

        async def main() -> None:
            devices = [Device(name, "192.0.2.1") for name in self.names]
            made.append(Watch(self.poll, devices, timing, self.deliver, self.nudges))
            aside = asyncio.create_task(meanwhile()) if meanwhile else None
            end = time.monotonic() + seconds
            await made[0].run(lambda: time.monotonic() > end)
            if aside:
                await aside

        asyncio.run(main())
        return made[0]

    def values(self, device: str) -> int:
        results = [r for taken in self.stored for r in taken.results.get(device, ())]
        return sum(r.values for r in results if isinstance(r, Polled))

    def count(self, device: str, *, urgent: bool = False) -> int:
        return sum(name == device and was == urgent for name, _, was in self.asked)


def test_all_that_is_polled_is_delivered() -> None:
    scene = Scene()
    watch = scene.play(8 * TICK)
    for name in scene.names:
        assert scene.count(name) >= 4
        assert scene.values(name) == 10 * scene.count(name)
    assert watch.progress.lost == watch.progress.waiting == 0
    assert scene.asked[0][1]
    assert not all(full for _, full, _ in scene.asked)


def test_a_slow_device_skips_its_own_polls_only() -> None:
    scene = Scene(slow={"r1": 5.5 * TICK})
    watch = scene.play(12 * TICK)
    assert scene.count("r1") <= 3
    assert scene.count("r2") >= 6
    assert watch.progress.skipped >= 4
    assert scene.values("r1") == 10 * scene.count("r1")


def test_what_the_store_refuses_is_offered_again() -> None:
    scene = Scene(refusals=3)
    watch = scene.play(8 * TICK)
    assert watch.progress.failed_deliveries == 3
    assert scene.values("r1") + scene.values("r2") == 10 * len(scene.asked)


def test_only_so_much_is_kept_and_what_is_lost_is_counted() -> None:
    scene = Scene(refusals=1000, keep=5 * 410)
    watch = scene.play(8 * TICK)
    assert watch.progress.waiting <= 20 + 50
    assert watch.progress.lost + watch.progress.waiting == 10 * len(scene.asked)


def test_a_storm_of_news_is_one_poll_out_of_turn() -> None:
    scene = Scene(interval=30.0, names=("r1",))

    async def storm() -> None:
        for _ in range(3):
            await asyncio.sleep(TICK / 10)
            for _ in range(100):
                scene.nudges("r1")
                scene.nudges("nobody")

    watch = scene.play(6 * TICK, storm)
    assert scene.count("r1", urgent=True) == 1
    assert watch.progress.out_of_turn == 1
    assert all(full for _, full, urgent in scene.asked if urgent)


def test_results_of_one_device_stay_together_and_apart() -> None:
    scene = Scene()
    scene.play(2 * TICK)
    failed = Failed("r1", "snmp", "silent", "no answer", 1.0)
    first = replace(scene.stored[0], results={"r1": (polled("r1"), failed)})
    assert [row["status"] for row in first.blocks()[-1].rows()] == ["ok", "silent"]
