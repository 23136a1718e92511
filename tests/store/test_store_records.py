"""Versioned documents: changes are kept, readings keep them fresh."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from twin.store import (
    DamagedRecordError,
    Document,
    InfluxServer,
    Outbox,
    Store,
    StoredRecord,
    latest_records,
    open_delta,
    open_shipped,
    put_record,
    put_records,
    record_at,
    record_history,
    stored_records,
)
from twin.store.influx_connection import InfluxConnection
from twin.store.influx_setup import set_up
from twin.store.place import LocalPlace
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Secret
from twin.vocab.time import instant

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def record(device: str, content: str, changed: datetime, confirmed: datetime) -> StoredRecord:
    return StoredRecord(device, "config", content, sha256(content.encode()).hexdigest(), changed, confirmed)


def versions(store: Store) -> list[str]:
    found = store.range("record", None, NOON, NOON + timedelta(days=1), ["content"])
    return list(found.fields["content"].values)


def test_content_is_kept_when_it_changes(store: Store) -> None:
    readings = ["hostname r1\n", "hostname r1\n", "", "hostname r1\n"]
    changed = [put_record(store, "r1", "config", text, NOON + i * MINUTE) for i, text in enumerate(readings)]
    assert changed == [True, False, True, True]
    assert versions(store) == ["hostname r1\n", "", "hostname r1\n"]


def test_an_unchanged_document_is_as_old_as_its_last_reading(store: Store) -> None:
    for i in range(3):
        put_record(store, "r1", "config", "a", NOON + i * MINUTE)
    assert latest_records(store, "config") == {"r1": record("r1", "a", NOON, NOON + 2 * MINUTE)}


def test_a_round_stores_the_documents_of_many_devices(store: Store) -> None:
    put_records(store, [Document(d, n, f"{n} of {d}") for d in ("r1", "r2") for n in ("config", "observed")], NOON)
    second = [Document("r1", "config", "new"), Document("r2", "config", "config of r2")]
    assert put_records(store, second, NOON + MINUTE) == (second[0],)
    assert latest_records(store, "config") == {
        "r1": record("r1", "new", NOON + MINUTE, NOON + MINUTE),
        "r2": record("r2", "config of r2", NOON, NOON + MINUTE),
    }


def test_no_records_is_no_error(store: Store) -> None:
    assert put_records(store, [], NOON) == ()
    assert latest_records(store, "config") == {}


def test_one_reading_can_t_hold_a_document_twice(store: Store) -> None:
    with pytest.raises(ValueError, match="once"):
        put_records(store, [Document("r1", "config", "a"), Document("r1", "config", "b")], NOON)


def test_very_long_documents_survive(store: Store) -> None:
    """More than InfluxDB 1.x takes in one field, even compressed; and a shorter one at the same time after it."""
    long = "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(200_000))
    for content in (long, "short", "=zlib:1", "x" * 70_000):
        put_record(store, "r1", "config", content, NOON)
        assert latest_records(store, "config")["r1"].content == content


def test_history_tells_each_version_and_how_long_it_was_read(store: Store) -> None:
    for i, text in enumerate(["a", "a", "b", "a"]):
        put_record(store, "r1", "routes", text, NOON + i * MINUTE)
    told = [(v.number, v.content, v.since, v.confirmed_at) for v in record_history(store, "r1", "routes")]
    times = [NOON + i * MINUTE for i in range(4)]
    assert told == [(1, "a", times[0], times[1]), (2, "b", times[2], times[2]), (3, "a", times[3], times[3])]
    assert record_history(store, "r2", "routes") == ()
    assert [v.number for v in record_history(store, "r1", "routes", times[2], times[3])] == [2]


def test_a_document_is_told_as_it_was_at_a_time(store: Store) -> None:
    put_record(store, "r1", "config", "a", NOON)
    put_record(store, "r1", "config", "b", NOON + 2 * MINUTE)
    assert record_at(store, "r1", "config", NOON + MINUTE).content == "a"
    assert record_at(store, "r1", "config", NOON + 2 * MINUTE).content == "b"
    with pytest.raises(UsageError, match="no config of r1 at 2026-11-23 11:59:00 UTC"):
        record_at(store, "r1", "config", NOON - MINUTE)


def test_what_is_stored_is_listed(store: Store) -> None:
    put_record(store, "r1", "config", "a", NOON)
    put_record(store, "r2", "config", "b", NOON + MINUTE)
    assert [(e.device, e.name, e.confirmed_at) for e in stored_records(store)] == [
        ("r1", "config", NOON),
        ("r2", "config", NOON + MINUTE),
    ]
    assert [e.device for e in stored_records(store, "r2")] == ["r2"]


ROUTES = "10.0.0.0/30 direct eth1\n10.9.0.0/16 ospf 110/20 via 10.0.0.2 eth1\n"


def test_a_routing_table_unchanged_for_a_year_outlives_upkeep(tmp_path: Path) -> None:
    """Only its first reading carries the text; the rest of the year's readings carry the hash."""
    with open_delta(tmp_path / "store") as store:
        for week in range(53):
            put_record(store, "r1", "routes", ROUTES, NOON + week * timedelta(days=7))
        store.maintain(NOON + timedelta(days=400))
    with open_delta(tmp_path / "store") as store:
        store.maintain(NOON + timedelta(days=401))
        (version,) = record_history(store, "r1", "routes")
        assert (version.content, version.since) == (ROUTES, NOON)
        assert version.confirmed_at == NOON + timedelta(days=364)
        assert record_at(store, "r1", "routes", NOON + timedelta(days=180)).content == ROUTES
        assert latest_records(store, "routes")["r1"].content == ROUTES


