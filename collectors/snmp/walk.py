"""Walking several columns side by side with GETBULK (RFC 3416 section 4.2.3), whatever the agent does.

Every column must strictly increase; an agent that repeats or goes back ends that column (real agents loop:
puresnmp issues 51 and 94, gosnmp issue 401), what came before is kept and the walk says so.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from collectors.failures import PollError
from collectors.snmp.wire import Column, Oid, Value, Walk, dotted
from twin.vocab.time import instant, now

Varbinds: TypeAlias = Sequence[tuple[Oid, Value | None]]
Bulk: TypeAlias = Callable[[Sequence[Oid], int], Awaitable[Varbinds]]

MOST_VARBINDS = 240  # a response: larger ones are cut short by many agents or lost in fragments
FEWEST_REPETITIONS = 4
OUT_OF_TIME = "out of time"


class TooBigError(Exception):
    """The agent can't fit the response in a message (error-status tooBig)."""


@dataclass
class _Column:
    prefix: Oid
    cursor: Oid
    instances: list[Oid] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    open: bool = True
    cut: str = ""

    @property
    def rows(self) -> int:
        return len(self.values)

    def accept(self, oid: Oid, value: Value | None, max_rows: int) -> bool:
        """Whether the varbind belongs to this column; closes the column where it ends."""
        if not self.open:
            return False
        if value is None or oid[: len(self.prefix)] != self.prefix:
            return self.close("")
        if oid <= self.cursor:
            return self.close(f"{dotted(self.prefix)} does not increase after {dotted(self.cursor)}")
        if self.rows >= max_rows:
            return self.close(f"{dotted(self.prefix)} has more than {max_rows} rows")
        self.cursor = oid
        self.instances.append(oid[len(self.prefix) :])
        self.values.append(value)
        return True

    def close(self, cut: str) -> bool:
        self.open, self.cut = False, cut
        return False


async def walk_columns(
    bulk: Bulk, columns: Sequence[Oid], *, repetitions: int, rows: int, max_rows: int, until: float
) -> Walk:
    """Walk ``columns`` with one outstanding request.

    Args:
        bulk: sends one GETBULK; None as a value stands for endOfMibView.
        repetitions: most rows to ask for at once.
        rows: how many rows to expect (a guess; a good one saves varbinds past the end).
        until: no request is begun after this time (time.monotonic); what came is kept.

    Raises:
        PollError: nothing came back at all.
    """
    open_columns = [_Column(prefix, prefix) for prefix in columns]
    state = _State(bulk, max(1, repetitions), max_rows, until)
    expected = rows + 1
    for group in _groups(open_columns):
        await state.drain(group, expected)
        expected = max(c.rows for c in group) + 1
    cuts = tuple(dict.fromkeys(c.cut for c in open_columns if c.cut))
    return Walk({c.prefix: Column(c.instances, c.values) for c in open_columns}, state.at, cuts)


def _groups(columns: Sequence[_Column]) -> list[Sequence[_Column]]:
    """Side by side as long as a few rows of all fit one response."""
    width = MOST_VARBINDS // FEWEST_REPETITIONS
    return [columns[i : i + width] for i in range(0, len(columns), width)]


class _State:
    """What one walk has received so far, and how large its requests may be."""

    def __init__(self, bulk: Bulk, repetitions: int, max_rows: int, until: float) -> None:
        self.bulk = bulk
        self.most = repetitions
        self.max_rows = max_rows
        self.until = until
        self.received = False
        self.at: np.datetime64 = instant(now())

    async def drain(self, group: Sequence[_Column], expected: int) -> None:
        while asked := [c for c in group if c.open]:
            if time.monotonic() > self.until:
                _close(asked, OUT_OF_TIME)
                return
            missing = expected - min(c.rows for c in asked)
            wanted = max(1, min(self.most, missing if missing > 0 else self.most, MOST_VARBINDS // len(asked)))
            try:
                answer = await self.bulk([c.cursor for c in asked], wanted)
            except TooBigError:
                self._shrink(wanted, asked, PollError("error", "the agent says tooBig for a single row"))
                continue
            except PollError as problem:
                self._shrink(wanted if problem.status == "silent" else 1, asked, problem)
                continue
            self.at = instant(now())
            self._take(asked, answer)

    def _take(self, asked: Sequence[_Column], answer: Varbinds) -> None:
        if not answer:
            _close(asked, "the agent sent an empty response")
        for position, (oid, value) in enumerate(answer):
            self.received |= asked[position % len(asked)].accept(oid, value, self.max_rows)

    def _shrink(self, wanted: int, asked: Sequence[_Column], problem: PollError) -> None:
        """Ask for less; when that was the least already, end the walk and keep what came."""
        if wanted > 1:
            self.most = wanted // FEWEST_REPETITIONS or 1
            return
        if not self.received:
            raise problem
        _close(asked, problem.reason)


def _close(columns: Sequence[_Column], cut: str) -> None:
    for column in columns:
        column.close(cut)
