"""nettwin store: made, told, shipped to a real InfluxDB, refused lines listed, tried again and dropped."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.store.influxd import running
from tests.store.scripted import Server, serving
from twin.app.cli.main import main
from twin.app.settings import Settings, load_settings
from twin.app.wiring import outbox_of, store_of
from twin.store.dead_letters import DeadLetter, DeadLetterBox
from twin.vocab.blocks import Block

AT = np.datetime64("now", "us") - np.timedelta64(1, "h")  # servers drop what is older than they keep
Run = Callable[..., tuple[int, str, str]]


def make(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str = "",
    token: str = "user:password",
    *,
    engine: str = "delta",
) -> Settings:
    """An installation with an empty store, that ships if there is a server's address."""
    influx = f"url: '{url}', token: {{env: TOKEN}}, timeout: 1s"
    influx = f"\nstore: {{engine: {engine}, influxdb: {{{influx}}}}}" if url else ""
    (folder / "nettwin.yaml").write_text(f"schema_version: 1{influx}\n")
    monkeypatch.setenv("TOKEN", token)
    monkeypatch.setenv("NETTWIN_SETTINGS", str(folder / "nettwin.yaml"))
    return load_settings(folder / "nettwin.yaml")


def fill(settings: Settings, rows: int = 3) -> None:
    with store_of(settings) as store:
        each = [{"device": "r1", "uptime_cs": i, "at": AT + np.timedelta64(i, "s")} for i in range(rows)]
        store.write([Block.from_rows("device", each)])


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def called(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["store", *words])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return called


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as scripted:
        yield scripted


def status(run: Run) -> Any:
    code, out, _ = run("status", "--json")
    assert code == 0
    return json.loads(out)


def test_an_empty_store_is_made_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    make(tmp_path, monkeypatch)
    assert run("init")[:2] == (0, f"{tmp_path}/data/store: holds a store\n")
    told = status(run)
    assert (told["kinds"], told["remote"], told["upkeep"], told["consumers"]) == ([], None, None, [])
    assert told["spare_bytes"] > 0


def test_the_status_tells_what_is_stored_and_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    fill(make(tmp_path, monkeypatch))
    assert run("compact")[0] == 0
    told = status(run)
    (kind,) = told["kinds"]
    assert (kind["kind"], kind["rows"], kind["kept"]) == ("device", 3, 35 * 86400)
    assert told["upkeep"]["problem"] == ""
    code, out, _ = run("status")
    assert code == 0
    assert "last upkeep" in out
    assert "35 d" in out


def test_what_has_no_server_is_not_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    make(tmp_path, monkeypatch)
    for words in (["ship"], ["dead", "list"]):
        code, _, err = run(*words)
        assert code == 2
        assert "no section influxdb" in err


@pytest.mark.influx
def test_a_real_server_is_set_up_and_shipped_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    if shutil.which("influxd") is None:
        pytest.skip("influxd is not installed (Debian package influxdb)")
    with running() as (url, token, _):
        settings = make(tmp_path, monkeypatch, url, token)
        code, out, _ = run("init")
        assert code == 0
        assert "nettwin: made" in out
        assert "nettwin_5m: made" in out
        assert "nettwin_1h: is there" in run("init")[1]
        fill(settings)
        waiting = status(run)["remote"]["status"]
        assert (waiting["state"], waiting["backlog_rows"]) == ("off", 3)
        code, out, _ = run("ship", "--once", "--json")
        assert code == 0
        assert (json.loads(out)["sent"], json.loads(out)["backlog_rows"]) == (3, 0)
        assert status(run)["remote"]["status"]["state"] == "off"


def test_a_server_that_is_away_leaves_all_waiting_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    settings = make(tmp_path, monkeypatch, "http://127.0.0.1:1")
    fill(settings)
    code, out, _ = run("ship", "--once", "--json")
    assert code == 1
    assert json.loads(out)["state"] == "backing off"
    assert json.loads(out)["backlog_rows"] == 3
    assert run("init")[0] == 1
    words = [sys.executable, "-m", "twin.app.cli", "store", "ship", "--once", "--within", "1s"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "nettwin: not all was sent: backing off" in ended.stderr
    assert "✓" not in ended.stderr
    assert "Traceback" not in ended.stderr
    code, out, _ = run("ship", "--give-up", "--json")
    assert (code, json.loads(out)) == (0, {"device": 3})
    assert status(run)["remote"]["status"]["backlog_rows"] == 0


def letters(settings: Settings, count: int) -> None:
    outbox = outbox_of(settings, "influxdb")
    outbox.folder.mkdir(parents=True, exist_ok=True)
    made = [
        DeadLetter("influxdb", "device", i, f"device,device=r{i} uptime_cs={i}i 1", "no luck", "2026-11-25T00:00:00Z")
        for i in range(count)
    ]
    DeadLetterBox(outbox, {}, 10**9).put(made)


def test_dead_letters_are_listed_shown_tried_again_and_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, server: Server
) -> None:
    settings = make(tmp_path, monkeypatch, server.url)
    letters(settings, 4)
    listed = json.loads(run("dead", "list", "--json")[1])
    ids = [each["id"] for each in listed]
    assert len(set(ids)) == 4
    assert run("dead", "show", ids[2])[1] == "device,device=r2 uptime_cs=2i 1\n"
    assert run("dead", "show", "nothing")[0] == 2
    assert run("dead", "drop")[0] == 2
    assert run("dead", "drop", ids[3])[:2] == (0, "1 dropped\n")
    server.judge = lambda lines: (400, "no") if any("r1" in line for line in lines) else (204, "")
    code, out, err = run("dead", "retry", "--all")
    assert (code, out) == (1, "2 sent, 1 refused again\n")
    assert f"{ids[1]}: refused again" in err
    assert sorted(server.lines) == ["device,device=r0 uptime_cs=0i 1", "device,device=r2 uptime_cs=2i 1"]
    assert [each["id"] for each in json.loads(run("dead", "list", "--json")[1])] == [ids[1]]
    assert status(run)["remote"]["dead"] == 1


def test_a_server_taken_away_is_forgotten_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, server: Server
) -> None:
    fill(make(tmp_path, monkeypatch, server.url))
    code, _, err = run("ship", "--forget", "influxdb")
    assert code == 2
    assert "take the section away first" in err
    make(tmp_path, monkeypatch)
    (reader,) = status(run)["consumers"]
    assert (reader["name"], reader["rows"]) == ("influxdb", 3)
    assert run("ship", "--forget", "elsewhere")[0] == 2
    assert run("ship", "--forget", "influxdb")[0] == 0
    assert status(run)["consumers"] == []
