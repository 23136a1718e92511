"""What a store keeps to when the clock is set back, a disk fails for a moment, or a byte is wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from twin.store import Batch, Store, StoreError, open_delta
from twin.store.delta_log import checkpoint, open_table
from twin.store.place import LocalPlace
from twin.store.verify import verify
from twin.vocab.blocks import Block

T0 = np.datetime64("2026-11-23T12:00:00", "us")


def polled(status: str, device: str = "r1") -> Block:
    return Block.from_rows("poll", [{"device": device, "protocol": "snmp", "at": T0, "status": status}])


def status_in(store: Store) -> list[str]:
    return list(store.latest("poll").fields["status"].values)


@contextmanager
def clock_set(monkeypatch: pytest.MonkeyPatch, hours: float) -> Iterator[None]:
    now = time.time_ns
    with monkeypatch.context() as patched:
        patched.setattr("time.time_ns", lambda: now() + int(hours * 3600e9))
        yield


def test_what_is_written_last_wins_though_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a new process, and by one that was there before and did not write meanwhile."""
    with open_delta(tmp_path / "s") as early:
        early.write([polled("first")])
        with open_delta(tmp_path / "s") as store, clock_set(monkeypatch, 2):
            store.write([polled("second")])
        with open_delta(tmp_path / "s") as store:
            store.write([polled("third")])
            assert status_in(store) == ["third"]
        with clock_set(monkeypatch, -1):
            early.write([polled("fourth")])
        assert status_in(early) == ["fourth"]
    with open_delta(tmp_path / "s") as store:
        assert store.range("poll", None, T0, T0 + 1).fields["status"].values.tolist() == ["fourth"]


def test_a_retry_of_a_round_whose_sync_failed_syncs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit was there for all to see, but only on its way to the disk."""
    with open_delta(tmp_path / "s") as store:
        store.write([polled("ok")], Batch("w", 1))
        entry = tmp_path / f"s/poll/_delta_log/{2:020}.json"
        failed: list[Path] = []
        synced: list[Path] = []
        fsync = os.fsync

        def fails_once(handle: int) -> None:
            path = Path(f"/proc/self/fd/{handle}").readlink()
            if path == entry and not failed:
                failed.append(path)
                raise OSError(5, "Input/output error")
            synced.append(path)
            fsync(handle)

        monkeypatch.setattr("os.fsync", fails_once)
        with pytest.raises(StoreError, match="not written: poll"):
            store.write([polled("again", "r2")], Batch("w", 2))
        store.write([polled("again", "r2")], Batch("w", 2))
        assert entry in synced
        assert status_in(store) == ["ok", "again"]


@pytest.mark.parametrize("back", [1, 2, 3, 40])
def test_an_entry_with_a_wrong_byte_is_not_taken_for_torn(tmp_path: Path, back: int) -> None:
    """A torn one was never acknowledged and may be moved aside; a damaged one was, and must be told of."""
    with open_delta(tmp_path / "s") as store:
        for number in range(3):
            store.write([polled("ok", f"r{number}")], Batch("w", number))
    entry = tmp_path / f"s/poll/_delta_log/{2:020}.json"
    content = bytearray(entry.read_bytes().rstrip(b"\n"))
    content[-back] ^= 0x40
    entry.write_bytes(content)
    (finding,) = verify(LocalPlace(tmp_path / "s")).damage
    assert finding.file == f"poll/_delta_log/{2:020}.json"
    with suppress(StoreError), open_delta(tmp_path / "s") as store:
        store.range("poll", None, T0, T0 + 1)
    assert entry.read_bytes() == content


# ---- upkeep ----

AN_HOUR_OVER = datetime(2026, 11, 24, 3, tzinfo=UTC)


def write_rounds(store: Store, count: int) -> None:
    """Of names far apart, so that their files are worth merging."""
    for number in range(count):
        store.write([polled("ok", f"a{number}"), polled("ok", f"z{number}")], Batch("w", number))


def rounds_in(path: Path) -> list[int]:
    with open_delta(path) as store:
        names = [str(name) for name in store.range("poll", None, T0, T0 + 1).keys["device"]]
    half = len(names) // 2
    assert [name[1:] for name in names[:half]] == [name[1:] for name in names[half:]]
    return [int(name[1:]) for name in names[:half]]


def test_files_of_a_merge_that_was_committed_stay_though_its_sync_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a commit came through is not known to who made it: its files may be the table's."""
    with open_delta(tmp_path / "s") as store:
        write_rounds(store, 3)
        with monkeypatch.context() as patched:
            patched.setattr("twin.store.delta_log.sync_entries", lambda *_: failing())
            with pytest.raises(StoreError, match="Input/output error"):
                store.maintain(AN_HOUR_OVER)
    assert rounds_in(tmp_path / "s") == [0, 1, 2]
    assert verify(LocalPlace(tmp_path / "s")).damage == ()


def failing() -> None:
    raise OSError(5, "Input/output error")


def test_what_is_committed_during_upkeep_is_no_orphan_whatever_its_time_says(tmp_path: Path) -> None:
    """As of a machine whose clock was set forward by days in these minutes."""
    path = tmp_path / "s"
    with open_delta(path) as writer, open_delta(path) as store:
        write_rounds(writer, 3)

        def meanwhile(*_: object) -> None:
            if len(rounds_in(path)) == 3:
                writer.write([polled("ok", "a9"), polled("ok", "z9")])
                for file in (path / "poll").glob("date=*/*.parquet"):
                    os.utime(file, (0, 0))

        store.maintain(AN_HOUR_OVER, progress=meanwhile)
    assert rounds_in(path) == [0, 1, 2, 9]
    assert verify(LocalPlace(path)).damage == ()


def test_a_damaged_entry_behind_a_checkpoint_is_one_clear_line(tmp_path: Path) -> None:
    place = LocalPlace(tmp_path / "s/poll")
    with open_delta(tmp_path / "s") as store:
        write_rounds(store, 3)
        checkpoint(open_table(place), place)
        (tmp_path / f"s/poll/_delta_log/{1:020}.json").write_text("rubbish")
        with pytest.raises(StoreError, match=f"{1:020}.json is no JSON .*nettwin store verify tells more"):
            store.maintain(AN_HOUR_OVER)
