"""The demo's whole thread on the shipped recording: the same steps as on real routers, through the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.store import influxd
from twin.app.cli.main import main


def nettwin(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def play(folder: Path, *words: str) -> dict[str, Any]:
    report = folder / "demo.json"
    code = nettwin(
        "demo",
        "--recording",
        "--exit",
        "--train",
        "4s",
        "--folder",
        str(folder / "demo"),
        "--report",
        str(report),
        *words,
    )
    assert code == 0
    figures: dict[str, Any] = json.loads(report.read_text())
    return figures


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("played")
    return folder / "demo", play(folder)


@pytest.fixture
def settings(played: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NETTWIN_SETTINGS", str(played[0] / "nettwin.yaml"))
    return played[0] / "nettwin.yaml"


def test_the_prediction_holds_beside_what_was_measured(played: tuple[Path, dict[str, Any]]) -> None:
    _, figures = played
    assert figures["mode"] == "recording"
    assert figures["routers"] == 12
    assert figures["changed_links"] >= 4
    assert figures["hottest_link_error"] <= 0.08
    assert figures["changed_links_error"] <= 0.12
    assert figures["changed_links_error"] <= figures["no_change_error"] / 3


def test_the_report_holds_what_it_promises(played: tuple[Path, dict[str, Any]]) -> None:
    _, figures = played
    assert figures["samples"] == figures["samples_read_back"] > 10_000
    assert figures["whatif"]["verdict"] == "PASS"
    assert {s["horizon_hours"] for s in figures["forecast"]["skill"]} == {1, 24}
    assert all(s["skill"] < 1 for s in figures["forecast"]["skill"])
    assert len(figures["links"]) == 30
    assert all({"link", "before_bps", "predicted_bps", "measured_bps"} <= set(link) for link in figures["links"])


def test_nothing_secret_was_recorded(played: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = played
    assert "passphrase" not in (folder / "devices.yaml").read_text()


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command says with --json."""
    capsys.readouterr()
    assert nettwin(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_what_was_played_can_be_asked_again(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(told(capsys, "snapshot")["links"]) == 15
    assert {k["kind"] for k in told(capsys, "store", "status")["kinds"]} >= {"interface", "forecast", "record"}
    assert {p["protocol"] for p in told(capsys, "devices")["polls"]} == {"snmp", "netconf"}
    now, later = told(capsys, "ledger")
    assert (now["observed"], later["observed"]) == (True, False)
    assert len(told(capsys, "ledger", str(now["number"]))["observed"]) == 30


def test_the_tables_are_for_people(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["snapshot"], ["devices"], ["ledger"], ["ledger", "1"], ["store", "status"], ["store", "compact"]):
        assert nettwin(*words) == 0
    out = capsys.readouterr().out
    assert "dnvr:eth1 → kscy:eth1" in out
    assert "take the Denver" in out


def test_a_time_nobody_forecast_is_one_clear_line(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nettwin("whatif", "--disable", "dnvr:eth1", "--at", "+300d") == 1
    assert "no forecast for" in capsys.readouterr().err


def test_loads_nobody_measured_are_one_clear_line(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nettwin("whatif", "--disable", "dnvr:eth1") == 1
    assert "run nettwin collect" in capsys.readouterr().err


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Settings that choose a real InfluxDB."""
    folder = tmp_path_factory.mktemp("influx")
    try:
        with influxd.running() as (url, token, _):
            (folder / "token").write_text(token)
            section = {"engine": "influxdb", "influxdb": {"url": url, "database": "demo", "token": {"file": "token"}}}
            (folder / "nettwin.yaml").write_text(yaml.safe_dump({"schema_version": 1, "store": section}))
            yield folder / "nettwin.yaml"
    except FileNotFoundError as problem:
        pytest.skip(str(problem))


@pytest.mark.influx
def test_with_influxdb_every_sample_comes_back(influx: Path, tmp_path: Path) -> None:
    figures = play(tmp_path, "--settings", str(influx))
    assert figures["store"] == "influxdb"
    assert figures["samples"] == figures["samples_read_back"] > 10_000
    assert figures["changed_links_error"] <= 0.12


def test_a_folder_that_is_no_demo_is_never_emptied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert nettwin("demo", "--recording", "--folder", str(tmp_path)) == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert "not a demo" in capsys.readouterr().err
