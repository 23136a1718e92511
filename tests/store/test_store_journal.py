"""The journal: what was appended comes out once, in order; cursors only move forward; nothing read is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from twin.store import Store, StoreError, open_delta
from twin.store.cursors import advance, consumers, forget, held, positions, register, restart
from twin.store.journal import VERSION, Backlog, Journal, newest_versions, unread_files
from twin.store.place import LocalPlace, Place
from twin.vocab.blocks import Block

T0 = np.datetime64("2026-11-23T12:00:00", "us")
KIND = "route_summary"
DAYS_LATER = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def place(path: Path) -> Place:
    return LocalPlace(path)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_delta(place) as opened:
        yield opened


def routes(first: int, count: int = 1) -> Block:
    """Rows whose value is their number."""
    rows = [
        {"device": f"r{i % 7}", "protocol": "ospf", "at": T0 + np.timedelta64(i, "s"), "routes": i}
        for i in range(first, first + count)
    ]
    return Block.from_rows(KIND, rows)


def numbers(rows: Iterator[pl.DataFrame]) -> list[int]:
    return [n for part in rows for n in part["routes"].to_list()]


def appended(journal: Journal, after: int, upto: int | None = None) -> list[int]:
    return numbers(portion.rows for portion in journal.appended(KIND, after, upto))


def test_what_was_appended_comes_in_the_order_of_writing_and_upkeep_is_left_out(store: Store, place: Place) -> None:
    for i in range(5):
        store.write([routes(i)])
    store.maintain(datetime.now(UTC))
    store.write([routes(5)])
    assert appended(Journal(place), -1) == [0, 1, 2, 3, 4, 5]


def test_from_a_version_only_what_came_later(store: Store, place: Place) -> None:
    for i in range(3):
        store.write([routes(i)])
    after = newest_versions(place)[KIND]
    store.write([routes(3)])
    upto = newest_versions(place)[KIND]
    store.write([routes(4)])
    assert appended(Journal(place), after) == [3, 4]
    assert appended(Journal(place), after, upto) == [3]


def test_portions_are_bounded_whatever_was_written_at_once(store: Store, place: Place) -> None:
    for first, count in ((0, 30), (30, 30), (60, 250), (310, 10)):
        store.write([routes(first, count)])
    portions = list(Journal(place, rows_at_once=100).appended(KIND, -1))
    assert max(len(p.rows) for p in portions) <= 100
    assert sorted(numbers(p.rows for p in portions)) == list(range(320))
    for portion in portions:
        if portion.done is not None and len(portion.rows):
            assert portion.rows[VERSION].max() == portion.done
    assert portions[-1].done == newest_versions(place)[KIND]


def test_the_backlog_counts_rows_bytes_and_age(store: Store, place: Place, path: Path) -> None:
    begin = datetime.now(UTC).timestamp() * 1000
    store.write([routes(0, 10)])
    store.write([routes(10, 5)])
    journal = Journal(place)
    waiting = journal.backlog({})[KIND]
    assert waiting.rows == 15
    assert waiting.size_bytes == sum(p.stat().st_size for p in path.rglob("*.parquet"))
    assert waiting.oldest_ms is not None
    assert begin - 1 <= waiting.oldest_ms <= datetime.now(UTC).timestamp() * 1000
    assert journal.backlog(newest_versions(place)) == {}
    store.write([routes(15)])
    assert journal.backlog({})[KIND].rows == 16


def test_backlogs_add_up() -> None:
    assert Backlog(1, 10, 5) + Backlog(2, 20, 3) + Backlog() == Backlog(3, 30, 3)


def entry(path: Path, version: int) -> Path:
    return path / KIND / "_delta_log" / f"{version:020d}.json"


@pytest.mark.parametrize("content", ["", '{"add":{"pa'])
def test_a_torn_last_entry_is_not_there_yet(store: Store, place: Place, path: Path, content: str) -> None:
    store.write([routes(0)])
    entry(path, newest_versions(place)[KIND] + 1).write_text(content)
    assert Journal(place).backlog({})[KIND].rows == 1


def test_a_journal_that_no_longer_reaches_back_says_so(store: Store, place: Place, path: Path) -> None:
    for i in range(3):
        store.write([routes(i)])
    newest = newest_versions(place)[KIND]
    for version in range(newest):
        entry(path, version).unlink()
    (path / KIND / "_delta_log" / "_last_checkpoint").write_text(json.dumps({"version": newest}))
    with pytest.raises(StoreError, match="what came after version 0 is no longer there"):
        Journal(place).backlog({KIND: 0})


def test_a_version_that_comes_while_it_is_looked_for_is_not_missed(
    store: Store, place: Place, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoint, too."""
    store.write([routes(0)])
    newest = newest_versions(place)[KIND]
    read = LocalPlace.read

    def meanwhile(self: LocalPlace, name: str) -> bytes:
        if self.address.endswith(KIND) and name.endswith("_last_checkpoint") and not entry(path, newest + 1).exists():
            store.write([routes(1)])
            return json.dumps({"version": newest + 1}).encode()
        return read(self, name)

    monkeypatch.setattr(LocalPlace, "read", meanwhile)
    assert Journal(place).news({KIND: newest}) == []
    assert Journal(place).news({KIND: newest}) == [KIND]