def test_a_damaged_record_is_named(store: Store) -> None:
    """What was stored was changed behind the store's back: the content no longer has its hash."""
    put_record(store, "r1", "config", "a", NOON)
    forged = {"device": "r1", "record": "config", "content": "forged"}
    store.write([Block.from_rows("record", [forged], at=instant(NOON))])
    for read in (lambda: record_history(store, "r1", "config"), lambda: latest_records(store, "config")):
        with pytest.raises(DamagedRecordError, match="record config of r1, read 2026-11-23 12:00:00 UTC"):
            read()


def test_writers_that_saw_a_change_in_another_order_do_no_damage(store: Store) -> None:
    """One read "a" again, knowing only of "a", after another had stored "b"."""
    put_record(store, "r1", "config", "a", NOON)
    put_record(store, "r1", "config", "b", NOON + MINUTE)
    late = {"device": "r1", "record": "config", "sha256": sha256(b"a").hexdigest()}
    store.write([Block.from_rows("record", [late], at=instant(NOON + 2 * MINUTE))])
    assert latest_records(store, "config")["r1"] == record("r1", "a", NOON + 2 * MINUTE, NOON + 2 * MINUTE)


@pytest.mark.influx
def test_what_a_server_forgets_is_remembered_here(influx_server: tuple[str, Secret], tmp_path: Path) -> None:
    """Read from the server: its retention drops raw rows, documents too; what it had before there was a local store."""
    server = InfluxServer(influx_server[0], "forgetful", influx_server[1])
    set_up(server, {})
    for place, text, at in (("before", "older", NOON - MINUTE), ("store", "a", NOON), ("store", "b", NOON + MINUTE)):
        outbox = Outbox(LocalPlace(tmp_path / place), tmp_path / "shipping", place)
        with open_shipped(open_delta(outbox.place), outbox, server, quota=10**9, read_there=True) as store:
            put_record(store, "r1", "config", text, at)
            store.series("device")  # ships what waits
            if text == "b":
                told = [v.content for v in record_history(store, "r1", "config")]
                connection = InfluxConnection(server)
                list(connection.ask('DROP MEASUREMENT "record"', "forgetful"))
                connection.close()
                later = [v.content for v in record_history(store, "r1", "config")]
    assert (told, later) == (["older", "a", "b"], ["a", "b"])
