"""Events survive the store."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from twin.app.cli.main import main
from twin.app.events import read_events, store_events
from twin.app.settings import load_settings
from twin.app.wiring import store_of
from twin.store import Store, open_delta
from twin.vocab.events import Event
from twin.vocab.time import now

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
DOWN = Event("r1", "linkDown", "eth1", "snmp-trap", "ifOperStatus 2", AT + timedelta(seconds=5))
COLD = Event("r2", "coldStart", "", "snmp-trap", "", AT)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_delta(tmp_path / "store")


def test_events_come_back_as_they_were_in_order_of_time(store: Store) -> None:
    store_events(store, [DOWN, COLD])
    store_events(store, [])
    assert read_events(store, AT, AT + timedelta(minutes=1)) == (COLD, DOWN)


def test_events_of_one_device_and_one_span(store: Store) -> None:
    store_events(store, [DOWN, COLD])
    assert read_events(store, AT, AT + timedelta(minutes=1), "r1") == (DOWN,)
    assert read_events(store, AT, AT + timedelta(seconds=1), "r1") == ()


def test_an_operator_lists_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path / "my")])
    settings = load_settings(tmp_path / "my" / "nettwin.yaml")
    monkeypatch.setenv("NETTWIN_SETTINGS", str(settings.path))
    with store_of(settings) as store:
        store_events(store, [replace(DOWN, at=now()), replace(COLD, at=now() - timedelta(hours=3))])
    capsys.readouterr()
    for words, expected in (((), 2), (("--since", "2h"), 1), (("-d", "r2"), 1)):
        with pytest.raises(SystemExit):
            main(["events", "--json", *words])
        assert len(json.loads(capsys.readouterr().out)) == expected
    with pytest.raises(SystemExit):
        main(["events"])
    assert "linkDown" in capsys.readouterr().out
