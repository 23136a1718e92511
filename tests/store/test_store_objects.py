"""What a store in object storage promises: several processes, sudden death, lost answers, upkeep, clear errors."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from tests.store.s3server import object_place, told
from twin.app.settings import load_settings
from twin.app.wiring import store_of
from twin.store import Batch, StoreError, open_delta
from twin.store.objects import ObjectPlace
from twin.store.place import LocalPlace, Place
from twin.store.verify import verify
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError

T0 = np.datetime64("2026-11-23T12:00:00", "us")
END = np.datetime64("2200-01-01", "us")
SPAWN = multiprocessing.get_context("spawn")
LATER = datetime(2026, 11, 25, tzinfo=UTC)
IMPATIENT = {"timeout": "300ms", "connect_timeout": "300ms"}


def a_round(number: int, writer: str = "w") -> list[Block]:
    at = T0 + np.timedelta64(number, "s")
    rows = [{"device": writer, "interface": f"eth{i}", "in_octets": number} for i in range(3)]
    polled = [{"device": writer, "protocol": "snmp", "values": number}]
    return [Block.from_rows("interface", rows, at=at), Block.from_rows("poll", polled, at=at)]


def rounds_in(place: Place, writer: str = "w") -> list[int]:
    """The rounds read back by a fresh store, each checked to be whole."""
    with open_delta(place) as store:
        found = store.range("interface", {"device": writer}, T0, END)
    rounds, counts = np.unique(found.fields["in_octets"].values, return_counts=True)
    assert set(counts.tolist()) <= {3}
    return list(rounds.tolist())


def rows_in(place: Place) -> dict[str, int]:
    with open_delta(place) as store:
        return {k.kind: k.rows for k in store.health().kinds}


Where = tuple[str, str, Path]


def write_rounds(where: Where, writer: str, numbers: range, acknowledged: Connection | None) -> None:
    with open_delta(object_place(*where)) as store:
        for number in numbers:
            store.write(a_round(number, writer), Batch(writer, number))
            if acknowledged is not None:
                acknowledged.send(number)


def test_two_processes_write_while_a_third_reads_and_merges(bucket_server: str, tmp_path: Path) -> None:
    name = tmp_path.name
    place = object_place(bucket_server, name, tmp_path)
    arguments = [((bucket_server, name, tmp_path), writer, range(5), None) for writer in ("a", "b")]
    writers = [SPAWN.Process(target=write_rounds, args=args) for args in arguments]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        for one in ("a", "b"):
            seen = rounds_in(place, one)
            assert seen == list(range(len(seen)))
        with open_delta(place) as store:
            store.maintain(datetime.now(UTC))
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert rounds_in(place, "a") == rounds_in(place, "b") == list(range(5))
    assert rows_in(place).items() >= {"interface": 2 * 5 * 3, "poll": 2 * 5}.items()
    assert verify(place).damage == ()


def test_a_killed_writer_loses_no_acknowledged_round(bucket_server: str, tmp_path: Path) -> None:
    done: list[int] = []
    name = tmp_path.name
    for _ in range(2):
        receiver, sender = SPAWN.Pipe(duplex=False)
        writer = SPAWN.Process(
            target=write_rounds, args=((bucket_server, name, tmp_path), "w", range(len(done), 1000), sender)
        )
        writer.start()
        sender.close()
        done += [receiver.recv() for _ in range(5)]
        writer.kill()
        writer.join()
        while receiver.poll():
            try:
                done.append(receiver.recv())
            except EOFError:
                break
        found = rounds_in(object_place(bucket_server, name, tmp_path))
        assert found[: len(done)] == done == list(range(len(done)))
        assert len(found) <= len(done) + 1


def test_a_commit_whose_answer_is_lost_is_there_once(bucket_server: str, tmp_path: Path) -> None:
    """The client asks again, is told that it is there, and must know it for its own."""
    place = object_place(bucket_server, tmp_path.name, tmp_path)
    with open_delta(place) as store:
        store.write(a_round(0), Batch("w", 0))
        told(bucket_server, lose=f"{tmp_path.name}/interface/_delta_log/")
        store.write(a_round(1), Batch("w", 1))
        store.write(a_round(2), Batch("w", 2))
    assert rounds_in(place) == [0, 1, 2]
    assert rows_in(place) == {"interface": 9, "poll": 3}


def test_a_merge_whose_answer_is_lost_loses_no_row(bucket_server: str, tmp_path: Path) -> None:
    place = object_place(bucket_server, tmp_path.name, tmp_path)
    with open_delta(place) as store:
        for number in range(3):
            store.write(a_round(number), Batch("w", number))
        told(bucket_server, lose=f"{tmp_path.name}/interface/_delta_log/")
        assert store.maintain(LATER).merged_files == 6
    assert rounds_in(place) == [0, 1, 2]
    assert verify(place).damage == ()


def test_merged_files_are_deleted_after_the_grace(
    new_place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_place()
    with open_delta(place) as store:
        for number in range(4):
            store.write(a_round(number))
        monkeypatch.setattr("twin.store.upkeep.GRACE", timedelta(0))
        done = store.maintain(datetime.now(UTC))
    assert (done.merged_files, done.deleted_files) == (8, 8)
    assert rounds_in(place) == [0, 1, 2, 3]
    assert verify(place).damage == verify(place).notes == ()


def test_a_damaged_object_is_named(new_place: Callable[[], Place]) -> None:
    place = new_place()
    with open_delta(place) as store:
        store.write(a_round(0))
    name = next(e.name for e in place.entries("poll") if e.name.endswith(".parquet"))
    content = bytearray(place.read(name))
    content[len(content) // 2] ^= 1
    place.replace(name, bytes(content))
    (finding,) = verify(place).damage
    assert (finding.file, finding.problem) == (name, "does not match the hash in its name")


def test_a_storage_that_ignores_conditions_is_refused(own_bucket_server: tuple[str, int], tmp_path: Path) -> None:
    server, _ = own_bucket_server
    told(server, careless=True)
    place = object_place(server, "s", tmp_path)
    with pytest.raises(StoreError, match="ignores conditional writes"):
        open_delta(place)
    assert list(place.entries()) == []


@pytest.mark.parametrize("gone", [signal.SIGKILL, signal.SIGSTOP])
def test_a_storage_that_does_not_answer_is_named_in_time(
    own_bucket_server: tuple[str, int], tmp_path: Path, gone: signal.Signals
) -> None:
    server, pid = own_bucket_server
    with open_delta(object_place(server, "s", tmp_path, **IMPATIENT)) as store:
        store.write(a_round(0))
        os.kill(pid, gone)
        begun = time.monotonic()
        with pytest.raises(
            StoreError, match=r"^store s3://bucket/s, interface: .*; not written: interface, poll$"
        ) as told:
            store.write(a_round(1))
    os.kill(pid, signal.SIGCONT) if gone == signal.SIGSTOP else None
    assert time.monotonic() - begun < 10
    assert server in str(told.value)
    assert not {"hunter2", "someone", "\x1b", "\n"} & set(str(told.value).split())


def test_a_bucket_that_is_not_there_is_named(bucket_server: str, tmp_path: Path) -> None:
    options = {"endpoint": bucket_server, "region": "us-east-1", "allow_http": "true", "skip_signature": "true"}
    with pytest.raises(StoreError, match=r"s3://nowhere/s: .*does not exist"):
        open_delta(ObjectPlace("s3://nowhere/s", options, tmp_path))


@pytest.mark.parametrize(
    "url", ["s3://", "s3:bucket", "ftp://host/x", "s3://key:hunter2@bucket/x", "s3://b/x?key=hunter2"]
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="write s3://BUCKET/PREFIX") as complaint:
        ObjectPlace(url, {}, tmp_path)
    assert "hunter2" not in str(complaint.value)


def test_an_option_that_is_unknown_is_refused(bucket_server: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"s3://bucket/s: .*colour"):
        object_place(bucket_server, "s", tmp_path, colour="red")


def test_settings_name_it_and_its_keys(bucket_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_SECRET", "hunter2")
    (tmp_path / "key").write_text("someone\n")
    (tmp_path / "nettwin.yaml").write_text(
        f"schema_version: 1\nstore:\n  location: s3://bucket/{tmp_path.name}\n  options:\n"
        f"    endpoint: {bucket_server}\n    region: eu\n    allow_http: true\n"
        "    access_key_id: {file: key}\n    secret_access_key: {env: S3_SECRET}\n"
    )
    settings = load_settings(tmp_path / "nettwin.yaml")
    with store_of(settings) as store:
        store.write(a_round(7))
    assert rounds_in(object_place(bucket_server, tmp_path.name, tmp_path)) == [7]
    assert "hunter2" not in repr(settings)


def test_settings_may_name_another_folder(tmp_path: Path) -> None:
    (tmp_path / "nettwin.yaml").write_text("schema_version: 1\nstore: {location: elsewhere/store}\n")
    with store_of(load_settings(tmp_path / "nettwin.yaml")) as store:
        store.write(a_round(7))
    assert rounds_in(LocalPlace(tmp_path / "elsewhere/store")) == [7]
