"""Processes that work on one store and are killed -9 at moments nobody chose; what each acknowledged is known.

``Victim`` runs a job in a process of its own. ``mayhem`` lets a writer and a keeper (merging, deleting) work beside
each other, kills one of them again and again, and tells what was acknowledged; ``check`` holds the store against it.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from twin.store import Batch, open_delta, upkeep
from twin.vocab.blocks import Block, Column

SPAWN = multiprocessing.get_context("spawn")
T0 = np.datetime64("2026-11-23T12:00:00", "us")
END = np.datetime64("2200-01-01", "us")
SERIES = 50
ENDLESS = 10**6
SHORT_GRACE = timedelta(seconds=2)
Job = Callable[[Path, int, Connection], None]


def a_round(number: int, writer: str = "w") -> list[Block]:
    """Two tables' worth of samples that name their round; 40 minutes apart, so that days begin and end."""
    at = np.full(SERIES, T0 + np.timedelta64(40 * number, "m"))
    keys = {
        "device": np.full(SERIES, writer, dtype=object),
        "interface": np.array([f"eth{i:02}" for i in range(SERIES)], dtype=object),
    }
    numbers = Column.full(np.full(SERIES, number, dtype=np.int64))
    status = Block.from_rows("poll", [{"device": writer, "protocol": "snmp", "at": at[0], "values": number}])
    return [Block("interface", keys, at, {"in_octets": numbers, "out_octets": numbers}), status]


def write(path: Path, first: int, told: Connection) -> None:
    """Rounds from ``first``, each acknowledged by its number once the store has it."""
    with open_delta(path) as store:
        for number in range(first, first + ENDLESS):
            store.write(a_round(number), Batch("w", number))
            told.send(number)


def keep(path: Path, first: int, told: Connection) -> None:
    """Upkeep without end, as if it were days later, so that there is always something to do; merged files soon go."""
    upkeep.GRACE = SHORT_GRACE
    with open_delta(path) as store:
        for number in range(first, first + ENDLESS):
            store.maintain(datetime.now(UTC) + timedelta(days=2 + number))
            told.send(number)


@dataclass
class Victim:
    """A job in a process of its own, begun again where the last acknowledgement ended."""

    job: Job
    path: Path
    told: list[int] = field(default_factory=list)
    deaths: int = 0

    def start(self) -> None:
        receiver, sender = SPAWN.Pipe(duplex=False)
        self._receiver = receiver
        self._process = SPAWN.Process(target=self.job, args=(self.path, len(self.told), sender))
        self._process.start()
        sender.close()

    def listen(self, seconds: float) -> None:
        """Take acknowledgements for so long; the first may take longer (a process has to start).

        Raises:
            EOFError: it ended by itself.
        """
        if not self._receiver.poll(60):
            raise TimeoutError(f"{self.job.__name__} did nothing for a minute")
        until = time.monotonic() + seconds
        while self._receiver.poll(max(0.0, until - time.monotonic())):
            self.told.append(self._receiver.recv())

    def kill(self) -> None:
        """Kill it, then take what it had said before."""
        self._process.kill()
        self._process.join()
        self.deaths += 1
        try:
            while self._receiver.poll():
                self.told.append(self._receiver.recv())
        except EOFError:
            pass


def mayhem(path: Path, kills: int, rng: random.Random, *, longest: float = 0.3) -> tuple[list[int], list[float]]:
    """Kill writer and keeper in turn as chance has it, so many times in all.

    Returns:
        The rounds that were acknowledged, and how many seconds each opening after a death took.
    """
    writer, keeper = Victim(write, path), Victim(keep, path)
    victims = [writer, keeper]
    opened: list[float] = []
    for victim in victims:
        victim.start()
    for number in range(kills):
        victim = rng.choice(victims)
        for each in victims:
            each.listen(rng.uniform(0, longest))
        victim.kill()
        began = time.monotonic()
        with open_delta(path) as store:
            store.latest("poll")
        opened.append(time.monotonic() - began)
        if number + 1 < kills:
            victim.start()
    for each in victims:
        each.kill()
    return writer.told, opened


def check(path: Path, acknowledged: list[int], writer: str = "w") -> None:
    """Every acknowledged round is there once and whole; of the others at most the one under way, whole or by table."""
    assert acknowledged == list(range(len(acknowledged)))
    with open_delta(path) as store:
        found = store.range("interface", {"device": writer}, T0, END)
        polls = store.range("poll", {"device": writer}, T0, END)
        rows = {k.kind: k.rows for k in store.health().kinds}
    rounds, counts = np.unique(found.fields["in_octets"].values, return_counts=True)
    assert set(counts.tolist()) <= {SERIES}
    for there in (rounds.tolist(), polls.fields["values"].values.tolist()):
        assert there[: len(acknowledged)] == acknowledged
        assert len(there) <= len(acknowledged) + 1
    assert rows["interface"] == SERIES * len(rounds)
    assert rows["poll"] == len(polls)
