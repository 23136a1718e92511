"""Several writers of one table, some of whom do not know of the others' last commits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from tests.store.killing import END, SERIES, SPAWN, T0, a_round
from twin.store import Batch, open_delta
from twin.store.delta_table import KindTable
from twin.store.frames import to_frame
from twin.store.place import LocalPlace
from twin.store.verify import verify


@pytest.fixture
def table(tmp_path: Path) -> KindTable:
    """With one poll of batch w 0; it stands at that version until told to look."""
    with open_delta(tmp_path / "s") as store:
        store.write(a_round(0)[1:], Batch("w", 0))
    found = KindTable.find(LocalPlace(tmp_path / "s" / "poll"), "poll")
    assert found is not None
    return found


def write(path: Path, name: str, *numbers: int) -> None:
    with open_delta(path) as store:
        for number in numbers:
            store.write(a_round(number)[1:], Batch(name, number))


def append(table: KindTable, name: str, number: int) -> None:
    table.append(to_frame(a_round(number)[1]), Batch(name, number))


def stored(path: Path) -> list[int]:
    """Each poll as often as it lies there."""
    with open_delta(path) as store:
        polls = store.range("poll", None, T0, END).fields["values"].values.tolist()
        assert sum(k.rows for k in store.health().kinds) == len(polls)
    return list(polls)


def test_others_commits_are_no_hindrance(tmp_path: Path, table: KindTable) -> None:
    write(tmp_path / "s", "other", 1)
    append(table, "w", 2)
    assert stored(tmp_path / "s") == [0, 1, 2]


def test_a_round_that_another_of_the_same_name_wrote_is_not_written_again(tmp_path: Path, table: KindTable) -> None:
    write(tmp_path / "s", "w", 1)
    append(table, "w", 1)
    assert stored(tmp_path / "s") == [0, 1]


def test_the_round_after_one_that_another_of_the_same_name_wrote_is_written(tmp_path: Path, table: KindTable) -> None:
    write(tmp_path / "s", "w", 1)
    append(table, "w", 2)
    assert stored(tmp_path / "s") == [0, 1, 2]


def test_a_table_that_was_changed_meanwhile_is_written(tmp_path: Path, table: KindTable) -> None:
    DeltaTable(tmp_path / "s" / "poll").alter.set_table_description("polls")
    append(table, "w", 1)
    assert stored(tmp_path / "s") == [0, 1]


def test_without_a_batch_such_a_write_is_refused(tmp_path: Path, table: KindTable) -> None:
    """Object storage may have taken it all the same."""
    DeltaTable(tmp_path / "s" / "poll").alter.set_table_description("polls")
    with pytest.raises(CommitFailedError, match="Metadata changed"):
        table.append(to_frame(a_round(1)[1]), None)
    assert stored(tmp_path / "s") == [0]


def _write_rounds(path: Path, name: str, count: int) -> None:
    with open_delta(path) as store:
        for number in range(count):
            store.write(a_round(number, name), Batch(name, number))


@pytest.mark.parametrize(("writers", "rounds"), [(3, 8), pytest.param(4, 50, marks=pytest.mark.soak)])
def test_many_processes_lose_and_double_nothing(tmp_path: Path, writers: int, rounds: int) -> None:
    names = [f"w{i}" for i in range(writers)]
    processes = [SPAWN.Process(target=_write_rounds, args=(tmp_path / "s", name, rounds)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * writers
    with open_delta(tmp_path / "s") as store:
        for name in names:
            found = store.range("interface", {"device": name}, T0, END).fields["in_octets"].values
            assert np.array_equal(np.unique(found, return_counts=True), [range(rounds), [SERIES] * rounds])
        counts = {k.kind: k.rows for k in store.health().kinds}
    assert counts == {"interface": writers * rounds * SERIES, "poll": writers * rounds}
    assert verify(LocalPlace(tmp_path / "s")).whole