def test_a_panic_of_the_engine_is_an_error_like_others(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write([routes(0)])

    def panics(*_: object, **__: object) -> None:
        raise pl.exceptions.PanicException("out of luck")

    journal = Journal(place)
    with monkeypatch.context() as broken:
        broken.setattr("deltalake.DeltaTable.load_cdf", panics)
        with pytest.raises(StoreError, match="out of luck"):
            list(journal.appended(KIND, -1))
    assert sum(len(portion.rows) for portion in journal.appended(KIND, -1)) == 1


def test_a_cursor_ahead_of_the_table_is_found(store: Store, place: Place) -> None:
    store.write([routes(0)])
    with pytest.raises(StoreError, match="an older copy"):
        Journal(place).backlog({KIND: 17})


def test_a_cursor_moves_forward_only(place: Place, store: Store) -> None:
    assert register(place, "a", {KIND: 3})
    assert not register(place, "a", {KIND: 9})
    advance(place, "a", {KIND: 5, "poll": 0})
    advance(place, "a", {KIND: 4})
    assert positions(place, "a") == {KIND: 5, "poll": 0}
    restart(place, "a", {KIND: 1})
    assert positions(place, "a") == {KIND: 1, "poll": 0}


def test_the_slowest_cursor_holds(place: Place, store: Store) -> None:
    assert held(place, KIND) is None
    register(place, "a", {KIND: 7})
    register(place, "b", {KIND: 5})
    assert (held(place, KIND), held(place, "poll")) == (5, -1)
    forget(place, "b")
    assert (held(place, KIND), consumers(place)) == (7, ("a",))


def test_a_damaged_cursor_is_an_error_and_holds_everything(place: Place, path: Path, store: Store) -> None:
    register(place, "a", {KIND: 7})
    (path / "consumers" / "a.json").write_text("{")
    with pytest.raises(StoreError, match=r"a\.json: is no cursor"):
        held(place, KIND)


def test_a_cursor_is_synced_before_it_counts(place: Place, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file before it is renamed into place, then the folder."""
    register(place, "a", {})
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(handle: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink().name.strip('.').split('.')[0]}")
        sync(handle)

    def noted_replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    advance(place, "a", {KIND: 1})
    assert done == ["sync a", "rename", "sync consumers", "sync store"]


def test_upkeep_keeps_what_the_slowest_consumer_has_not_read(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a remote is away, and however often files are merged."""
    monkeypatch.setattr("twin.store.upkeep.GRACE", timedelta())
    register(place, "a", newest_versions(place))
    for number in range(6):
        store.write([routes(2 * number), routes(2 * number + 1)])
        store.maintain(DAYS_LATER)
    after = newest_versions(place)[KIND]
    assert sorted(appended(Journal(place), -1)) == list(range(12))
    assert len(unread_files(place, KIND)) == 6
    advance(place, "a", {KIND: after})
    assert unread_files(place, KIND) == frozenset()
    assert store.maintain(DAYS_LATER).deleted_files > 0
    with pytest.raises(StoreError, match=f"journal {place.address}, {KIND}, versions"):
        appended(Journal(place), -1)
    assert len(store.range(KIND, None, T0, T0 + np.timedelta64(1, "h"))) == 12
