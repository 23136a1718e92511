"""The newest values of one kind's table, kept up with its log.

A fresh process begins with the file that others left beside the table and folds only what was written since; data
frame and table libraries are loaded only if there is something to fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from twin.store.commits import Commit, commit_of, commits_after, entry_name
from twin.store.newest import Newest, joined, since
from twin.store.newest_file import Mark, packed, parsed
from twin.store.place import Place
from twin.vocab.schema import KINDS

FILE = "_latest/newest"
EVERY = 8
"""After so many versions the file is written anew; what is missing in it a fresh process folds."""

_FEW_ROWS = 1_000_000
_SPANS: dict[str, Any] = {"day": "M8[D]", "month": "M8[M]"}
_TRIES = 3


class Latest:
    """Of a table that exists. Not for several threads at once.

    Raises (all methods):
        OSError, or an engine's error: rows that must be folded can't be read.
    """

    def __init__(self, table: Place, kind: str) -> None:
        self._table = table
        self._kind = kind
        self._known: tuple[Newest, Mark] | None = None
        self._saved = -1

    def newest(self) -> Newest:
        """As of the table's newest version. What took long to find out is left for others, if that is allowed."""
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):  # merged away since: who did that left a newer file of the newest
                return self._followed()
            self._known = None
        return self._folded()

    def version(self) -> int:
        """Of the table as last read; -1 if it was not."""
        return self._known[1].version if self._known else -1

    def keep(self) -> None:
        """Leave the file for others, unless many rows must be read for that."""
        known = self._loaded()
        waiting = _rows(commits_after(self._table, known[1].version)) if known else self._rows_in_all()
        if waiting <= _FEW_ROWS:
            self.newest()
            self.save()

    def save(self) -> None:
        """Leave the file for others as of what was last read."""
        if self._known is not None and self._known[1].version > self._saved:
            self._table.replace(FILE, packed(*self._known))
            self._saved = self._known[1].version

    def _followed(self) -> Newest:
        known = self._known or self._loaded()
        if known is None:
            return self._folded()
        newest, mark = known
        commits = list(commits_after(self._table, mark.version))
        if len(commits) > EVERY and (left := self._loaded()) and left[1].version > mark.version:
            newest, mark = left
            commits = [commit for commit in commits if commit.version > mark.version]
        self._table.read(entry_name(mark.version))  # cleaned up by now? then perhaps those after it were, too
        for part in _parts(commits):
            newest = self._grown(newest, part)
        self._known = newest, Mark(commits[-1].version, commits[-1].digest) if commits else mark
        self._share(_rows(commits))
        return newest

    def _share(self, rows: int) -> None:
        if rows > _FEW_ROWS:
            with suppress(OSError):
                self.save()

    def _loaded(self) -> tuple[Newest, Mark] | None:
        """What the file tells, if it is about this very log."""
        try:
            found = parsed(self._table.read(FILE), self._kind)
        except FileNotFoundError:
            return None
        if found is None:
            return None
        commit = commit_of(self._table, found[1].version)
        if commit is None or commit.digest != found[1].entry:
            return None
        self._saved = commit.version
        return found

    def _folded(self) -> Newest:
        """Of all rows there are."""
        from twin.store.reading import newest_of, rows_by_path

        version, files = rows_by_path(self._table)
        commit = commit_of(self._table, version)
        if commit is None:
            raise FileNotFoundError(entry_name(version))
        newest = newest_of(self._table, self._kind, files)
        self._known = newest, Mark(version, commit.digest)
        self._share(sum(files.values()))
        return newest

    def _rows_in_all(self) -> int:
        from twin.store.reading import rows_by_path

        return sum(rows_by_path(self._table)[1].values())

    def _grown(self, newest: Newest, commits: Sequence[Commit]) -> Newest:
        dropped = [file.date for commit in commits for file in commit.removed if file.data_change]
        if dropped:
            newest = since(newest, _end_of_span(self._kind, max(dropped)))
        files = {file.path: file.rows for commit in commits for file in commit.added if file.data_change}
        if not files:
            return newest
        from twin.store.reading import newest_of

        return joined(newest, newest_of(self._table, self._kind, files))


def _rows(commits: Iterable[Commit]) -> int:
    """How many they appended."""
    return sum(file.rows for commit in commits for file in commit.added if file.data_change)


def _parts(commits: Sequence[Commit]) -> list[list[Commit]]:
    """In order; rows that went away do so before those appended later come."""
    parts: list[list[Commit]] = []
    for commit in commits:
        if not parts or any(file.data_change for file in commit.removed):
            parts.append([])
        parts[-1].append(commit)
    return parts


def _end_of_span(kind: str, date: str) -> int:
    """UTC microseconds of the end of the span that begins at a date."""
    after = np.datetime64(date, "D").astype(_SPANS[KINDS[kind].span]) + 1
    return int(after.astype("M8[us]").astype(np.int64))
