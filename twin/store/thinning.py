"""The job that fills the tiers: which hours are due, and their rows written once whatever happens.

What is to be done is written down before it is begun (``_State`` in ``thinning/KIND.json``): a run that was cut off
is gone through again with the same numbers, and the store takes each batch once. An hour is due once it is over and
had time to settle; an hour in which later something arrives is due again, and the newest rows win on reading.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import uuid4
from zlib import crc32

import numpy as np

from twin.store.commits import LOG, entry_name
from twin.store.place import Place
from twin.store.protocols import Batch, Store, StoreError
from twin.store.replay import LogError, data_file, parse_entry
from twin.store.tiers import Raw, thinned
from twin.vocab.blocks import Block
from twin.vocab.sampling import CLOCKS, LONGEST_GAP_S
from twin.vocab.schema import KINDS, TIERS

SETTLING = timedelta(minutes=15)
"""How long after its end an hour is waited for."""
THINNED = tuple(dict.fromkeys(kind.thins for kind in KINDS.values() if kind.thins))
"""The kinds that have tiers."""
ROWS_AT_ONCE = 3_000_000
_HOUR = timedelta(hours=1)
_HOURS_AT_ONCE = 6
_PARTS_A_RUN = 1_000_000


@dataclass(frozen=True)
class _Run:
    """Work that was begun: its number, the hours (since 1970), and into how many groups devices are parted."""

    number: int
    hours: tuple[int, ...]
    groups: int


@dataclass(frozen=True)
class _State:
    """How far a kind is thinned: all hours touched up to ``version`` are done, but for those named.

    ``writer``: whose batches the store knows; ``waiting``: not over yet; ``again``: done, but a rate that ended
    later reaches back into them.
    """

    writer: str
    version: int = -1
    runs: int = 0
    waiting: tuple[int, ...] = ()
    again: tuple[int, ...] = ()
    run: _Run | None = None


class Thinning:
    """Thins the kinds of a store.

    Args:
        place: where the store lies.
        progress: called with the kind, and how many of how many hours of it are done.
        stop: asked between two pieces of work.
    """

    def __init__(
        self,
        store: Store,
        place: Place,
        *,
        settling: timedelta = SETTLING,
        progress: Callable[[str, int, int], None] = lambda *_: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store, self._place = store, place
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
        head = _head(self._place, kind)
        touched = set(state.waiting) | self._touched(kind, state.version, head)
        due = {h for h in touched if _instant(h + 1) + self._settling <= now}
        hours = tuple(sorted(due | set(state.again)))
        run = _Run(state.runs, hours, self._groups(kind, hours)) if hours else None
        later = tuple(sorted(touched - due))
        planned = replace(state, version=head, runs=state.runs + 1, waiting=later, run=run)
        _write(self._place, kind, planned)

    def _touched(self, kind: str, since: int, head: int) -> set[int]:
        """Hours in which something was added after a version."""
        hours: set[int] = set()
        for version in range(since + 1, head + 1):
            spans = _spans(self._place, kind, version)
            if spans is None:
                return self._all(kind)
            hours.update(h for first, last in spans for h in range(_hour(first), _hour(last) + 1))
        return hours

    def _all(self, kind: str) -> set[int]:
        """What was added can no longer be read from the log: every hour from the first to the last there is."""
        known = [k for k in self._store.health().kinds if k.kind == kind]
        return {h for k in known for h in range(_hour(k.first), _hour(k.last) + 1)}

    def _groups(self, kind: str, hours: Sequence[int]) -> int:
        """So many that one has about ``ROWS_AT_ONCE`` rows at one a minute."""
        series = len(self._store.series(kind))
        return 1 + series * 60 * min(len(hours), _HOURS_AT_ONCE) // ROWS_AT_ONCE

    def _finish(self, kind: str) -> int:
        state = _read(self._place, kind)
        if state.run is None:
            return 0
        rows, numbers, done = 0, count(state.run.number * _PARTS_A_RUN), 0
        again: set[int] = set()
        for hours in _stretches(state.run.hours):
            for devices in self._devices(kind, state.run.groups):
                if self._stop():
                    return rows
                batch = Batch(f"thinning {kind} {state.writer}", next(numbers))
                written, reaches_back = self._thin(kind, hours, devices, batch)
                rows += written
                if reaches_back and hours[0] not in state.again:
                    again.add(hours[0] - 1)
            done += len(hours)
            self._progress(kind, done, len(state.run.hours))
        _write(self._place, kind, replace(state, run=None, again=tuple(sorted(again))))
        return rows

    def _devices(self, kind: str, groups: int) -> Iterator[list[str]]:
        named = sorted({keys["device"] for keys in self._store.series(kind)})
        for group in range(groups):
            yield [name for name in named if crc32(name.encode()) % groups == group]

    def _thin(self, kind: str, hours: Sequence[int], devices: list[str], batch: Batch) -> tuple[int, bool]:
        """Rows written, and whether a rate was so long under way that the hour before gains by it."""
        start, end = _instant(hours[0]), _instant(hours[-1] + 1)
        block = self._raw(kind, devices, start, end)
        clocks = self._clocks(devices, start, end) if "uptime_cs" in block.fields and kind != "device" else None
        raw = Raw.of(block, clocks)
        low, high = (np.datetime64(t.replace(tzinfo=None), "us") for t in (start, end))
        blocks = [thinned(raw, tier, low, high) for tier in TIERS]
        self._store.write(blocks, batch)
        return sum(map(len, blocks)), _reaches_back(raw, low, self._settling)

    def _raw(self, kind: str, devices: list[str], start: datetime, end: datetime) -> Block:
        return self._store.range(kind, {"device": devices}, start - timedelta(seconds=LONGEST_GAP_S), end + _HOUR)

    def _clocks(self, devices: list[str], start: datetime, end: datetime) -> Block:
        since = start - timedelta(seconds=LONGEST_GAP_S)
        return self._store.range("device", {"device": devices}, since, end + _HOUR, ["uptime_cs", *CLOCKS])


def not_thinned_since(place: Place, kind: str) -> datetime | None:
    """The earliest hour of a kind that still has to be thinned from its raw rows; None if all are."""
    state = _read(place, kind)
    hours = (*state.waiting, *state.again, *(state.run.hours if state.run else ()))
    return _instant(min(hours)) if hours else None


def _read(place: Place, kind: str) -> _State:
    try:
        plain = json.loads(place.read(_name(kind)))
        run = plain.pop("run")
        begun = _Run(run["number"], tuple(run["hours"]), run["groups"]) if run else None
        told = _State(**plain, run=begun)
        return replace(told, waiting=tuple(told.waiting), again=tuple(told.again))
    except FileNotFoundError:
        return _State(uuid4().hex[:8])
    except (ValueError, KeyError, TypeError) as problem:
        raise StoreError(
            f"store {place.address}: {_name(kind)} is damaged; remove it to have all thinned anew"
        ) from problem


def _write(place: Place, kind: str, state: _State) -> None:
    run = state.run and vars(state.run)
    place.replace(_name(kind), json.dumps(vars(state) | {"run": run}).encode())


def _reaches_back(raw: Raw, start: np.datetime64, settling: timedelta) -> bool:
    """Whether a rate that ended in the hours lasted so long that they were waited for in vain before."""
    for rates in (of_one.rates for of_one in raw.rates.values()):
        crossing = (rates.start < start) & (rates.end > start + np.timedelta64(settling))
        if (crossing & np.isfinite(rates.per_second)).any():
            return True
    return False


def _name(kind: str) -> str:
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


def _stretches(hours: Sequence[int]) -> Iterator[Sequence[int]]:
    """Hours in a row, a few at a time."""
    begun = 0
    for i in range(1, len(hours) + 1):
        if i == len(hours) or hours[i] != hours[i - 1] + 1 or i - begun == _HOURS_AT_ONCE:
            yield hours[begun:i]
            begun = i
