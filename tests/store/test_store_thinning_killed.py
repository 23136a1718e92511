"""Thinning killed -9 at moments nobody chose: in the end each row of the tiers is there once."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from tests.store.killing import Victim
from twin.store import open_delta
from twin.store.place import LocalPlace
from twin.store.thinning import Thinning, not_thinned_since
from twin.vocab.blocks import Block, Column

HOURS, SERIES = 200, 20
START = np.datetime64("2026-11-01T00:00:00", "us")
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def thin(path: Path, _: int, told: Connection) -> None:
    told.send(0)
    with open_delta(path) as store:
        Thinning(store, LocalPlace(path), progress=lambda _kind, done, _all: told.send(done))("interface", NOW)
    told.send(HOURS)


def samples(minutes: int) -> Block:
    """Each minute of so many, of 20 interfaces that carry more by the hour."""
    passed = np.tile(np.arange(minutes), SERIES)
    names = np.repeat(np.array([f"eth{i:02}" for i in range(SERIES)], dtype=object), minutes)
    octets = Column.full((passed * passed).astype(np.int64))
    keys = {"device": np.full(len(names), "r1", dtype=object), "interface": names}
    return Block("interface", keys, START + passed.astype("timedelta64[m]"), {"in_octets": octets})


def tiers(path: Path) -> list[tuple[int, list[dict[str, object]]]]:
    """Of each tier: rows stored, and what is read."""
    with open_delta(path) as store:
        stored = {kind.kind: kind.rows for kind in store.health().kinds}
        read = {kind: store.range(kind, None, START, START + np.timedelta64(30, "D")).rows() for kind in stored}
    return [(stored[kind], read[kind]) for kind in ("interface_5m", "interface_1h")]


def killed(path: Path, kills: int, rng: random.Random) -> int:
    """How often it was killed before it was done."""
    victim = Victim(thin, path)
    for _ in range(kills):
        victim.start()
        for _ in range(rng.randrange(2, 6)):  # it tells of a part when that is written and not yet noted
            victim.listen(0)
        time.sleep(rng.choice([0, 0, rng.uniform(0, 0.1)]))
        victim.kill()
        if HOURS in victim.told:
            return victim.deaths
    with open_delta(path) as store:
        Thinning(store, LocalPlace(path))("interface", NOW)
    return victim.deaths


@pytest.mark.parametrize("kills", [5, pytest.param(60, marks=pytest.mark.soak)])
def test_no_row_is_lost_or_doubled(tmp_path: Path, kills: int) -> None:
    undisturbed, path = tmp_path / "undisturbed", tmp_path / "killed"
    with open_delta(undisturbed) as store:
        store.write([samples(60 * HOURS)])
    copytree(undisturbed, path)
    with open_delta(undisturbed) as store:
        Thinning(store, LocalPlace(undisturbed))("interface", NOW)
    assert killed(path, kills, random.Random(4)) > 1
    (fine, _), (coarse, _) = found = tiers(path)
    assert (fine, coarse) == (12 * HOURS * SERIES, HOURS * SERIES)
    assert found == tiers(undisturbed)
    assert not_thinned_since(LocalPlace(path), "interface") is None
