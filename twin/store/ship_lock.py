"""Who ships to a remote: one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO

from twin.store.outbox import Outbox
from twin.store.protocols import StoreError


class ShippedByOtherError(StoreError):
    """Another process ships to this remote."""


@contextmanager
def only_shipper(outbox: Outbox) -> Iterator[None]:
    """Ship to a remote as the only one.

    Raises:
        ShippedByOtherError: another does so; says who.
        StoreError: the lock can't be made.
    """
    file = outbox.file(".lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("a+", encoding="utf-8")
    except OSError as problem:
        raise StoreError(f"{file}: {problem.strerror or problem}") from problem
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ShippedByOtherError(f"{outbox.name} is shipped to by {_holder_named_in(lock)}") from None
        _sign(lock)
        yield


def holder(outbox: Outbox) -> str | None:
    """Who ships to a remote: ``process N since TIME``; None if nobody does."""
    try:
        with outbox.file(".lock").open(encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder_named_in(lock)
    except OSError:
        return None
    return None


def _sign(lock: IO[str]) -> None:
    lock.truncate(0)
    lock.write(f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
    lock.flush()


def _holder_named_in(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read(200) or "another process"
