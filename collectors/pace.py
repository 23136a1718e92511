"""When a device is due, which collector asks it, and how fast it may be asked. Pure: someone else sleeps.

Polls lie on a fixed grid of each device's own, so that a slow one does not shift those after it; what was missed is not
made up for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Self

_HASHES = 2.0**64


@dataclass(frozen=True)
class Pace:
    """Every ``interval`` seconds from ``start`` (any monotonic clock); every ``full_every``-th round is a full one.

    ``phase``: how many rounds before ``start`` the count towards a full one began; the first is full in any case.
    """

    start: float
    interval: float
    full_every: int = 1
    phase: int = 0

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
        return number == 0 or (number + self.phase) % self.full_every == 0

    def staggered(self, name: str, spread: float) -> Self:
        """The same pace for one device of many: begun later by its own share of ``spread`` seconds.

        The share depends on the name alone, so that it survives restarts and other devices' coming and going.
        """
        share = _hash(name) / _HASHES
        return replace(self, start=self.start + share * spread, phase=int(share * self.full_every))


def _hash(*words: str) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Shard:
    """Collector ``number`` of ``count`` (from 1): each device belongs to exactly one.

    Rendezvous hashing (Thaler and Ravishankar 1998): a further collector takes over only the devices it gets.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError("a shard is written NUMBER/COUNT, NUMBER from 1 to COUNT")

    @classmethod
    def parse(cls, text: str) -> Self:
        """``2/3``. Raises ValueError for anything else."""
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal()):
            raise ValueError("a shard is written NUMBER/COUNT, for example 1/3")
        return cls(int(number), int(count))

    def owns(self, name: str) -> bool:
        return self.number == max(range(1, self.count + 1), key=lambda shard: _hash(name, str(shard)))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Policer:
    """A token bucket: on average ``per_second``, at most ``burst`` at once; ``full_at``: when it is full again."""

    per_second: float
    burst: int = 1
    full_at: float = 0.0

    def take(self, now: float) -> tuple[Self, float]:
        """One token, asked for at ``now`` -> the bucket after it, and how many seconds to wait before using it."""
        full_at = max(self.full_at, now) + 1.0 / self.per_second
        wait = full_at - now - self.burst / self.per_second
        return replace(self, full_at=full_at), max(0.0, wait)


@dataclass(frozen=True)
class Breaker:
    """Whether a device is worth a whole poll, from how its last polls ended.

    After ``opens_at`` silent polls in a row it is open: only a quick probe is sent when the device is due. One that
    turns us away (wrong key or password) is asked again in full rounds only: many devices lock accounts.
    """

    opens_at: int = 3
    silent: int = 0
    turned_away: int = 0

    @property
    def is_open(self) -> bool:
        return self.silent >= self.opens_at

    def allows(self, *, full: bool) -> bool:
        return full or self.turned_away < self.opens_at

    def after(self, status: str) -> Self:
        """What a poll's status (``ok``, ``partial``, ``silent``, ``auth`` ...) makes of it."""
        return replace(
            self,
            silent=self.silent + 1 if status == "silent" else 0,
            turned_away=self.turned_away + 1 if status == "auth" else 0,
        )
