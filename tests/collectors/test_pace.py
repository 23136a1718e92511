"""When the next round is due: timestamps in, timestamps out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.pace import Breaker, Pace, Policer, Shard

CASES = {
    "in good time": (0, 3.0, (1, 0)),
    "just on time": (0, 10.0, (1, 0)),
    "a little late": (0, 10.5, (2, 1)),
    "two rounds missed": (0, 29.0, (3, 2)),
    "exactly when a later one is due": (0, 30.0, (3, 2)),
}


@pytest.mark.parametrize(("last", "now", "expected"), CASES.values(), ids=CASES.keys())
def test_the_next_round_skips_what_was_missed(last: int, now: float, expected: tuple[int, int]) -> None:
    assert Pace(start=0.0, interval=10.0).next_round(last, now) == expected


@given(st.integers(0, 10**6), st.floats(0, 1e7), st.floats(0.1, 1e4), st.floats(-1e6, 1e6))
def test_the_next_round_lies_ahead_on_the_grid(last: int, later: float, interval: float, start: float) -> None:
    pace = Pace(start, interval)
    now = pace.due(last) + later
    number, missed = pace.next_round(last, now)
    assert number == last + 1 + missed
    assert pace.due(number) >= now or pace.due(number) == pytest.approx(now)


def test_every_so_many_rounds_is_a_full_one() -> None:
    pace = Pace(0.0, 10.0, full_every=3)
    assert [pace.is_full(number) for number in range(5)] == [True, False, False, True, False]


@pytest.mark.parametrize(("interval", "full_every"), [(0.0, 1), (-1.0, 1), (10.0, 0)])
def test_nonsense_is_refused(interval: float, full_every: int) -> None:
    with pytest.raises(ValueError, match="interval"):
        Pace(0.0, interval, full_every)


NAMES = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=40, unique=True)


@given(st.text(min_size=1), st.floats(0, 1000), st.integers(1, 20))
def test_each_device_has_its_own_share_of_the_interval(name: str, spread: float, full_every: int) -> None:
    pace = Pace(100.0, 10.0, full_every)
    own = pace.staggered(name, spread)
    assert pace.start <= own.start <= pace.start + spread
    assert own == pace.staggered(name, spread)
    assert own.is_full(0)
    assert sum(own.is_full(n) for n in range(1, 1 + full_every)) == 1


def test_a_thousand_devices_are_spread_evenly() -> None:
    starts = [Pace(0.0, 60.0).staggered(f"r{i}", 48.0).start for i in range(1000)]
    tally = [sum(lower <= s < lower + 4.8 for s in starts) for lower in (4.8 * k for k in range(10))]
    assert all(60 < n < 140 for n in tally)


@given(NAMES, st.integers(1, 12))
def test_every_device_belongs_to_exactly_one_shard(names: list[str], count: int) -> None:
    shards = [Shard(i, count) for i in range(1, count + 1)]
    assert all(sum(shard.owns(name) for shard in shards) == 1 for name in names)


@given(NAMES, st.integers(1, 12))
def test_a_further_shard_takes_devices_and_moves_no_other(names: list[str], count: int) -> None:
    for name in names:
        before = next(i for i in range(1, count + 1) if Shard(i, count).owns(name))
        assert Shard(before, count + 1).owns(name) or Shard(count + 1, count + 1).owns(name)


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "a/b", "1/3/5", "-1/3", "1/"])
def test_a_shard_that_can_not_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NUMBER/COUNT"):
        Shard.parse(text)


POLICED = {
    "one at a time": (Policer(2.0), [0.0, 0.0, 0.0, 5.0], [0.0, 0.5, 1.0, 0.0]),
    "a burst": (Policer(1.0, burst=3), [0.0, 0.0, 0.0, 0.0, 10.0], [0.0, 0.0, 0.0, 1.0, 0.0]),
    "slower than allowed": (Policer(1.0), [0.0, 2.0, 4.0], [0.0, 0.0, 0.0]),
}


@pytest.mark.parametrize(("policer", "asked", "waits"), POLICED.values(), ids=POLICED.keys())
def test_a_policer_says_how_long_to_wait(policer: Policer, asked: list[float], waits: list[float]) -> None:
    told = []
    for now in asked:
        policer, wait = policer.take(now)
        told.append(wait)
    assert told == pytest.approx(waits)


BROKEN = {
    "silent three times": (["silent"] * 3, True, True),
    "silent, and back": (["silent", "silent", "ok", "silent"], False, True),
    "turned away three times": (["auth"] * 3, False, False),
    "turned away, then silent": (["auth", "auth", "silent", "auth"], False, True),
    "partial is an answer": (["silent", "silent", "partial"], False, True),
}


@pytest.mark.parametrize(("statuses", "is_open", "in_fast_rounds"), BROKEN.values(), ids=BROKEN.keys())
def test_a_breaker_remembers_how_polls_ended(statuses: list[str], is_open: bool, in_fast_rounds: bool) -> None:
    breaker = Breaker()
    for status in statuses:
        breaker = breaker.after(status)
    assert breaker.is_open is is_open
    assert breaker.allows(full=False) is in_fast_rounds
    assert breaker.allows(full=True)
