"""A collector whose disk is full for a while: it goes on polling, says so once, keeps what came and stores it later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from collectors.pace import Pace
from collectors.results import Polled
from collectors.watch import Results, Timing, Watch
from tests.store.small_disk import SmallDisk, small_disk
from twin.app.collector import Collector
from twin.app.events import read_events
from twin.store import Store, open_delta
from twin.store.place import LocalPlace
from twin.store.verify import verify
from twin.vocab.blocks import Block
from twin.vocab.inventory import Device
from twin.vocab.time import now

TICK, LONG = 0.05, 20.0
ALL = (np.datetime64("2000-01-01", "us"), np.datetime64("2100-01-01", "us"))


class Site:
    """One device that counts how often it was asked; a collector that stores what it said on the small disk."""

    def __init__(self, store: Store, disk: SmallDisk) -> None:
        self.disk = disk
        self.told: list[str] = []
        self.asked, self.began = 0, now()
        self.collector = Collector(
            store, b"k" * 32, devices=1, interval=60.0, shard="1/1", report=lambda _: None, tell=self.told.append
        )
        timing = Timing(Pace(time.monotonic(), TICK, 3), 0.0, TICK, TICK, longest_pause=4 * TICK)
        device = Device("r1", "192.0.2.1")
        self.watch = Watch(self._poll, [device], timing, self.collector.deliver, progress=self.collector.progress)

    async def _poll(self, device: Device, full: bool, urgent: bool) -> Results:
        self.asked += 1
        at = np.datetime64(now().replace(tzinfo=None), "us")
        block = Block.from_rows("device", [{"device": device.name, "uptime_cs": self.asked}], at)
        return (Polled(device.name, "snmp", (block,), None, {}, 0.0, 1),)

    async def until(self, true: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + LONG
        while not true():
            assert time.monotonic() < end, what
            await asyncio.sleep(TICK)

    async def play(self) -> int:
        """Well, full, well again; how many values waited at the worst."""
        ended = False
        running = asyncio.create_task(self.watch.run(lambda: ended))
        progress = self.collector.progress
        await self.until(lambda: self.asked > 5, "nothing was polled")
        self.disk.leave(0)
        await self.until(lambda: progress.failed_deliveries > 3, "no delivery failed")
        before = self.asked
        await self.until(lambda: self.asked > before + 10, "polling stood still")
        waited = progress.waiting
        self.disk.free()
        await self.until(lambda: not self.collector.status().store_trouble, "the store did not recover")
        ended = True
        await running
        self.collector.close()
        return waited


def test_it_degrades_with_one_clear_alarm_and_recovers_by_itself(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16) as disk:
        path = disk.folder / "s"
        with open_delta(path) as store:
            site = Site(store, disk)
            assert asyncio.run(site.play()) > 10
            counted = store.range("device", None, *ALL).fields["uptime_cs"].values.tolist()
            events = [(e.event, e.subject) for e in read_events(store, site.began, now())]
        assert counted == list(range(1, site.asked + 1))
        failed, well = site.told
        assert failed.startswith("not stored yet: ")
        assert "No space left on device" in failed
        assert failed.endswith("; kept, and tried again in a few seconds")
        assert well == "stored again, what was kept included"
        assert sorted(events) == [("alarm", "store"), ("alarm_over", "store")]
        assert site.collector.progress.lost == 0
        assert verify(LocalPlace(path)).whole
