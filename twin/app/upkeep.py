"""The store's upkeep: one process at a time looks after it, and none of it holds up what is being collected.

A collector has it done by a process of its own (``nettwin store compact --every``): merging files needs memory and CPU,
which that process gives back, and ending it at any moment harms nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from twin.store import Maintained, Store, StoreError
from twin.vocab.plain import from_plain, write_plain
from twin.vocab.time import now

EVERY = timedelta(minutes=15)
LOOK_S = 60.0
END_S = 1.0
NICE = 10

Progress = Callable[[float, float | None, str], None]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Upkept:
    """The last upkeep: when it began, how long it took, what it did, and why it failed ("" if it did not)."""

    began: datetime
    seconds: float
    done: Maintained
    problem: str = ""


def last_upkeep(folder: Path) -> Upkept | None:
    """As told by whoever did it; None if nobody did, or nothing that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return from_plain(Upkept, json.loads(_told_in(folder).read_text(encoding="utf-8")))
    return None


def is_due(folder: Path, every: timedelta, present: datetime) -> bool:
    """Whether the last upkeep began longer than ``every`` ago (or, by a clock that was set back, in the future)."""
    last = last_upkeep(folder)
    return last is None or not timedelta() <= present - last.began < every


def look_after(
    store: Store, folder: Path, every: timedelta | None = None, progress: Progress = lambda *_: None
) -> Upkept | None:
    """Maintain the store now; None if another process is at it, or the last upkeep is younger than ``every``.

    Args:
        folder: where the upkeep is told.
        progress: told how far it is of how much, and at what.

    Raises:
        StoreError: the engine failed; that is kept as the last upkeep.
    """
    with _alone(folder) as alone:
        if not alone or (every is not None and not is_due(folder, every, now())):
            return None
        began, started = now(), time.monotonic()
        try:
            done = store.maintain(began, progress=lambda kind, done, of: progress(done, of, kind))
        except StoreError as problem:
            _tell(folder, Upkept(began, time.monotonic() - started, Maintained(), str(problem)))
            raise
        upkept = Upkept(began, time.monotonic() - started, done)
        _tell(folder, upkept)
        return upkept


class UpkeepBeside:
    """Runs ``command`` when upkeep is due, in a process of low priority, while inside; ends it on leaving.

    ``tell`` is called with a line when upkeep begins to fail, and when it works again.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, tell: Callable[[str], None], *, look: float = LOOK_S
    ) -> None:
        self._command, self._folder, self._tell, self._look = command, folder, tell, look
        self._ending = threading.Event()
        self._problem = ""
        self._tried = float("-inf")
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(self._look):
            if self._is_due():
                self._tried = time.monotonic()
                self._note(self._child())

    def _is_due(self) -> bool:
        lately = time.monotonic() - self._tried < EVERY.total_seconds()
        return not lately and is_due(self._folder, EVERY, now())

    def _child(self) -> str:
        """Run it to its end, or until this is left; why it failed, "" if it did not."""
        with subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,  # Ctrl-C is for the collector, which ends this one
        ) as child:
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, child.pid, NICE)
            told = self._wait(child)
        if child.returncode == 0 or self._ending.is_set():
            return ""
        return told.strip().splitlines()[-1] if told.strip() else f"ended with {child.returncode}"

    def _wait(self, child: subprocess.Popen[str]) -> str:
        while not self._ending.is_set():
            with suppress(subprocess.TimeoutExpired):
                return child.communicate(timeout=0.2)[1]
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            return child.communicate(timeout=END_S)[1]
        child.kill()
        return child.communicate()[1]

    def _note(self, problem: str) -> None:
        if problem and not self._problem:
            self._tell(f"the store could not be maintained: {problem}")
        elif self._problem and not problem and not self._ending.is_set():
            self._tell("the store was maintained again")
        self._problem = problem


def upkeep_command(settings: Path) -> tuple[str, ...]:
    """What a collector runs beside itself."""
    every = f"{EVERY.total_seconds():g}s"
    return (sys.executable, "-m", "twin.app.cli", "store", "compact", "--settings", str(settings), "--every", every)


def _told_in(folder: Path) -> Path:
    return folder / "upkeep.json"


def _tell(folder: Path, upkept: Upkept) -> None:
    with suppress(OSError):  # a full disk: the store's own trouble is told elsewhere
        write_plain(_told_in(folder), upkept)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process looks after this store now; while inside none begins to."""
    with (folder / "upkeep.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            log.info("another process looks after the store", folder=str(folder))
            yield False
        else:
            yield True
