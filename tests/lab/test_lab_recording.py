"""The recorded fortnight as a loop: a function of the instant alone, scaled to the lab's links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.lab.pacing import CATCH_UP, LEAST_ADVANCE_S, MOST_ADVANCE_S, Pacer
from twin.lab.recording import (
    RECORDED_FROM,
    Recording,
    demand_matrix,
    fortnight_around,
    history,
    recording,
    recording_time,
    utilisations,
)
from twin.lab.routing import directed_links, shares
from twin.lab.spec import LabFile, read_lab
from twin.vocab.errors import InputError

LABS = Path(__file__).parents[2] / "configs" / "labs"
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 the strategy adds it
FIVE_MINUTES = timedelta(minutes=5)


@cache
def _file(name: str) -> LabFile:
    return read_lab(LABS / f"{name}.yaml")


@cache
def _recording() -> Recording:
    return recording(_file("square"))


@given(INSTANTS)
def test_the_recording_is_played_on_its_own_weekday_and_hour(when: datetime) -> None:
    played = recording_time(when)
    assert RECORDED_FROM <= played < RECORDED_FROM + timedelta(days=14)
    assert (played.weekday(), played.time()) == (when.weekday(), when.time())


@given(INSTANTS, st.integers(-3, 3))
def test_the_recording_repeats_each_fortnight(when: datetime, fortnights: int) -> None:
    assert recording_time(when + timedelta(days=14 * fortnights)) == recording_time(when)


@given(INSTANTS)
def test_the_loops_seam_is_kept_away_from_the_present(present: datetime) -> None:
    begins = fortnight_around(present)
    assert (begins.weekday(), begins.time()) == (0, time())
    assert timedelta(days=3.5) <= recording_time(present, begins) - RECORDED_FROM <= timedelta(days=10.5)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        recording_time(datetime(2026, 1, 1))  # noqa: DTZ001 that is the point


def test_a_recorded_instant_plays_the_recorded_matrix() -> None:
    names, played = demand_matrix(_file("abilene"), datetime(2004, 3, 15, 0, 5, tzinfo=UTC))
    table = pl.read_parquet(LABS / "abilene-demands.parquet")
    recorded = table["chin>wash"][1] / table["chin>atla"][1]
    chin = played[names.index("chin")]
    assert chin[names.index("wash")] / chin[names.index("atla")] == pytest.approx(recorded, rel=1e-6)


@settings(max_examples=30)
@given(INSTANTS, st.floats(0, 1))
def test_between_two_matrices_demands_change_in_a_straight_line(when: datetime, part: float) -> None:
    start = when.replace(minute=when.minute // 5 * 5, second=0, microsecond=0)
    ends = [_recording().at(start), _recording().at(start + FIVE_MINUTES)]
    between = start + part * FIVE_MINUTES
    weight = (between - start) / FIVE_MINUTES
    np.testing.assert_allclose(_recording().at(between), (1 - weight) * ends[0] + weight * ends[1], rtol=1e-6, atol=1)


@settings(max_examples=30)
@given(INSTANTS, st.integers(1, 40), st.integers(30, 3000))
def test_history_is_the_mean_of_what_live_traffic_would_have_been(when: datetime, cells: int, seconds: int) -> None:
    step = timedelta(seconds=seconds)
    means = _recording().means(when, when + cells * step, step)
    assert means.shape == (cells, 5, 5)
    fine = [_recording().at(when + (i + 0.5) / 200 * step) for i in range(200)]
    np.testing.assert_allclose(means[0], np.mean(fine, axis=0), rtol=5e-3, atol=10)


def test_history_does_not_depend_on_where_it_is_begun() -> None:
    start = datetime(2026, 11, 22, 20, tzinfo=UTC)
    whole = history(_file("square"), start, start + timedelta(days=2))
    later = history(_file("square"), start + timedelta(days=1), start + timedelta(days=2))
    assert len(whole) == 2 * 288
    np.testing.assert_allclose(whole[288:], later, rtol=1e-6)


@pytest.mark.parametrize(("name", "peak"), [("abilene", 0.74), ("square", 0.70)])
def test_the_busiest_link_peaks_where_the_file_says(name: str, peak: float) -> None:
    used = utilisations(_file(name), recording(_file(name)).matrix_bps)
    assert used.max() == pytest.approx(peak)


def test_equal_costs_split_evenly() -> None:
    links, costs, _ = directed_links(_file("square"))
    names = list(_file("square").routers)
    share = shares(len(names), links, costs)[names.index("west"), names.index("far")]
    used = {(names[s], names[r]): share[i] for i, (s, r) in enumerate(links) if share[i]}
    assert used == {
        ("west", "north"): 0.5,
        ("west", "south"): 0.5,
        ("north", "east"): 0.5,
        ("south", "east"): 0.5,
        ("east", "far"): 1.0,
    }


@settings(max_examples=50)
@given(st.lists(st.integers(1, 9), min_size=30, max_size=30))
def test_what_enters_at_the_origin_arrives_at_the_destination(costs: list[int]) -> None:
    links, _, _ = directed_links(_file("abilene"))
    share = shares(12, links, np.array(costs, dtype=float))
    for router in range(12):
        out = share[:, :, [i for i, (s, _) in enumerate(links) if s == router]].sum(axis=2)
        into = share[:, :, [i for i, (_, r) in enumerate(links) if r == router]].sum(axis=2)
        born, dies = np.zeros((12, 12)), np.zeros((12, 12))
        born[router], dies[:, router] = 1, 1
        np.testing.assert_allclose(out - into, born - dies, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.head(100), "must hold 14 days"),
        (lambda t: t.drop("chin>nycm"), "has no column chin>nycm"),
        (lambda t: t.with_columns(pl.lit(float("nan"), pl.Float32).alias("chin>nycm")), "missing or negative"),
        (lambda t: t.with_columns(pl.exclude("time") * 0), "holds no traffic"),
        (lambda t: t.drop("time"), "has no column time"),
        (lambda t: t.with_columns(pl.col("time").cast(pl.String)), "has a column time of String"),
        (lambda t: t.with_columns(pl.lit("much").alias("chin>nycm")), "has a column chin>nycm of String"),
        (lambda t: t.clear(), "must hold 14 days"),
    ],
    ids=["too short", "a demand missing", "not a number", "all zero", "no time", "time as text", "text", "no rows"],
)
def test_a_demand_file_that_does_not_fit_is_refused(
    change: Callable[[pl.DataFrame], pl.DataFrame], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "demands.parquet"
    change(pl.read_parquet(LABS / "abilene-demands.parquet")).write_parquet(file)
    square = _file("square")
    assert square.traffic is not None
    with pytest.raises(InputError, match=message) as refused:
        recording(replace(square, traffic=replace(square.traffic, demands=file)), "sq.yaml")
    assert str(refused.value).startswith(f"sq.yaml: traffic.demands: {file} ")


@pytest.mark.parametrize("content", [b"", b"time,a>b", b"PAR1" + bytes(64)], ids=["empty", "a CSV", "damaged"])
def test_what_is_no_parquet_file_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "demands.parquet"
    file.write_bytes(content)
    square = _file("square")
    assert square.traffic is not None
    with pytest.raises(InputError, match=r"^square: traffic\.demands: .* is not a readable parquet file") as refused:
        recording(replace(square, traffic=replace(square.traffic, demands=file)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("recorded_as", "key"), [("nowhere", "routers.far.recorded_as"), (None, "routers.far")])
def test_a_router_that_the_demands_do_not_know_is_named(recorded_as: str | None, key: str) -> None:
    square = _file("square")
    stranger = replace(square.routers["far"], recorded_as=recorded_as)
    with pytest.raises(InputError, match=f"knows no '{recorded_as or 'far'}'$") as refused:
        recording(replace(square, routers={**square.routers, "far": stranger}), "sq.yaml")
    assert str(refused.value).startswith(f"sq.yaml: {key}: ")


@given(st.lists(st.floats(0.0001, 0.02), min_size=20, max_size=200), st.floats(0, 5000))
def test_pacing_is_exact_in_the_long_run_and_never_bursts(gaps: list[float], rate: float) -> None:
    pacer, clock, sent = Pacer(1, 0.0), 0.0, 0
    pacer.packets_per_s[:] = rate
    for gap in gaps:
        clock += gap
        count = int(pacer.due(clock)[0])
        assert count <= rate * min(max(CATCH_UP * gap, LEAST_ADVANCE_S), MOST_ADVANCE_S) + 1
        sent += count
    assert abs(sent - rate * (clock - pacer.lag_s)) <= 1


def test_a_pause_is_caught_up_and_a_long_one_is_given_up() -> None:
    pacer = Pacer(1, 0.0)
    pacer.packets_per_s[:] = 1000
    sent = int(pacer.due(0.5)[0]) + sum(int(pacer.due(0.5 + 0.002 * i)[0]) for i in range(1, 1000))
    assert abs(sent - 1000 * (0.5 + 0.002 * 999)) <= 1
    assert (pacer.skipped_s, pacer.lag_s) == (0.0, 0.0)
    pacer.due(60.0)
    assert pacer.skipped_s == pytest.approx(60 - 0.5 - 0.002 * 999, abs=0.02)
