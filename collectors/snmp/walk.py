"""Walking several columns side by side with GETBULK (RFC 3416 section 4.2.3), whatever the agent does.

Every column must strictly increase; an agent that repeats or goes back ends that column (real agents loop:
puresnmp issues 51 and 94, gosnmp issue 401), what came before is kept and the walk says so. How many varbinds a
response is asked to hold adapts to what the device manages.

Columns of one table have the same rows. So names are only compared, as octets, with those the column before them had
(a ``_Spine``); what differs is decoded and checked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile
from operator import le, lt
from typing import Any, TypeAlias

from collectors.failures import PollError
from collectors.snmp.ber import (
    OBJECT_IDENTIFIER,
    Cells,
    MalformedError,
    content_of,
    decode_arcs,
    encode_oid,
    header,
)
from collectors.snmp.wire import Column, Oid, Value, Walk, dotted
from twin.vocab.time import instant, now

Bulk: TypeAlias = Callable[[Sequence[bytes], int], Awaitable[Sequence[Cells]]]

MOST_VARBINDS = 240  # a response: larger ones are cut short by many agents or lost in fragments
REQUEST_PRICE = 20  # of a request, where a column of a response costs 1 (CPU, measured)
RETRY_AFTER = 100
MOST_SPINES = 4  # to look for a column's rows in
SILENCES = 3  # in a row, each time asking for less, until a walk ends
OUT_OF_TIME = "out of time"


class TooBigError(PollError):
    """The agent can't fit the response in a message (error-status tooBig)."""

    def __init__(self) -> None:
        super().__init__("error", "the agent says tooBig for a single object")


class ObjectError(PollError):
    """The agent fails at one of the objects asked for: the ``place``-th, from 0."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__("error", reason)
        self.place = place


@dataclass
class Fit:
    """How many varbinds a response of one device may be asked to hold; learnt as it answers, kept between walks.

    ``failed``: what was too much, tried again after ``RETRY_AFTER`` responses; ``proven``: what certainly was not.
    """

    varbinds: int = MOST_VARBINDS
    failed: int = MOST_VARBINDS + 1
    proven: int = 0
    since: int = 0

    def shrink(self, asked: int, to: int) -> None:
        """``asked`` was too much: back to what is proven, else to ``to``."""
        self.proven = self.proven if self.proven < asked else 0
        self.varbinds = max(1, min(self.varbinds, max(to, self.proven)))
        self.failed, self.since = max(2, asked), 0

    def truncated(self, got: int) -> None:
        """The response was cut short by the agent, at little cost: how much fits depends on what it holds."""
        self.varbinds = max(1, got)

    def grow(self, got: int) -> None:
        """All that was asked for came, and no more was asked for because of this."""
        self.proven, self.since = max(self.proven, got), self.since + 1
        if self.since > RETRY_AFTER:
            self.failed = MOST_VARBINDS + 1
        self.varbinds = min(self.failed - 1, MOST_VARBINDS, max(got, self.varbinds + max(1, self.varbinds // 16)))

    def repetitions(self, columns: int, limit: int) -> int:
        """How many rows of so many columns to ask for, with ``limit`` varbinds in mind.

        An agent that cuts its responses short is asked for the row that just does not fit: no room is wasted.
        """
        cuts_short = limit == self.varbinds < MOST_VARBINDS < self.failed
        return max(1, math.ceil(limit / columns) if cuts_short else limit // columns)


async def walk_cells(
    bulk: Bulk,
    columns: Sequence[Oid],
    *,
    repetitions: int,
    rows: int,
    max_rows: int,
    until: float,
    fit: Fit | None = None,
) -> Walk:
    """Walk ``columns`` with one outstanding request.

    Args:
        bulk: sends one GETBULK.
        repetitions: most rows to ask for at once.
        rows: how many rows to expect (a guess; a good one saves varbinds past the end).
        until: no request is begun after this time (time.monotonic), nor should ``bulk`` wait longer; what came is kept.
        fit: what was learnt about the device.

    Raises:
        PollError: nothing came back at all.
    """
    spines = [_Spine()]
    left = every = [_column(_prefix(oid), spines, max_rows) for oid in columns]
    state = _State(bulk, max(1, repetitions), until, fit or Fit())
    expected = rows + 1
    while left:
        width = side_by_side(len(left), expected, state.repetitions, state.limit)
        group, left = left[:width], left[width:]
        await state.drain(group, expected)
        expected = max(c.rows for c in group) + 1
    cuts = tuple(dict.fromkeys(c.cut for c in every if c.cut))
    return Walk(_shared(every), instant(state.at), cuts)


@lru_cache(maxsize=4096)
def side_by_side(columns: int, rows: int, repetitions: int, limit: int) -> int:
    """How many of so many columns to ask for at once, when each has so many rows and ``limit`` varbinds fit a response.

    Every request has its price, and so has every column of every response: the cheapest way of cutting the table is
    taken.
    """
    best, best_price = 1, math.inf
    for width in {math.ceil(columns / groups) for groups in range(1, columns + 1)}:
        if width <= limit:
            pieces = math.ceil(rows / min(repetitions, limit / width, rows))
            price = pieces * (REQUEST_PRICE * math.ceil(columns / width) + columns)
            if price < best_price:
                best, best_price = width, price
    return best


def _column(prefix: _Prefix, spines: list[_Spine], max_rows: int) -> _Column:
    return _Column(prefix, spines, spines[0], prefix.element, max_rows)


def _shared(columns: Sequence[_Column]) -> dict[Oid, Column]:
    """The columns as walked; equal instances become one object."""
    distinct: list[Sequence[Oid]] = []
    found: dict[Oid, Column] = {}
    for column in columns:
        own = column.spine.instances
        if len(own) != column.rows:
            own = own[: column.rows]
        same = next((known for known in distinct if known is own or known == own), None)
        if same is None:
            distinct.append(same := own)
        found[column.prefix.oid] = Column(same, column.values)
    return found


class _Heads(dict[int, bytes]):
    """How the elements of a column's cells begin, by the length of what follows the column's own sub-identifiers."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content

    def __missing__(self, size: int) -> bytes:
        self[size] = header(OBJECT_IDENTIFIER, len(self.content) + size) + self.content
        return self[size]


