"""Whatever a device goes through, a rate that is shown is what was carried: made-up devices, their truth and agents."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from twin.vocab.counters import Samples
from twin.vocab.rates import LATENESS_S, TOLERANCE, Rates, octet_rates

T0 = np.datetime64("2026-01-01T00:00:00", "us")
TICKS = 2**32
Event = Literal["", "agent", "reboot", "clear", "recreate", "renumber"]
EVENTS: tuple[Event, ...] = ("", "", "", "", "agent", "reboot", "clear", "recreate", "renumber")


@dataclass(frozen=True)
class Step:
    """What happens until the next poll: for how long, how busy each interface is, and one event at some point of it."""

    seconds: int
    busy: tuple[float, ...]
    event: Event
    when: float
    wide: bool
    late: float


@dataclass(frozen=True)
class Story:
    """A device: its interfaces' speeds and first counts, its clocks, how long its agent keeps copies, and its steps."""

    speeds: tuple[int, ...]
    first: tuple[int, ...]
    uptime_cs: int
    cache_s: int
    tells_host: bool
    tells_engine: bool
    steps: tuple[Step, ...]


@st.composite
def stories(
    draw: st.DrawFn, events: tuple[Event, ...] = EVENTS, caches: tuple[int, ...] = (0, 0, 3, 15, 30, 60)
) -> Story:
    count = draw(st.integers(1, 4))
    shares = st.tuples(*[st.one_of(st.just(0.0), st.floats(0, 1)) for _ in range(count)])
    step = st.builds(
        Step,
        st.integers(15, 400),
        shares,
        st.sampled_from(events),
        st.floats(0, 1),
        st.booleans(),
        st.floats(0, 2),
    )
    return Story(
        draw(st.tuples(*[st.sampled_from([10**6, 10**8, 10**9, 10**11]) for _ in range(count)])),
        draw(
            st.tuples(
                *[st.one_of(st.integers(0, 10**6), st.integers(2**32 - 10**8, 2**32 + 10**8)) for _ in range(count)]
            )
        ),
        draw(st.one_of(st.integers(1000, 10**8), st.integers(TICKS - 10**5, TICKS - 1))),
        draw(st.sampled_from(caches)),
        draw(st.booleans()),
        draw(st.booleans()),
        tuple(draw(st.lists(step, min_size=1, max_size=12))),
    )


@dataclass
class Device:
    """Its true state at ``clock``; ``carried`` counts for ever, ``counts`` as the device does."""

    story: Story
    clock: float = 0.0
    started: float = 0.0
    booted: float = 0.0
    boots: int = 5
    carried: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    copied_at: float = -1e9
    copy: tuple[list[int], list[int], list[int]] = field(default_factory=lambda: ([], [], []))

    def __post_init__(self) -> None:
        self.started = self.booted = -self.story.uptime_cs / 100
        self.counts, self.carried = list(self.story.first), [0] * len(self.story.first)
        self.index = list(range(1, len(self.counts) + 1))

    def carry(self, seconds: float, busy: tuple[float, ...]) -> None:
        self.clock += seconds
        for i, share in enumerate(busy):
            octets = int(share * self.story.speeds[i] / 8 * seconds)
            self.carried[i] += octets
            self.counts[i] += octets

    def undergo(self, event: Event) -> None:
        if event in ("agent", "reboot"):
            self.started, self.boots, self.copied_at = self.clock, self.boots + 1, -1e9
        if event == "reboot":
            self.booted = self.clock
        if event in ("reboot", "clear", "recreate"):
            self.counts = [0] * len(self.counts)
        if event in ("recreate", "renumber"):
            self.index = [max(self.index) + 1 + i for i in range(len(self.index))]

    def asked(self) -> tuple[list[int], list[int], list[int]]:
        """Counts, indexes and the truth as the agent last copied them."""
        if self.clock - self.copied_at >= self.story.cache_s:
            self.copied_at = self.clock
            self.copy = (list(self.counts), list(self.index), list(self.carried))
        return self.copy


