"""Where a store lies: a folder, or object storage (``twin.store.objects``). Delta Lake and polars are told its
address; what the store does itself with files goes through ``Place``, by names relative to it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from twin.store.engine import said

_PIECE = 1 << 20
_TERMINAL = re.compile(r"\x1b\[[0-9;]*m|↳")


@dataclass(frozen=True)
class Entry:
    """One file there is: its name relative to the place (parts joined by /), octets, and when it was last changed."""

    name: str
    size: int
    modified: datetime


class Place(Protocol):
    """Files by their names, relative to the place, their parts joined by /. Values: safe to share among threads.

    Raises (all methods):
        FileNotFoundError: there is no such file.
        OSError: the place can't be read or written.
    """

    @property
    def address(self) -> str:
        """As Delta Lake and polars take it: an absolute path or a URL. Never holds a secret."""
        ...

    @property
    def delta_options(self) -> dict[str, str] | None:
        """``storage_options`` for Delta Lake; may hold secrets."""
        ...

    @property
    def scan_options(self) -> dict[str, Any] | None:
        """``storage_options`` for polars; may hold secrets."""
        ...

    def below(self, name: str) -> Place:
        """The place of a folder in it."""
        ...

    def entries(self, below: str = "") -> Iterator[Entry]:
        """Every file below the folder ``below`` (all if empty), none if there is no such folder."""
        ...

    def read(self, name: str) -> bytes: ...

    def pieces(self, name: str) -> Iterator[bytes]:
        """The file's content in pieces of about a MiB."""
        ...

    def create(self, name: str, content: bytes | memoryview) -> None:
        """A file of a name that is new. On return it outlives a power cut; where this fails, a part may be left.

        Raises:
            FileExistsError: it is there.
        """
        ...

    def replace(self, name: str, content: bytes | memoryview) -> None:
        """The whole file or what was there before, whatever happens. On return it outlives a power cut."""
        ...

    def delete(self, name: str) -> None:
        """No error if it is not there."""
        ...

    def settle(self, names: Iterable[str]) -> None:
        """Make files that another library wrote, and folders, outlive a power cut. What is gone meanwhile is left out.

        "" is the place itself, ".." what it lies in.
        """
        ...

    def lock(self, name: str) -> AbstractContextManager[None]:
        """One holder at a time among the processes of this machine; waits. Let go of when the process dies."""
        ...

    def check(self) -> None:
        """Try what a store relies on, before the first is made there.

        Raises:
            StoreError: it does not hold; the line says what.
        """
        ...

    def spare(self) -> int | None:
        """Free octets; None if there is no end to it."""
        ...

    def reason(self, problem: BaseException) -> str:
        """What went wrong in one line that holds no secret."""
        ...


class LocalPlace:
    """A folder on a disk of this machine."""

    delta_options: dict[str, str] | None = None
    scan_options: dict[str, Any] | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def address(self) -> str:
        return str(self._folder)

    def below(self, name: str) -> LocalPlace:
        return LocalPlace(self._folder / name)

    def entries(self, below: str = "") -> Iterator[Entry]:
        for folder, _, files in os.walk(self._folder / below, onerror=_unless_gone):
            for file in files:
                path = Path(folder, file)
                with suppress(FileNotFoundError):
                    found = path.stat()
                    modified = datetime.fromtimestamp(found.st_mtime, UTC)
                    yield Entry(path.relative_to(self._folder).as_posix(), found.st_size, modified)

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def pieces(self, name: str) -> Iterator[bytes]:
        with (self._folder / name).open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    def create(self, name: str, content: bytes | memoryview) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(path, content)
        except FileExistsError:
            raise
        except OSError:
            path.unlink(missing_ok=True)
            raise
        self.settle(_folders(name))

    def replace(self, name: str, content: bytes | memoryview) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            _write(draft, content)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        self.settle(_folders(name))

    def delete(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        self.settle([name.rpartition("/")[0]])

    def settle(self, names: Iterable[str]) -> None:
        sync(self._folder / name for name in names)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def check(self) -> None:
        """A file system creates exclusively."""

    def spare(self) -> int | None:
        return shutil.disk_usage(self._folder).free

    def reason(self, problem: BaseException) -> str:
        return " ".join(_TERMINAL.sub(" ", said(problem)).split())


def _write(path: Path, content: bytes | memoryview) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _folders(name: str) -> list[str]:
    """Those a file lies in, from its own up to the place itself ("")."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[:depth]) for depth in range(len(parts), -1, -1)]


def sync(paths: Iterable[Path]) -> None:
    """fsync files and folders; one that is gone meanwhile is left out."""
    for path in paths:
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _unless_gone(problem: OSError) -> None:
    if not isinstance(problem, FileNotFoundError):
        raise problem
