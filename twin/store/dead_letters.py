"""Lines that a remote refuses for good, one JSON object each, kept until the operator has dealt with them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from twin.store.cursors import NOTHING
from twin.store.outbox import Outbox
from twin.store.place import LocalPlace, sync
from twin.store.protocols import StoreError


@dataclass(frozen=True)
class DeadLetter:
    """A line of line protocol, from which version of which kind, why it was refused and when (UTC, ISO 8601)."""

    remote: str
    kind: str
    version: int
    line: str
    reason: str
    time: str


def dead_letter_file(outbox: Outbox) -> Path:
    """Where a remote's dead letters are."""
    return outbox.file(".dead.jsonl")


def dead_letters(outbox: Outbox) -> Iterator[DeadLetter]:
    """All of a remote, oldest first; a last one torn by a power cut is left out.

    Raises:
        StoreError: the file can't be read, or a line of it is no dead letter.
    """
    file = dead_letter_file(outbox)
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.endswith(b"\n"):
                    yield _letter(file, number, line)
    except FileNotFoundError:
        return
    except OSError as problem:
        raise StoreError(f"{file}: {problem.strerror or problem}") from problem


def _letter(file: Path, number: int, line: bytes) -> DeadLetter:
    try:
        return DeadLetter(**json.loads(line))
    except (ValueError, TypeError) as problem:
        raise StoreError(f"{file}:{number}: is no dead letter: {problem}") from problem


def remove_dead_letters(outbox: Outbox, gone: Sequence[DeadLetter]) -> int:
    """Take these out of the file; how many there were. Works beside a running shipper."""
    without = set(gone)
    with _changing(outbox):
        known = list(dead_letters(outbox))
        kept = [letter for letter in known if letter not in without]
        if len(kept) < len(known):
            LocalPlace(outbox.folder).replace(dead_letter_file(outbox).name, "".join(map(_text, kept)).encode())
    return len(known) - len(kept)


@contextmanager
def _changing(outbox: Outbox) -> Iterator[None]:
    """For the instant of a change of the file."""
    with LocalPlace(outbox.folder).lock(f"{outbox.name}.dead.lock"):
        yield


class DeadLetterBox:
    """Appends to a remote's file; what is there already is not put in again. Only for who holds the remote's lock."""

    def __init__(self, outbox: Outbox, after: Mapping[str, int], size_at_most: int) -> None:
        """``after``: the remote's cursor; what lies behind it may come a second time after a crash.

        Raises:
            StoreError: the file can't be read.
        """
        self._outbox, self._file = outbox, dead_letter_file(outbox)
        self._size_at_most = size_at_most
        self._there: set[tuple[str, int, str]] = set()
        with _changing(outbox):
            self._cut_torn_end()
        for letter in dead_letters(outbox):
            if letter.version > after.get(letter.kind, NOTHING):
                self._there.add(_identity(letter))

    @property
    def size(self) -> int:
        """In bytes."""
        return self._file.stat().st_size if self._file.exists() else 0

    def full(self) -> bool:
        return self.size >= self._size_at_most

    def put(self, letters: Sequence[DeadLetter]) -> int:
        """Append those that are new; on disk on return. How many were new.

        Raises:
            OSError: they can't be written.
        """
        fresh = [letter for letter in letters if _identity(letter) not in self._there]
        if fresh:
            with _changing(self._outbox):
                self._append("".join(map(_text, fresh)).encode())
            sync([self._file.parent])
            self._there |= set(map(_identity, fresh))
        return len(fresh)

    def _append(self, content: bytes) -> None:
        """All of it or nothing, also where the disk is full."""
        before = self.size
        try:
            with self._file.open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(FileNotFoundError):
                os.truncate(self._file, before)
            raise

    def settled(self, kind: str, version: int) -> None:
        """The cursor has passed this version: nothing of it comes again."""
        self._there = {known for known in self._there if known[0] != kind or known[1] > version}

    def _cut_torn_end(self) -> None:
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self._file, whole)


def _identity(letter: DeadLetter) -> tuple[str, int, str]:
    return letter.kind, letter.version, letter.line


def _text(letter: DeadLetter) -> str:
    return json.dumps(asdict(letter), ensure_ascii=False) + "\n"
