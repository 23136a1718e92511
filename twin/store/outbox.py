"""Where what belongs to one remote is: its journal and cursor in the store, its other files in a local folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twin.store.place import Place


@dataclass(frozen=True)
class Outbox:
    """What waits in a store for one remote.

    Attributes:
        place: of the store, whose journal is read; the cursor lies there too.
        folder: on this machine, of the remote's lock, status and dead letters.
        name: of the remote. Under the same name shipping goes on where it was.
    """

    place: Place
    folder: Path
    name: str

    def file(self, suffix: str) -> Path:
        """One of the remote's files in the folder."""
        return self.folder / f"{self.name}{suffix}"
