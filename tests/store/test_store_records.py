"""Versioned documents: changes are kept, readings keep them fresh."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from twin.store import Document, Store, StoredRecord, latest_records, put_record, put_records

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
