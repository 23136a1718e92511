"""nettwin lab: what can't be is refused before anything is built; what fails or is interrupted leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
import yaml
from pydantic import TypeAdapter

from twin.app.cli.common import Terminable
from twin.app.cli.main import main
from twin.app.labspace import MARK
from twin.lab import lab as lab_room
from twin.lab import teardown
from twin.lab.spec import LabFile
from twin.vocab.errors import NettwinError

if TYPE_CHECKING:
    from twin.lab.lab import Lab

LABS = Path(__file__).parents[2] / "configs" / "labs"
BUILDING_S = 30.0


def nettwin(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def _must_not(*_arguments: object, **_options: object) -> NoReturn:
    raise AssertionError


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bringing anything up fails the test."""
    monkeypatch.setattr(lab_room, "up", _must_not)


def _square(folder: Path, old: str = "", new: str = "") -> Path:
    """The shipped square in a folder of its own, one word of it changed."""
    text = (LABS / "square.yaml").read_text().replace("abilene-demands.parquet", str(LABS / "abilene-demands.parquet"))
    assert old in text
    (folder / "sq.yaml").write_text(text.replace(old, new))
    return folder / "sq.yaml"


REFUSED = {
    "no parquet": (str(LABS / "abilene-demands.parquet"), "sq.yaml", "sq.yaml: traffic.demands: .* not a readable"),
    "unknown columns": ("recorded_as: wash", "recorded_as: moon", "sq.yaml: routers.far.recorded_as: .*no 'moon'"),
    "not a Monday": ("flows: 1024", "begins: 2026-11-24T00:00Z", "sq.yaml: traffic.begins: Tuesday"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_traffic_that_cannot_be_sent_is_refused_before_building(
    case: str, unbuilt: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, complaint = REFUSED[case]
    file = _square(tmp_path, old, new)
    assert nettwin("lab", "up", str(file), "--workspace", str(tmp_path / "new")) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.match(f"nettwin: {re.escape(str(tmp_path))}/{complaint}", line), line
    assert not (tmp_path / "new").exists()


def test_what_an_operator_wrote_is_not_overwritten(
    unbuilt: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "devices.yaml").write_text("years of work")
    assert nettwin("lab", "up", str(_square(tmp_path)), "--workspace", str(mine)) == 2
    assert "holds devices.yaml, which no lab wrote" in capsys.readouterr().err
    assert {p.name: p.read_text() for p in mine.iterdir()} == {"devices.yaml": "years of work"}


@pytest.mark.parametrize("where", ["sq.yaml", "sq.yaml/below"])
def test_a_workspace_that_cannot_be_is_refused_before_building(
    where: str, unbuilt: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _square(tmp_path)
    assert nettwin("lab", "up", str(file), "--workspace", str(tmp_path / where)) == 2
    assert f"--workspace {tmp_path / where}: can't be used: Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["absent", "empty", "a lab's"])
def test_a_workspace_is_as_it_was_when_no_lab_comes_up(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "space"
    if state != "absent":
        folder.mkdir()
    if state == "a lab's":
        (folder / MARK).touch()
        (folder / "devices.yaml").write_text("the last lab's")
    before = sorted(folder.iterdir()) if state == "a lab's" else None

    def fails(*_arguments: object, **_options: object) -> NoReturn:
        raise NettwinError("no such luck")

    monkeypatch.setattr(lab_room, "up", fails)
    assert nettwin("lab", "up", str(_square(tmp_path)), "--workspace", str(folder)) == 1
    assert (sorted(folder.iterdir()) if folder.exists() else None) == before


@pytest.fixture
def three_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labs a, b and c as if they were up; b does not go. Which were taken down."""
    gone: list[str] = []

    def take_down(name: str) -> None:
        if name == "b":
            raise NettwinError("b: processes [7] do not end")
        gone.append(name)

    monkeypatch.setattr(lab_room, "labs", lambda: ("a", "b", "c"))
    monkeypatch.setattr(lab_room, "down", take_down)
    return gone


def test_no_lab_goes_down_unnamed(three_up: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert nettwin("lab", "down") == 2
    assert "name the lab to take down, or say --all; up here: a, b, c" in capsys.readouterr().err
    assert nettwin("lab", "down", "a", "--all") == 2
    assert three_up == []


def test_all_go_down_but_for_the_one_that_fails(three_up: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert nettwin("lab", "down", "--all") == 1
    assert three_up == ["a", "c"]
    told = capsys.readouterr()
    assert "nettwin: b: processes [7] do not end" in told.err
    assert told.out.splitlines() == ["a: nothing of it is left", "c: nothing of it is left"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_burst_of_signals_interrupts_once(number: signal.Signals) -> None:
    cleaned: list[str] = []

    def work() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            cleaned.append("all of it")

    with pytest.raises(KeyboardInterrupt), Terminable():
        work()
    assert cleaned == ["all of it"]
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_lost_terminal_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Terminable():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture
def pair(lab_file: Callable[..., LabFile], tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of a lab of two routers with traffic; nothing of it is up, before or after."""
    square = lab_file("square", tag="p")
    routers = {name: square.routers[name] for name in ("east", "far")}
    small = replace(square, routers=routers, links=square.links[-1:], bgp=None)
    file = tmp_path / "pair.yaml"
    file.write_text(yaml.safe_dump(TypeAdapter(LabFile).dump_python(small, mode="json", exclude_none=True)))
    yield small.name, file
    if teardown.traces(small.name):
        lab_room.down(small.name)


@pytest.mark.lab
def test_a_lab_comes_up_with_a_workspace_and_goes(pair: tuple[str, Path], tmp_path: Path) -> None:
    name, file = pair
    space = tmp_path / "space"
    assert nettwin("lab", "up", str(file), "--workspace", str(space)) == 0
    assert sorted(p.name for p in space.iterdir()) == [MARK, "devices.yaml", "known_hosts", "nettwin.yaml"]
    assert nettwin("lab", "status", name) == 0
    assert lab_room.load(name).traffic().running
    assert nettwin("lab", "down", name) == 0
    assert teardown.traces(name) == []


@pytest.mark.lab
def test_interrupted_while_its_traffic_starts_a_lab_is_taken_down(
    pair: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, file = pair
    seen: list[str] = []

    def interrupted(lab: Lab) -> NoReturn:
        seen.extend(teardown.traces(lab.name))
        raise KeyboardInterrupt

    monkeypatch.setattr(lab_room.Lab, "start_traffic", interrupted)
    assert nettwin("lab", "up", str(file), "--workspace", str(tmp_path / "space")) == 130
    assert seen != []
    assert teardown.traces(name) == []
    assert not (tmp_path / "space").exists()


@pytest.mark.lab
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda n: n.name)
def test_a_signal_while_building_leaves_nothing(number: signal.Signals, pair: tuple[str, Path]) -> None:
    name, file = pair
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [sys.executable, "-m", "twin.app.cli", "lab", "up", str(file)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment) as up:
        try:
            _until_processes(name, up)
            up.send_signal(number)
            if number is not signal.SIGINT:
                up.send_signal(number)
            _, complaints = up.communicate(timeout=BUILDING_S)
        finally:
            up.kill()
    assert up.returncode == 130, complaints
    assert "nettwin: interrupted" in complaints
    assert teardown.traces(name) == []


def _until_processes(name: str, up: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + BUILDING_S
    while not (teardown.namespaces(name) and teardown.processes(name)):
        assert up.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
