"""What the store's soaks do, at any length: migrations killed, readers beside a writer, a month of small commits."""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np

from tests.store.killing import END, ENDLESS, SERIES, SHORT_GRACE, SPAWN, T0, a_round
from twin.store import Batch, StoreError, latest_records, open_delta, upkeep
from twin.store.place import LocalPlace
from twin.store.verify import verify
from twin.vocab.blocks import Block, Column

OLD = Path(__file__).with_name("cases") / "delta_v1"
_STEP = np.timedelta64(40, "m")
_LOOKED_BACK = 40
Figures = dict[str, Any]


# ---- migrations killed ----


def _migrate(path: Path, told: Connection) -> None:
    """Brings a copy of the old store after the other to the present version."""
    for number in range(ENDLESS):
        copy = path / f"{number}"
        shutil.copytree(OLD, copy)
        told.send(number)
        with open_delta(copy):
            told.send(number)


def killed_migrations(path: Path, kills: int, rng: random.Random) -> Figures:
    """A store of version 1 whose migration is killed at any moment is whole, and is migrated by who opens it next."""
    opened, caught = [], 0
    for kill in range(kills):
        folder = path / f"{kill}"
        folder.mkdir(parents=True)
        receiver, sender = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=_migrate, args=(folder, sender))
        process.start()
        sender.close()
        assert receiver.poll(60), "no migration began within a minute"
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.join()
        told = _rest(receiver)
        caught += len(told) % 2
        for copy in sorted(folder.iterdir(), key=lambda p: int(p.name))[: told[-1] + 1]:
            began = time.monotonic()
            check_old(copy)
            opened.append(time.monotonic() - began)
        shutil.rmtree(folder)
    return {"kills": kills, "killed_within_a_migration": caught, "opened_s": spread(opened)}


def _rest(receiver: Connection) -> list[int]:
    told = []
    try:
        while receiver.poll():
            told.append(int(receiver.recv()))
    except EOFError:
        pass
    return told


def check_old(path: Path) -> None:
    """What the old store held is there, and it takes more."""
    with open_delta(path) as store:
        numbers = store.range("interface", {"device": "r1"}, T0, END, ["in_octets"]).fields["in_octets"]
        assert numbers.values.tolist() == [7, -1]
        assert latest_records(store, "config")["r1"].content == "hostname r1\n"
        store.write(a_round(5, "r1"))
        assert store.latest("poll").fields["values"].values.tolist() == [5]


def spread(seconds: list[float]) -> Figures:
    ordered = sorted(seconds)
    return {
        "median": round(median(ordered), 4),
        "p99": round(ordered[math.ceil(0.99 * (len(ordered) - 1))], 4),
        "longest": round(ordered[-1], 4),
    }


# ---- readers beside a writer ----


@dataclass
class Seen:
    """What one reader saw."""

    reads: int = 0
    highest: int = -1
    errors: list[str] = field(default_factory=list)
    range_s: list[float] = field(default_factory=list)
    latest_s: list[float] = field(default_factory=list)


def _write(path: Path, pause: float, stop: Event, told: Connection) -> None:
    number, longest = 0, 0.0
    with open_delta(path) as store:
        while not stop.wait(pause):
            began = time.monotonic()
            store.write(a_round(number), Batch("w", number))
            longest = max(longest, time.monotonic() - began)
            number += 1
    told.send((number, longest))


def _keep(path: Path, pause: float, stop: Event, told: Connection) -> None:
    merged = deleted = 0
    upkeep.GRACE = SHORT_GRACE
    with open_delta(path) as store:
        while not stop.wait(pause):
            done = store.maintain(datetime.now(UTC) + timedelta(days=1))
            merged, deleted = merged + done.merged_files, deleted + done.deleted_files
    told.send((merged, deleted))


def _read(path: Path, stop: Event, told: Connection) -> None:
    seen = Seen()
    with open_delta(path) as store:
        while not stop.wait(0.01):
            try:
                began = time.monotonic()
                newest = store.latest("interface").fields["in_octets"].values.tolist()
                done = time.monotonic()
                _note_latest(seen, newest)
                since = T0 + max(0, seen.highest - _LOOKED_BACK) * _STEP
                found = store.range("interface", None, since, END).fields["in_octets"].values
                seen.latest_s.append(done - began)
                seen.range_s.append(time.monotonic() - done)
                _note_range(seen, found.tolist())
                seen.reads += 1
            except StoreError as problem:
                seen.errors.append(str(problem))
    told.send(seen)


