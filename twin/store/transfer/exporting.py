"""Samples out of a store: day by day and a few devices at a time, so that memory does not grow with what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

from twin.store.protocols import Store
from twin.store.samples import chosen_fields, spec_of
from twin.store.transfer.manifest import ExportPlan, Manifest
from twin.store.transfer.outputs import Folder, OneFile, OneTable, Output, Stream
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError

Tell: TypeAlias = "Callable[[float, float, str], None]"
ROWS_AT_ONCE = 50_000
FIRST_SERIES = 100
MOST_GROWTH = 8
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Exported:
    """What came out: rows by all kinds, files (0: one stream or file), up to when, and whether it went on."""

    rows: int
    parts: int
    end: datetime
    resumed: bool


def output_of(plan: ExportPlan, where: Path | BinaryIO, *, folder: bool) -> Output:
    """Where a plan goes.

    Raises:
        UsageError: what is asked for does not go there.
    """
    if isinstance(where, Path) and folder:
        return Folder(where)
    if plan.format != "line" and len(plan.kinds) > 1:
        raise UsageError(
            f"{plan.format}: one kind a file, for each has columns of its own: name a folder (ending in /)"
        )
    if not isinstance(where, Path):
        if plan.format == "parquet":
            raise UsageError("parquet: is no text to be streamed: name a file or a folder")
        return Stream(where)
    return OneTable(where) if plan.format == "parquet" else OneFile(where)


def export(store: Store, plan: ExportPlan, output: Output, present: datetime, tell: Tell) -> Exported:
    """All rows of the plan's kinds, in order of kind, day, series and time.

    Cut off at any moment, the same call goes on with the day it was at.

    Raises:
        UsageError: unknown kind or field, something else lies where it goes, or there is nothing to export.
        StoreError: the store failed.
    """
    names = {kind: _fields(plan, kind) for kind in plan.kinds}
    end = min(plan.end or present, present)
    if plan.start and plan.start >= end:
        raise UsageError(f"nothing lies between: {plan.start.isoformat()} is not before {end.isoformat()}")
    done = output.begin(Manifest(plan, end, _spans(store, plan, end)))
    if done.finished:
        raise UsageError(
            f"this export is there already, whole, up to {done.end:%Y-%m-%d %H:%M:%S} UTC: export what is new since by "
            "--from, elsewhere"
        )
    before, days = done.units, _days(done)
    series = {kind: _series_of_devices(store, plan, kind) for kind in {kind for kind, _ in days[before:]}}
    for i, (kind, day) in enumerate(days[before:], before):
        tell(i, len(days), f"{kind} {day}, {done.rows:,} rows")
        start, until = _clipped(done.spans[kind], day)
        blocks = _blocks(partial(store.range, kind, start=start, end=until, fields=names[kind]), series[kind])
        done = output.day(done, kind, day, blocks, names[kind])
    if done.rows == 0:
        output.forget()
        raise UsageError(f"the store holds nothing of {', '.join(plan.kinds)} in that time")
    output.finish(done)
    return Exported(done.rows, len(done.parts), done.end, resumed=before > 0)


def _fields(plan: ExportPlan, kind: str) -> tuple[str, ...]:
    try:
        return chosen_fields(spec_of(kind), plan.fields or None)
    except ValueError as problem:
        raise UsageError(str(problem)) from problem


def _spans(store: Store, plan: ExportPlan, end: datetime) -> dict[str, tuple[datetime, datetime]]:
    """In whole days, from when to before when there is anything of each kind; within what is asked for."""
    there = {k.kind: (_day(k.first), _day(k.last) + DAY) for k in store.health().kinds if k.kind in plan.kinds}
    spans = {kind: (_midnight(first), _midnight(last)) for kind, (first, last) in there.items()}
    return {kind: (max(plan.start or first, first), min(end, last)) for kind, (first, last) in spans.items()}


def _days(done: Manifest) -> list[tuple[str, date]]:
    found = []
    for kind in done.plan.kinds:
        start, end = done.spans.get(kind, (done.end, done.end))
        day = _day(start)
        while max(_midnight(day), start) < end:
            found.append((kind, day))
            day += DAY
    return found


def _day(when: datetime) -> date:
    return when.astimezone(UTC).date()


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _clipped(span: tuple[datetime, datetime], day: date) -> tuple[datetime, datetime]:
    return max(_midnight(day), span[0]), min(_midnight(day) + DAY, span[1])


def _blocks(read: Callable[[dict[str, list[str]]], Block], of_devices: Mapping[str, int]) -> Iterator[Block]:
    """One kind's day, as many devices at a time as make about ``ROWS_AT_ONCE`` rows."""
    waiting = dict(of_devices)
    series = FIRST_SERIES
    while waiting:
        group = _taken(waiting, series)
        asked = sum(waiting.pop(device) for device in group)
        block = read({"device": group})
        if len(block):
            yield block
        series = max(1, min(asked * ROWS_AT_ONCE // max(len(block), 1), MOST_GROWTH * asked))


def _series_of_devices(store: Store, plan: ExportPlan, kind: str) -> dict[str, int]:
    """Device -> how many series it has, by device."""
    wanted = {"device": plan.devices} if plan.devices else {}
    return dict(Counter(keys["device"] for keys in store.series(kind, **wanted)))


def _taken(waiting: Mapping[str, int], series: int) -> list[str]:
    """The first devices that have no more series than that together; one at least."""
    group: list[str] = []
    for device, count in waiting.items():
        if group and count > series:
            break
        group.append(device)
        series -= count
    return group
