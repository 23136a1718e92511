"""Events survive the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from twin.app.events import read_events, store_events
from twin.store import Store, open_delta
from twin.vocab.events import Event

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
