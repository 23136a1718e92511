"""The SQLite state: ledger and jobs, versions, several processes."""

from __future__ import annotations

import multiprocessing
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from twin.store import State, StoreError
from twin.store.state import MIGRATIONS, Observation
from twin.vocab.answer import Answer, Evidence, Interval, LinkLoad, Reason
from twin.vocab.errors import UsageError
from twin.vocab.snapshot import Port

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LOAD = LinkLoad(Port("r1", "eth0"), Port("r2", "eth0"), 10**9, 1e6, 2.5e6, 2.5e6, Interval(2e6, 3e6, 0.8, "backtest"))
ANSWER = Answer(
    change="r1 eth1 down",
    verdict="FAIL",
    reasons=(Reason("maximum utilisation", "FAIL", "r1 eth0", "über 80 %"),),
    asked_at=NOON,
    about=NOON + timedelta(hours=8),
    expires=NOON + timedelta(hours=9),
    snapshot_hash="5f" * 32,
    links=(LOAD,),
    moves=(),
    moved_bps=1.5e6,
    lost_bps=0.0,
    lost_demands=(("r3", "r4", 10.0),),
    evidence=Evidence(2, 2, 1, None, 0, "counters", None, ()),
)


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    return tmp_path / "var" / "state.sqlite"


def test_answers_come_back_whole_newest_first(state_file: Path) -> None:
    with State(state_file) as state:
        first = state.record_answer(ANSWER)
        second = state.record_answer(replace(ANSWER, verdict="PASS", change="nothing"))
    with State(state_file) as state:
        newest, oldest = state.answers()
        assert (newest.id, oldest.id) == (second, first)
        assert oldest.answer() == ANSWER
        assert (newest.verdict, newest.change, newest.asked_at, newest.about) == ("PASS", "nothing", NOON, ANSWER.about)
        assert state.answers(limit=1) == (newest,)


def test_what_was_observed_belongs_to_its_answer(state_file: Path) -> None:
    with State(state_file) as state:
        answer, other = state.record_answer(ANSWER), state.record_answer(ANSWER)
        state.record_observation(answer, NOON, {"r1 eth0": 2.4e6})
        assert state.observations(answer) == (Observation(answer, NOON, {"r1 eth0": 2.4e6}),)
        assert state.observations(other) == ()
        with pytest.raises(UsageError, match="no answer 77"):
            state.record_observation(77, NOON, {})


def test_jobs_start_and_end_once(state_file: Path) -> None:
    with State(state_file) as state:
        collect, train = state.job_started("collect", NOON), state.job_started("train", NOON)
        state.job_ended(collect, NOON + timedelta(seconds=3), "failed", "r2 silent")
        assert [(j.name, j.status, j.detail) for j in state.jobs()] == [
            ("train", "running", ""),
            ("collect", "failed", "r2 silent"),
        ]
        (job,) = state.jobs(name="collect")
        assert (job.started, job.ended) == (NOON, NOON + timedelta(seconds=3))
        with pytest.raises(UsageError, match=f"no run {collect}"):
            state.job_ended(collect, NOON, "done")
        with pytest.raises(ValueError, match="ends as"):
            state.job_ended(train, NOON, "running")  # type: ignore[arg-type] # wrong on purpose


def test_a_naive_time_is_refused(state_file: Path) -> None:
    with State(state_file) as state, pytest.raises(ValueError, match="naive"):
        state.job_started("collect", datetime(2026, 11, 23))  # noqa: DTZ001 - naive on purpose


def test_an_older_file_is_migrated_and_keeps_its_rows(state_file: Path) -> None:
    with State(state_file) as state:
        state.record_answer(ANSWER)
    later = (*MIGRATIONS, ("ALTER TABLE answer ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",))
    with State(state_file, later) as state:
        assert state.answers()[0].answer() == ANSWER
    with sqlite3.connect(state_file) as connection:
        assert connection.execute("SELECT note FROM answer").fetchall() == [("none",)]
    connection.close()
    with pytest.raises(UsageError, match="newer"):
        State(state_file)


def test_a_migration_that_fails_leaves_the_file_as_it_was(state_file: Path) -> None:
    State(state_file).close()
    with pytest.raises(StoreError, match="state"):
        State(state_file, (*MIGRATIONS, ("CREATE TABLE a (x)", "CREATE TABLE answer (x)")))
    with State(state_file) as state:
        assert state.jobs() == ()


def test_what_is_no_state_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("not a database, " * 100)
    for path in (tmp_path / "notes", tmp_path):
        with pytest.raises(StoreError, match=str(path)):
            State(path)


def _enter_jobs(path: Path, name: str) -> None:
    with State(path) as state:
        for _ in range(20):
            state.job_ended(state.job_started(name, NOON), NOON, "done")


def test_several_processes_use_it_at_once(state_file: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_enter_jobs, args=(state_file, f"job{i}")) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    with State(state_file) as state:
        assert [len(state.jobs(name=f"job{i}")) for i in range(4)] == [20] * 4
