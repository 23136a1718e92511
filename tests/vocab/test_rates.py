"""Counters become rates once, for everybody; what can't be known is NaN with a reason, never 0 and never a guess."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.vocab.counters import Samples
from twin.vocab.rates import Rates, Reason, octet_rates, on_grid

T0 = np.datetime64("2026-01-01T00:00:00", "us")
WRAP = 2**32
FOREVER = 1e9


def times(*seconds: float) -> Any:
    return T0 + (np.array(seconds) * 1e6).astype("timedelta64[us]")


def samples(seconds: Sequence[float], counts: Sequence[Sequence[int | None]], **told: Any) -> Samples:
    """One device; ``counts``: of each interface, None where not measured. Uptime is steady unless it is ``told``."""
    series = np.repeat(np.arange(len(counts)), len(seconds))
    flat = [c for row in counts for c in row]
    told.setdefault("uptime_cs", [1e8 + 100 * s for s in seconds])
    return Samples(
        np.tile(times(*seconds), len(counts)),
        series,
        np.zeros(len(series), dtype=np.intp),
        np.array([[(c or 0) % 2**64 for c in flat]], dtype=np.uint64),
        np.array([[c is not None for c in flat]], dtype=bool),
        {name: _column(value, len(counts), len(seconds)) for name, value in told.items()},
    )


def _column(value: Any, series: int, rounds: int) -> Any:
    """A number for all, one a round, or one a sample."""
    told = np.array(value, dtype=np.float64)
    return np.resize(told, series * rounds) if told.size <= rounds else told.ravel()


def shown(rates: Rates) -> list[float | str]:
    """Each interval's rate, or why there is none."""
    return [Reason(r).text or v for v, r in zip(rates.per_second.tolist(), rates.reason.tolist(), strict=True)]


def rates_of(seconds: Sequence[float], *counts: Sequence[int | None], **told: Any) -> list[list[float | str]]:
    (found,) = octet_rates(samples(seconds, counts, **told), longest_gap_s=3600)
    return [shown(rates) for _, rates in found.split()]


