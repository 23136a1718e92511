"""Upkeep of a table: no answer changes, whatever is merged, dropped, deleted or cut off, and whoever looks on."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.store import open_delta
from twin.store.compaction import _sorted_parts, merge
from twin.store.delta_log import checkpoint, open_table
from twin.store.latest import Latest
from twin.store.place import LocalPlace
from twin.store.reading import live_files
from twin.store.verify import verify
from twin.vocab.blocks import Block, Column

T0 = np.datetime64("2026-11-20T00:00:00", "us")
DAY = T0.item().date()
FOREVER = (np.datetime64("1970-01-01", "us"), np.datetime64("2200-01-01", "us"))
OVER = datetime(2026, 11, 22, 12, tzinfo=UTC)
KIND = "interface_rate"

ROW = st.tuples(st.sampled_from(["r1", "r2", "r3", "ü"]), st.integers(0, 40), st.integers(0, 9))


@settings(max_examples=10)
@given(rounds=st.lists(st.lists(ROW, min_size=1, max_size=5), min_size=1, max_size=5), cells=st.integers(8, 80))
def test_merging_changes_no_answer(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, int, int]]], cells: int
) -> None:
    """Two days, devices in several files, rewritten samples: whatever there is, now and as of any time."""
    path = tmp_path_factory.mktemp("s")
    with open_delta(path) as store, pytest.MonkeyPatch.context() as patched:
        patched.setattr("twin.store.compaction.CELLS_A_FILE", cells)
        times = []
        for rows in rounds:
            plain = [
                {"device": d, "protocol": "snmp", "at": T0 + np.timedelta64(h, "h"), "values": v} for d, h, v in rows
            ]
            store.write([Block.from_rows("poll", plain)])
            times.append(datetime.now(UTC))

        def answers() -> list[object]:
            known = [store.range("poll", None, *FOREVER, as_of=t).rows() for t in times]
            some = [store.range("poll", {"device": d}, *FOREVER).rows() for d in ("r1", "ü")]
            return [known, some, store.latest("poll").rows(), store.health().kinds[0].rows]

        before = answers()
        store.maintain(OVER)
        assert answers() == before
    assert verify(LocalPlace(path)).whole


def interfaces(path: Path, rounds: int, devices: int = 20) -> LocalPlace:
    """Rates of 10 interfaces a device, written round by round."""
    count = devices * 10
    keys = {
        "device": np.repeat(np.array([f"r{i:02}" for i in range(devices)], dtype=object), 10),
        "interface": np.tile(np.array([f"eth{i}" for i in range(10)], dtype=object), devices),
    }
    with open_delta(path) as store:
        for number in range(rounds):
            at = np.full(count, T0 + number * np.timedelta64(300, "s"))
            store.write([Block(KIND, keys, at, {"in_bps": Column.full(np.full(count, float(number)))})])
    return LocalPlace(path / KIND)


def test_merged_files_cover_devices_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twin.store.compaction.CELLS_A_FILE", 1000 * 6)
    place = interfaces(tmp_path / "s", 20)
    with open_delta(tmp_path / "s") as store:
        assert store.maintain(OVER).merged_files >= 20
        assert store.maintain(OVER).merged_files == 0
    files = live_files(open_table(place)).sort("low").select("low", "high", "rows").rows()
    assert files == [(f"r{i:02}", f"r{i + 4:02}", 1000) for i in range(0, 20, 5)]
    path = tmp_path / "s" / KIND / live_files(open_table(place))["path"][0]
    rows = pl.read_parquet(path, hive_partitioning=False)
    assert rows.equals(rows.sort("device", "interface", "at"))


def test_of_two_that_merge_the_same_files_one_gives_way(tmp_path: Path) -> None:
    place = interfaces(tmp_path / "s", 3)
    one, other = open_table(place), open_table(place)
    paths = live_files(one)["path"].to_list()
    assert merge(one, place, KIND, DAY, paths)
    assert not merge(other, place, KIND, DAY, paths)
    with open_delta(tmp_path / "s") as store:
        assert store.health().kinds[0].rows == 600
    assert len(data_files(tmp_path)) == 4
    assert verify(LocalPlace(tmp_path / "s")).damage == ()


def data_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "s" / KIND).glob("date=*/*.parquet"))


def test_a_merge_cut_off_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = interfaces(tmp_path / "s", 3)

    def interrupted(*asked: Any) -> Iterator[pl.DataFrame]:
        yield from _sorted_parts(*asked)
        raise KeyboardInterrupt

    before, table = data_files(tmp_path), open_table(place)
    monkeypatch.setattr("twin.store.compaction._sorted_parts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        merge(table, place, KIND, DAY, live_files(table)["path"].to_list())
    assert data_files(tmp_path) == before


def test_days_past_their_retention_go_and_latest_forgets_them(tmp_path: Path) -> None:
    with (
        open_delta(tmp_path / "s", retention={"poll": timedelta(days=2)}) as store,
        open_delta(tmp_path / "s") as reader,
    ):
        for day, device in ((0, "old"), (0, "r1"), (1, "r1"), (2, "r1")):
            row = {"device": device, "protocol": "snmp", "at": T0 + np.timedelta64(day, "D"), "values": day}
            store.write([Block.from_rows("poll", [row])])
        assert [r["device"] for r in reader.latest("poll").rows()] == ["old", "r1"]
        assert store.maintain(datetime(2026, 11, 22, 23, tzinfo=UTC)).dropped_rows == 0
        assert store.maintain(datetime(2026, 11, 23, 0, tzinfo=UTC)).dropped_rows == 2
        for one in (store, reader):
            assert [r["device"] for r in one.latest("poll").rows()] == ["r1"]
            assert len(one.range("poll", None, *FOREVER)) == 2
    assert verify(LocalPlace(tmp_path / "s")).whole


def test_upkeep_leaves_the_newest_values_for_fresh_processes(tmp_path: Path) -> None:
    """However many rows came since: those who write leave that to upkeep."""
    interfaces(tmp_path / "s", 3)
    file = tmp_path / "s" / KIND / "_latest" / "newest"
    assert not file.exists()
    with open_delta(tmp_path / "s") as store:
        store.maintain(OVER)
    for path in data_files(tmp_path):
        path.unlink()
    with open_delta(tmp_path / "s") as store:
        assert set(store.latest(KIND).fields["in_bps"].values.tolist()) == {2.0}


# ---- the log ----


def log_names(path: Path) -> Counter[str]:
    names = (entry.name for entry in (path / KIND / "_delta_log").iterdir() if not entry.name.startswith("."))
    return Counter(name.rpartition(".")[2] for name in names)


def test_the_log_is_kept_short_as_far_as_nobody_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twin.store.upkeep.CHECKPOINT_EVERY", 5)
    monkeypatch.setattr("twin.store.upkeep.ENTRIES_KEPT", 3)
    path = tmp_path / "s"
    place = interfaces(path, 12)
    with open_delta(path) as reader, open_delta(path) as store:
        assert len(reader.range(KIND, {"device": "r01"}, *FOREVER)) == 120
        store.maintain(OVER)
        assert log_names(path) == {"json": 14, "parquet": 1, "_last_checkpoint": 1}
        assert json.loads(place.read("_delta_log/_last_checkpoint"))["version"] == 13
        interfaces(path, 6)
        store.maintain(OVER)
        assert log_names(path)["json"] > 14, "entries of the last hour are kept"
        age_log(path)
        store.maintain(OVER)
        assert log_names(path)["json"] < 10
        assert len(reader.range(KIND, {"device": "r01"}, *FOREVER)) == 120
        assert len(reader.latest(KIND)) == 200
    with open_delta(path) as store:
        assert len(store.range(KIND, {"device": "r01"}, *FOREVER)) == 120
        store.write([Block.from_rows(KIND, [{"device": "r01", "interface": "x", "in_bps": 1.0}], at=T0)])
        assert len(store.latest(KIND)) == 201
    assert verify(LocalPlace(path)).whole


def test_entries_are_on_disk_before_a_checkpoint_repeats_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a power cut could take one from the journal whose rows the table holds."""
    place, synced, sync = interfaces(tmp_path / "s", 3), list[str](), os.fsync
    table = open_table(place)

    def noted(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    checkpoint(table, place)
    entry, parquet = (f"{table.version():020d}.{ending}" for ending in ("json", "checkpoint.parquet"))
    assert synced.index(entry) < synced.index(parquet)


def age_log(path: Path) -> None:
    then = (datetime.now(UTC) - timedelta(hours=2)).timestamp()
    for entry in (path / KIND / "_delta_log").iterdir():
        os.utime(entry, (then, then))


# ---- leftovers and lookers-on ----


def test_what_dead_writers_left_is_deleted_once_it_is_old(tmp_path: Path) -> None:
    interfaces(tmp_path / "s", 1)
    (live,) = data_files(tmp_path)
    for name, age in (("old", timedelta(days=2)), ("young", timedelta(hours=2))):
        copy = live.with_name(f"part-{name}-0123456789abcdef.parquet")
        copy.write_bytes(live.read_bytes())
        then = (datetime.now(UTC) - age).timestamp()
        os.utime(copy, (then, then))
    with open_delta(tmp_path / "s") as store:
        assert store.maintain(datetime.now(UTC)).deleted_files == 1
        assert len(store.latest(KIND)) == 200
    assert {path.name for path in data_files(tmp_path)} == {live.name, "part-young-0123456789abcdef.parquet"}


def test_a_reader_asleep_while_all_is_merged_and_deleted_reads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = interfaces(tmp_path / "s", 2)
    with open_delta(tmp_path / "s") as reader, open_delta(tmp_path / "s") as keeper:
        following = Latest(place, KIND)
        assert len(following.newest()) == len(reader.latest(KIND)) == 200
        interfaces(tmp_path / "s", 9)
        monkeypatch.setattr("twin.store.upkeep.GRACE", timedelta())
        assert keeper.maintain(OVER).deleted_files == 11
        assert reader.latest(KIND).rows() == keeper.latest(KIND).rows()
        assert len(reader.range(KIND, {"device": "r01"}, *FOREVER)) == 90
        assert len(following.newest()) == 200
