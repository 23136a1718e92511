"""A real InfluxDB that is down, killed, slow, full, busy, cut off or wary: every point arrives exactly once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.store.influxd import Faults, started
from tests.store.outage import (
    FOREVER,
    HASTY,
    KIND,
    World,
    all_shipped,
    await_true,
    check_killed_shippers,
    shipping,
    spoil,
)
from twin.store.dead_letters import dead_letters
from twin.store.influx import InfluxReader
from twin.store.influx_connection import InfluxConnection
from twin.store.shipper import ShipLimits, Shipper

pytestmark = pytest.mark.influx


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "influxd"
    folder.mkdir()
    with started(folder) as (server, url, faults):
        made = World(tmp_path, server, url, faults)
        with made.store:
            yield made


def test_down_for_a_day_and_killed_amid_writes(world: World) -> None:
    """A day's rounds are written while it is down; then it is killed again and again while it is caught up."""
    world.write(0)
    with shipping(world.shipper()) as ships:
        all_shipped(ships)
        world.server.kill()
        times = [world.write(15 * number, interfaces=10) for number in range(1, 96)]
        assert ships.status.state == "backing off"
        for number in range(100, 103):
            sent = ships.status.sent
            world.server.start()
            await_true(partial(lambda sent: ships.status.sent > sent, sent), "nothing moves")
            world.server.kill()
            world.write(15 * number, interfaces=500)
        world.server.start()
        all_shipped(ships)
    assert world.arrived() == world.written
    assert (ships.status.dead, list(dead_letters(world.outbox))) == (0, [])
    assert float(np.quantile(times, 0.99)) < 1.0, "writing waits for no server"


@pytest.mark.parametrize("fault", [
    Faults(status=429), Faults(status=503), Faults(status=408), Faults(cut=True), Faults(cut_after=True),
    Faults(slow=0.1),
], ids=["429", "503", "408", "cut off", "stored but not said", "slow"])  # fmt: skip
def test_a_bad_network_costs_no_point(world: World, fault: Faults) -> None:
    world.write(0)
    with shipping(world.shipper()) as ships:
        all_shipped(ships)
        vars(world.faults).update(vars(fault))
        for number in range(1, 6):
            world.write(number)
        await_true(lambda: ships.status.retries > 1 or fault.slow > 0, "nothing is tried")
        vars(world.faults).update(vars(Faults()))
        all_shipped(ships)
    assert world.arrived() == world.written


def test_a_wrong_token_is_held_until_it_is_right(world: World) -> None:
    world.write(0)
    with shipping(world.shipper("nettwin:wrong")) as ships:
        await_true(lambda: ships.status.state == "holding", "not held")
        assert "the token is refused" in ships.status.reason
        assert "wrong" not in ships.status.reason
        world.write(1)
    assert world.arrived() == {}
    assert world.shipper().ship().state == "idle"
    assert world.arrived() == world.written


def test_one_bad_line_among_ten_thousand(world: World) -> None:
    """A field that another program made a text of, in one shard of the server: it refuses that one line."""
    for number in range(10):
        world.write(number, interfaces=1000)
    bad = spoil(world, 7 * 24 * 60)
    status = world.shipper(limits=ShipLimits()).ship()
    (letter,) = dead_letters(world.outbox)
    assert letter.line == bad
    assert "field type conflict" in letter.reason
    assert (status.state, status.dead, status.sent >= 10_000) == ("idle", 1, True)
    block = InfluxReader(InfluxConnection(world.there), "twin").range(KIND, None, *FOREVER, fields=["oper_status"])
    assert len(block) == 10_000


def test_what_is_older_than_the_server_keeps_it_is_counted(world: World) -> None:
    InfluxConnection(world.there)
    list(InfluxConnection(world.there).ask("CREATE DATABASE young WITH DURATION 1h", ""))
    world.write(0, interfaces=50)
    status = Shipper(world.outbox, InfluxConnection(world.there), "young", limits=HASTY).ship()
    assert (status.state, status.expired, status.dead) == ("idle", 50, 0)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip(f"no disk of its own: {made.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_server_whose_disk_is_full_takes_it_later(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with small_disk(folder, 3), started(folder) as (server, url, faults):
        world = World(tmp_path, server, url, faults)
        with world.store:
            filler = folder / "filler"
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free)
            for number in range(20):
                world.write(number, interfaces=200)
            with shipping(world.shipper()) as ships:
                await_true(lambda: ships.status.state == "backing off", "it is not full")
                assert "no space left" in ships.status.reason
                filler.unlink()
                all_shipped(ships)
            assert world.arrived() == world.written
            assert ships.status.dead == 0


def test_a_shipper_killed_at_random_moments_loses_and_doubles_nothing(world: World) -> None:
    check_killed_shippers(world, kills=8, seed=7)
