"""What a server's answer to a write means, and how long to wait before the next try. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, TypeAlias

_BUSY = frozenset({408, 425, 429})
_REFUSED = frozenset({400, 413, 422})
_MEANINGS = {
    401: "the token is refused",
    403: "the token may not do this",
    404: "no such database or address",
}
_EXPIRED = re.compile(r"retention p(?:olicy|eriod).*dropped=(\d+)")


@dataclass(frozen=True)
class Accepted:
    """Everything of the request is stored."""


@dataclass(frozen=True)
class Busy:
    """It may pass by itself: busy, away, unreachable.

    ``asked``: the pause the server asks for, in seconds. ``slow``: it did not answer in time; send less at once.
    """

    reason: str
    asked: float = 0.0
    slow: bool = False


@dataclass(frozen=True)
class Held:
    """Somebody must act: nothing of this may be dropped. ``scope``: what else it stops."""

    reason: str
    scope: Literal["server", "database", "kind"] = "server"


@dataclass(frozen=True)
class Refused:
    """At least one line is not accepted; others may be stored or not.

    ``expired``: how many lines are older than the server keeps them (1.x and 2.x say so).
    """

    reason: str
    too_large: bool = False
    expired: int = 0


Verdict: TypeAlias = Accepted | Busy | Held | Refused


def verdict(status: int, reason: str, headers: Mapping[str, str], now: datetime) -> Verdict:
    """An HTTP answer to a write -> what it means. ``headers`` by lower-case name; ``now`` is aware."""
    if status == 204:
        return Accepted()
    if status in _REFUSED:
        old = _EXPIRED.search(reason)
        return Refused(reason, too_large=status == 413, expired=int(old[1]) if old else 0)
    if status in _BUSY or status >= 500:
        return Busy(f"{status}: {reason}", retry_after(headers.get("retry-after", ""), now))
    if status in _MEANINGS:
        return Held(f"{_MEANINGS[status]} ({status}: {reason})", scope="database" if status == 404 else "server")
    return Held(f"answers {status} where InfluxDB answers 204: is the address right? ({reason})")


def retry_after(text: str, now: datetime) -> float:
    """Seconds to wait by a Retry-After header (RFC 9110, 10.2.3): seconds or an HTTP date; 0 if it says neither."""
    with suppress(ValueError, OverflowError):
        seconds = float(text)
        return seconds if 0 <= seconds < float("inf") else 0.0
    with suppress(TypeError, ValueError, IndexError, OverflowError):
        when = parsedate_to_datetime(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max((when - now).total_seconds(), 0.0)
    return 0.0


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: after the first failure, at the longest, at the longest because a server asks
    for it, and between tries where somebody must act."""

    first: float = 0.5
    longest: float = 60.0
    asked_at_most: float = 900.0
    holding: float = 60.0

    def pause(self, failures: int, asked: float, chance: float) -> float:
        """After so many failures in a row (>= 1). ``chance`` in [0, 1) spreads clients: half of the pause is fixed.

        Never shorter than what the server asks for, up to ``asked_at_most``.
        """
        grown = min(self.first * 2.0 ** min(failures - 1, 60), self.longest)
        return max(grown * (0.5 + chance / 2), min(asked, self.asked_at_most))
