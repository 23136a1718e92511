"""Shippers killed a hundred times, and a day of an InfluxDB that is down, minute by minute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.influxd import started
from tests.store.outage import World, all_shipped, check_killed_shippers, shipping

pytestmark = [pytest.mark.soak, pytest.mark.influx]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "influxd"
    folder.mkdir()
    with started(folder) as (server, url, faults):
        made = World(tmp_path, server, url, faults)
        with made.store:
            yield made


def test_a_hundred_kills(world: World) -> None:
    check_killed_shippers(world, kills=100, seed=20261125)


def test_every_minute_of_a_day(world: World) -> None:
    world.server.kill()
    with shipping(world.shipper()) as ships:
        for minute in range(24 * 60):
            world.write(minute)
        world.server.start()
        all_shipped(ships)
    assert world.arrived() == world.written