@dataclass
class Polled:
    """What was read, round by round, and the truth beside it."""

    at: list[float] = field(default_factory=list)
    counts: list[list[int]] = field(default_factory=list)
    truth: list[list[int]] = field(default_factory=list)
    told: dict[str, list[Any]] = field(default_factory=dict)

    def poll(self, device: Device, *, wide: bool, late: float) -> None:
        counts, index, truth = device.asked()
        self.at.append(device.clock)
        self.counts.append(counts if wide else [c % 2**32 for c in counts])
        self.truth.append(truth)
        story, asked = device.story, device.clock - late
        row = {
            "index": index,
            "counter_bits": 64 if wide else 32,
            "speed_bps": list(story.speeds),
            "uptime_cs": int(100 * (asked - device.started)) % TICKS,
            "host_uptime_cs": int(100 * (asked - device.booted)) % TICKS if story.tells_host else np.nan,
            "engine_boots": device.boots if story.tells_engine else np.nan,
            "engine_time_s": int(asked - device.started) if story.tells_engine else np.nan,
        }
        for name, value in row.items():
            self.told.setdefault(name, []).append(value)

    def samples(self) -> Samples:
        rounds, count = len(self.at), len(self.counts[0])

        def column(values: list[Any]) -> Any:
            table = np.array([np.broadcast_to(np.array(v, dtype=np.float64), count) for v in values])
            return table.T.ravel()

        return Samples(
            np.tile(T0 + (np.array(self.at) * 1e6).astype("timedelta64[us]"), count),
            np.repeat(np.arange(count), rounds),
            np.zeros(rounds * count, dtype=np.intp),
            np.array(self.counts, dtype=np.uint64).T.reshape(1, -1),
            np.ones((1, rounds * count), dtype=bool),
            {name: column(values) for name, values in self.told.items()},
        )


def played(story: Story) -> Polled:
    """Events keep 7 s from the poll before and 3 s from the poll after: clocks are read up to 2 s before counters.

    A restart in the very interval in which sysUpTime would have wrapped needs a second clock that tells.
    """
    device, polled = Device(story), Polled()
    polled.poll(device, wide=story.steps[0].wide, late=0.0)
    for step in story.steps:
        first = 7 + step.when * (step.seconds - 10)
        device.carry(first, step.busy)
        would_wrap = (device.clock - first + step.seconds - device.started) * 100 >= TICKS
        assume(not would_wrap or story.tells_engine or step.event not in {"agent", "reboot"})
        device.undergo(step.event)
        device.carry(step.seconds - first, step.busy)
        polled.poll(device, wide=step.wide, late=step.late)
    return polled


def rates_of(polled: Polled) -> dict[int, Rates]:
    (found,) = octet_rates(polled.samples(), longest_gap_s=3600)
    return dict(found.split())


def amounts(polled: Polled, interface: int, rates: Rates) -> list[tuple[float, float, float]]:
    """(octets by the rate, octets truly, seconds) of each known interval."""
    at = (T0 + (np.array(polled.at) * 1e6).astype("timedelta64[us]")).tolist()
    found = []
    for start, end, rate in zip(rates.start.tolist(), rates.end.tolist(), rates.per_second.tolist(), strict=True):
        if np.isfinite(rate):
            first, last = at.index(start), at.index(end)
            seconds = polled.at[last] - polled.at[first]
            true = polled.truth[last][interface] - polled.truth[first][interface]
            found.append((rate * seconds, float(true), seconds))
    return found


def check_possible(story: Story, polled: Polled, interface: int, rates: Rates) -> None:
    ceiling = story.speeds[interface] / 8 * TOLERANCE
    for shown, _, seconds in amounts(polled, interface, rates):
        assert 0 <= shown <= ceiling * (seconds + LATENESS_S) * (1 + 1e-9)


TRUE: tuple[Event, ...] = ("", "", "", "agent", "reboot", "recreate", "renumber")


def check_true(story: Story) -> None:
    polled = played(story)
    for interface, rates in rates_of(polled).items():
        check_possible(story, polled, interface, rates)
        for shown, true, _ in amounts(polled, interface, rates):
            assert np.isclose(shown, true, rtol=1e-9, atol=0.5)


