"""The store killed two hundred times, read while it is written, and a month old. Figures: build/soak/store.json.

Shipping is killed in test_soak_shipping.py.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.soak.reports import noted, share_of
from tests.store.killing import check, mayhem
from tests.store.soaking import killed_migrations, many_commits, readers_beside_a_writer, spread
from twin.store.place import LocalPlace
from twin.store.verify import verify

pytestmark = pytest.mark.soak
SEED = 20261125
LONGEST_OPENING_S = 2.0


def test_two_hundred_kills_of_writing_and_upkeep(tmp_path: Path) -> None:
    """Writing, merging and vacuum; no acknowledged value is lost or doubled, and the store opens at once."""
    kills, began = share_of(200), time.monotonic()
    acknowledged, opened = mayhem(tmp_path / "s", kills, random.Random(SEED))
    check(tmp_path / "s", acknowledged)
    found = verify(LocalPlace(tmp_path / "s"))
    figures = {"seed": SEED, "kills": kills, "rounds_acknowledged": len(acknowledged), "opened_s": spread(opened)}
    noted("store", "kills", figures | {"damage": len(found.damage), "seconds": round(time.monotonic() - began, 1)})
    assert found.whole
    assert max(opened) < LONGEST_OPENING_S


def test_fifty_kills_of_migrations(tmp_path: Path) -> None:
    figures = killed_migrations(tmp_path, share_of(50), random.Random(SEED))
    noted("store", "killed migrations", figures)
    assert figures["killed_within_a_migration"] > 0
    assert figures["opened_s"]["longest"] < LONGEST_OPENING_S


def test_two_readers_and_a_writer_for_ten_minutes(tmp_path: Path) -> None:
    noted("store", "readers beside a writer", readers_beside_a_writer(tmp_path / "s", share_of(600)))


def test_a_month_of_small_commits(tmp_path: Path) -> None:
    """Ten thousand of the half million that a commit each 5 seconds makes; costs are the same at every look.

    Checkpoints name the files merged within the last week of real time, here all of them.
    """
    figures = many_commits(tmp_path / "s", share_of(10_000))
    noted("store", "month of small commits", figures)
    early, late = figures["looks"][1], figures["looks"][-1]
    assert late["open_and_latest_s"] < max(2 * early["open_and_latest_s"], 0.1)
    assert late["log_files"] < 2 * early["log_files"]
    assert late["data_files"] < 2 * figures["days"] + 100
    assert late["log_bytes"] < 5_000_000