@dataclass(frozen=True)
class _Prefix:
    """A column's object identifier, also as octets: content and whole element."""

    oid: Oid
    content: bytes
    element: bytes
    heads: _Heads


@lru_cache(maxsize=4096)
def _prefix(oid: Oid) -> _Prefix:
    element = encode_oid(oid)
    content = content_of(element)
    return _Prefix(oid, content, element, _Heads(content))


@dataclass
class _Spine:
    """Rows that several columns have in common, as octets and as sub-identifiers; strictly increasing."""

    suffixes: list[bytes] = field(default_factory=list)
    instances: list[Oid] = field(default_factory=list)

    def has(self, at: int, suffixes: Sequence[bytes], *, before: Sequence[bytes]) -> bool:
        return self.suffixes[at : at + len(suffixes)] == suffixes and self.suffixes[:at] == before[:at]


@dataclass
class _Column:
    """One column on the way: its rows are the first ``rows`` of its spine. ``seen`` counts the NULLs too."""

    prefix: _Prefix
    spines: list[_Spine]
    spine: _Spine
    cursor: bytes
    max_rows: int
    rows: int = 0
    seen: int = 0
    last: Oid = ()
    values: list[Any] = field(default_factory=list)
    open: bool = True
    cut: str = ""

    def accept(self, cells: Cells) -> None:
        """Take the cells that belong to this column; closes it where it ends."""
        names, values, room = cells.names, cells.values, self.max_rows - self.seen
        if len(names) > room:
            names, values = names[:room], values[:room]
        taken = 0 if cells.gaps else self._take_known(names, values)
        if taken < len(names):
            self._take_new(names[taken:], values[taken:])
        if self.open and len(cells.names) > room:
            more = self._below(cells.names[room : room + 1])
            self.close(f"{dotted(self.prefix.oid)} has more than {self.max_rows} rows" if more else "")
        if self.open and cells.ended:
            self.close("")

    def close(self, cut: str) -> None:
        self.open, self.cut = False, cut

    def _take_known(self, names: Sequence[bytes], values: Sequence[Value | None]) -> int:
        """Take what continues with the rows that the spine already has, and tell how many."""
        known = self.spine.suffixes[self.rows : self.rows + len(names)]
        heads, count = self.prefix.heads, len(known)
        if not known or [heads[len(suffix)] + suffix for suffix in known] != names[:count]:
            return 0
        self.values += values[:count]  # no gaps: no NULL among them
        self._move(count, count, names[count - 1], self.spine.instances[self.rows + count - 1])
        return count

    def _take_new(self, names: Sequence[bytes], values: Sequence[Value | None]) -> None:
        suffixes = self._below(names)
        try:
            instances = list(map(decode_arcs, suffixes))
        except MalformedError as problem:
            return self.close(f"{dotted(self.prefix.oid)}: {problem}")
        good = _increasing(self.last, instances)
        if good:
            kept = self._extend(suffixes[:good], instances[:good], values[:good])
            self._move(kept, good, names[good - 1], instances[good - 1])
        if good < len(instances):
            return self.close(
                f"{dotted(self.prefix.oid)} does not increase after {dotted(self.prefix.oid + self.last)}"
            )
        if len(suffixes) < len(names):
            past = [self.cursor, *names[len(suffixes) :]]
            self.close(f"{dotted(self.prefix.oid)}: the agent goes back at its end" if _falls(past) else "")
        return None

    def _below(self, names: Sequence[bytes]) -> list[bytes]:
        """What follows this column's sub-identifiers in those names, up to the first that is not below it."""
        content = self.prefix.content
        own = takewhile(lambda name: name.startswith(content), map(content_of, names))
        return [name[len(content) :] for name in own]

    def _extend(self, suffixes: list[bytes], instances: list[Oid], values: Sequence[Value | None]) -> int:
        """Put the rows that have a value where the spine has them, and tell how many.

        A column whose rows differ goes to another spine.
        """
        kept = [place for place, value in enumerate(values) if value is not None]
        if len(kept) < len(values):
            suffixes, instances = [suffixes[place] for place in kept], [instances[place] for place in kept]
        if self.rows < len(self.spine.suffixes):
            self.spine = self._other_spine(suffixes)
        if self.rows == len(self.spine.suffixes):
            self.spine.suffixes += suffixes
            self.spine.instances += instances
        self.values += [value for value in values if value is not None]
        return len(kept)

    def _other_spine(self, suffixes: list[bytes]) -> _Spine:
        before = self.spine.suffixes[: self.rows]
        for spine in self.spines[-MOST_SPINES:]:
            if spine.has(self.rows, suffixes, before=before):
                return spine
        self.spines.append(_Spine(before, self.spine.instances[: self.rows]))
        return self.spines[-1]

    def _move(self, rows: int, seen: int, name: bytes, instance: Oid) -> None:
        self.rows += rows
        self.seen += seen
        self.cursor, self.last = name, instance


