"""The one door to stored samples: two small protocols, whatever engine lies behind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self, TypeAlias

import numpy as np

from twin.vocab.blocks import Block
from twin.vocab.errors import NettwinError

Match: TypeAlias = "Mapping[str, str | Collection[str]]"
"""Key name -> the value it must have, or the values it may have. Keys not named may have any."""

When: TypeAlias = "datetime | np.datetime64"
"""An aware datetime, or UTC as numpy time."""


Progress: TypeAlias = "Callable[[str, int, int], None]"
Stop: TypeAlias = "Callable[[], bool]"


class StoreError(NettwinError):
    """The store can't do what was asked; the line names the engine and the reason."""


class StoreFullError(StoreError):
    """Less disk is free than the store is to leave; nothing was written."""


@dataclass(frozen=True)
class Batch:
    """Names one round of one writer, so that a re-tried round is written once.

    ``number`` increases with each new round of ``writer``; a number not above the last one written is a retry.
    """

    writer: str
    number: int


@dataclass(frozen=True)
class KindHealth:
    """What is there of one kind. ``rows`` as stored (a rewritten sample may count twice); ``size`` None = unknown."""

    kind: str
    rows: int
    first: datetime
    last: datetime
    size_bytes: int | None = None


@dataclass(frozen=True)
class Health:
    """Which engine, where, its version, and what it holds. Never carries a secret."""

    engine: str
    where: str
    version: str
    kinds: tuple[KindHealth, ...]


@dataclass(frozen=True)
class Maintained:
    """What a maintenance run did: files merged and deleted, rows of tiers made, rows dropped because of their age."""

    merged_files: int = 0
    deleted_files: int = 0
    thinned_rows: int = 0
    dropped_rows: int = 0

    def __add__(self, other: Maintained) -> Maintained:
        return Maintained(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Maintained)))


class Writer(Protocol):
    """Takes samples."""

    def write(self, blocks: Sequence[Block], batch: Batch | None = None) -> None:
        """Store all blocks. On return they are as safe as the engine makes them.

        A sample written again (same series, same time) adds to or replaces its fields. A value that is not a
        finite number counts as not measured, and a row with nothing measured is not kept.

        Raises:
            ValueError: a block does not fit the schema; nothing of any block was written.
            StoreError: the engine refused or could not be reached; the message says what was not written.
        """
        ...


class Reader(Protocol):
    """Gives samples back. Blocks hold a column for each field asked for, measured or not.

    All raise ValueError for an unknown kind, key or field and StoreError when the engine fails.
    A kind of which nothing is stored gives an empty block.

    ``as_of``: the answer as the store would have given it then: only what was written by that time counts. Raw rows
    dropped since because of their age are missing in it. InfluxDB keeps no such history: it raises StoreError.
    """

    def latest(
        self,
        kind: str,
        keys: Match | None = None,
        fields: Sequence[str] | None = None,
        *,
        as_of: When | None = None,
    ) -> Block:
        """The newest row of each series in which at least one of ``fields`` (all if None) was measured.

        Sorted by series.
        """
        ...

    def range(
        self,
        kind: str,
        keys: Match | None,
        start: When,
        end: When,
        fields: Sequence[str] | None = None,
        *,
        step: timedelta | np.timedelta64 | None = None,
        as_of: When | None = None,
    ) -> Block:
        """All rows with start <= at < end in which one of ``fields`` was measured, sorted by series, then time.

        With ``step``, only the last row (with its own time) of each series in each cell
        [start + i*step, start + (i+1)*step).
        """
        ...

    def series(self, kind: str, **match: str | Collection[str]) -> list[dict[str, str]]:
        """The keys of each series there is, sorted."""
        ...


class Store(Writer, Reader, Protocol):
    """A writer and a reader that can be kept in shape and asked how it is."""

    def maintain(self, now: datetime, *, progress: Progress | None = None, stop: Stop | None = None) -> Maintained:
        """Thin hours that are over, drop what is kept no longer, merge small files, delete what nobody can still need.

        Safe beside readers and writers; in the middle of it ``write`` does not wait.

        Args:
            progress: called with the kind and how much of how much of it is done.
            stop: asked now and then; once it says so, the rest is left for the next run.
        """
        ...

    def health(self) -> Health:
        """What is stored. Raises StoreError if the engine can't be reached."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None: ...
