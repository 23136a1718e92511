"""A store, a real InfluxDB that can fail in many ways, and what ships from the one to the other."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from threading import Event, Thread

import numpy as np

from tests.store.influxd import Faults, Influxd
from twin.store import InfluxServer, Outbox, Store, open_delta
from twin.store.dead_letters import dead_letters
from twin.store.influx import InfluxReader
from twin.store.influx_connection import InfluxConnection
from twin.store.influx_setup import set_up
from twin.store.place import LocalPlace
from twin.store.shipper import ShipLimits, Shipper, begin_shipping
from twin.store.triage import Accepted, Patience
from twin.vocab.blocks import Block
from twin.vocab.inventory import Secret

T0 = np.datetime64("2026-11-23T00:00:00", "us")
FOREVER = (np.datetime64("1970-01-01", "us"), np.datetime64("2200-01-01", "us"))
KIND = "interface"
HASTY = ShipLimits(Patience(first=0.02, longest=0.2, asked_at_most=0.3, holding=0.1), poll=0.05, lines_a_request=200)
LONG = 60.0


class World:
    """A store, a real server, and what ships to it."""

    def __init__(self, folder: Path, server: Influxd, url: str, faults: Faults) -> None:
        self.server, self.faults = server, faults
        self.outbox = Outbox(LocalPlace(folder / "store"), folder / "shipping", "influxdb")
        self.there = InfluxServer(url, "twin", Secret(server.token), timeout=timedelta(seconds=5))
        self.store: Store = open_delta(self.outbox.place)
        self.written: dict[tuple[str, str], int] = {}
        set_up(self.there, {})
        begin_shipping(self.outbox)

    def write(self, number: int, interfaces: int = 20) -> float:
        """One round, its values its own; the seconds it took."""
        at = T0 + np.timedelta64(number, "m")
        rows = [
            {"device": "r1", "interface": f"eth{i}", "at": at, "in_octets": number * 1000 + i, "oper_status": 1}
            for i in range(interfaces)
        ]
        begin = time.perf_counter()
        self.store.write([Block.from_rows(KIND, rows)])
        took = time.perf_counter() - begin
        self.written |= {(str(row["at"]), str(row["interface"])): int(str(row["in_octets"])) for row in rows}
        return took

    def shipper(self, token: str | None = None, limits: ShipLimits = HASTY) -> Shipper:
        to = self.there if token is None else InfluxServer(self.there.url, "twin", Secret(token))
        return Shipper(self.outbox, InfluxConnection(to), "twin", limits=limits)

    def arrived(self) -> dict[tuple[str, str], int]:
        """What the server gives back; a point that came twice would be there once."""
        block = InfluxReader(InfluxConnection(self.there), "twin").range(KIND, None, *FOREVER, fields=["in_octets"])
        names = zip(block.at, block.keys["interface"], block.fields["in_octets"].values, strict=True)
        return {(str(at), str(name)): int(value) for at, name, value in names}


@contextmanager
def shipping(ships: Shipper) -> Iterator[Shipper]:
    stop = Event()
    thread = Thread(target=ships.run, args=(stop,))
    thread.start()
    try:
        yield ships
    finally:
        stop.set()
        thread.join(LONG)


def await_true(test: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LONG
    while not test():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def all_shipped(ships: Shipper) -> None:
    await_true(lambda: not ships.behind() and ships.status.state == "idle", str(ships.status))


def spoil(world: World, minute: int) -> str:
    """Make a text of ``in_octets`` in the server's shard of a later week: the line that it will refuse there."""
    at = T0 + np.timedelta64(minute, "m")
    stamp = int(at.astype(np.int64))
    conflict = f'{KIND},device=r1,interface=eth3 in_octets="many" {stamp + 1}'
    assert InfluxConnection(world.there).write("twin", [conflict]) == Accepted()
    row = {"device": "r1", "interface": "eth3", "at": at, "in_octets": 5}
    world.store.write([Block.from_rows(KIND, [row])])
    return f"{KIND},device=r1,interface=eth3 in_octets=5i {stamp}"


def ship_in_process(ready: Connection, outbox: Outbox, there: InfluxServer, token: str) -> None:
    """Until it is killed."""
    to = InfluxServer(there.url, there.database, Secret(token))
    ships = Shipper(outbox, InfluxConnection(to), to.database, limits=replace(HASTY, lines_a_request=40))
    ready.send("ready")
    ships.run(Event())


def check_killed_shippers(world: World, kills: int, seed: int) -> None:
    """Shippers killed at random moments, rounds and a bad line between: all arrives once, the bad line too."""
    chance = Random(seed)
    week = 7 * 24 * 60
    bad = []
    for kill in range(kills):
        for number in range(4):
            world.write(4 * kill + number, interfaces=50)
        if kill % 3 == 1:
            bad.append(spoil(world, week * (kill + 1)))
        world.faults.slow = chance.choice([0.0, 0.05, 0.1])
        with _process(world) as pid_ready:
            assert pid_ready.recv() == "ready"
            time.sleep(chance.uniform(0.0, 0.4))
    world.faults.slow = 0.0
    status = world.shipper().ship()
    assert (status.state, status.backlog_rows) == ("idle", 0), status
    assert world.arrived() == world.written
    assert [letter.line for letter in dead_letters(world.outbox)] == bad


@contextmanager
def _process(world: World) -> Iterator[Connection]:
    context = multiprocessing.get_context("forkserver")
    ready, theirs = context.Pipe(duplex=False)
    process = context.Process(target=ship_in_process, args=(theirs, world.outbox, world.there, world.server.token))
    process.start()
    try:
        yield ready
    finally:
        process.kill()
        process.join(LONG)
