"""When the next round is due. Pure: someone else sleeps.

Rounds lie on a fixed grid, so that a slow round does not shift those after it; what was missed is not made up for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Every ``interval`` seconds from ``start`` (any monotonic clock); every ``full_every``-th round is a full one."""

    start: float
    interval: float
    full_every: int = 1

    def __post_init__(self) -> None:
        if self.interval <= 0 or self.full_every < 1:
            raise ValueError("an interval is longer than nothing, and at least every round can be full")

    def due(self, number: int) -> float:
        """When round ``number`` (from 0) is due."""
        return self.start + number * self.interval

    def next_round(self, last: int, now: float) -> tuple[int, int]:
        """After round ``last``, asked at ``now``: the next round's number, and how many were missed."""
        reached = int((now - self.start) // self.interval)
        number = max(last + 1, reached + (now > self.due(reached)))
        return number, number - last - 1

    def is_full(self, number: int) -> bool:
        return number % self.full_every == 0
