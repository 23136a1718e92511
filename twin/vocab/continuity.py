"""Did a device go on between two samples, or did its agent or all of it start anew? (RFC 2863 section 3.1.5)

sysUpTime falls when the agent restarts, when the device does, and at its wrap after 497 days; so its word alone is not
enough, and what its other clocks and its counters say is heard too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.vocab.counters import Floats, Ints, Mask, Samples, mostly

TICKS_WRAP_S = 2**32 / 100.0  # TimeTicks (RFC 2578) are hundredths of a second in 32 bits: 497 days
SLIP_S = 5.0
"""How far two readings of one clock may disagree with ours: a table is read for some time after its clock was."""


@dataclass(frozen=True)
class Passage:
    """What the clocks say of each interval. ``steady``: the agent surely went on; the others may overlap with neither.

    ``restarted``: the agent started anew; ``same_host``, ``rebooted``: the host surely went on, or surely did not;
    ``stepped``: the agent went on, but its time and ours do not pass alike.
    """

    steady: Mask
    restarted: Mask
    same_host: Mask
    rebooted: Mask
    stepped: Mask


def passage(samples: Samples, earlier: Ints, later: Ints, seconds: Floats) -> Passage:
    """``earlier``, ``later``: rows of the samples that each interval begins and ends with."""
    uptime, host, engine = (
        _Clock(samples.tell(name) / per_second, earlier, later, seconds, wrap)
        for name, per_second, wrap in (
            ("uptime_cs", 100.0, TICKS_WRAP_S),
            ("host_uptime_cs", 100.0, TICKS_WRAP_S),
            ("engine_time_s", 1.0, np.inf),
        )
    )
    boots = samples.tell("engine_boots")
    again = np.isfinite(boots[earlier] + boots[later]) & (boots[earlier] != boots[later])
    same_engine = (boots[earlier] == boots[later]) & engine.steady
    restarted = ((uptime.slipped & uptime.young) | (again & ~uptime.old)) & ~same_engine
    stepped = ~restarted & ~same_engine & (uptime.falls | _unlike_others(uptime.slip, seconds, samples.series[later]))
    steady = (uptime.steady | same_engine) & ~restarted & ~stepped
    return Passage(steady, restarted, host.steady & ~host.wrapped, host.slipped & host.young, stepped)


def _unlike_others(slip: Floats, seconds: Floats, series: Ints) -> Mask:
    """Clocks that went apart, unless most intervals of the series do the same way: that is the agent's bad clock."""
    found = np.zeros(len(slip), dtype=bool)
    for sign in (1.0, -1.0):
        apart = sign * slip > np.maximum(SLIP_S, seconds / 2)
        found |= apart & ~mostly(apart, series)
    return found


class _Clock:
    """One clock of a device over intervals, held against ours. Comparisons with what was not told are false."""

    def __init__(self, told_s: Floats, earlier: Ints, later: Ints, seconds: Floats, wrap_s: float) -> None:
        advance = told_s[later] - told_s[earlier]
        self.wrapped = (advance < 0) & (abs(seconds - advance - wrap_s) <= SLIP_S)
        self.slip = seconds - np.where(self.wrapped, advance + wrap_s, advance)
        self.falls = (advance < 0) & ~self.wrapped
        self.steady = abs(self.slip) <= SLIP_S
        self.slipped = self.falls | (self.slip > SLIP_S)
        self.young = told_s[later] < seconds + SLIP_S
        self.old = told_s[later] >= seconds + SLIP_S
