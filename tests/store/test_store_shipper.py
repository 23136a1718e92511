"""Shipping to a server that is busy, away, wrong or refusing: in order, once, with nothing dropped unseen."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.store.scripted import CUT, HANG, Server, serving
from twin.app.store_watch import ShippingBeside
from twin.store import InfluxServer, Outbox, Store, StoreError, open_delta, open_shipped
from twin.store.dead_letters import DeadLetter, DeadLetterBox, dead_letter_file, dead_letters, remove_dead_letters
from twin.store.influx_connection import InfluxConnection
from twin.store.journal import newest_versions
from twin.store.place import LocalPlace
from twin.store.quota import Quota
from twin.store.ship_lock import ShippedByOtherError, only_shipper
from twin.store.ship_status import ShipStatus, ship_status
from twin.store.shipper import ShipLimits, Shipper, begin_shipping, give_up_backlog
from twin.store.triage import Patience
from twin.vocab.blocks import Block

T0 = np.datetime64("2026-11-23T12:00:00", "us")
KIND = "route_summary"
HASTY = ShipLimits(Patience(first=0.01, longest=0.05, asked_at_most=0.3, holding=0.05), poll=0.02)
LONG = 20.0


def outbox_in(folder: Path) -> Outbox:
    return Outbox(LocalPlace(folder / "store"), folder / "shipping", "there")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return outbox_in(tmp_path)


@pytest.fixture
def store(outbox: Outbox) -> Iterator[Store]:
    with open_delta(outbox.place) as opened:
        begin_shipping(outbox)
        yield opened


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as scripted:
        yield scripted


def shipper(outbox: Outbox, server: Server, limits: ShipLimits = HASTY) -> Shipper:
    to = InfluxServer(server.url, "twin", timeout=timedelta(seconds=0.4))
    return Shipper(outbox, InfluxConnection(to), "twin", limits=limits)


def routes(first: int, count: int = 1) -> Block:
    rows = [
        {"device": "r1", "protocol": "ospf", "at": T0 + np.timedelta64(i, "s"), "routes": i}
        for i in range(first, first + count)
    ]
    return Block.from_rows(KIND, rows)


def line(i: int) -> str:
    return f"{KIND},device=r1,protocol=ospf routes={i}i {T0.astype(int) + i * 1_000_000}"


def once(lines: list[str]) -> list[str]:
    """Without those sent again."""
    return list(dict.fromkeys(lines))


@contextmanager
def running(ships: Shipper) -> Iterator[Shipper]:
    stop = Event()
    thread = Thread(target=ships.run, args=(stop,))
    thread.start()
    try:
        yield ships
    finally:
        stop.set()
        thread.join(LONG)
        assert not thread.is_alive()


def await_state(ships: Shipper, *states: str) -> ShipStatus:
    for _ in range(int(LONG / 0.01)):
        if ships.status.state in states:
            return ships.status
        time.sleep(0.01)
    raise AssertionError(ships.status)


def test_what_is_written_arrives_in_order(store: Store, outbox: Outbox, server: Server) -> None:
    for i in range(5):
        store.write([routes(i)])
    status = shipper(outbox, server).ship()
    assert server.lines == [line(i) for i in range(5)]
    assert (status.state, status.sent, status.backlog_rows) == ("idle", 5, 0)
    store.write([routes(5)])
    assert shipper(outbox, server).ship().sent == 6
    assert server.lines[5:] == [line(5)]


def test_what_was_there_before_is_not_shipped(tmp_path: Path, server: Server) -> None:
    outbox = outbox_in(tmp_path)
    with open_delta(outbox.place) as store:
        store.write([routes(0)])
        begin_shipping(outbox)
        store.write([routes(1)])
        shipper(outbox, server).ship()
    assert server.lines == [line(1)]


@pytest.mark.parametrize(
    "script", [[429], [503, 500], [HANG], [CUT], [408, CUT, 425], [502] * 8, [401], [403, 403], [404]]
)
def test_trouble_passes_and_everything_arrives(store: Store, outbox: Outbox, server: Server, script: list[int]) -> None:
    server.script, server.retry_after = list(script), "0.02"
    store.write([routes(0, 3)])
    with running(shipper(outbox, server)) as ships:
        await_state(ships, "backing off", "holding", "idle")
        for _ in range(2000):
            if not server.script and ships.status.state == "idle":
                break
            time.sleep(0.01)
    assert once(server.lines) == [line(i) for i in range(3)]
    assert ships.status.dead == 0


def test_the_pause_a_server_asks_for_is_kept_up_to_a_bound(store: Store, outbox: Outbox, server: Server) -> None:
    server.script, server.retry_after = [503, 503], "3600"
    store.write([routes(0)])
    begin = time.monotonic()
    with running(shipper(outbox, server)) as ships:
        await_state(ships, "idle")
    assert 0.6 <= time.monotonic() - begin < 10  # asked_at_most, twice


def test_a_refused_token_is_held_and_told(store: Store, outbox: Outbox, server: Server) -> None:
    server.judge = lambda _: (401, "unauthorized")
    store.write([routes(0)])
    with running(shipper(outbox, server)) as ships:
        status = await_state(ships, "holding")
        assert status.reason == "the token is refused (401: unauthorized)"
        assert (status.backlog_rows, status.dead) == (1, 0)
        assert status.next_try is not None
        server.judge = lambda _: (204, "")
        assert await_state(ships, "idle").sent == 1
    assert server.lines == [line(0)]


def test_one_bad_line_goes_to_the_dead_letters(store: Store, outbox: Outbox, server: Server) -> None:
    server.judge = lambda lines: (422, "type conflict") if line(7) in lines else (204, "")
    store.write([routes(0, 20)])
    status = shipper(outbox, server).ship()
    (letter,) = dead_letters(outbox)
    assert (letter.remote, letter.kind, letter.line, letter.reason) == ("there", KIND, line(7), "type conflict")
    assert letter.version == newest_versions(outbox.place)[KIND]
    assert datetime.fromisoformat(letter.time).tzinfo is not None
    assert sorted(server.lines) == sorted(line(i) for i in range(20) if i != 7)
    assert (status.state, status.sent, status.dead) == ("idle", 19, 1)


def test_a_server_that_refuses_everything_does_not_empty_the_journal(
    store: Store, outbox: Outbox, server: Server
) -> None:
    """A wrong set-up: thousands of lines stay where they are until it is mended."""
    server.judge = lambda _: (400, "unsupported precision")
    store.write([routes(0, 3000)])
    ships = shipper(outbox, server)
    for _ in range(3):
        status = ships.ship()
        assert (status.state, status.backlog_rows, status.dead) == ("holding", 3000, 0)
        assert "every line is refused, 16 others tried as well: unsupported precision" in status.reason
    assert list(dead_letters(outbox)) == []
    server.judge = lambda _: (204, "")
    assert ships.ship().state == "idle"
    assert once(server.lines) == [line(i) for i in range(3000)]


def test_a_kind_that_is_held_does_not_stop_the_others(store: Store, outbox: Outbox, server: Server) -> None:
    server.judge = lambda lines: (400, "no") if lines[0].startswith(KIND) else (204, "")
    store.write([routes(0, 200)])
    store.write([Block.from_rows("poll", [{"device": "r1", "protocol": "snmp", "at": T0, "status": "ok"}])])
    status = shipper(outbox, server).ship()
    assert (status.state, status.backlog_rows) == ("holding", 200)
    assert [text.partition(",")[0] for text in server.lines] == ["poll"]


def test_a_request_too_large_is_made_smaller(store: Store, outbox: Outbox, server: Server) -> None:
    server.judge = lambda lines: (413, "too large") if len(lines) > 100 else (204, "")
    store.write([routes(0, 1000)])
    ships = shipper(outbox, server)
    assert ships.ship().dead == 0
    assert server.lines == [line(i) for i in range(1000)]
    store.write([routes(1000, 300)])
    before = server.requests
    ships.ship()
    assert server.requests - before <= 6, "what was learnt is kept"


def test_a_server_too_slow_for_a_request_gets_smaller_ones(store: Store, outbox: Outbox, server: Server) -> None:
    def slow(lines: list[str]) -> tuple[int, str]:
        time.sleep(len(lines) * 0.001)
        return 204, ""

    server.judge = slow
    store.write([routes(0, 1000)])
    with running(shipper(outbox, server)) as ships:
        await_state(ships, "idle")
    assert set(server.lines) == {line(i) for i in range(1000)}


def test_lines_too_old_for_the_server_are_counted_not_kept(store: Store, outbox: Outbox, server: Server) -> None:
    old = "partial write: points beyond retention policy dropped="
    server.judge = lambda lines: (400, f"{old}{len(lines)}")
    store.write([routes(0, 500)])
    status = shipper(outbox, server).ship()
    assert (status.state, status.expired, status.dead, status.backlog_rows) == ("idle", 500, 0, 0)


def test_full_dead_letters_hold_everything(store: Store, outbox: Outbox, server: Server) -> None:
    server.judge = lambda lines: (
        (400, "no") if any("routes=1i" in text or "routes=3i" in text for text in lines) else (204, "")
    )
    ships = shipper(outbox, server, replace(HASTY, dead_letter_bytes=10))
    store.write([routes(0, 2)])
    assert ships.ship().dead == 1
    store.write([routes(2, 2)])
    status = ships.ship()
    assert status.state == "holding"
    assert "the dead-letter file is full" in status.reason
    remove_dead_letters(outbox, list(dead_letters(outbox)))
    assert ships.ship().dead == 2
    assert [letter.line for letter in dead_letters(outbox)] == [line(3)]


def test_a_fault_is_told_and_does_not_end_the_shipping(
    store: Store, outbox: Outbox, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(_: Block) -> list[str]:
        raise RuntimeError("of all things")

    ships = shipper(outbox, server)
    store.write([routes(0)])
    with running(ships):
        with monkeypatch.context() as broken:
            broken.setattr("twin.store.shipper.to_lines", faulty)
            assert "of all things" in await_state(ships, "holding").reason
        assert await_state(ships, "idle").sent == 1


def test_dead_letters_cut_off_by_a_full_disk_leave_nothing(outbox: Outbox) -> None:
    before, after = (DeadLetter("there", KIND, i, line(i), "no", "") for i in range(2))
    box = DeadLetterBox(outbox, {}, 10_000)
    box.put([before])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (box.size + 20, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            box.put([after])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    box.put([after])
    assert list(dead_letters(outbox)) == [before, after]


def test_a_crash_before_the_cursor_moved_leaves_no_doubles(
    store: Store, outbox: Outbox, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.judge = lambda lines: (400, "no") if line(1) in lines else (204, "")
    store.write([routes(0, 3)])
    with monkeypatch.context() as broken:
        broken.setattr("twin.store.shipper.advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            shipper(outbox, server).ship()
    with dead_letter_file(outbox).open("a") as file:
        file.write('{"remote": "th')  # torn, as by a power cut
    assert shipper(outbox, server).ship().state == "idle"
    assert [letter.line for letter in dead_letters(outbox)] == [line(1)]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_damaged_dead_letter_file_is_named(outbox: Outbox, store: Store) -> None:
    outbox.folder.mkdir()
    dead_letter_file(outbox).write_text(json.dumps({"remote": "x"}) + "\n")
    with pytest.raises(StoreError, match=r"there\.dead\.jsonl:1: is no dead letter"):
        list(dead_letters(outbox))


def test_dead_letters_are_taken_out_by_name(outbox: Outbox, store: Store) -> None:
    letters = [DeadLetter("there", KIND, 1, line(i), "no", "2026-11-25T07:00:00+00:00") for i in range(3)]
    file = dead_letter_file(outbox)
    outbox.folder.mkdir()
    file.write_text("".join(json.dumps(letter.__dict__) + "\n" for letter in letters))
    assert remove_dead_letters(outbox, letters[:1]) == 1
    assert list(dead_letters(outbox)) == letters[1:]


# ---- who ships, and how it goes ----


def hold_lock(outbox: Outbox, ready: Event, done: Event) -> None:
    with only_shipper(outbox):
        ready.set()
        done.wait(LONG)


def test_two_never_ship_to_the_same_remote_at_once(store: Store, outbox: Outbox, server: Server) -> None:
    context = multiprocessing.get_context("forkserver")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=hold_lock, args=(outbox, ready, done))
    other.start()
    store.write([routes(0)])
    assert ready.wait(LONG)
    with pytest.raises(ShippedByOtherError, match=f"there is shipped to by process {other.pid} since 20"):
        shipper(outbox, server).ship()
    with running(shipper(outbox, server)) as ships:
        for _ in range(100):
            if ships.status.reason:
                break
            time.sleep(0.02)
        assert f"process {other.pid}" in ships.status.reason
        assert server.lines == []
        done.set()
        other.join(LONG)
        await_state(ships, "idle")
    assert server.lines == [line(0)]


def test_the_status_can_be_read_by_others(store: Store, outbox: Outbox, server: Server) -> None:
    server.judge = lambda _: (503, "compacting")
    store.write([routes(0, 4)])
    now = datetime.now(UTC)
    with running(shipper(outbox, server)) as ships:
        await_state(ships, "backing off")
        told = ship_status(outbox, now + timedelta(minutes=5))
        assert (told.state, told.reason, told.backlog_rows) == ("backing off", "503: compacting", 4)
        assert told.backlog_age is not None
        assert timedelta(minutes=4) < told.backlog_age < timedelta(minutes=6)
        server.judge = lambda _: (204, "")
        await_state(ships, "idle")
        assert ship_status(outbox, now).state == "idle"
    told = ship_status(outbox, now)
    assert (told.state, told.sent, told.backlog_rows) == ("off", 4, 0)
    assert told.last_success is not None


def test_stopping_does_not_wait_for_the_pause(store: Store, outbox: Outbox, server: Server) -> None:
    server.judge = lambda _: (503, "busy")
    store.write([routes(0)])
    ships = shipper(outbox, server, ShipLimits(Patience(first=60, longest=60)))
    begin = time.monotonic()
    with running(ships):
        await_state(ships, "backing off")
    assert time.monotonic() - begin < 5


def test_a_hanging_server_does_not_keep_the_program_from_ending(store: Store, outbox: Outbox, server: Server) -> None:
    release = Event()
    server.judge = lambda _: (204, "") if release.wait(LONG) else (500, "")
    store.write([routes(0)])
    patient = InfluxServer(server.url, "twin", timeout=timedelta(seconds=60))
    begin = time.monotonic()
    with ShippingBeside(Shipper(outbox, InfluxConnection(patient), "twin")):
        while not server.requests:
            time.sleep(0.01)
    assert time.monotonic() - begin < 3
    release.set()


def test_what_was_read_is_on_disk_before_the_cursor_says_so(
    store: Store, outbox: Outbox, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a version lost in a power cut could be written anew, with other rows, and never be sent."""
    store.write([routes(0)])
    synced: list[str] = []
    sync = os.fsync

    def noted(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    shipper(outbox, server).ship()
    newest = f"{newest_versions(outbox.place)[KIND]:020d}.json"
    cursor = max(i for i, name in enumerate(synced) if name.startswith(".there.json"))
    assert {newest, "_delta_log"} <= set(synced[:cursor])


# ---- a secure connection ----


def test_a_certificate_nobody_vouches_for_is_not_accepted(store: Store, outbox: Outbox, tmp_path: Path) -> None:
    store.write([routes(0)])
    with serving(certificate=self_signed(tmp_path)) as server:
        status = shipper(outbox, server).ship()
    assert status.state == "holding"
    assert status.reason.startswith("no secure connection: SSLError")
    assert server.lines == []


def self_signed(folder: Path) -> Path:
    """Key and certificate in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    day = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(day - timedelta(days=1))
        .not_valid_after(day + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "server.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


# ---- back-pressure ----


def test_a_backlog_is_given_up_beside_a_running_shipper(store: Store, outbox: Outbox, server: Server) -> None:
    server.judge = lambda lines: (503, "busy") if line(0) in lines else (204, "")
    store.write([routes(0, 5)])
    with running(shipper(outbox, server)) as ships:
        await_state(ships, "backing off")
        assert give_up_backlog(outbox) == {KIND: 5}
        await_state(ships, "idle")
        store.write([routes(5)])
        for _ in range(1000):
            if line(5) in server.lines:
                break
            time.sleep(0.01)
    assert server.lines[-1] == line(5)
    assert ships.status.backlog_rows == 0


def test_at_the_quota_nothing_more_is_stored_until_it_is_shipped(outbox: Outbox, server: Server) -> None:
    to = InfluxServer(server.url, "twin")
    with open_shipped(open_delta(outbox.place), outbox, to, quota=1, read_there=False) as store:
        store.write([routes(0)])
        with suppress(StoreError):  # the count may be two seconds old
            store.write([routes(1)])
        time.sleep(2.1)
        with pytest.raises(StoreError, match=r"wait to be shipped to there.*nettwin store ship --give-up"):
            store.write([routes(2)])
        shipper(outbox, server).ship()
        store.write([routes(3)])


def test_half_of_the_quota_is_warned_of(store: Store, outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([routes(0)])
    size = sum(entry.size for entry in outbox.place.entries() if entry.name.endswith(".parquet"))
    Quota(outbox, size * 3).check()
    assert "at the quota nothing more is stored" not in capsys.readouterr().out
    Quota(outbox, size * 2).check()
    assert "at the quota nothing more is stored" in capsys.readouterr().out
    with pytest.raises(StoreError):
        Quota(outbox, size).check()
