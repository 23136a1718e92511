"""What the store knew at an earlier time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin.store import InfluxServer, Reader, Store, StoreError, open_delta
from twin.store.influx import InfluxReader
from twin.store.influx_connection import InfluxConnection
from twin.vocab.blocks import Block
from twin.vocab.inventory import Secret

T0 = np.datetime64("2026-11-23T23:59:58", "us")
END = np.datetime64("2200-01-01", "us")
POLLS = st.builds(
    lambda device, at, **fields: {"device": device, "protocol": "snmp", "at": T0 + np.timedelta64(at, "s"), **fields},
    device=st.sampled_from(["r1", "r2"]),
    at=st.integers(0, 3),
    status=st.sampled_from(["ok", "timeout"]),
    values=st.none() | st.integers(0, 9),
)


def answers(store: Reader, **as_of: Any) -> list[Any]:
    """Of all kinds of questions."""
    return [
        store.range("poll", None, T0, END, **as_of).rows(),
        store.range("poll", {"device": "r1"}, T0, END, ["values"], step=timedelta(seconds=2), **as_of).rows(),
        store.latest("poll", **as_of).rows(),
        store.latest("poll", {"device": "r2"}, ["values"], **as_of).rows(),
    ]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rounds=st.lists(st.lists(POLLS, min_size=1, max_size=4), min_size=1, max_size=4))
def test_the_store_answers_again_as_it_did_then(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[dict[str, Any]]]
) -> None:
    """Whatever was written, corrected and merged since."""
    with open_delta(tmp_path_factory.mktemp("s") / "s") as store:
        then: list[tuple[datetime, list[Any]]] = [(datetime.now(UTC), answers(store))]
        for rows in rounds:
            store.write([Block.from_rows("poll", rows)])
            then.append((datetime.now(UTC), answers(store)))
        for _ in range(2):
            for moment, answered in then:
                assert answers(store, as_of=moment) == answered
            store.maintain(datetime.now(UTC))


def write_config(store: Store, text: str) -> datetime:
    row = {"device": "r1", "record": "config", "at": T0, "content": text}
    store.write([Block.from_rows("record", [row])])
    return datetime.now(UTC)


def test_documents_too(tmp_path: Path) -> None:
    with open_delta(tmp_path / "s") as store:
        first, second = (write_config(store, text) for text in ("hostname r1", "hostname r2"))
        known = [store.latest("record", as_of=t).fields["content"].values.tolist() for t in (first, second)]
        assert known == [["hostname r1"], ["hostname r2"]]


def test_a_time_without_zone_is_refused(tmp_path: Path) -> None:
    with open_delta(tmp_path / "s") as store, pytest.raises(ValueError, match="zone"):
        store.latest("poll", as_of=datetime(2026, 11, 23))  # noqa: DTZ001 - that is the point


def test_influxdb_keeps_no_such_history() -> None:
    reader = InfluxReader(InfluxConnection(InfluxServer("http://127.0.0.1:1", "nettwin", Secret("none"))), "nettwin")
    with pytest.raises(StoreError, match="no history"):
        reader.latest("poll", as_of=datetime.now(UTC))
    with pytest.raises(StoreError, match="no history"):
        reader.range("poll", None, T0, END, as_of=T0)
