"""The collector's loop: when rounds come, what they leave in the store, and that no failure ends it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface
from pathlib import Path

import numpy as np
import pytest

from collectors.failures import Failed
from collectors.results import Polled, Round
from collectors.rounds import Heard
from twin.app.cli.common import Stop
from twin.app.collecting import Deliveries, observed_text, read_observed, run_round
from twin.store import Batch, Store, StoreError, latest_records, open_delta
from twin.vocab.blocks import Block
from twin.vocab.errors import NettwinError
from twin.vocab.inventory import Device
from twin.vocab.observed import ObservedDevice, ObservedInterface

AT = np.datetime64("2026-01-01T00:00:00", "us")
KEY = b"0123456789abcdef0123456789abcdef"
SEEN = ObservedDevice("r1", interfaces=(ObservedInterface("eth1", 1, addresses=(IPv4Interface("10.0.0.1/30"),)),))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_delta(tmp_path / "store") as opened:
        yield opened


def taken() -> Round:
    block = Block.from_rows("device", [{"device": "r1", "uptime_cs": 100, "cpu_percent": None}], AT)
    config = "snmp-server community opensesame RO\n"
    polled = Polled("r1", "snmp", (block,), SEEN, {"config": config}, 0.1, 1)
    return Round(AT, {"r1": (polled,), "r2": (Failed("r2", "snmp", "silent", "no answer", 2.0),)})


def test_a_round_is_stored_with_its_failures_and_without_its_secrets(store: Store) -> None:
    stored = Deliveries(store, KEY, "test").put(taken())
    assert stored.values == 1
    assert stored.changed == ("r1 config", "r1 observed")
    assert {r["device"]: r["status"] for r in store.latest("poll").rows()} == {"r1": "ok", "r2": "silent"}
    kept = latest_records(store, "config")["r1"].content
    assert "opensesame" not in kept
    assert "snmp-server community" in kept
    assert read_observed(latest_records(store, "observed")["r1"].content) == SEEN


def test_the_same_round_again_changes_nothing(store: Store) -> None:
    Deliveries(store, KEY, "test").put(taken())
    assert Deliveries(store, KEY, "test").put(taken()).changed == ()
    assert len(store.range("device", None, AT, AT + np.timedelta64(1, "s"))) == 1


def test_observed_state_of_another_form_is_refused() -> None:
    text = json.dumps(json.loads(observed_text(SEEN)) | {"schema_version": 99})
    with pytest.raises(NettwinError, match="99"):
        read_observed(text)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema_version": 1}', '{"schema_version": 1, "observed": {"name": 3}}']
)
def test_damaged_state_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(NettwinError, match="collect anew"):
        read_observed(text)


def test_the_first_wish_to_end_waits_for_the_round_and_the_second_does_not() -> None:
    with Stop() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


class _Round:
    """A poller whose one round is always the same."""

    def round(self, devices: Sequence[Device], *, full: bool, progress: Heard | None = None) -> Round:
        return taken()


def test_a_single_round_is_tried_again_and_stored_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = type(store).write, []

    def stops_half_way(self: Store, blocks: Sequence[Block], batch: Batch | None = None) -> None:
        calls.append(batch)
        real(self, blocks[:1] if len(calls) == 1 else blocks, batch)
        if len(calls) == 1:
            raise StoreError("disk full")

    monkeypatch.setattr(type(store), "write", stops_half_way)
    report = run_round(_Round(), [Device("r1", "192.0.2.1")], store, KEY, full=True, pauses=(0.0,))  # type: ignore[arg-type]
    assert report.changed == ("r1 config", "r1 observed")
    assert len(set(calls)) == 1
    assert {kind.kind: kind.rows for kind in store.health().kinds} == {"device": 1, "poll": 2, "record": 2}


def test_a_store_that_fails_each_time_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr(type(store), "write", full)
    with pytest.raises(StoreError, match="disk full"):
        run_round(_Round(), [], store, KEY, full=True, pauses=(0.0, 0.0))  # type: ignore[arg-type]