def _increasing(last: Oid, instances: Sequence[Oid]) -> int:
    """How many instances strictly increase, from ``last`` on."""
    order = list(map(lt, (last, *instances), instances))
    return order.index(False) if False in order else len(order)


def _falls(names: Sequence[bytes]) -> bool:
    """Whether one of the names is before the last one; octets nearly tell (long arcs are the exception)."""
    contents = list(map(content_of, names))
    if all(map(le, contents, contents[1:])):
        return False
    oids = list(map(decode_arcs, contents))
    return not all(map(le, oids, oids[1:]))


class _State:
    """What one walk has received so far, and how large its requests may be.

    ``most``: varbinds, while the agent errs: halved until the one object that it fails at is found.
    """

    def __init__(self, bulk: Bulk, repetitions: int, until: float, fit: Fit) -> None:
        self.bulk = bulk
        self.repetitions = repetitions
        self.until = until
        self.fit = fit
        self.most = MOST_VARBINDS
        self.silences = 0
        self.received = False
        self.at = now()

    async def drain(self, group: Sequence[_Column], expected: int) -> None:
        while waiting := [c for c in group if c.open]:
            if time.monotonic() >= self.until:
                _close(waiting, OUT_OF_TIME)
                return
            missing = expected - min(c.rows for c in waiting)
            if missing <= 0:
                missing = self.repetitions
            limit = self.limit
            asked = waiting[: side_by_side(len(waiting), missing, self.repetitions, limit)]
            most = min(self.repetitions, self.fit.repetitions(len(asked), limit))
            wanted = math.ceil(missing / math.ceil(missing / most))  # pieces as even as possible
            try:
                answer = await self.bulk([c.cursor for c in asked], wanted)
            except PollError as problem:
                if problem.status != "silent" or time.monotonic() < self.until:
                    self._fail(problem, waiting, asked, wanted)
            else:
                self._take(asked, wanted, answer)

    @property
    def limit(self) -> int:
        return min(self.fit.varbinds, self.most)

    def _take(self, asked: Sequence[_Column], wanted: int, answer: Sequence[Cells]) -> None:
        self.at, self.received, self.silences = now(), True, 0
        got, hoped = sum([wanted if cells.ended else len(cells.names) for cells in answer]), wanted * len(asked)
        if not got:
            return _close(asked, "the agent sent an empty response")
        for column, cells in zip(asked, answer, strict=False):
            column.accept(cells)
        self.most = min(MOST_VARBINDS, 2 * self.most)
        if got >= hoped:
            if hoped + len(asked) > self.fit.varbinds:
                self.fit.grow(got)
        elif any(column.open for column in asked):
            self.fit.truncated(got)
        return None

    def _fail(self, problem: PollError, waiting: Sequence[_Column], asked: Sequence[_Column], wanted: int) -> None:
        """Ask for less; where that was the least already, end what failed and keep what came."""
        varbinds = wanted * len(asked)
        if isinstance(problem, TooBigError) and varbinds > 1:
            return self.fit.shrink(varbinds, varbinds // 2)
        if problem.status == "silent" and wanted > 1 and (silences := self.silences + 1) < SILENCES:
            self.silences = silences
            return self.fit.shrink(varbinds, varbinds // 2 if silences == 1 else len(asked))
        if problem.status != "error":
            return self._end(problem, waiting)
        if isinstance(problem, ObjectError) and wanted == 1:
            return self._end(problem, [asked[problem.place]])
        if varbinds > 1:
            self.most = varbinds // 2
            return None
        return self._end(problem, asked)

    def _end(self, problem: PollError, columns: Sequence[_Column]) -> None:
        if not self.received and problem.status != "error":
            raise problem
        _close(columns, problem.reason)


def _close(columns: Sequence[_Column], cut: str) -> None:
    for column in columns:
        column.close(cut)
