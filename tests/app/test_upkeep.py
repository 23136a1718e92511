"""Upkeep: one process at a time, not too often, beside what collects, and ended at once."""

from __future__ import annotations

import fcntl
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from twin.app.cli.main import main
from twin.app.upkeep import UpkeepBeside, Upkept, is_due, last_upkeep, look_after, upkeep_command
from twin.store import Maintained, StoreError, open_delta
from twin.store.delta import DeltaStore
from twin.vocab.blocks import Block
from twin.vocab.plain import write_plain

AT = np.datetime64("2026-01-01T00:00:00", "us")
HOUR = timedelta(hours=1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of an installation with some small files in its store."""
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path / "my")])
    monkeypatch.setenv("NETTWIN_SETTINGS", str(tmp_path / "my" / "nettwin.yaml"))
    data = tmp_path / "my" / "data"
    data.mkdir()
    with open_delta(data / "store") as store:
        for i in range(4):
            store.write([Block.from_rows("device", [{"device": "r1", "uptime_cs": i}], AT + np.timedelta64(i, "s"))])
    return data


def done(folder: Path, every: timedelta | None = None) -> Upkept | None:
    with open_delta(folder / "store") as store:
        return look_after(store, folder, every)


def wait_for(path: Path) -> None:
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.05)


def test_what_was_done_is_told_and_not_done_again_at_once(folder: Path) -> None:
    first = done(folder, HOUR)
    assert first is not None
    assert first.done.merged_files == 4
    assert first.done.thinned_rows == 2, "its tiers of five minutes and an hour"
    assert last_upkeep(folder) == first
    assert done(folder, HOUR) is None
    assert done(folder) is not None, "asked for by hand it is done at any time"


@pytest.mark.parametrize(("ago", "due"), [(0, False), (3599, False), (3600, True), (-10, True)])
def test_upkeep_is_due_after_a_while_and_when_the_clock_was_set_back(tmp_path: Path, ago: float, due: bool) -> None:
    present = datetime(2026, 1, 1, tzinfo=UTC)
    write_plain(tmp_path / "upkeep.json", Upkept(present - timedelta(seconds=ago), 1.0, Maintained()))
    assert is_due(tmp_path, HOUR, present) == due


@pytest.mark.parametrize("text", ["", "{", "[]", '{"began": 3}'])
def test_what_can_not_be_read_is_no_upkeep(tmp_path: Path, text: str) -> None:
    (tmp_path / "upkeep.json").write_text(text)
    assert last_upkeep(tmp_path) is None


def test_one_process_at_a_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "upkeep.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert done(folder) is None
        with pytest.raises(SystemExit) as ended:
            main(["store", "compact"])
    assert ended.value.code == 1
    assert "another process" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_upkeep_that_is_not_due_is_told_as_null(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--every", "15m", "--json"]):
        with pytest.raises(SystemExit) as ended:
            main(["store", "compact", *words])
        assert not ended.value.code
    assert capsys.readouterr().out.splitlines()[-1] == "null"


def test_a_failure_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr(DeltaStore, "maintain", broken)
    with pytest.raises(StoreError):
        done(folder)
    last = last_upkeep(folder)
    assert last is not None
    assert last.problem == "disk full"
    assert not is_due(folder, HOUR, last.began + timedelta(seconds=1))


def test_a_collector_has_it_done_beside_itself(folder: Path) -> None:
    told: list[str] = []
    command = upkeep_command(folder.parent / "nettwin.yaml")
    with UpkeepBeside(command, folder, told.append, look=0.05):
        wait_for(folder / "upkeep.json")
    last = last_upkeep(folder)
    assert last is not None
    assert last.done == Maintained(thinned_rows=2, dropped_rows=4), "older than the settings have raw rows kept"
    assert told == []


def test_a_process_that_fails_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twin.app.upkeep.EVERY", timedelta())
    script = (
        f"import pathlib, sys; p = pathlib.Path({str(tmp_path)!r}, 'x'); n = len(list(p.parent.iterdir()));"
        "p.with_name(f'run{n}').touch(); sys.exit(f'no luck {n}' if n < 3 else 0)"
    )
    told: list[str] = []
    with UpkeepBeside((sys.executable, "-S", "-c", script), tmp_path, told.append, look=0.01):
        wait_for(tmp_path / "run5")
    assert told == ["the store could not be maintained: no luck 0", "the store was maintained again"]


def test_leaving_ends_it_at_once(tmp_path: Path) -> None:
    script = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(tmp_path / 'on')!r}).touch(); time.sleep(60)"
    )
    with UpkeepBeside((sys.executable, "-S", "-c", script), tmp_path, pytest.fail, look=0.01):
        wait_for(tmp_path / "on")
        began = time.monotonic()
    assert time.monotonic() - began < 3
