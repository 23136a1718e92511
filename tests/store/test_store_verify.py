"""nettwin store verify: what is whole is found whole, and a flipped byte anywhere is found or harms nothing."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from twin.app.cli.main import main
from twin.store import Batch, StoreError, open_delta, put_record
from twin.store.cursors import NOTHING, held, register
from twin.store.delta_log import checkpoint, open_table
from twin.store.frames import to_frame
from twin.store.journal import Journal
from twin.store.place import LocalPlace
from twin.store.replay import DataFile
from twin.store.verify import Finding, Verified, verify
from twin.store.verify_file import FileCheck, check_file
from twin.vocab.blocks import Block

T0 = np.datetime64("2026-11-23T22:00:00", "us")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DEVICES = ("r1", "r2", "r10")


def a_round(number: int) -> Block:
    at = T0 + np.timedelta64(number, "m")
    rows = [{"device": d, "protocol": "snmp", "at": at, "status": "ok", "values": number} for d in DEVICES]
    return Block.from_rows("poll", rows)


def counters() -> Block:
    """Ten minutes of one interface."""
    rows = [{"device": "r1", "interface": "eth0", "at": T0 + 60_000_000 * i, "in_octets": 1000 * i} for i in range(10)]
    return Block.from_rows("interface", rows)


def make_store(path: Path) -> Path:
    """Rounds over midnight, merged and thinned once, a checkpoint, more after it, and a document with versions."""
    with open_delta(path) as store:
        for number in range(0, 180, 60):
            store.write([a_round(number)], Batch("w", number))
            put_record(store, "r1", "config", f"hostname r{number}\n", NOON)
        store.write([counters()])
        store.maintain(datetime.now(UTC))
        place = LocalPlace(path / "poll")
        checkpoint(open_table(place), place)
        for number in (180, 181):
            store.write([a_round(number)], Batch("w", number))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "s")


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "s")
    return tmp_path / "s"


def found(path: Path) -> Verified:
    return verify(LocalPlace(path))


def damaged(path: Path) -> dict[str, Finding]:
    return {finding.file: finding for finding in found(path).damage}


def data_files(path: Path, kind: str = "poll") -> list[Path]:
    return sorted((path / kind).glob("date=*/*.parquet"))


def newest_file(path: Path) -> Path:
    return max(data_files(path), key=lambda f: f.stat().st_mtime_ns)


def test_a_store_that_is_whole_is_found_whole(path: Path) -> None:
    result = found(path)
    assert result.whole
    assert {k.kind: k.rows for k in result.kinds if k.kind in {"poll", "record"}} == {"poll": 15, "record": 3}
    assert result.octets > sum(f.stat().st_size for kind in ("poll", "record") for f in data_files(path, kind)) / 2
    assert result.notes == ()


def test_a_file_that_is_gone_is_named_with_the_rows_it_held(path: Path) -> None:
    gone = newest_file(path)
    gone.unlink()
    (finding,) = found(path).damage
    assert finding.file == gone.relative_to(path).as_posix()
    assert finding.problem == "is not there"
    assert "device r1 to r2" in finding.affects
    assert "2026-11-24T01:01:00" in finding.affects


STATS: dict[str, Any] = {
    "numRecords": 3,
    "minValues": {"device": "r1", "protocol": "snmp", "at": "2026-11-23T22:00:00Z"},
    "maxValues": {"device": "r2", "protocol": "snmp", "at": "2026-11-23T22:00:00.000Z"},
    "nullCount": {"device": 0, "at": 0},
}
TRUE_STATS = [
    STATS,
    STATS | {"minValues": {"device": "r", "protocol": "sn"}, "maxValues": {"device": "r3", "protocol": "snn"}},
    {"numRecords": 3},
]
FALSE_STATS = [
    (STATS | {"numRecords": 2}, "number of rows is 2, in it 3"),
    (STATS | {"minValues": {"device": "r0"}}, "least device is r0, in it r1"),
    (STATS | {"maxValues": {"device": "r10"}}, "greatest device is r10, in it r2"),
    (STATS | {"maxValues": {"at": "2026-11-23T22:00:01Z"}}, "greatest at is"),
    (STATS | {"nullCount": {"at": 1}}, "number of rows without at is 1, in it 0"),
]


def checked(folder: Path, **said: Any) -> FileCheck:
    """A file with three rows of round 0, held against what is said of it."""
    file = folder / "poll/date=2026-11-23/part-1.parquet"
    file.parent.mkdir(parents=True)
    to_frame(a_round(0)).write_parquet(file)
    plain: dict[str, Any] = {"partition": {"date": "2026-11-23"}, "stats": STATS, "size": file.stat().st_size}
    return check_file(LocalPlace(folder), "poll", DataFile("date=2026-11-23/part-1.parquet", **plain | said))


@pytest.mark.parametrize("stats", TRUE_STATS)
def test_statistics_that_fit_are_no_problem(tmp_path: Path, stats: dict[str, Any]) -> None:
    """They may be cut: texts to their beginning, times to milliseconds."""
    assert checked(tmp_path, stats=stats).problems == ()


@pytest.mark.parametrize(("stats", "said"), FALSE_STATS)
def test_statistics_that_do_not_fit_are_told(tmp_path: Path, stats: dict[str, Any], said: str) -> None:
    (problem,) = checked(tmp_path, stats=stats).problems
    assert said in problem


@pytest.mark.parametrize(("said", "told"), [
    ({"size": 7}, "octets, by the log 7"),
    ({"partition": {"date": "2026-11-24"}}, "by the log it belongs to 2026-11-24"),
])  # fmt: skip
def test_what_else_the_log_says_is_held_against_the_file(tmp_path: Path, said: dict[str, Any], told: str) -> None:
    (problem,) = checked(tmp_path, **said).problems
    assert told in problem


def test_a_document_that_fails_its_hash_is_named(tmp_path: Path) -> None:
    row = {"device": "r1", "record": "config", "at": T0, "content": "hostname r1", "sha256": "5f" * 32}
    with open_delta(tmp_path / "s") as store:
        store.write([Block.from_rows("record", [row])])
    (finding,) = found(tmp_path / "s").damage
    assert finding.problem == "config of r1 at 2026-11-23 22:00:00 fails its hash"
    assert finding.file.startswith("record/date=2026-11-23/")


def test_a_file_that_no_entry_names_is_noted_once_it_is_old(path: Path) -> None:
    strange = data_files(path)[0].with_name("part-of-nothing.parquet")
    strange.write_bytes(b"PAR1")
    assert found(path).notes == ()
    os.utime(strange, (0, 0))
    (note,) = found(path).notes
    assert (note.file, found(path).whole) == (strange.relative_to(path).as_posix(), True)


def log(path: Path) -> Path:
    return path / "poll/_delta_log"


def removed(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).unlink()


LOG_DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "an entry is gone": (
        lambda log: removed(log, f"{2:020}.json"),
        f"{2:020}.json",
        "is not there, but later ones are",
    ),
    "the first entries are gone": (
        lambda log: removed(log, *(f"{v:020}.json" for v in (0, 1)), f"{4:020}.checkpoint.parquet"),
        f"{1:020}.json",
        "is not there, nor a checkpoint in its place",
    ),
    "an entry is empty": (lambda log: (log / f"{3:020}.json").write_bytes(b""), f"{3:020}.json", "is empty"),
    "an entry is cut short": (
        lambda log: (log / f"{5:020}.json").write_bytes((log / f"{5:020}.json").read_bytes()[:-9]),
        f"{5:020}.json",
        "is no JSON",
    ),
    "an entry is there twice": (
        lambda log: shutil.copy(log / f"{6:020}.json", log / f"{7:020}.json"),
        f"{7:020}.json",
        "goes back to round 181 of w",
    ),
    "all is gone": (lambda log: removed(log, *(e.name for e in log.iterdir())), "", "holds no entry"),
}


@pytest.mark.parametrize("case", LOG_DAMAGE)
def test_a_damaged_log_is_told(path: Path, case: str) -> None:
    damage, file, said = LOG_DAMAGE[case]
    damage(log(path))
    finding = damaged(path)["/".join(filter(None, ("poll/_delta_log", file)))]
    assert said in finding.problem


def test_rows_of_a_damaged_entry_are_among_those_of_files_that_no_entry_names(path: Path) -> None:
    last = max(log(path).glob("*.json"))
    (name,) = re.findall(r'"path":"([^"]+)"', last.read_text())
    last.write_bytes(b"")
    (finding,) = found(path).damage
    assert name in finding.affects


def test_a_place_without_a_store_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no store"):
        found(tmp_path)


def test_kinds_this_nettwin_does_not_know_are_left_alone(path: Path) -> None:
    (path / "colour/_delta_log").mkdir(parents=True)
    assert found(path).whole


# ---- the command ----


@pytest.fixture
def command(path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    (path.parent / "data").mkdir()
    path.rename(path.parent / "data/store")
    (path.parent / "nettwin.yaml").write_text("schema_version: 1\ndata: data\n")

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["store", "verify", "--settings", str(path.parent / "nettwin.yaml"), *words])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_the_command_tells_what_is_whole(command: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = command()
    assert (code, out.splitlines()[-1]) == (0, "whole")
    assert "MB/s" in err
    assert json.loads(command("--json")[1])["damage"] == []


def test_the_command_names_what_is_damaged(command: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    file = newest_file(tmp_path / "data/store")
    file.unlink()
    code, out, err = command()
    assert (code, out.splitlines()[-1]) == (1, "DAMAGED: 1 finding")
    assert f"{file.name}: is not there" in err
    assert "advice: put it back from a backup" in err


# ---- a flipped byte anywhere ----


def told(path: Path) -> list[Any]:
    """All that a store answers, what its journal tells, and whether it still knows a round that it has."""
    answers: list[Any] = []
    forever = (np.datetime64("1970-01-01", "us"), np.datetime64("2200-01-01", "us"))
    with open_delta(path) as store:
        for kind in ("poll", "record", "interface", "interface_5m"):
            answers += [store.range(kind, None, *forever).rows(), store.latest(kind).rows(), store.series(kind)]
            answers += [p.rows.to_dicts() for p in Journal(LocalPlace(path)).appended(kind, NOTHING)]
        store.write([a_round(181)], Batch("w", 181))
        store.write([a_round(182)], Batch("w", 182))
        return [*answers, [(k.kind, k.rows) for k in store.health().kinds], held(LocalPlace(path), "poll")]


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_in_any_file_is_found_or_harms_nothing(path: Path, tmp_path: Path, seed: int) -> None:
    """Of each file one; what is found is named, and what is not makes no difference to anything a store is asked."""
    register(LocalPlace(path), "remote", {"poll": 3})
    assert found(path).damage == ()
    shutil.copytree(path, tmp_path / "whole")
    expected = told(tmp_path / "whole")
    chance = random.Random(seed)
    named = 0
    files = sorted(f for f in path.rglob("*") if f.is_file() and f.stat().st_size)
    for number, file in enumerate(files):
        content = file.read_bytes()
        place, bit = chance.randrange(len(content)), 1 << chance.randrange(8)
        file.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
        if file.relative_to(path).as_posix() in damaged(path):
            named += 1
        else:
            shutil.copytree(path, tmp_path / f"copy{number}")
            assert told(tmp_path / f"copy{number}") == expected, (file, place, bit)
        file.write_bytes(content)
    assert named > len(files) / 2


def test_a_cursor_that_is_ahead_of_the_journal_is_told(path: Path) -> None:
    register(LocalPlace(path), "remote", {"poll": 99})
    assert damaged(path)["consumers/remote.json"].problem == "says that remote has read of poll what is not there"


def test_what_goes_on_meanwhile_is_no_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer, and an upkeep that leaves nothing of the past."""
    for name, value in (("GRACE", timedelta(0)), ("CHECKPOINT_EVERY", 3), ("ENTRIES_KEPT", 2)):
        monkeypatch.setattr(f"twin.store.upkeep.{name}", value)
    over = Event()

    def go_on() -> None:
        with open_delta(path) as store:
            for number in count(200):
                store.write([a_round(number)], Batch("w", number))
                if number % 3 == 0:
                    store.maintain(datetime(2026, 11, 26, tzinfo=UTC))
                if over.is_set():
                    return

    with ThreadPoolExecutor(1) as beside:
        busy = beside.submit(go_on)
        try:
            assert [found(path).damage for _ in range(15)] == [()] * 15
        finally:
            over.set()
        busy.result()


def test_what_was_moved_aside_as_torn_is_told(tmp_path: Path) -> None:
    with open_delta(tmp_path / "s") as store:
        store.write([a_round(0)])
        store.write([a_round(1)])
    last = tmp_path / "s/poll/_delta_log/00000000000000000002.json"
    last.write_bytes(last.read_bytes()[:40])
    with open_delta(tmp_path / "s") as store:
        store.latest("poll")
    told = {note.file.rpartition("/")[2]: note.problem for note in found(tmp_path / "s").notes}
    assert "was torn when the store was opened" in told[f"{last.name}.torn"]
    assert ".settling" not in told