TEN = (0, 10)
FAST, SLOW = 1e9, 8e2  # 125 MB/s and 100 octets/s
BEFORE_WRAP = 2.0**32 - 500
CASES: dict[str, tuple[dict[str, Any], Sequence[float], list[int | None], list[float | str]]] = {
    "steady": ({}, (0, 10, 20), [0, 100, 300], [10.0, 20.0]),
    "not measured": ({}, (0, 10, 20), [0, None, 200], [10.0]),
    "64 bits fell": ({}, (0, 10, 20), [100, 50, 150], ["reset", 10.0]),
    "64 bits fell at their end": ({}, TEN, [2**64 - 50, 50], ["reset"]),
    "64 bits beyond 63": ({}, TEN, [2**63 - 50, 2**63 + 50], [10.0]),
    "a spike": ({"speed_bps": SLOW}, (0, 10, 20, 30), [0, 100, 10**6, 10**6 + 100], [10.0, "implausible", 10.0]),
    "always above its speed": ({"speed_bps": SLOW}, (0, 10, 20), [0, 10**4, 10**5], [1e3, 9e3]),
    "faster than anything": ({}, TEN, [0, 2**60], ["implausible"]),
    "32 bits wrap": ({"counter_bits": 32, "speed_bps": SLOW}, TEN, [WRAP - 50, 50], [10.0]),
    "32 bits wrap too fast": ({"counter_bits": 32, "speed_bps": SLOW}, TEN, [10**6, 50], ["reset"]),
    "32 bits too fast": ({"counter_bits": 32, "speed_bps": SLOW}, (0, 10, 20), [0, 10**6, 10**7], ["implausible"] * 2),
    "32 bits of unknown speed": ({"counter_bits": 32}, TEN, [100, 50], ["reset"]),
    "32 bits of unknown speed, rising": ({"counter_bits": 32, "speed_bps": 0}, TEN, [50, 100], ["wraps"]),
    "32 bits that may have wrapped": ({"counter_bits": 32, "speed_bps": FAST}, (0, 60), [0, 10**9], ["wraps"]),
    "32 bits of a gigabit, polled often enough": (
        {"counter_bits": 32, "speed_bps": FAST},
        (0, 10, 20, 30),
        [0, 10**9, 2 * 10**9, WRAP - 10**9],
        ["wraps", 1e8, (WRAP - 3 * 10**9) / 10],
    ),
    "32 bits without uptime": (
        {"counter_bits": 32, "speed_bps": SLOW, "uptime_cs": np.nan},
        TEN,
        [WRAP - 50, 50],
        ["reset"],
    ),
    "32 bits at a restart": (
        {"counter_bits": 32, "speed_bps": SLOW, "uptime_cs": [9e6, 500]},
        TEN,
        [WRAP - 50, 50],
        ["restart"],
    ),
    "speed of each sample": (
        {"counter_bits": 32, "speed_bps": [1e7, 1e7, SLOW]},
        (0, 10, 20),
        [0, 10**6, 2 * 10**6],
        [1e5, 1e5],
    ),
    "the speed fell": (
        {"counter_bits": 32, "speed_bps": [1e7, SLOW, SLOW]},
        (0, 10, 20),
        [0, 10**6, 2 * 10**6],
        [1e5, "implausible"],
    ),
    "64 bits, then 32": (
        {"counter_bits": [64, 64, 32, 32], "speed_bps": SLOW},
        (0, 10, 20, 30),
        [5 * WRAP, 5 * WRAP + 100, 200, 300],
        [10.0, 10.0, 10.0],
    ),
    "32 bits, then 64": ({"counter_bits": [32, 64], "speed_bps": SLOW}, TEN, [WRAP - 50, WRAP + 50], [10.0]),
    "restart": ({"uptime_cs": [9e6, 500]}, TEN, [0, 100], ["restart"]),
    "a restart that uptime outgrew": ({"uptime_cs": [1000, 5000]}, (0, 60), [0, 100], ["restart"]),
    "restart of a known host": ({"uptime_cs": [9e6, 500], "host_uptime_cs": [9e7, 9e7 + 1000]}, TEN, [0, 100], [10.0]),
    "restart, and the count is too high to be new": (
        {"uptime_cs": [9e6, 500], "speed_bps": SLOW},
        TEN,
        [10**6, 10**6 + 100],
        [10.0],
    ),
    "reboot": ({"uptime_cs": [9e6, 500], "host_uptime_cs": [9e7, 700]}, TEN, [0, 100], ["reboot"]),
    "reboot by falling counters": ({"uptime_cs": [9e6, 500]}, TEN, [10**6, 100], ["reboot"]),
    "reboot of a guest, by falling counters": (
        {"uptime_cs": [9e6, 500], "host_uptime_cs": [9e7, 9e7 + 1000]},
        TEN,
        [10**6, 100],
        ["reboot"],
    ),
    "sysUpTime wraps": ({"uptime_cs": [BEFORE_WRAP, 500]}, TEN, [0, 100], [10.0]),
    "sysUpTime wraps, 32 bits too": (
        {"uptime_cs": [BEFORE_WRAP, 500], "counter_bits": 32, "speed_bps": SLOW},
        TEN,
        [WRAP - 50, 50],
        [10.0],
    ),
    "restart short of the wrap": ({"uptime_cs": [BEFORE_WRAP - 5e3, 500]}, TEN, [0, 100], ["restart"]),
    "a restart at the wrap is told by its boots": (
        {"uptime_cs": [BEFORE_WRAP, 500], "engine_boots": [3, 4]},
        TEN,
        [0, 100],
        ["restart"],
    ),
    "a reboot at the wrap of all clocks is told by its boots": (
        {"uptime_cs": [BEFORE_WRAP, 500], "host_uptime_cs": [BEFORE_WRAP, 500], "engine_boots": [3, 4]},
        TEN,
        [0, 100],
        ["restart"],
    ),
    "sysUpTime falls and the engine went on": (
        {"uptime_cs": [9e6, 500], "engine_boots": 3, "engine_time_s": [5000, 5010]},
        TEN,
        [0, 100],
        [10.0],
    ),
    "boots that are never kept": (
        {"uptime_cs": [9e6, 500], "engine_boots": 1, "engine_time_s": [90000, 5]},
        TEN,
        [0, 100],
        ["restart"],
    ),
    "only boots tell": ({"uptime_cs": np.nan, "engine_boots": [3, 4]}, TEN, [0, 100], ["restart"]),
    "boots of an engine that is not the device": ({"engine_boots": [3, 4]}, TEN, [0, 100], [10.0]),
    "discontinuity": ({"discontinuity_cs": [0, 7]}, TEN, [0, 100], ["discontinuity"]),
    "a stamp forgotten at an agent's restart": (
        {"uptime_cs": [9e6, 500], "host_uptime_cs": [9e7, 9e7 + 1000], "discontinuity_cs": [7, 0]},
        TEN,
        [0, 100],
        [10.0],
    ),
    "gap": ({}, (0, 10, 3700), [0, 100, 200], [10.0, "gap"]),
    "a gap that a reboot explains": ({"uptime_cs": [9e7, 500]}, (0, 3700), [200, 100], ["reboot"]),
    "renumbered": ({"index": [3, 9, 9]}, (0, 10, 20), [50, 100, 200], ["renumbered", 10.0]),
    "renumbered and lower": ({"index": [3, 9]}, TEN, [10**6, 100], ["renumbered"]),
    "renumbered after a copy, so that the count may be of longer than the interval": (
        {"index": [3, 3, 9], "speed_bps": SLOW},
        (0, 10, 20),
        [1500, 1500, 2000],
        [0.0, "renumbered"],
    ),
    "renumbered, and the count went on": ({"index": [3, 9], "speed_bps": SLOW}, TEN, [10**6, 10**6 + 100], [10.0]),
    "our clock was put back": ({"uptime_cs": [9e6, 9e6 + 6e3, 9e6 + 7e3]}, (0, 10, 20), [0, 600, 700], ["clock", 10.0]),
    "out of order": ({"uptime_cs": [9e6, 9e6 + 4e3, 9e6 + 1e3]}, (0, 10, 20), [0, 400, 100], ["clock", "clock"]),
    "an agent whose clock is always slow": (
        {"uptime_cs": [9e4, 9e4 + 10, 9e4 + 20]},
        (0, 10, 20),
        [0, 100, 300],
        [10.0, 20.0],
    ),
    "repeated": ({}, (0, 10, 10, 20), [0, 100, 100, 200], [10.0, 10.0]),
    "repeated otherwise": ({}, (0, 10, 10, 20), [0, 100, 150, 200], [10.0]),
}


