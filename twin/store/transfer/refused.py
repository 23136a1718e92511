"""Lines that were not stored, set aside as they were, and beside them the reasons: mend them and import them again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from twin.store.transfer.sources import Refused

MOST_EXAMPLES = 5
_LONGEST = 1 << 20


class Aside:
    """Two files, ``NAME`` and ``NAME.reasons``; no files (``path`` None), and none if there is nothing to write."""

    def __init__(self, path: Path | None, source: Path, head: bytes) -> None:
        self._paths = [] if path is None else [path, path.with_name(f"{path.name}.reasons")]
        self._source = source
        self._head = head
        self.examples: list[str] = []

    @property
    def written(self) -> Path | None:
        return self._paths[0] if self._paths and self._paths[0].exists() else None

    def begin(self, sizes: Sequence[int]) -> None:
        """Take back what was written after the last mark."""
        for path, size in zip(self._paths, sizes, strict=False):
            if size == 0:
                path.unlink(missing_ok=True)
            elif path.exists():
                os.truncate(path, size)
        if self.written is not None:
            with self._paths[1].open(encoding="utf-8") as reasons:
                self.examples = [line.rstrip("\n") for _, line in zip(range(MOST_EXAMPLES), reasons, strict=False)]

    def add(self, refused: Sequence[Refused]) -> tuple[int, ...]:
        """On disk when it returns: the sizes of the files."""
        reasons = [self._told(one) for one in refused]
        self.examples += reasons[: MOST_EXAMPLES - len(self.examples)]
        if refused:
            lines = [one.raw if one.raw.endswith(b"\n") else one.raw + b"\n" for one in refused]
            texts = [self._head if self.written is None else b"", *lines]
            for path, parts in zip(self._paths, (texts, [f"{r}\n".encode() for r in reasons]), strict=False):
                _append(path, parts)
        return tuple(path.stat().st_size if path.exists() else 0 for path in self._paths)

    def _told(self, one: Refused) -> str:
        column = f":{one.column}" if one.column else ""
        return f"{self._source}:{one.line}{column}: {' '.join(one.reason.split())}"


def _append(path: Path, parts: Sequence[bytes]) -> None:
    with path.open("ab") as file:
        file.writelines(part[:_LONGEST] for part in parts)
        file.flush()
        os.fsync(file.fileno())
