"""Asking one device and waiting for its answer: repeats what gets lost, ignores what answers nothing."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from collectors.failures import PollError
from collectors.pace import Policer
from collectors.snmp.ber import MalformedError
from collectors.snmp.patience import RoundTrip, waits
from collectors.snmp.transport import Endpoint, Port
from collectors.snmp.wire import Tally
from twin.vocab.inventory import SnmpAccess

T = TypeVar("T")
BROKEN_TRIES = 2  # times asked, each answered by something malformed, until that is the device's answer
IDS_AT_ONCE = 1024
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


@dataclass
class Manners:
    """What was learnt about asking a device: its round-trip time, and when it may be asked next."""

    trip: RoundTrip = field(default_factory=RoundTrip)
    policer: Policer | None = None


@dataclass
class _Question(Generic[T]):
    """What is being asked: how to read an answer, and what came instead of one."""

    request_id: int
    read: Callable[[bytes], T]
    answered: asyncio.Future[T | None]
    broken: bool = False
    remark: str = ""


@dataclass
class Conversation:
    """With the agent at one endpoint; one request at a time.

    Raises (all operations):
        PollError: no answer in time, nobody there, or answers that can't be read.
    """

    endpoint: Endpoint
    access: SnmpAccess
    manners: Manners
    tally: Tally = field(default_factory=Tally)
    _question: _Question[Any] | None = None

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._port: Port | None = None

    def close(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None

    async def ask(
        self, request_id: int, seal: Callable[[], bytes], read: Callable[[bytes], T], *, until: float = math.inf
    ) -> T:
        """Send what ``seal`` writes until ``read`` accepts what came.

        Args:
            request_id: tells whether something malformed was meant as the answer.
            seal: called for each try.
            read: raises MalformedError for what is no answer to this.
            until: when to give up (the loop's clock, which is time.monotonic).
        """
        question: _Question[T] = _Question(request_id, read, self._loop.create_future())
        self._question = question
        trip, broken = self.manners.trip, 0
        try:
            jitter = random.random()  # noqa: S311 - spreads repeats, guards nothing
            for tries, wait in enumerate(waits(trip.rto, self.access.timeout, self.access.retries, jitter)):
                if self.manners.policer is not None:
                    await self._turn(self.manners.policer)
                sent = self._loop.time()
                timer = self._loop.call_later(max(0.0, min(wait, until - sent)), _expire, question.answered)
                try:
                    self._send(seal(), again=tries > 0)
                    answer = await question.answered
                finally:
                    timer.cancel()
                if answer is not None:
                    longest = self.access.timeout
                    self.manners.trip = trip.backed_off(longest) if tries else trip.after(self._loop.time() - sent)
                    return answer
                broken += question.broken
                if broken >= BROKEN_TRIES or self._loop.time() >= until:
                    break
                question.answered, question.broken = self._loop.create_future(), False
        finally:
            self._question = None
        if broken:
            raise PollError("error", f"its answers can't be read: {question.remark}")
        raise PollError("silent", f"no answer that can be read: {question.remark}" if question.remark else "no answer")

    async def _turn(self, policer: Policer) -> None:
        """Wait until the device may be asked again."""
        self.manners.policer, pause = policer.take(self._loop.time())
        if pause > 0:
            await asyncio.sleep(pause)

    def _send(self, datagram: bytes, *, again: bool) -> None:
        if self._port is None:
            self._port = self._open()
        self.tally.requests += 1
        self.tally.retries += again
        self._port.send(datagram)

    def _open(self) -> Port:
        try:
            connected = not self.access.unconnected
            return Port(self.endpoint, connected=connected, received=self._received, failed=self._failed)
        except OSError as problem:
            raise self._problem(problem) from None

    def _received(self, datagram: bytes) -> None:
        question = self._question
        if question is None or question.answered.done():
            self.tally.ignored += 1
            return
        try:
            answer = question.read(datagram)
        except MalformedError as problem:
            self.tally.ignored += 1
            question.remark = str(problem)
            question.broken |= problem.request_id == question.request_id
        except PollError as problem:
            question.answered.set_exception(problem)
        else:
            question.answered.set_result(answer)

    def _failed(self, problem: OSError) -> None:
        if self._question is not None and not self._question.answered.done():
            self._question.answered.set_exception(self._problem(problem))

    def _problem(self, problem: OSError) -> PollError:
        if problem.errno == errno.ECONNREFUSED:
            return PollError("silent", f"nothing listens at port {self.access.port}: connection refused")
        if problem.errno in _UNREACHABLE:
            return PollError("silent", f"unreachable: {os.strerror(problem.errno)}")
        return PollError("error", f"can't send: {os.strerror(problem.errno or 0)}")


_drawn: list[int] = []


def fresh_id() -> int:
    """A request-id nobody can guess (31 bits), for answers are told by it; drawn by the thousand, which is cheaper."""
    if not _drawn:
        octets = os.urandom(4 * IDS_AT_ONCE)
        _drawn.extend(int.from_bytes(octets[at : at + 4]) >> 1 for at in range(0, len(octets), 4))
    return _drawn.pop()


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)
