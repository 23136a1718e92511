"""Room on the disk is asked for before a write; a store that can't be written can be read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.store.killing import END, T0, a_round
from tests.store.small_disk import SmallDisk, small_disk
from twin.store import Batch, Store, StoreError, StoreFullError, open_delta
from twin.store.delta_table import KindTable
from twin.store.latest import EVERY

MEGABYTE = 1_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 16) as made:
        yield made


def polls(store: Store) -> list[int]:
    return list(store.range("poll", None, T0, END).fields["values"].values.tolist())


def test_below_the_spare_disk_nothing_is_written(disk: SmallDisk) -> None:
    """Neither rounds nor tiers, until there is room again."""
    with open_delta(disk.folder / "s", spare_disk=4 * MEGABYTE) as store:
        store.write(a_round(0), Batch("w", 0))
        disk.leave(3 * MEGABYTE)
        free = shutil.disk_usage(disk.folder).free
        with pytest.raises(StoreFullError, match=r"[23] MB are free, .* 4 MB of store.spare_disk; nothing was written"):
            store.write(a_round(1), Batch("w", 1))
        assert shutil.disk_usage(disk.folder).free == free
        assert store.maintain(datetime.now(UTC) + timedelta(days=2)).thinned_rows == 0
        assert polls(store) == [0]
        disk.free()
        store.write(a_round(1), Batch("w", 1))
        assert polls(store) == [0, 1]
        assert store.maintain(datetime.now(UTC) + timedelta(days=2)).thinned_rows > 0


def test_a_read_only_store_is_read(disk: SmallDisk) -> None:
    with open_delta(disk.folder / "s") as store:
        store.write(a_round(0), Batch("w", 0))
        subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)
        with pytest.raises(StoreError, match="Read-only file system"):
            store.write(a_round(1), Batch("w", 1))
        assert polls(store) == [0]
    with open_delta(disk.folder / "s") as anew:
        assert polls(anew) == [0]
        subprocess.run(["mount", "-o", "remount,rw", str(disk.folder)], check=True)
        anew.write(a_round(1), Batch("w", 1))
        assert polls(anew) == [0, 1]


def test_a_new_store_in_a_read_only_folder_is_refused(disk: SmallDisk) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)
    with pytest.raises(StoreError, match="Read-only file system"):
        open_delta(disk.folder / "s")


def test_a_panic_of_the_engine_is_an_error_and_the_store_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No disk makes this version panic, others did; panics are no ``Exception`` and would end the collector."""

    def panic(*_: object) -> None:
        raise pl.exceptions.PanicException("called `Result::unwrap()` on an `Err` value")

    with open_delta(tmp_path / "s") as store:
        store.write(a_round(0), Batch("w", 0))
        with monkeypatch.context() as patched:
            patched.setattr(KindTable, "append", panic)
            with pytest.raises(StoreError, match=r"unwrap.*; not written: interface, poll"):
                store.write(a_round(1), Batch("w", 1))
        store.write(a_round(1), Batch("w", 1))
        assert polls(store) == [0, 1]


def test_newest_values_that_can_not_be_left_for_others_do_not_undo_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def panic(*_: object) -> None:
        raise pl.exceptions.PanicException("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr("twin.store.latest.Latest.keep", panic)
    with open_delta(tmp_path / "s") as store:
        for number in range(EVERY):
            store.write(a_round(number), Batch("w", number))
        assert polls(store) == list(range(EVERY))
