"""Counters become rates once, for everybody; what can't be known is NaN with a reason, never 0."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.vocab.rates import Rates, counter_rates, on_grid

T0 = np.datetime64("2026-01-01T00:00:00", "us")


def times(*seconds: float) -> Any:
    return T0 + (np.array(seconds) * 1e6).astype("timedelta64[us]")


CASES: list[tuple[str, dict[str, Any], list[int], list[float | str]]] = [
    ("steady", {}, [0, 100, 300], [10.0, 20.0]),
    ("32-bit wrap", {"bits": 32, "ceiling": 100}, [2**32 - 50, 50], [10.0]),
    ("32-bit wrap too fast", {"bits": 32, "ceiling": 100}, [100, 50], ["reset"]),
    ("32-bit decrease, no ceiling", {"bits": 32}, [100, 50], ["reset"]),
    ("64-bit decrease", {}, [100, 50, 150], ["reset", 10.0]),
    ("64-bit wrap as signed bits", {}, [2**63 - 50, -(2**63) + 50], [10.0]),
    ("implausible", {"ceiling": 5}, [0, 100], ["implausible"]),
    ("restart", {"uptime_cs": np.array([500, 100])}, [0, 100], ["restart"]),
    ("discontinuity", {"discontinuity_cs": np.array([0, 7])}, [0, 100], ["discontinuity"]),
    ("gap", {"longest_gap_s": 5.0}, [0, 100], ["gap"]),
    ("unmeasured", {"valid": np.array([True, False, True])}, [0, 77, 200], [10.0]),
]


@pytest.mark.parametrize(("options", "counts", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_rates(options: dict[str, Any], counts: list[int], expected: list[float | str]) -> None:
    rates = counter_rates(times(*(10.0 * i for i in range(len(counts)))), np.array(counts, dtype=np.int64), **options)
    found = [r or v for v, r in zip(rates.per_second.tolist(), rates.reason.tolist(), strict=True)]
    assert found == expected


def test_times_must_increase() -> None:
    with pytest.raises(ValueError, match="increase"):
        counter_rates(times(0, 0), np.array([1, 2]))


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=30), st.integers(-(2**63), 2**63 - 1))
def test_a_64_bit_counter_may_start_anywhere(steps: list[int], start: int) -> None:
    counts = np.cumsum(np.array([start, *steps], dtype=np.int64))
    rates = counter_rates(times(*(10.0 * i for i in range(len(counts)))), counts)
    assert rates.per_second.tolist() == [s / 10 for s in steps]


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=40))
def test_the_grid_keeps_the_volume(per_second: list[float]) -> None:
    counts = np.concatenate([[0], np.cumsum(np.round(np.array(per_second) * 10))]).astype(np.int64)
    rates = counter_rates(times(*(10.0 * i for i in range(len(counts)))), counts)
    cells = -(-len(per_second) * 10 // 60)
    step = np.timedelta64(60, "s")
    values, known = on_grid(rates, T0 + np.arange(cells) * step, step)
    covered = np.minimum(60.0, len(per_second) * 10 - 60.0 * np.arange(cells))
    assert np.isclose(np.nansum((values * covered)[known]) + _uncovered(rates.per_second, known), counts[-1], rtol=1e-6)


def _uncovered(per_second: Any, known: Any) -> float:
    """Volume in a last cell that is covered for less than half, which the grid rightly leaves out."""
    return 0.0 if known[-1] else float(per_second[(len(known) - 1) * 6 :].sum() * 10)


def test_a_cell_known_for_less_than_half_is_unknown() -> None:
    rates = counter_rates(times(0, 20), np.array([0, 200]))
    values, known = on_grid(rates, np.array([T0]), np.timedelta64(60, "s"))
    assert not known[0]
    assert np.isnan(values[0])


def test_silence_between_rates_belongs_to_no_cell() -> None:
    at = times(0, 180)
    rates = Rates(at, at + np.timedelta64(60, "s"), np.array([1.0, 3.0]), np.array(["", ""]))
    values, known = on_grid(rates, times(0, 60, 120, 180), np.timedelta64(60, "s"))
    assert known.tolist() == [True, False, False, True]
    assert values[known].tolist() == [1.0, 3.0]
