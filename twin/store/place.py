"""Where a store lies. What the store does itself with files goes through here, by names relative to the place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

_PIECE = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One file there is: its name relative to the place (parts joined by /), octets, and when it was last changed."""

    name: str
    size: int
    modified: datetime


class Place(Protocol):
    """A folder of files, whatever holds it. Names are relative, their parts joined by /.

    Raises (all methods):
        FileNotFoundError: there is no such file.
        OSError: the place can't be read or written.
    """

    @property
    def address(self) -> str:
        """As Delta Lake and polars take it: a path or a URL. Never holds a secret."""
        ...

    @property
    def options(self) -> dict[str, str]:
        """What Delta Lake and polars need beside the address; may hold secrets."""
        ...

    def entries(self, below: str = "") -> Iterator[Entry]:
        """Every file below the folder ``below`` (all if empty), none if there is no such folder."""
        ...

    def read(self, name: str) -> bytes: ...

    def pieces(self, name: str) -> Iterator[bytes]:
        """The file's content in pieces of about a MiB."""
        ...


class LocalPlace:
    """A folder on a disk of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def address(self) -> str:
        return str(self._folder)

    @property
    def options(self) -> dict[str, str]:
        return {}

    def entries(self, below: str = "") -> Iterator[Entry]:
        for folder, _, files in os.walk(self._folder / below, onerror=_unless_gone):
            for file in files:
                path = Path(folder, file)
                try:
                    found = path.stat()
                except FileNotFoundError:
                    continue
                modified = datetime.fromtimestamp(found.st_mtime, UTC)
                yield Entry(path.relative_to(self._folder).as_posix(), found.st_size, modified)

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def pieces(self, name: str) -> Iterator[bytes]:
        with (self._folder / name).open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


def _unless_gone(problem: OSError) -> None:
    if not isinstance(problem, FileNotFoundError):
        raise problem
