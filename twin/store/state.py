"""Small transactional state in one SQLite file: the ledger of answers and what was observed, and the jobs run.

Any number of processes may use it at once; what a method has returned from survives a power cut.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Literal, Self, get_args

from twin.store.protocols import StoreError
from twin.vocab.answer import ANSWER_SCHEMA_VERSION, Answer
from twin.vocab.errors import UsageError
from twin.vocab.plain import from_plain, to_plain

JobStatus = Literal["running", "done", "failed", "cancelled"]
JobEnd = Literal["done", "failed", "cancelled"]
_BUSY_SECONDS = 20.0
_ANSWER = "id, asked_at, about, change, verdict, snapshot_hash, schema_version, document"

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE answer (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            asked_at TEXT NOT NULL, about TEXT NOT NULL, change TEXT NOT NULL, verdict TEXT NOT NULL,
            snapshot_hash TEXT NOT NULL, schema_version INTEGER NOT NULL, document TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE observation (
            id INTEGER PRIMARY KEY AUTOINCREMENT, answer INTEGER NOT NULL REFERENCES answer(id),
            observed_at TEXT NOT NULL, measured_bps TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX observation_answer ON observation(answer)",
        """CREATE TABLE job (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL, started TEXT NOT NULL, ended TEXT, status TEXT NOT NULL, detail TEXT NOT NULL
        ) STRICT""",
    ),
)
"""The statements that bring the file from version i (SQLite's user_version) to i + 1."""


@dataclass(frozen=True)
class LedgerEntry:
    """An answer that was given. ``document`` is its JSON, as written by ``schema_version`` of Answer."""

    id: int
    asked_at: datetime
    about: datetime
    change: str
    verdict: str
    snapshot_hash: str
    schema_version: int
    document: str

    def answer(self) -> Answer:
        """The whole answer. Raises ValueError if it was written in another form than today's."""
        return from_plain(Answer, json.loads(self.document))


@dataclass(frozen=True)
class Observation:
    """What the counters showed after an answer: directed link -> bit/s."""

    answer_id: int
    observed_at: datetime
    measured_bps: dict[str, float]


@dataclass(frozen=True)
class Job:
    """One run of a job. A running one whose process died stays ``running``."""

    id: int
    name: str
    started: datetime
    ended: datetime | None
    status: JobStatus
    detail: str


class State:
    """The file, open. May be used from several threads.

    Raises (all methods):
        StoreError: the file can't be read or written.
    """

    def __init__(self, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
        """Open the file, made or brought up to date if need be.

        Raises:
            UsageError: it was written by a newer version.
        """
        self._path = path
        self._lock = RLock()
        with self._engine():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(migrations)
            except BaseException:
                self._connection.close()
                raise

    def record_answer(self, answer: Answer) -> int:
        """Enter an answer in the ledger; its number."""
        document = json.dumps(to_plain(answer), ensure_ascii=False)
        return self._insert(
            "INSERT INTO answer (asked_at, about, change, verdict, snapshot_hash, schema_version, document)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                _text(answer.asked_at),
                _text(answer.about),
                answer.change,
                answer.verdict,
                answer.snapshot_hash,
                ANSWER_SCHEMA_VERSION,
                document,
            ),
        )

    def answers(self, limit: int = 100) -> tuple[LedgerEntry, ...]:
        """The newest answers, newest first."""
        rows = self._rows(f"SELECT {_ANSWER} FROM answer ORDER BY id DESC LIMIT ?", (limit,))  # noqa: S608 - constant
        return tuple(_entry(r) for r in rows)

    def answer(self, number: int) -> LedgerEntry:
        """One answer.

        Raises:
            UsageError: there is none of that number.
        """
        rows = self._rows(f"SELECT {_ANSWER} FROM answer WHERE id = ?", (number,))  # noqa: S608 - constant
        if not rows:
            raise UsageError(f"the ledger has no answer {number}")
        return _entry(rows[0])

    def record_observation(self, answer_id: int, observed_at: datetime, measured_bps: Mapping[str, float]) -> int:
        """Enter what was measured on each directed link after an answer; its number.

        Raises:
            UsageError: there is no such answer.
        """
        try:
            return self._insert(
                "INSERT INTO observation (answer, observed_at, measured_bps) VALUES (?, ?, ?)",
                (answer_id, _text(observed_at), json.dumps(to_plain(measured_bps), ensure_ascii=False)),
            )
        except sqlite3.IntegrityError as problem:
            raise UsageError(f"ledger {self._path}: there is no answer {answer_id}") from problem

    def observations(self, answer_id: int) -> tuple[Observation, ...]:
        """What was measured after an answer, oldest first."""
        rows = self._rows(
            "SELECT answer, observed_at, measured_bps FROM observation WHERE answer = ? ORDER BY id", (answer_id,)
        )
        return tuple(Observation(r[0], _time(r[1]), json.loads(r[2])) for r in rows)

    def job_started(self, name: str, at: datetime) -> int:
        """Note that a job begins; the number of its run."""
        return self._insert(
            "INSERT INTO job (name, started, status, detail) VALUES (?, ?, 'running', '')", (name, _text(at))
        )

    def job_ended(self, job_id: int, at: datetime, status: JobEnd, detail: str = "") -> None:
        """Note how a job's run ended.

        Raises:
            UsageError: no such run is under way.
            ValueError: unknown status.
        """
        if status not in get_args(JobEnd):
            raise ValueError(f"a job ends as one of {get_args(JobEnd)}, not {status!r}")
        with self._engine():
            ended = self._connection.execute(
                "UPDATE job SET ended = ?, status = ?, detail = ? WHERE id = ? AND status = 'running'",
                (_text(at), status, detail, job_id),
            )
        if ended.rowcount == 0:
            raise UsageError(f"state {self._path}: no run {job_id} of a job is under way")

    def jobs(self, limit: int = 100, name: str | None = None) -> tuple[Job, ...]:
        """The newest runs, newest first."""
        rows = self._rows(
            "SELECT id, name, started, ended, status, detail FROM job WHERE ?1 IS NULL OR name = ?1"
            " ORDER BY id DESC LIMIT ?2",
            (name, limit),
        )
        return tuple(Job(r[0], r[1], _time(r[2]), _time(r[3]) if r[3] else None, r[4], r[5]) for r in rows)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _prepare(self, migrations: Sequence[Sequence[str]]) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        if self._version() == len(migrations):
            return
        with self._transaction():
            found = self._version()
            if found > len(migrations):
                known = len(migrations)
                raise UsageError(
                    f"state {self._path}: has version {found}, this nettwin knows {known}; use a newer one"
                )
            for statements in migrations[found:]:
                for statement in statements:
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {len(migrations)}")

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _insert(self, statement: str, values: Sequence[Any]) -> int:
        with self._engine():
            return int(self._connection.execute(statement, values).lastrowid or 0)

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._engine():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _engine(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.IntegrityError:
                raise
            except (sqlite3.Error, OSError) as problem:
                raise StoreError(f"state {self._path}: {problem}") from problem


def _entry(row: Sequence[Any]) -> LedgerEntry:
    return LedgerEntry(row[0], _time(row[1]), _time(row[2]), *row[3:])


def _text(when: datetime) -> str:
    if when.tzinfo is None:
        raise ValueError(f"naive time {when}: a time needs its zone")
    return when.astimezone(UTC).isoformat()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
