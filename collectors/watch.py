"""Polling for ever: each device at its own times, what came handed on every few seconds.

A device whose last poll is still running when the next is due skips that one; the others do not notice. A round that
is refused is offered again as it was, and those after it wait: see ``collectors.backlog``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from collectors.backlog import Backlog
from collectors.failures import Failed
from collectors.pace import Pace
from collectors.results import Polled, Round
from twin.vocab.inventory import Device

Results = tuple[Polled | Failed, ...]
Poll = Callable[[Device, bool, bool], Awaitable[Results]]

Deliver = Callable[[Round], bool]
STOP_CHECK_S = 0.1


@dataclass(frozen=True)
class Timing:
    """When devices are asked. Seconds.

    Args:
        pace: the common grid; each device has its own share of ``spread`` added.
        hand_on: how often what came is delivered.
        longest_pause: how long at most after a refusal until the next try; it doubles from ``hand_on`` on.
        settle: how long after something was told of a device it is asked out of turn; a storm is one poll.
        keep: how many measured values are kept while they can't be delivered; beyond that the oldest are lost.
    """

    pace: Pace
    spread: float
    hand_on: float = 5.0
    settle: float = 1.0
    keep: int = 20_000_000
    longest_pause: float = 30.0


@dataclass
class Progress:
    """How the watching goes, for whoever wants to know: totals since it began.

    ``skipped``: polls not made because the last one still ran; ``lost``: measured values that could never be
    delivered; ``waiting``: values not delivered yet; ``late_s``: how late the last begun poll was.
    """

    polls: int = 0
    skipped: int = 0
    out_of_turn: int = 0
    running: int = 0
    waiting: int = 0
    lost: int = 0
    late_s: float = 0.0
    deliveries: int = 0
    failed_deliveries: int = 0


class Nudges:
    """Devices to ask out of turn, named from any thread. Names that are not watched are ignored."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._events: dict[str, asyncio.Event] = {}

    def __call__(self, device: str) -> None:
        loop, event = self._loop, self._events.get(device)
        if loop is not None and event is not None:
            with suppress(RuntimeError):  # the watch has just ended
                loop.call_soon_threadsafe(event.set)

    def bind(self, names: Iterable[str]) -> dict[str, asyncio.Event]:
        """Called inside the loop that watches."""
        self._loop, self._events = asyncio.get_running_loop(), {name: asyncio.Event() for name in names}
        return self._events


@dataclass
class Watch:
    """Watches ``devices`` until told to stop.

    ``poll(device, full, urgent)`` never raises; ``deliver`` runs in a thread, one at a time, and says whether it is
    done with the round; if not, it is offered again, the same and with the same number.
    """

    poll: Poll
    devices: Sequence[Device]
    timing: Timing
    deliver: Deliver
    nudges: Nudges = field(default_factory=Nudges)
    progress: Progress = field(default_factory=Progress)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._backlog = Backlog(self.timing.keep)

    async def run(self, stop: Callable[[], bool]) -> None:
        """Returns when ``stop`` says so, the polls under way are done and all that came is delivered or lost."""
        events = self.nudges.bind(device.name for device in self.devices)
        following = [asyncio.create_task(self._follow(device, events[device.name])) for device in self.devices]
        delivering = asyncio.create_task(self._deliver_for_ever())
        try:
            while not stop():  # noqa: ASYNC110 - told by a signal handler, from outside the loop
                await asyncio.sleep(STOP_CHECK_S)
            self._stopping.set()
            for event in events.values():
                event.set()
            await asyncio.gather(*following, delivering)
        finally:
            for task in (*following, delivering):
                task.cancel()
        await self._deliver()

    async def _follow(self, device: Device, nudge: asyncio.Event) -> None:
        pace = self.timing.pace.staggered(device.name, self.timing.spread)
        number, missed = 0, 0
        while True:
            due = pace.due(number)
            nudged = await self._until(due, nudge)
            if self._stopping.is_set():
                return
            if nudged:
                self.progress.out_of_turn += 1
                await self._ask(device, full=True, urgent=True)
            else:
                self.progress.late_s = time.monotonic() - due
                await self._ask(device, full=pace.is_full(number), urgent=False)
                number, missed = pace.next_round(number, time.monotonic())
                self.progress.skipped += missed

    async def _until(self, due: float, nudge: asyncio.Event) -> bool:
        """Wait until the poll is due; True if nudged before, and the news had time to settle."""
        try:
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await nudge.wait()
        except TimeoutError:
            return False
        if not self._stopping.is_set():
            await asyncio.sleep(self.timing.settle)
        nudge.clear()
        return True

    async def _ask(self, device: Device, *, full: bool, urgent: bool) -> None:
        self.progress.polls += 1
        self.progress.running += 1
        try:
            results = await self.poll(device, full, urgent)
        finally:
            self.progress.running -= 1
        self._backlog.add(results)
        self._count()

    async def _deliver_for_ever(self) -> None:
        pause = self.timing.hand_on
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            if not self._stopping.is_set():
                well = await self._deliver()
                pause = self.timing.hand_on if well else min(2 * pause, self.timing.longest_pause)

    async def _deliver(self) -> bool:
        """Hand on all that has come by now; False if a round was refused."""
        goal = self._backlog.came
        while self._backlog.done < goal and (taken := self._backlog.offer()) is not None:
            done = await asyncio.get_running_loop().run_in_executor(None, self.deliver, taken)
            self.progress.deliveries += 1
            if not done:
                self.progress.failed_deliveries += 1
                return False
            self._backlog.stored()
            self._count()
        return True

    def _count(self) -> None:
        self.progress.waiting, self.progress.lost = self._backlog.waiting, self._backlog.lost
