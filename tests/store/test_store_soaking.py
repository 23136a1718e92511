"""The soaks of the store (tests/soak/test_soak_store.py), seconds long."""

from __future__ import annotations

import random
from pathlib import Path

from tests.store.soaking import killed_migrations, many_commits, readers_beside_a_writer


def test_a_migration_is_killed(tmp_path: Path) -> None:
    assert killed_migrations(tmp_path, 2, random.Random())["kills"] == 2


def test_readers_see_whole_rounds_and_never_go_back(tmp_path: Path) -> None:
    told = readers_beside_a_writer(tmp_path / "s", 2.0, pause=0.01, every=0.2)
    assert min(told["rounds_written"], told["reads"]) > 10


def test_small_commits_cost_no_more_the_more_there_are(tmp_path: Path) -> None:
    told = many_commits(tmp_path / "s", 60, days=1, upkeeps=6, looks=2)
    assert told["looks"][-1]["commits"] == 60
