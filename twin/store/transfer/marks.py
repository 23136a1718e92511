"""How far an import has come: a small file beside the store, so that one that was cut off goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from twin.store.place import sync
from twin.store.protocols import StoreError
from twin.vocab.plain import from_plain, to_plain


@dataclass(frozen=True)
class Mark:
    """``run`` names this import's batches, ``number`` the next one; ``offset`` is in octets (Parquet: rows).

    ``present_us``: when it began (UTC microseconds since 1970), which later runs take for the present, too.
    ``refused_size``: how much of the file of refused lines, and of that of reasons, belongs to what was done.
    """

    run: str
    present_us: int
    number: int = 0
    offset: int = 0
    line: int = 1
    precision: str = ""
    rows: int = 0
    values: int = 0
    refused: int = 0
    refused_size: tuple[int, ...] = (0, 0)
    first_us: int | None = None
    last_us: int | None = None
    unmapped: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def read_mark(path: Path) -> Mark | None:
    """The mark, if there is one that can be read: an import without one begins anew, which doubles nothing."""
    try:
        return from_plain(Mark, json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None


def write_mark(path: Path, mark: Mark) -> None:
    """On disk when it returns."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(to_plain(mark)), encoding="utf-8")
    sync([fresh])
    fresh.replace(path)
    sync([path.parent])


@contextmanager
def only_one(path: Path, what: str) -> Iterator[None]:
    """Held while one process works on it.

    Raises:
        StoreError: another process does.
    """
    with _held(path, what):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _held(path: Path, what: str) -> IO[str]:
    while True:
        lock = path.open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise StoreError(f"{what}: another process is at it") from None
        with suppress(FileNotFoundError):  # the one before may have removed what was locked here
            if path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                return lock
        lock.close()
