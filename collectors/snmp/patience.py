"""How long to wait for an answer before asking again: from measured round trips, as RFC 6298 does. Pure.

A lost datagram should cost little more than a round trip, while a device that never answered is given the time its
settings allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

FIRST_RTO = 1.0  # seconds, for a device not yet measured
LEAST_RTO = 0.2
LONGEST_JITTER = 0.25  # share of a wait


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What is known of a device's round-trip time, in seconds: smoothed, its variation, and the wait they make."""

    smoothed: float = 0.0
    variation: float = 0.0
    rto: float = FIRST_RTO

    def after(self, sample: float) -> RoundTrip:
        """One more measurement (of a request that was sent once: RFC 6298 section 3)."""
        if self.smoothed == 0.0:
            smoothed, variation = sample, sample / 2
        else:
            variation = 0.75 * self.variation + 0.25 * abs(self.smoothed - sample)
            smoothed = 0.875 * self.smoothed + 0.125 * sample
        return RoundTrip(smoothed, variation, max(LEAST_RTO, smoothed + 4 * variation))

    def backed_off(self, longest: float) -> RoundTrip:
        """The request had to be repeated: wait longer until a fresh measurement."""
        return replace(self, rto=min(longest, 2 * self.rto))


def waits(rto: float, timeout: float, retries: int, jitter: float) -> Iterator[float]:
    """How long to wait after each time a request is sent, in seconds.

    In all, ``timeout`` for the first time and for each of ``retries``; from ``rto`` on each wait is twice the one
    before it, at most ``timeout``, and the last takes what is left. So more requests may be sent than ``retries`` says,
    when the device is known to be quick.

    Args:
        jitter: 0 to 1, chosen at random: it keeps devices that lost their datagrams together from repeating together.
    """
    left = timeout * (retries + 1)
    if retries == 0:
        yield left
        return
    stretch = 1 + LONGEST_JITTER * jitter
    wait = min(rto * stretch, timeout)
    while left >= 2 * wait:
        yield wait
        left -= wait
        wait = min(2 * wait, timeout)
    yield left