@pytest.mark.parametrize("name", CASES)
def test_rates(name: str) -> None:
    told, seconds, counts, expected = CASES[name]
    assert rates_of(seconds, counts, **told) == [expected]


def test_one_interface_that_falls_speaks_for_its_restarted_device() -> None:
    told = {"uptime_cs": [9e6, 500], "host_uptime_cs": [9e7, 9e7 + 1000]}
    assert rates_of(TEN, [100, 50], [0, 100], **told) == [["reboot"], ["reboot"]]
    assert rates_of(TEN, [100, 50], [0, 100], [0, 100], **told) == [["restart"]] * 3


def test_one_interface_that_surely_went_on_speaks_for_its_restarted_device() -> None:
    told: Mapping[str, Any] = {"uptime_cs": [9e6, 500], "speed_bps": SLOW}
    assert rates_of(TEN, [10**6, 10**6], [0, 100], **told) == [[0.0], [10.0]]


def test_a_reset_interface_takes_no_other_with_it() -> None:
    assert rates_of(TEN, [100, 50], [0, 100]) == [["reset"], [10.0]]


POLLS = (0, 10, 20, 30, 40, 50, 60)


def test_a_copy_is_no_idle_time_and_no_burst() -> None:
    copied = [0, 0, 0, 300, 300, 300, 600]
    assert rates_of(POLLS, copied, copied, [7] * 7) == [[10.0, 10.0], [10.0, 10.0], [0.0, 0.0]]


