"""The job that fills the tiers: which hours are due, and their rows written once whatever happens.

What is to be done is written down before it is begun (``_State`` in ``thinning/KIND.json``): a run that was cut off
is gone through again with the same numbers, and the store takes each batch once. An hour is due once it is over and
had time to settle, the hours beside it once more with it, because rates reach across; so it is when something arrives
late. Only rows that differ from those stored are written, and the newest win on reading.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from uuid import uuid4

import numpy as np
import polars as pl

from twin.store.commits import LOG, entry_name
from twin.store.delta_log import sync_entries
from twin.store.frames import to_frame
from twin.store.place import Place
from twin.store.protocols import Batch, Store, StoreError
from twin.store.replay import LogError, data_file, parse_entry
from twin.store.sealed import from_sealed, to_sealed
from twin.store.settling import UNSYNCED_AT_MOST, settle
from twin.store.tiers import Raw, thinned
from twin.vocab.blocks import Block, concat
from twin.vocab.sampling import CLOCKS, LONGEST_GAP_S, some_devices
from twin.vocab.schema import KINDS, TIERS
from twin.vocab.time import instant

_BEFORE = " before"
SETTLING = timedelta(minutes=15)
"""How long after its end an hour is waited for."""
THINNED = tuple(dict.fromkeys(kind.thins for kind in KINDS.values() if kind.thins))
"""The kinds that have tiers."""
ROWS_AT_ONCE = 2_000_000
_HOUR = timedelta(hours=1)
_HOURS_AT_ONCE = 6
_MARGIN = timedelta(seconds=LONGEST_GAP_S)
_REACH = _MARGIN // _HOUR
"""A sample decides on rates in so many hours before and after its own."""


@dataclass(frozen=True)
class _Run:
    """Work that was begun: the hours (since 1970) left, and the devices before which the work is parted."""

    hours: tuple[int, ...]
    edges: tuple[str, ...]


@dataclass(frozen=True)
class _State:
    """How far a kind is thinned: all hours touched up to ``version`` are done, but for those named.

    ``writer``: whose batches the store knows, ``number`` the next of them; ``waiting``: not over yet.
    """

    writer: str
    version: int = -1
    number: int = 0
    waiting: tuple[int, ...] = ()
    run: _Run | None = None


class Thinning:
    """Thins the kinds of a store.

    Args:
        place: where the store lies.
        gone_before: kind -> the time before which its raw rows may have been dropped: what comes for hours before that
            fills holes in the tiers and replaces nothing that was made of all rows.
        progress: called with the kind, and how many of how many hours of it are done.
        stop: asked between two pieces of work.
    """

    def __init__(
        self,
        store: Store,
        place: Place,
        *,
        settling: timedelta = SETTLING,
        gone_before: Mapping[str, datetime] | None = None,
        progress: Callable[[str, int, int], None] = lambda *_: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store, self._place = store, place
        self._gone_before = gone_before or {}
        self._settling, self._progress, self._stop = settling, progress, stop

    def __call__(self, kind: str, now: datetime) -> int:
        """Do what is due, if one is not at it already. Returns the rows written.

        Raises:
            StoreError: the store failed; what was done stays done.
        """
        with self._place.lock(f"thinning/.{kind}.lock"):
            rows = self._finish(kind)
            self._plan(kind, now)
            return rows + self._finish(kind)

    def _plan(self, kind: str, now: datetime) -> None:
        state = _read(self._place, kind)
        if state.run is not None:
            return
        settle(self._place.below(kind))
        head = _head(self._place, kind)
        added = _touched(self._place, kind, state.version, head)
        touched = set(state.waiting) | (self._all(kind) if added is None else added)
        due = {h for h in touched if self._is_over(h, now)}
        beside = {h for each in due for h in range(each - _REACH, each + _REACH + 1)}
        hours = tuple(sorted(h for h in beside if self._is_over(h, now)))
        run = _Run(hours, self._edges(kind, len(hours))) if hours else None
        planned = replace(state, version=head, waiting=tuple(sorted(touched - due)), run=run)
        if planned != state:
            if head > state.version:  # a version that a power cut takes would be written anew, and count as done
                sync_entries(self._place.below(kind), max(0, head - UNSYNCED_AT_MOST), head)
            _write(self._place, kind, planned)

    def _is_over(self, hour: int, now: datetime) -> bool:
        return _instant(hour + 1) + self._settling <= now

    def _all(self, kind: str) -> set[int]:
        """Every hour from the first to the last there is."""
        known = [k for k in self._store.health().kinds if k.kind == kind]
        return {h for k in known for h in range(_hour(k.first), _hour(k.last) + 1)}

    def _edges(self, kind: str, hours: int) -> tuple[str, ...]:
        """Devices that begin a part, so that one has about ``ROWS_AT_ONCE`` rows at one a minute."""
        rows = 60 * (min(hours, _HOURS_AT_ONCE) + 2)
        edges, ahead = [], 0
        for device, series in sorted(Counter(keys["device"] for keys in self._store.series(kind)).items()):
            if ahead and ahead + series * rows > ROWS_AT_ONCE:
                edges.append(device)
                ahead = 0
            ahead += series * rows
        return tuple(edges)

    def _finish(self, kind: str) -> int:
        """Whatever is left of a run. A part of it that was written before keeps its number, so it is written once."""
        state, rows = _read(self._place, kind), 0
        whole = len(state.run.hours) if state.run else 0
        while (run := state.run) is not None:
            hours = _in_a_row(run.hours)
            parts = self._parts(kind, run.edges)
            for number, devices in enumerate(parts, state.number):
                if self._stop():
                    return rows
                rows += self._thin(kind, hours, devices, Batch(f"thinning {kind} {state.writer}", number))
            left = run.hours[len(hours) :]
            self._progress(kind, whole - len(left), whole)
            rest = replace(run, hours=left) if left else None
            state = replace(state, number=state.number + len(parts), run=rest)
            _write(self._place, kind, state)
        return rows

    def _parts(self, kind: str, edges: Sequence[str]) -> list[list[str]]:
        parts: list[list[str]] = [[] for _ in range(len(edges) + 1)]
        for device in sorted({keys["device"] for keys in self._store.series(kind)}):
            parts[bisect_right(edges, device)].append(device)
        return parts

    def _thin(self, kind: str, hours: Sequence[int], devices: list[str], batch: Batch) -> int:
        start, end = _instant(hours[0]), _instant(hours[-1] + 1)
        low, high = instant(start), instant(end)
        block = self._store.range(kind, {"device": devices}, start - _MARGIN, end + _MARGIN)
        clocks = self._clocks(devices, start, end) if "uptime_cs" in block.fields and kind != "device" else None
        blocks: dict[str, list[Block]] = {tier: [] for tier in TIERS}
        for some in some_devices(block):
            raw = Raw.of(some, clocks)
            for tier, found in blocks.items():
                found.append(thinned(raw, tier, low, high))
        holes = kind in self._gone_before and start < self._gone_before[kind]
        news = [self._news(concat(found), devices, low, high, holes=holes) for found in blocks.values() if found]
        self._store.write(news, batch)
        return sum(map(len, news))

    def _clocks(self, devices: list[str], start: datetime, end: datetime) -> Block:
        return self._store.range("device", {"device": devices}, start - _MARGIN, end + _MARGIN, ["uptime_cs", *CLOCKS])

    def _news(
        self, block: Block, devices: list[str], start: np.datetime64, end: np.datetime64, *, holes: bool
    ) -> Block:
        """The rows that differ from those stored: late data of one device write nothing of the others.

        ``holes``: only those that are not stored at all.
        """
        stored = self._store.range(block.kind, {"device": devices}, start, end)
        if len(stored) == 0 or len(block) == 0:
            return block
        same = [*KINDS[block.kind].keys, "at"]
        if holes:
            known = to_frame(stored).select(*same, pl.lit(value=True).alias(_BEFORE))
            found = to_frame(block).join(known, on=same, how="left", maintain_order="left")
            return block.take(found[_BEFORE].is_null().to_numpy())
        both = to_frame(block).join(to_frame(stored), on=same, how="left", suffix=_BEFORE, maintain_order="left")
        differs = (pl.col(f).is_not_null() & pl.col(f).ne_missing(pl.col(f"{f}{_BEFORE}")) for f in block.fields)
        return block.take(both.select(pl.any_horizontal(differs)).to_series().to_numpy())


def not_thinned_since(place: Place, kind: str) -> datetime | None:
    """The earliest hour of a kind that waits to be thinned, be it not over yet; None if none does.

    Raises:
        StoreError: it can't be told.
    """
    state = _read(place, kind)
    touched = _touched(place, kind, state.version, _head(place, kind))
    if touched is None:
        return _instant(0)
    hours = {*state.waiting, *(state.run.hours if state.run else ()), *touched}
    return _instant(min(hours)) if hours else None


def raw_needed_since(place: Place, kind: str) -> datetime | None:
    """From when on raw rows of a kind are still needed for its tiers; None if they are not.

    Raises:
        StoreError: it can't be told.
    """
    hour = not_thinned_since(place, kind)
    return hour and hour - _REACH * _HOUR - _MARGIN


def _touched(place: Place, kind: str, since: int, head: int) -> set[int] | None:
    """Hours in which something was added after a version; None if the log no longer tells."""
    hours: set[int] = set()
    for version in range(since + 1, head + 1):
        spans = _spans(place, kind, version)
        if spans is None:
            return None
        hours.update(h for first, last in spans for h in range(_hour(first), _hour(last) + 1))
    return hours


def _read(place: Place, kind: str) -> _State:
    try:
        plain = from_sealed(place.read(name_of(kind)))
        run = plain.pop("run")
        begun = _Run(*(tuple(run[f.name]) for f in fields(_Run))) if run else None
        told = _State(**plain, run=begun)
        return replace(told, waiting=tuple(told.waiting))
    except FileNotFoundError:
        return _State(uuid4().hex[:8])
    except (ValueError, KeyError, TypeError) as problem:
        raise StoreError(
            f"store {place.address}: {name_of(kind)} is damaged; remove it to have all thinned anew"
        ) from problem


def _write(place: Place, kind: str, state: _State) -> None:
    run = state.run and vars(state.run)
    place.replace(name_of(kind), to_sealed(vars(state) | {"run": run}))


def name_of(kind: str) -> str:
    return f"thinning/{kind}.json"


def _head(place: Place, kind: str) -> int:
    """The newest version of a kind's table, -1 if there is no table."""
    names = (e.name.rpartition("/")[2] for e in place.below(kind).entries(LOG))
    return max(
        (int(name.removesuffix(".json")) for name in names if name.removesuffix(".json").isdecimal()), default=-1
    )


def _spans(place: Place, kind: str, version: int) -> list[tuple[datetime, datetime]] | None:
    """First and last time of each file that a version added; None if its entry is no longer there."""
    try:
        actions = parse_entry(place.below(kind).read(entry_name(version)))
    except (FileNotFoundError, LogError):
        return None
    added = [data_file(values).stats for name, values in actions if name == "add" and values["dataChange"]]
    try:
        return [(_time(stats["minValues"]["at"]), _time(stats["maxValues"]["at"])) for stats in added]
    except (KeyError, TypeError, ValueError):
        return None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _hour(when: datetime) -> int:
    return int(when.timestamp()) // 3600


def _instant(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, UTC)


def _in_a_row(hours: tuple[int, ...]) -> tuple[int, ...]:
    """The first of them, and those that follow it at once; a few."""
    following = takewhile(lambda pair: pair[1] == hours[0] + pair[0], enumerate(hours[:_HOURS_AT_ONCE]))
    return tuple(hour for _, hour in following)