def _note_latest(seen: Seen, newest: list[int]) -> None:
    if len(set(newest)) > 1 or len(newest) not in {0, SERIES}:
        seen.errors.append(f"torn round: the latest are {sorted(set(newest))}, of {len(newest)} series")
    if newest and newest[0] < seen.highest:
        seen.errors.append(f"latest went back from {seen.highest} to {newest[0]}")
    seen.highest = max([seen.highest, *newest])


def _note_range(seen: Seen, found: list[int]) -> None:
    rounds, counts = np.unique(found, return_counts=True)
    if set(counts.tolist()) - {SERIES}:
        seen.errors.append(f"torn round: {dict(zip(rounds.tolist(), counts.tolist(), strict=True))}")
    if len(rounds) and rounds.tolist() != list(range(int(rounds[0]), int(rounds[-1]) + 1)):
        seen.errors.append(f"a round is missing of {rounds.tolist()}")
    if len(rounds) and rounds[-1] < seen.highest:
        seen.errors.append(f"round {seen.highest} was seen before, now only {rounds[-1]}")


def readers_beside_a_writer(path: Path, seconds: float, *, pause: float = 0.05, every: float = 1.0) -> Figures:
    """Two readers, a writer and a keeper, each a process: no error, no torn round, the latest never goes back."""
    with open_delta(path):
        pass
    stop = SPAWN.Event()
    jobs: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
        (_write, (path, pause)), (_keep, (path, every)), (_read, (path,)), (_read, (path,))
    ]  # fmt: skip
    pipes, processes = [], []
    for job, words in jobs:
        receiver, sender = SPAWN.Pipe(duplex=False)
        processes.append(SPAWN.Process(target=job, args=(*words, stop, sender)))
        pipes.append(receiver)
        processes[-1].start()
        sender.close()
    time.sleep(seconds)
    stop.set()
    told: list[Any] = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    (rounds, longest), (merged, deleted), *readers = told
    with open_delta(path) as store:
        there = store.range("interface", None, T0, END).fields["in_octets"].values
    assert np.unique(there).tolist() == list(range(rounds))
    assert len(there) == SERIES * rounds
    assert [error for seen in readers for error in seen.errors] == []
    return {
        "seconds": seconds,
        "rounds_written": rounds,
        "longest_write_s": round(longest, 3),
        "reads": sum(seen.reads for seen in readers),
        "range_s": spread([s for seen in readers for s in seen.range_s]),
        "latest_s": spread([s for seen in readers for s in seen.latest_s]),
        "merged_files": merged,
        "deleted_files": deleted,
    }


# ---- a month of small commits ----


def many_commits(
    path: Path, commits: int, *, devices: int = 20, days: int = 30, upkeeps: int = 720, looks: int = 6
) -> Figures:
    """Commits spread over a month, and upkeep (each hour of it): what opening and reading then cost.

    Upkeep is told the time of the samples, so that days end and files grow old.
    """
    step = np.timedelta64(days * 86_400 // commits, "s")
    every, took, looked = max(1, commits // upkeeps), [], []
    names = np.array([f"r{i:02}" for i in range(devices)], dtype=object)
    start = np.datetime64("2026-10-01T00:00:00", "us")
    with open_delta(path) as store, patch("twin.store.upkeep.GRACE", timedelta(0)):
        for number in range(commits):
            values = Column.full(np.full(devices, number, dtype=np.int64))
            at = np.full(devices, start + number * step)
            store.write([Block("device", {"device": names}, at, {"uptime_cs": values})], Batch("w", number))
            if number % every == every - 1:
                began = time.monotonic()
                store.maintain((start + number * step).item().replace(tzinfo=UTC))
                took.append(time.monotonic() - began)
            if (number + 1) * looks // commits > number * looks // commits:
                looked.append(_look(path, number))
    assert looked[-1]["rows"] == commits * devices
    assert verify(LocalPlace(path)).whole
    return {"commits": commits, "days": days, "upkeep_s": spread(took), "looks": looked}


def _look(path: Path, number: int) -> Figures:
    """By who has just opened the store."""
    log, data = path / "device" / "_delta_log", path / "device"
    began = time.monotonic()
    with open_delta(path) as store:
        newest = store.latest("device").fields["uptime_cs"].values
        opened = time.monotonic()
        assert set(newest.tolist()) == {number}
        (kind,) = (k for k in store.health().kinds if k.kind == "device")
    return {
        "commits": number + 1,
        "open_and_latest_s": round(opened - began, 4),
        "log_files": sum(1 for _ in log.iterdir()),
        "log_bytes": sum(f.stat().st_size for f in log.iterdir() if f.is_file()),
        "data_files": sum(1 for _ in data.rglob("*.parquet")),
        "rows": kind.rows,
    }
