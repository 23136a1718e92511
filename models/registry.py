"""Where trained models lie: one folder each, and a pointer to the one in use. Knows names and files, not networks.

``ROOT/NAME/MODEL_ID/`` holds a model, ``ROOT/NAME/current`` names the one in use.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twin.vocab.errors import UsageError

_POINTER = "current"
_ID = re.compile(r"[a-z][a-z0-9_]*-\d{8}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Registry:
    """The models below ``root``; ``name`` is the kind of model (``load``), an id is NAME-DATE-HASH."""

    root: Path

    def publish(self, model_id: str, write: Callable[[Path], None]) -> Path:
        """Have ``write`` put a model into its folder (unless the same is there already) and point to it.

        Raises:
            ValueError: not a model id.
        """
        path = self._path(model_id)
        if not path.exists():
            write(path)
        self.point(model_id)
        return path

    def point(self, model_id: str) -> None:
        """Make this model the current one of its name, atomically.

        Raises:
            UsageError: there is no such model.
        """
        path = self._path(model_id)
        if not path.is_dir():
            raise UsageError(f"no model {model_id} in {self.root}")
        _replace(path.parent / _POINTER, model_id + "\n")

    def list(self, name: str) -> tuple[str, ...]:
        """Ids of all models of a name, oldest first."""
        folder = self.root / name
        found = (p for p in folder.iterdir() if _ID.fullmatch(p.name)) if folder.is_dir() else ()
        return tuple(p.name for p in sorted(found, key=lambda p: (p.stat().st_mtime_ns, p.name)))

    def current(self, name: str) -> Path:
        """The folder of the model in use.

        Raises:
            UsageError: none was trained yet, or the pointer leads nowhere or can't be read.
        """
        pointer = self.root / name / _POINTER
        try:
            model_id = pointer.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise UsageError(f"no {name} model in {self.root}: train one first") from None
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "not text"
            raise UsageError(f"{pointer}: can't be read: {reason}") from problem
        if not _ID.fullmatch(model_id) or not (self.root / name / model_id).is_dir():
            raise UsageError(f"{pointer}: names {model_id!r}, which is not there")
        return self.root / name / model_id

    def _path(self, model_id: str) -> Path:
        if not _ID.fullmatch(model_id):
            raise ValueError(f"{model_id!r} is not a model id (NAME-DATE-HASH)")
        return self.root / model_id.split("-", 1)[0] / model_id


def _replace(path: Path, text: str) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        draft = Path(folder) / path.name
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
