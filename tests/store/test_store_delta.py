"""What only the embedded store promises: many processes, sudden death, versions, durability."""

from __future__ import annotations

import os
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.store.killing import END, SERIES, SPAWN, T0, a_round, check, mayhem
from twin.store import Batch, Health, StoreError, latest_records, open_delta
from twin.store.folder import open_folder
from twin.store.place import LocalPlace, Place
from twin.vocab.errors import UsageError
from twin.vocab.schema import SCHEMA_VERSION

CASES = Path(__file__).with_name("cases")


def rounds_in(path: Path, writer: str = "w") -> list[int]:
    """The rounds read back, each checked to be whole."""
    with open_delta(path) as store:
        found = store.range("interface", {"device": writer}, T0, END)
    rounds, counts = np.unique(found.fields["in_octets"].values, return_counts=True)
    assert set(counts.tolist()) <= {SERIES}
    return list(rounds.tolist())


def test_kill_9_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Writing and merging are killed at random moments; the writer retries the round it may have lost."""
    acknowledged, _ = mayhem(tmp_path / "s", 10, random.Random())
    assert acknowledged
    check(tmp_path / "s", acknowledged)


def rows(health: Health) -> dict[str, int]:
    return {k.kind: k.rows for k in health.kinds}


def _write_rounds(path: Path, name: str, count: int) -> None:
    with open_delta(path) as store:
        for number in range(count):
            store.write(a_round(number, name), Batch(name, number))
            store.write(a_round(number, name), Batch(name, number))


def test_two_processes_write_while_a_third_reads_and_merges(tmp_path: Path) -> None:
    path = tmp_path / "s"
    writers = [SPAWN.Process(target=_write_rounds, args=(path, name, 12)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        for name in ("a", "b"):
            seen = rounds_in(path, name)
            assert seen == list(range(len(seen)))
        with open_delta(path) as store:
            store.maintain(datetime.now(UTC))
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert rounds_in(path, "a") == rounds_in(path, "b") == list(range(12))
    with open_delta(path) as store:
        assert rows(store.health()).items() >= {"interface": 2 * 12 * SERIES, "poll": 24}.items()


def test_a_round_cut_short_between_two_tables_is_completed_by_its_retry(tmp_path: Path) -> None:
    interfaces, status = a_round(1)
    with open_delta(tmp_path / "s") as store:
        store.write([interfaces], Batch("w", 1))
        store.write([interfaces, status], Batch("w", 1))
        assert {k.kind: k.rows for k in store.health().kinds} == {"interface": SERIES, "poll": 1}


def test_merging_keeps_the_samples_and_shrinks_the_store(tmp_path: Path) -> None:
    with open_delta(tmp_path / "s") as store:
        for number in range(6):
            store.write(a_round(number))
        before = store.health()
        assert store.maintain(datetime.now(UTC)).merged_files == 12
        after = store.health()
        assert rows(after).items() >= rows(before).items()
        sizes = {k.kind: k.size_bytes or 0 for k in after.kinds}
        assert all(sizes[k.kind] < (k.size_bytes or 0) for k in before.kinds)
        assert store.latest("poll").fields["values"].values.tolist() == [5]
    assert rounds_in(tmp_path / "s") == list(range(6))


def test_merged_files_are_left_for_readers_until_the_grace_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_delta(tmp_path / "s") as store:
        for number in range(3):
            store.write(a_round(number))
            assert store.latest("poll").fields["values"].values.tolist() == [number]
        assert store.maintain(datetime.now(UTC)).deleted_files == 0
        assert len(store.latest("interface")) == SERIES
        monkeypatch.setattr("twin.store.upkeep.GRACE", timedelta(0))
        assert store.maintain(datetime.now(UTC)).deleted_files == 6
        assert store.latest("poll").fields["values"].values.tolist() == [2]
    assert rounds_in(tmp_path / "s") == [0, 1, 2]


def test_what_was_written_is_synced_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data files, the log entries that name them and all folders are fsynced before write returns."""
    synced: list[Path] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        fsync(handle)

    monkeypatch.setattr("os.fsync", noted)
    path = tmp_path / "s"
    with open_delta(path) as store:
        for number in range(2):
            synced.clear()
            store.write(a_round(number))
            table = path / "interface"
            (newest,) = sorted(table.rglob("*.parquet"), key=lambda f: f.stat().st_mtime_ns)[-1:]
            entry = table / "_delta_log" / f"{number + 1:020}.json"
            made = {table, path} if number == 0 else {table}
            assert {newest, newest.parent, entry, entry.parent, *made} <= set(synced)
            assert synced.index(newest) < synced.index(entry)


