"""How the embedded store answers ``latest``: from a file beside the table that is never trusted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from twin.store import Store, open_delta
from twin.store.latest import EVERY
from twin.vocab.blocks import Block

T0 = np.datetime64("2026-11-23T12:00:00", "us")


def polls(number: int, *devices: str) -> Block:
    at = T0 + np.timedelta64(number, "s")
    return Block.from_rows("poll", [{"device": d, "protocol": "snmp", "values": number} for d in devices], at=at)


def newest(store: Store) -> dict[str, int]:
    return {row["device"]: row["values"] for row in store.latest("poll").rows()}


def written(path: Path, rounds: int) -> Path:
    """A store in which r1 was polled in each round and r2 only in the first; the file beside its table."""
    with open_delta(path) as store:
        for number in range(rounds):
            store.write([polls(number, "r1", *(["r2"] if number == 0 else []))])
    return path / "poll" / "_latest" / "newest"


def without_rows(path: Path) -> None:
    for file in path.rglob("date=*/*.parquet"):
        file.unlink()


def test_a_fresh_process_needs_no_rows_and_loads_no_library_for_them(tmp_path: Path) -> None:
    written(tmp_path / "s", EVERY)
    without_rows(tmp_path / "s")
    program = """if True:
        import sys, json, pathlib
        from twin.store import open_delta
        found = open_delta(pathlib.Path(sys.argv[1])).latest("poll")
        print(json.dumps([found.keys["device"].tolist(), found.fields["values"].values.tolist()]))
        print(json.dumps([name for name in ("polars", "deltalake", "sqlite3") if name in sys.modules]))
    """
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s")], capture_output=True, text=True, check=True
    )
    answer, loaded = done.stdout.splitlines()
    assert json.loads(answer) == [["r1", "r2"], [EVERY - 1, 0]]
    assert json.loads(loaded) == []


@pytest.mark.parametrize("rounds", [1, EVERY - 1, EVERY, 2 * EVERY + 3])
def test_what_is_newer_than_the_file_is_folded(tmp_path: Path, rounds: int) -> None:
    file = written(tmp_path / "s", rounds)
    assert file.exists() == (rounds >= EVERY)
    with open_delta(tmp_path / "s") as store:
        assert newest(store) == {"r1": rounds - 1, "r2": 0}
        store.write([polls(100, "r2", "r3")])
        assert newest(store) == {"r1": rounds - 1, "r2": 100, "r3": 100}


def test_a_file_that_is_lost_or_rotten_costs_time_and_nothing_else(tmp_path: Path) -> None:
    file = written(tmp_path / "s", EVERY)
    for spoil in (lambda: file.write_bytes(file.read_bytes()[:-1]), file.unlink):
        spoil()
        with open_delta(tmp_path / "s") as store:
            assert newest(store) == {"r1": EVERY - 1, "r2": 0}


def test_a_file_about_another_history_of_the_table_is_not_used(tmp_path: Path) -> None:
    """As after a table was restored from a backup and written on."""
    path = tmp_path / "s"
    written(path, EVERY - 2)
    shutil.copytree(path, tmp_path / "backup")
    file = written(path, 2)
    shutil.copytree(tmp_path / "backup", tmp_path / "restored")
    with open_delta(tmp_path / "restored") as store:
        store.write([polls(50, "r5")])
        store.write([polls(51, "r5")])
    shutil.copyfile(file, tmp_path / "restored" / "poll" / "_latest" / "newest")
    with open_delta(tmp_path / "restored") as store:
        assert newest(store) == {"r1": EVERY - 3, "r2": 0, "r5": 51}


def test_documents_are_fetched_from_the_rows(tmp_path: Path) -> None:
    """They are too large to be kept with the newest values."""
    rows = [
        {"device": "r1", "record": "config", "at": T0, "content": "old", "sha256": "1"},
        {"device": "r1", "record": "config", "at": T0 + np.timedelta64(1, "h"), "content": "new", "sha256": "2"},
        {"device": "r1", "record": "config", "at": T0 + np.timedelta64(2, "h"), "sha256": "2"},
        {"device": "r2", "record": "config", "at": T0 - np.timedelta64(40, "D"), "content": "other", "sha256": "3"},
    ]
    with open_delta(tmp_path / "s") as store:
        for row in rows:
            store.write([Block.from_rows("record", [row])])
        contents = store.latest("record", fields=["content"]).rows()
        assert [(row["at"], row["content"]) for row in contents] == [(rows[1]["at"], "new"), (rows[3]["at"], "other")]
        confirmed = store.latest("record", {"device": "r1"}).rows()
        assert confirmed == [rows[2]]
