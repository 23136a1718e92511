"""A disk that is full: nothing acknowledged is harmed, nothing refused is half there, and it goes on by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.store.killing import END, SERIES, T0, a_round
from tests.store.small_disk import SmallDisk, small_disk
from twin.store import Batch, Store, StoreError, open_delta
from twin.store.place import LocalPlace
from twin.store.verify import verify


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 16) as made:
        yield made


def rounds(store: Store) -> list[int]:
    found, counts = np.unique(store.range("interface", None, T0, END).fields["in_octets"].values, return_counts=True)
    assert set(counts.tolist()) <= {SERIES}
    polls = store.range("poll", None, T0, END).fields["values"].values.tolist()
    assert polls == found.tolist()[: len(polls)]
    return list(found.tolist())


def complaint(do: Callable[[], object]) -> str:
    """Why the store refused; "" if it did not."""
    try:
        do()
    except StoreError as problem:
        return str(problem)
    return ""


def test_it_may_fill_up_at_any_moment_of_a_write(disk: SmallDisk) -> None:
    """With each page that is free a write comes further before it fails; tried again with room it is there once."""
    path, failed = disk.folder / "s", 0
    with open_delta(path) as store:
        store.write(a_round(0), Batch("w", 0))
        for number, pages in enumerate(range(16), 1):
            disk.leave(4096 * pages)
            refused = complaint(partial(store.write, a_round(number), Batch("w", number)))
            failed += "No space left" in refused
            assert bool(refused) == ("No space left" in refused)
            assert rounds(store)[:number] == list(range(number))
            disk.free()
            store.write(a_round(number), Batch("w", number))
            assert rounds(store) == list(range(number + 1))
    assert failed > 4
    with open_delta(path) as anew:
        assert rounds(anew) == list(range(17))
    assert verify(LocalPlace(path)).whole


def test_it_is_read_and_opened_while_the_disk_is_full(disk: SmallDisk) -> None:
    path = disk.folder / "s"
    with open_delta(path) as store:
        for number in range(5):
            store.write(a_round(number), Batch("w", number))
        disk.leave(0)
        with pytest.raises(StoreError, match=r"No space left on device.*; not written: interface, poll"):
            store.write(a_round(5), Batch("w", 5))
        assert rounds(store) == list(range(5))
    with open_delta(path) as anew:
        assert rounds(anew) == list(range(5))
        assert set(anew.latest("interface").fields["in_octets"].values.tolist()) == {4}


def test_upkeep_that_finds_no_room_harms_nothing(disk: SmallDisk) -> None:
    path, later = disk.folder / "s", datetime.now(UTC) + timedelta(days=2)
    with open_delta(path) as store:
        for number in range(20):
            store.write(a_round(number), Batch("w", number))
        for pages in range(0, 24, 3):
            disk.leave(4096 * pages)
            assert "\n" not in complaint(lambda: store.maintain(later))
            assert rounds(store) == list(range(20))
        disk.free()
        store.maintain(later)
        assert rounds(store) == list(range(20))
    assert verify(LocalPlace(path)).whole


def test_upkeep_makes_room_on_a_full_disk(disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was merged away is deleted although nothing more can be merged."""
    path, later = disk.folder / "s", datetime.now(UTC) + timedelta(days=2)
    with open_delta(path, spare_disk=1_000_000) as store:
        for number in range(20):
            store.write(a_round(number), Batch("w", number))
        merged = store.maintain(later).merged_files
        assert merged >= 40
        for number in range(20, 30):
            store.write(a_round(number), Batch("w", number))
        monkeypatch.setattr("twin.store.upkeep.GRACE", timedelta())
        disk.leave(4096)
        assert store.maintain(later).deleted_files >= merged
        assert rounds(store) == list(range(30))
