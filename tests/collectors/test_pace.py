"""When the next round is due: timestamps in, timestamps out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.pace import Pace

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
