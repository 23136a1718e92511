"""The job that fills the tiers: when hours are due, late data, and being cut off anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.store import Store, StoreError, open_delta
from twin.store.place import LocalPlace
from twin.store.thinning import Thinning, not_thinned_since, raw_needed_since
from twin.vocab.blocks import Block
from twin.vocab.time import instant

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
FOREVER = (np.datetime64("1970-01-01", "us"), np.datetime64("2200-01-01", "us"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_delta(tmp_path / "s") as opened:
        yield opened


def hours(number: float) -> datetime:
    return START + timedelta(hours=number)


def sampled(store: Store, *minutes: int, device: str = "r1", octets: int = 6000) -> None:
    rows = [
        {"device": device, "interface": "eth0", "at": instant(START + timedelta(minutes=m)),
         "in_octets": 10**6 + octets * m,
         "counter_bits": 64, "uptime_cs": 6000 * (m + 10000)}
        for m in minutes
    ]  # fmt: skip
    store.write([Block.from_rows("interface", rows)])


def kept(store: Store, tier: str = "1h", device: str = "r1") -> dict[datetime, tuple[Any, Any]]:
    """Bucket -> (mean, known seconds)."""
    found = store.range(f"interface_{tier}", {"device": device}, *FOREVER).rows()
    return {
        row["at"].item().replace(tzinfo=UTC): (row.get("in_octets_mean"), row["in_octets_known_s"]) for row in found
    }


def stored(store: Store) -> dict[str, int]:
    return {k.kind: k.rows for k in store.health().kinds}


def left(path: Path) -> datetime | None:
    """The first hour that is not thinned; raw rows are needed from two hours before."""
    since, raw = (told(LocalPlace(path / "s"), "interface") for told in (not_thinned_since, raw_needed_since))
    assert raw == (since and since - timedelta(hours=2))
    return since


def thin(store: Store, path: Path, now: datetime, **how: Any) -> int:
    return Thinning(store, LocalPlace(path / "s"), **how)("interface", now)


def test_an_hour_is_thinned_once_it_is_over_and_settled(store: Store, tmp_path: Path) -> None:
    sampled(store, *range(-1, 70))
    assert thin(store, tmp_path, hours(1.2)) == 2  # of the minute before ten
    assert kept(store) == {hours(-1): (100.0, 60.0)}
    assert left(tmp_path) == START
    assert thin(store, tmp_path, hours(1.25)) == 13
    assert kept(store)[START] == (100.0, 3600.0)
    assert len(kept(store, "5m")) == 13
    assert thin(store, tmp_path, hours(1.25)) == 0
    assert stored(store)["interface_1h"] == 2


def test_late_data_land_in_their_buckets(store: Store, tmp_path: Path) -> None:
    """A second device's day-old samples arrive; the first one's hour is not disturbed."""
    sampled(store, *range(61))
    thin(store, tmp_path, hours(2))
    sampled(store, *range(61), device="r2", octets=600)
    thin(store, tmp_path, hours(26))
    assert kept(store)[START] == (100.0, 3600.0)
    assert kept(store, device="r2")[START] == (10.0, 3600.0)


def test_a_gap_filled_later_is_known_later(store: Store, tmp_path: Path) -> None:
    sampled(store, *range(30))
    thin(store, tmp_path, hours(2))
    assert kept(store)[START] == (100.0, 29 * 60.0)
    sampled(store, *range(30, 61))
    thin(store, tmp_path, hours(3))
    assert kept(store)[START] == (100.0, 3600.0)


def test_slow_polling_reaches_back(store: Store, tmp_path: Path) -> None:
    """With a poll each 40 minutes the end of an hour is known well after it was waited for."""
    sampled(store, 0, 40)
    thin(store, tmp_path, hours(1.3))
    assert kept(store)[START] == (100.0, 2400.0)
    sampled(store, 80)
    thin(store, tmp_path, hours(2.3))
    assert kept(store)[START] == (100.0, 3600.0)
    assert thin(store, tmp_path, hours(2.5)) == 0


ARRIVALS = st.lists(st.tuples(st.sampled_from(["r1", "r2"]), st.integers(-90, 200), st.integers(0, 2)), max_size=60)


@settings(max_examples=10)
@given(arrivals=ARRIVALS)
def test_whatever_the_order_of_arrival_the_tiers_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[tuple[str, int, int]]
) -> None:
    """Samples come in three deliveries, late, twice, out of order; after each all that is over is thinned."""
    whole, late = (tmp_path_factory.mktemp("arrivals") for _ in range(2))
    with open_delta(late / "s") as store, open_delta(whole / "s") as other:
        for delivery in range(3):
            for device in ("r1", "r2"):
                sampled(store, *(m for d, m, number in arrivals if (d, number) == (device, delivery)), device=device)
            thin(store, late, hours(9 + delivery))
        for device in ("r1", "r2"):
            sampled(other, *(minute for d, minute, _ in arrivals if d == device), device=device)
        thin(other, whole, hours(9))
        for tier, device in product(("5m", "1h"), ("r1", "r2")):
            assert kept(store, tier, device) == kept(other, tier, device)


class _CutOffError(Exception):
    pass


@pytest.mark.parametrize("when", range(4))
def test_a_run_cut_off_anywhere_is_gone_through_once(store: Store, tmp_path: Path, when: int) -> None:
    """Hours 0 to 20 in four pieces: cut off after each one's rows are written and before that is noted."""
    for hour in range(20):
        sampled(store, *range(60 * hour, 60 * hour + 60))
    calls = 0

    def cut(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > when:
            raise _CutOffError

    with pytest.raises(_CutOffError):
        thin(store, tmp_path, hours(30), progress=cut)
    assert left(tmp_path) == hours(6 * when - 1)
    thin(store, tmp_path, hours(30))
    assert stored(store)["interface_1h"] == 20
    assert stored(store)["interface_5m"] == 240
    assert {known for _, known in kept(store).values()} == {3600.0, 3540.0}
    assert left(tmp_path) is None


def test_stopping_leaves_the_rest_for_the_next_run(store: Store, tmp_path: Path) -> None:
    for hour in range(20):
        sampled(store, *range(60 * hour, 60 * hour + 60))
    answers = iter([False, True])
    assert (
        thin(store, tmp_path, hours(30), stop=lambda: next(answers)) == 5 * 13
    )  # the first of six hours is the one before, in which there is nothing
    thin(store, tmp_path, hours(30))
    assert stored(store)["interface_1h"] == 20


def test_what_was_added_before_the_log_begins_is_thinned_all_the_same(store: Store, tmp_path: Path) -> None:
    sampled(store, *range(61))
    sampled(store, *range(60, 121))
    table = tmp_path / "s" / "interface"
    DeltaTable(table).create_checkpoint()
    for entry in sorted((table / "_delta_log").glob("*.json"))[:2]:
        entry.unlink()
    thin(store, tmp_path, hours(3))
    assert [known for _, known in kept(store).values()] == [3600.0, 3600.0]


def test_a_damaged_note_is_named(store: Store, tmp_path: Path) -> None:
    sampled(store, *range(61))
    thin(store, tmp_path, hours(3))
    (tmp_path / "s" / "thinning" / "interface.json").write_text("{")
    with pytest.raises(StoreError, match=r"thinning/interface\.json is damaged"):
        thin(store, tmp_path, hours(3))
    (tmp_path / "s" / "thinning" / "interface.json").unlink()
    assert thin(store, tmp_path, hours(3)) == 0  # thinned anew: all as before


def test_what_comes_for_hours_whose_raw_rows_are_gone_fills_holes_only(tmp_path: Path) -> None:
    with open_delta(tmp_path / "s", retention={"interface": timedelta(days=10)}) as store:
        sampled(store, *range(60))
        store.maintain(hours(2))
        assert store.maintain(hours(24 * 12)).dropped_rows == 60
        assert kept(store)[START] == (100.0, 3540.0)
        sampled(store, 10, 20, octets=900)
        sampled(store, 70, 75, octets=600, device="r2")
        assert store.maintain(hours(24 * 12)).dropped_rows == 4
        assert kept(store) == {START: (100.0, 3540.0)}
        assert len(kept(store, "5m")) == 12
        assert kept(store, device="r2") == {hours(1): (10.0, 300.0)}


def test_what_was_looked_at_is_on_disk_before_the_job_says_so(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a version lost in a power cut could be written anew, for other hours, and never be thinned."""
    sampled(store, 1, 2)
    synced, sync = list[str](), os.fsync

    def noted(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    thin(store, tmp_path, hours(0.5))
    (state,) = [i for i, name in enumerate(synced) if name.startswith(".interface.json")]
    assert {f"{DeltaTable(tmp_path / 's' / 'interface').version():020d}.json", "_delta_log"} <= set(synced[:state])


def test_a_torn_entry_is_not_taken_for_a_version_looked_at(tmp_path: Path) -> None:
    """Its version is written anew, for other hours."""
    with open_delta(tmp_path / "s") as store:
        sampled(store, 1, 2)
    log = tmp_path / "s" / "interface" / "_delta_log"
    (log / f"{DeltaTable(log.parent).version() + 1:020d}.json").write_text("")
    with open_delta(tmp_path / "s") as store:
        thin(store, tmp_path, hours(0.5))
        sampled(store, 301, 302)
        thin(store, tmp_path, hours(7))
        assert hours(5) in kept(store)