# ---- versions ----


def test_a_store_of_version_1_is_read(tmp_path: Path) -> None:
    """The fixture was written by the first release; every later one must open it."""
    shutil.copytree(CASES / "delta_v1", tmp_path / "s")
    with open_delta(tmp_path / "s") as store:
        assert store.latest("poll").rows() == [
            {"device": "r1", "protocol": "snmp", "at": T0, "status": "ok", "reason": "", "seconds": 0.25, "values": 4}
        ]
        numbers = store.range("interface", {"device": "r1"}, T0, END, ["in_octets"]).fields["in_octets"]
        assert numbers.values.tolist() == [7, -1]
        assert latest_records(store, "config")["r1"].content == "hostname r1\n"
        store.write(a_round(5, "r1"))
        assert store.latest("poll").fields["values"].values.tolist() == [5]


def test_an_older_store_is_migrated_step_by_step(tmp_path: Path) -> None:
    open_folder(LocalPlace(tmp_path / "s"), version=1)
    steps: list[int] = []
    migrations = {1: lambda place: steps.append(1), 2: lambda place: steps.append(2)}
    open_folder(LocalPlace(tmp_path / "s"), version=3, migrations=migrations)
    open_folder(LocalPlace(tmp_path / "s"), version=3, migrations={})
    assert steps == [1, 2]


def test_a_migration_that_fails_is_tried_again(tmp_path: Path) -> None:
    def fail(place: Place) -> None:
        raise OSError(28, "No space left on device")

    open_folder(LocalPlace(tmp_path / "s"), version=1)
    with pytest.raises(StoreError, match="No space left"):
        open_folder(LocalPlace(tmp_path / "s"), version=3, migrations={1: lambda place: None, 2: fail})
    with pytest.raises(UsageError, match="version 2, which this nettwin can't bring up to date"):
        open_folder(LocalPlace(tmp_path / "s"), version=3, migrations={})


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    open_folder(LocalPlace(tmp_path / "s"), version=SCHEMA_VERSION + 1)
    with pytest.raises(UsageError, match="use a newer nettwin"):
        open_delta(tmp_path / "s")


@pytest.mark.parametrize("marker", ["", "[]", '{"format": "another", "schema_version": 1}', '{"schema_version": 1}'])
def test_a_folder_with_something_else_is_refused(tmp_path: Path, marker: str) -> None:
    (tmp_path / "store.json").write_text(marker)
    with pytest.raises(UsageError, match="does not describe a store"):
        open_delta(tmp_path)


def test_a_folder_that_is_not_empty_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="something else"):
        open_delta(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_path_that_can_t_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        open_delta(tmp_path / "file" / "s")
    with pytest.raises(UsageError, match=r"can't contain \["):
        open_delta(tmp_path / "a[1")


def test_a_damaged_table_is_one_clear_line(tmp_path: Path) -> None:
    with open_delta(tmp_path / "s") as store:
        store.write(a_round(0))
        for file in (tmp_path / "s" / "interface").rglob("*.parquet"):
            file.write_bytes(b"rubbish")
    with open_delta(tmp_path / "s") as store, pytest.raises(StoreError, match="interface") as complaint:
        store.latest("interface")
    assert "\n" not in str(complaint.value)


def test_a_store_may_lie_at_an_unusual_path(tmp_path: Path) -> None:
    path = tmp_path / "où ça? 100% (1)*"
    with open_delta(path) as store:
        store.write(a_round(0))
        assert len(store.latest("interface")) == SERIES
        store.maintain(datetime.now(UTC))
    assert rounds_in(path) == [0]
