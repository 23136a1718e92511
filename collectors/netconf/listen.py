"""Listens to the notifications of devices that offer them, each in a session and a thread of its own."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import structlog

from collectors.failures import PollError
from collectors.netconf.notifications import SOURCE, event_of
from collectors.netconf.wire import NotOfferedError, Sessions, Subscription
from collectors.pace import Policer
from twin.vocab.events import Event
from twin.vocab.inventory import Device
from twin.vocab.time import now

MOST_DEVICES = 64  # a session is three threads
CONNECT_S = 30.0
WAKE_S, TELL_LOST_S = 0.5, 60.0
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 600.0
log = structlog.get_logger(__name__)


class Listeners:
    """Subscribes to the default stream of every device and hands events to ``deliver``, from threads of its own.

    A session that ends is opened anew, after 5 s at first and 10 minutes at most; a device that turns us away or has
    no notifications is left alone for 10 minutes. What a device tells beyond ``policer`` is counted, and told by one
    event ``notificationsLost`` when it is quiet again, or after a minute. A context manager.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        deliver: Callable[[Event], None],
        *,
        policer: Policer = Policer(per_second=10.0, burst=50),  # noqa: B008 - frozen
        retry: tuple[float, float] = (FIRST_RETRY_S, LAST_RETRY_S),
    ) -> None:
        asked = [device for device in devices if device.netconf is not None and device.netconf.host_key]
        self.left_out = tuple(device.name for device in asked[MOST_DEVICES:])
        self._deliver, self._policer, self._retry = deliver, policer, retry
        self._sessions = Sessions()
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(device,), name=f"notifications {device.name}", daemon=True)
            for device in asked[:MOST_DEVICES]
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._sessions.close()
        for thread in self._threads:
            thread.join()

    def _follow(self, device: Device) -> None:
        first, last = self._retry
        wait, told = first, ""
        while not self._ending.is_set():
            try:
                with self._sessions.subscribed(device, deadline=CONNECT_S) as subscription:
                    log.info("listening", device=device.name)
                    wait, told = first, ""
                    self._listen(device, subscription)
            except PollError as problem:
                if problem.status == "auth" or isinstance(problem, NotOfferedError):
                    wait = last
                if problem.reason != told and not self._ending.is_set():
                    log.warning("not_listening", device=device.name, reason=problem.reason)
                told = problem.reason
            self._ending.wait(wait * random.uniform(0.8, 1.2))  # noqa: S311 - only spreads reconnections
            wait = min(last, 2 * wait)

    def _listen(self, device: Device, subscription: Subscription) -> None:
        policer, lost, since = self._policer, 0, time.monotonic()
        while not self._ending.is_set():
            notification = subscription.take(WAKE_S)
            present = time.monotonic()
            after, wait = policer.take(present)
            lost += subscription.dropped() + (notification is not None and wait > 0)
            if notification is not None and wait == 0:
                policer = after
                self._tell(device, notification)
            if lost and (notification is None or present - since > TELL_LOST_S):
                self._deliver(Event(device.name, "notificationsLost", "", SOURCE, f"{lost} in a burst", now()))
                lost, since = 0, present

    def _tell(self, device: Device, notification: str) -> None:
        user = device.netconf.user if device.netconf else ""
        event = event_of(device.name, user, notification, now())
        if event is not None:
            self._deliver(event)