@settings(max_examples=300)
@given(stories(TRUE))
def test_what_is_shown_is_what_was_carried(story: Story) -> None:
    """Through restarts, reboots, wraps of counters and clocks, new interfaces, changing widths, and copies."""
    check_true(story)


@settings(max_examples=150)
@given(stories())
def test_counters_cleared_without_a_word_never_show_more_than_was_carried(story: Story) -> None:
    """64-bit counters: a 32-bit one that is cleared may look just like one that wrapped."""
    polled = played(replace(story, steps=tuple(replace(s, wide=True) for s in story.steps)))
    for interface, rates in rates_of(polled).items():
        check_possible(story, polled, interface, rates)
        for shown, true, _ in amounts(polled, interface, rates):
            assert shown <= true * (1 + 1e-9) + 0.5


@settings(max_examples=150)
@given(stories(("",)))
def test_an_undisturbed_device_loses_no_octet(story: Story) -> None:
    """Of 64-bit counters; whether some samples were copies or not, the rates' sum is the counters' difference."""
    steps = tuple(replace(s, wide=True) for s in story.steps)
    polled = played(replace(story, uptime_cs=10**6, cache_s=0, steps=steps))
    for interface, rates in rates_of(polled).items():
        told = amounts(polled, interface, rates)
        first = next(i for i, at in enumerate(polled.at) if T0 + np.timedelta64(int(at * 1e6), "us") == rates.start[0])
        last = next(i for i, at in enumerate(polled.at) if T0 + np.timedelta64(int(at * 1e6), "us") == rates.end[-1])
        carried = polled.truth[last][interface] - polled.truth[first][interface]
        assert len(told) == len(rates.start)
        assert np.isclose(sum(shown for shown, _, _ in told), carried, rtol=1e-9, atol=0.5)


@given(st.integers(3, 60), st.integers(15, 60), st.floats(0.01, 0.9), st.integers(4, 20))
def test_a_steady_load_read_from_copies_is_never_zero_or_far_off(
    cache: int, every: int, share: float, polls: int
) -> None:
    """And an interface that is idle beside it is zero."""
    steps = tuple(Step(every, (share, share, 0.0), "", 0.0, True, 0.0) for _ in range(polls))
    polled = played(Story((10**8,) * 3, (0, 0, 5), 10**6, cache, True, True, steps))
    rates = rates_of(polled)
    for interface in (0, 1):
        found = rates[interface].per_second / (share * 10**8 / 8)
        assert np.allclose(found, 1.0, rtol=1e-3)
    assert (rates[2].per_second == 0).all()


@given(st.integers(3, 60), st.integers(15, 60), st.floats(0.01, 0.25), st.integers(4, 20), st.floats(0, 1))
def test_copies_renewed_by_the_agents_own_clock_are_never_an_idle_time(
    cache: int, every: int, share: float, polls: int, phase: float
) -> None:
    """The age of the copy still moves the rate, at most by its share of the time between changes. No octet is lost."""
    at = np.arange(polls) * float(every) + phase * cache
    counts = (np.floor(at / cache) * cache * share * 10**8 / 8).astype(np.uint64)
    assume(counts[0] != counts[-1])
    told = {"uptime_cs": np.tile(1e6 + at * 100, 2), "speed_bps": np.full(2 * polls, 1e8)}
    times = np.tile(T0 + (at * 1e6).astype("timedelta64[us]"), 2)
    series = np.repeat([0, 1], polls)
    both = Samples(times, series, series * 0, np.tile(counts, 2)[None], np.ones((1, 2 * polls), dtype=bool), told)
    (found,) = octet_rates(both, longest_gap_s=3600)
    for _, rates in found.split():
        known = rates.per_second[np.isfinite(rates.per_second)]
        seconds = ((rates.end - rates.start) / np.timedelta64(1, "s"))[np.isfinite(rates.per_second)]
        last = int(counts[np.searchsorted(at, (rates.end[-1] - T0) / np.timedelta64(1, "s"))])
        assert np.isclose((known * seconds).sum(), last - int(counts[0]), rtol=1e-9)
        off = abs(known * 8 / (share * 1e8) - 1) * seconds
        assert (known > 0).all()
        assert (off <= cache * 1.001).all()