def test_what_stands_still_alone_is_idle() -> None:
    bursts = [0, 100, 100, 100, 400, 400, 500]
    steady = [0, 100, 200, 300, 400, 500, 600]
    assert rates_of(POLLS, bursts, steady)[0] == [10.0, 0.0, 0.0, 30.0, 0.0, 10.0]


def test_one_counter_alone_is_no_proof_of_a_copy() -> None:
    assert rates_of(POLLS, [0, 0, 0, 300, 300, 300, 600], [7] * 7)[0] == [0.0, 0.0, 30.0, 0.0, 0.0, 30.0]


def test_a_standstill_of_interfaces_that_went_down_is_none_of_the_agent() -> None:
    counts = [0, 100, 200, 200, 200, 200, 200]
    down = [1, 1, 2, 2, 2, 2, 2]
    assert rates_of(POLLS, counts, counts, oper_status=down)[0] == [10.0, 10.0, 0.0, 0.0, 0.0, 0.0]


def test_what_stands_still_longer_than_any_copy_is_idle() -> None:
    seconds = [60 * i for i in range(6)]
    counts = [0, 600, 600, 600, 600, 1200]
    assert rates_of(seconds, counts, counts)[0] == [10.0, 0.0, 0.0, 0.0, 10.0]


def test_a_copy_not_yet_renewed_says_nothing_of_now() -> None:
    counts = [0, 100, 200, 200]
    assert rates_of((0, 10, 20, 30), counts, counts) == [[10.0, 10.0]] * 2


def test_devices_do_not_speak_for_each_other() -> None:
    seconds = (0, 10, 20, 30)
    moving = samples(seconds, [[0, 100, 200, 300], [0, 0, 200, 200]])
    apart = Samples(moving.at, moving.series, moving.series, moving.counts, moving.measured, moving.told)
    (found,) = octet_rates(apart, 3600)
    assert [shown(rates) for _, rates in found.split()] == [[10.0, 10.0, 10.0], [0.0, 20.0, 0.0]]


def test_nothing_polled_has_no_rates() -> None:
    (found,) = octet_rates(samples((), [[]]), 3600)
    assert list(found.split()) == []


def grid_rates(seconds: Sequence[float], counts: Sequence[int]) -> Rates:
    (found,) = octet_rates(samples(seconds, [counts]), FOREVER)
    return next(rates for _, rates in found.split())


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=40))
def test_the_grid_keeps_the_volume(per_second: list[float]) -> None:
    counts = [0, *np.cumsum(np.round(np.array(per_second) * 10)).astype(np.int64).tolist()]
    rates = grid_rates([10.0 * i for i in range(len(counts))], counts)
    cells = -(-len(per_second) * 10 // 60)
    step = np.timedelta64(60, "s")
    values, known = on_grid(rates, T0 + np.arange(cells) * step, step)
    covered = np.minimum(60.0, len(per_second) * 10 - 60.0 * np.arange(cells))
    assert np.isclose(np.nansum((values * covered)[known]) + _uncovered(rates.per_second, known), counts[-1], rtol=1e-6)


def _uncovered(per_second: Any, known: Any) -> float:
    """Volume in a last cell that is covered for less than half, which the grid rightly leaves out."""
    return 0.0 if known[-1] else float(per_second[(len(known) - 1) * 6 :].sum() * 10)


def test_a_cell_known_for_less_than_half_is_unknown() -> None:
    values, known = on_grid(grid_rates((0, 20), (0, 200)), np.array([T0]), np.timedelta64(60, "s"))
    assert not known[0]
    assert np.isnan(values[0])


def test_silence_between_rates_belongs_to_no_cell() -> None:
    at = times(0, 180)
    rates = Rates.known(at, at + np.timedelta64(60, "s"), np.array([1.0, 3.0]))
    values, known = on_grid(rates, times(0, 60, 120, 180), np.timedelta64(60, "s"))
    assert known.tolist() == [True, False, False, True]
    assert values[known].tolist() == [1.0, 3.0]
