"""Clocks that are set back, and data that come late: what was written last wins, each value is where its time says."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twin.store import Store, open_delta
from twin.store.place import LocalPlace
from twin.store.thinning import Thinning
from twin.vocab.blocks import Block

HOUR = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
ALL = (np.datetime64("2000-01-01", "us"), np.datetime64("2100-01-01", "us"))
SetClock = Callable[[timedelta], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """The clock that the store reads goes wrong by so much from now on."""
    right = time.time_ns

    def set_to(wrong: timedelta) -> None:
        monkeypatch.setattr("time.time_ns", lambda: right() + wrong // timedelta(microseconds=1) * 1000)

    return set_to


def minute(number: float) -> np.datetime64:
    return np.datetime64((HOUR + timedelta(minutes=number)).replace(tzinfo=None), "us")


def put(store: Store, number: float, value: int, device: str = "r1") -> None:
    row = {"device": device, "uptime_cs": value, "at": minute(number)}
    store.write([Block.from_rows("device", [row])])


def values(block: Block) -> Any:
    return block.fields["uptime_cs"].values.tolist()


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("merged", [False, True])
def test_what_was_written_last_wins_whatever_the_clock_says(
    tmp_path: Path, set_clock: SetClock, anew: bool, merged: bool
) -> None:
    steps = [timedelta(0), timedelta(hours=-1), timedelta(days=-400), timedelta(hours=1), timedelta(0)]
    store = open_delta(tmp_path / "s")
    for value, wrong in enumerate(steps):
        set_clock(wrong)
        put(store, 0, value)
        if merged:
            store.maintain(datetime.now(UTC))
        if anew:
            store.close()
            store = open_delta(tmp_path / "s")
        assert values(store.range("device", None, *ALL)) == [value]
        assert values(store.latest("device")) == [value]
    store.close()


def test_a_day_late_is_in_its_place(tmp_path: Path, set_clock: SetClock) -> None:
    """Two devices; what one had kept for a day comes after what is newer, by a clock that was set back meanwhile."""
    day = 24 * 60
    with open_delta(tmp_path / "s") as store:
        for number in (day, day + 1, day + 2):
            put(store, number, number)
        set_clock(timedelta(hours=-3))
        for number in (2, 0, 1):
            put(store, number, number)
            put(store, number, 10 * number, "r2")
        store.maintain(datetime.now(UTC))
        found = store.range("device", {"device": "r1"}, *ALL)
        assert values(found) == [0, 1, 2, day, day + 1, day + 2]
        assert np.all(np.diff(found.at) > np.timedelta64(0))
        assert values(store.range("device", None, minute(1), minute(3))) == [1, 2, 10, 20]
        assert values(store.latest("device")) == [day + 2, 20]
    with open_delta(tmp_path / "s") as anew:
        assert values(anew.latest("device")) == [day + 2, 20]


def test_late_data_are_thinned_again_whatever_the_clock_says(tmp_path: Path, set_clock: SetClock) -> None:
    def sampled(store: Store, minutes: range) -> None:
        told = {"device": "r1", "interface": "eth0", "counter_bits": 64}
        rows = [told | {"at": minute(m), "in_octets": 6000 * m, "uptime_cs": 6000 * (m + 9)} for m in minutes]
        store.write([Block.from_rows("interface", rows)])

    def known_s(store: Store) -> Any:
        return store.range("interface_1h", None, *ALL).fields["in_octets_known_s"].values.tolist()

    with open_delta(tmp_path / "s") as store:
        thinning = Thinning(store, LocalPlace(tmp_path / "s"))
        sampled(store, range(30))
        thinning("interface", HOUR + timedelta(hours=2))
        assert known_s(store) == [29 * 60.0]
        set_clock(timedelta(days=-2))
        sampled(store, range(30, 61))
        thinning("interface", HOUR + timedelta(hours=26))
        assert known_s(store)[0] == 3600.0
        store.maintain(datetime.now(UTC))
        assert known_s(store)[0] == 3600.0
