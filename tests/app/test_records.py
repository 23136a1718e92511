"""nettwin records: what a document was, and what changed in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from twin.app.cli.main import main
from twin.store import open_delta, put_record

Told = tuple[int, str, str]
Nettwin = Callable[..., Told]


@pytest.fixture
def nettwin(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nettwin:
    """The command, on a store that holds two days of r1's documents: (exit code, results, errors)."""
    (tmp_path / "nettwin.yaml").write_text("schema_version: 1\ndata: data\n")
    monkeypatch.setenv("NETTWIN_SETTINGS", str(tmp_path / "nettwin.yaml"))
    with open_delta(tmp_path / "data/store") as store:
        for day, cost in ((1, 10), (2, 10), (3, 25)):
            at = datetime(2026, 11, day, 12, tzinfo=UTC)
            put_record(store, "r1", "config", f"interface eth1\n ip ospf cost {cost}\n", at)
            put_record(store, "r1", "observed", json.dumps({"routes": {"ospf": cost}, "name": "r1"}), at)

    def run(*words: str) -> Told:
        with pytest.raises(SystemExit) as ended:
            main(["records", *words])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


CASES = [
    (["list"], 0, ["r1", "config", "observed", "2026-11-03 12:00:00 UTC"]),
    (["list", "r9"], 0, ["documents"]),
    (["history", "r1"], 0, ["2026-11-01 12:00:00 UTC", "2026-11-02 12:00:00 UTC", "2026-11-03 12:00:00 UTC"]),
    (["history", "r1", "--from", "2026-11-03"], 0, ["│ 2"]),
    (["show", "r1"], 0, ["interface eth1", " ip ospf cost 25"]),
    (["show", "r1", "--at", "2026-11-02T00:00"], 0, [" ip ospf cost 10"]),
    (["show", "r1", "observed"], 0, ['  "ospf": 25']),
    (["diff", "r1"], 0, ["- ip ospf cost 10", "+ ip ospf cost 25", "  interface eth1"[1:]]),
    (["diff", "r1", "observed"], 0, ['-  "ospf": 10', '+  "ospf": 25']),
    (["diff", "r1", "--from", "2026-11-01T12:00", "--to", "2026-11-02T12:00"], 0, ["no difference"]),
    (["show", "r1", "routes"], 2, ["the store holds no routes of r1"]),
    (["show", "r1", "--at", "2026-10-01"], 2, ["no config of r1 at 2026-10-01 00:00:00 UTC"]),
    (["history", "r9"], 2, ["the store holds no config of r9"]),
    (["diff", "r1", "--to", "2026-11-02"], 2, ["one version only"]),
]


@pytest.mark.parametrize(("words", "code", "told"), CASES, ids=[" ".join(c[0]) for c in CASES])
def test_records_at_any_time(nettwin: Nettwin, words: list[str], code: int, told: list[str]) -> None:
    ended, out, err = nettwin(*words)
    assert ended == code
    assert [part for part in told if part not in out + err] == []


def test_each_answer_is_also_json(nettwin: Nettwin) -> None:
    history = json.loads(nettwin("history", "r1", "--json")[1])
    assert [(v["number"], v["since"]) for v in history] == [
        (1, "2026-11-01T12:00:00+00:00"),
        (2, "2026-11-03T12:00:00+00:00"),
    ]
    difference = json.loads(nettwin("diff", "r1", "--json")[1])
    assert difference["after"]["sha256"] == history[1]["sha256"]
    assert "+ ip ospf cost 25" in difference["diff"]
    assert json.loads(nettwin("show", "r1", "--json")[1])["content"].endswith("cost 25\n")
    assert len(json.loads(nettwin("list", "--json")[1])) == 2
