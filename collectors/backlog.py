"""What came and is not stored yet: rounds in the order they came, each with a number of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from collectors.failures import Failed
from collectors.results import Polled, Round
from twin.vocab.time import instant, now

_RESULT, _INTERFACE, _OCTETS = 400, 100, 9  # room of a result, of an interface seen and of text, in that of a value


class Backlog:
    """Rounds for a store that may refuse them. Not for several threads at once.

    A round that was offered stays the same, number and all, until it is stored: so a store that knows the number
    takes it once. What came later waits behind it, and becomes a round only when that is stored.

    Args:
        keep: how much may wait, in measured values (about 9 octets each; text and what was observed take their share).
            What is more is lost, the oldest first, but never a round that was offered: it may be stored already.
        most: about how much one round may hold.

    ``came``: results so far; ``done``: those of them stored or lost; ``waiting`` and ``lost``: measured values.
    """

    def __init__(self, keep: int, most: int = 2_000_000) -> None:
        self._keep, self._most = keep, most
        self._came: deque[Polled | Failed] = deque()
        self._offered: Round | None = None
        self._room = 0
        self._number = 0
        self.came = self.done = 0
        self.waiting = self.lost = 0

    def add(self, results: Iterable[Polled | Failed]) -> None:
        """What a poll brought."""
        for result in results:
            self._came.append(result)
            self.came += 1
            self._room += room_of(result)
            self.waiting += values_of(result)
        while self._room > self._keep and self._came:
            self._lose()

    def offer(self) -> Round | None:
        """The round to store next; None if nothing waits."""
        if self._offered is None and self._came:
            self._offered = as_round(self._number, self._next())
            self._number += 1
        return self._offered

    def stored(self) -> None:
        """The round offered last is stored."""
        assert self._offered is not None
        results = [result for of_device in self._offered.results.values() for result in of_device]
        self.waiting -= sum(map(values_of, results))
        self.done += len(results)
        self._offered = None

    def _next(self) -> list[Polled | Failed]:
        """The oldest that make a round: not too much, and of no device two full readings (each is a version)."""
        taken: list[Polled | Failed] = []
        room, read = 0, set()
        while self._came and room < self._most:
            result = self._came[0]
            if isinstance(result, Polled) and (result.observed or result.documents):
                if (result.device, result.protocol) in read:
                    break
                read.add((result.device, result.protocol))
            room += room_of(result)
            taken.append(result)
            self._room -= room_of(self._came.popleft())
        return taken

    def _lose(self) -> None:
        result = self._came.popleft()
        self._room -= room_of(result)
        self.waiting -= values_of(result)
        self.lost += values_of(result)
        self.done += 1


def values_of(result: Polled | Failed) -> int:
    """How many values a poll read."""
    return result.values if isinstance(result, Polled) else 0


def room_of(result: Polled | Failed) -> int:
    """About how many values' room it takes in memory."""
    if isinstance(result, Failed):
        return _RESULT
    text = sum(map(len, result.documents.values())) // _OCTETS
    seen = _INTERFACE * len(result.observed.interfaces) if result.observed else 0
    return _RESULT + result.values + text + seen


def as_round(number: int, results: Iterable[Polled | Failed]) -> Round:
    """Results of any times as one round."""
    by_device: dict[str, tuple[Polled | Failed, ...]] = {}
    for result in results:
        by_device[result.device] = (*by_device.get(result.device, ()), result)
    return Round(instant(now()), by_device, number)
