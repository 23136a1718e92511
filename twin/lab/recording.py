"""The recorded demands as a fortnight without end: what the lab's traffic is at any instant, past or present.

The recording starts on a Monday at 00:00 UTC and is played as a loop aligned to the present weekday and hour, so that
live traffic and imported history agree: both are functions of the instant and of the Monday on which the loop begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from twin.lab.routing import directed_links, shares
from twin.lab.spec import LabFile, Traffic
from twin.vocab.errors import InputError, Place

Floats = npt.NDArray[np.float64]
A_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
RECORDED_FROM = datetime(2004, 3, 1, tzinfo=UTC)
FORTNIGHT = timedelta(days=14)
TIME = "time"


@dataclass(frozen=True, eq=False)
class Recording:
    """Demands over one loop: ``matrix_bps`` [t, n, n], bit/s on the wire, row = origin, one matrix each ``step_s``.

    ``begins``: a Monday 00:00 UTC on which the loop begins.
    """

    routers: tuple[str, ...]
    matrix_bps: Floats
    step_s: float
    begins: datetime = A_MONDAY

    def at(self, when: datetime) -> Floats:
        """[n, n] at an instant, linearly interpolated between the recorded matrices (the last leads to the first)."""
        position = self._loop_seconds(when) / self.step_s
        before = int(position) % len(self.matrix_bps)
        weight = position - int(position)
        after = (before + 1) % len(self.matrix_bps)
        mixed: Floats = (1 - weight) * self.matrix_bps[before] + weight * self.matrix_bps[after]
        return mixed

    def means(self, start: datetime, end: datetime, step: timedelta) -> Floats:
        """[k, n, n] exact mean of ``at`` over each cell [start + i step, start + (i+1) step) that begins before end."""
        cells = max(0, -((start - end) // step))
        edges = np.array([self._loop_seconds(start) + i * step.total_seconds() for i in range(cells + 1)])
        total = self._integral(edges)
        means: Floats = np.diff(total, axis=0) / step.total_seconds()
        return means

    def _loop_seconds(self, when: datetime) -> float:
        return (recording_time(when, self.begins) - RECORDED_FROM).total_seconds()

    def _integral(self, seconds: Floats) -> Floats:
        """[k, n, n] integral of the interpolated demands from the start of the loop to each instant (bits)."""
        n_steps = len(self.matrix_bps)
        after = np.roll(self.matrix_bps, -1, axis=0)
        area = np.concatenate(
            [np.zeros_like(after[:1]), np.cumsum((self.matrix_bps + after) / 2 * self.step_s, axis=0)]
        )
        loops, rest = np.divmod(seconds / self.step_s, n_steps)
        whole = rest.astype(int) % n_steps
        part = (rest - rest.astype(int))[:, None, None]
        inside = self.step_s * (part * self.matrix_bps[whole] + part**2 / 2 * (after[whole] - self.matrix_bps[whole]))
        sums: Floats = loops[:, None, None] * area[-1] + area[whole] + inside
        return sums


def fortnight_around(present: datetime) -> datetime:
    """The Monday 00:00 UTC that puts the loop's seam at least half a week from the present, before and after."""
    midnight = present.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight - timedelta(days=midnight.weekday())
    return monday if present - monday >= timedelta(days=3.5) else monday - timedelta(days=7)


def recording_time(when: datetime, begins: datetime = A_MONDAY) -> datetime:
    """The instant of the recording that is played at ``when`` by a loop that begins on the Monday ``begins``.

    Raises:
        ValueError: ``when`` is naive.
    """
    if when.tzinfo is None:
        raise ValueError(f"naive time {when}: a time needs its zone")
    return RECORDED_FROM + (when - begins) % FORTNIGHT


def demand_matrix(lab: LabFile, when: datetime) -> tuple[tuple[str, ...], Floats]:
    """Router names and the demands [n, n] in bit/s on the wire (as interface counters see them) at an instant."""
    recorded = recording(lab)
    return recorded.routers, recorded.at(when)


def history(lab: LabFile, start: datetime, end: datetime, step: timedelta = timedelta(minutes=5)) -> Floats:
    """Mean demands [k, n, n] in bit/s over each step from ``start`` until ``end``, as live traffic would have been."""
    return recording(lab).means(start, end, step)


class _MisfitError(Exception):
    """What keeps a demand file from fitting the lab; ``router``: whose columns it lacks, by its place in the lab."""

    def __init__(self, message: str, router: int | None = None) -> None:
        super().__init__(message)
        self.router = router


@lru_cache(maxsize=4)
def _read(path: Path, recorded_as: tuple[str, ...]) -> tuple[Floats, float]:
    """[t, n, n] in the file's unit, and the seconds between rows."""
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise _MisfitError(f"is not a readable parquet file: {str(problem).partition(chr(10))[0]}") from problem
    ends = {end for name in table.columns for end in name.split(">")}
    if unknown := [i for i, name in enumerate(recorded_as) if name not in ends]:
        raise _MisfitError(f"knows no {recorded_as[unknown[0]]!r}", router=unknown[0])
    n = len(recorded_as)
    matrix = np.zeros((table.height, n, n))
    for i, j in zip(*np.nonzero(~np.eye(n, dtype=bool)), strict=True):
        matrix[:, i, j] = _column(table, f"{recorded_as[i]}>{recorded_as[j]}")
    return matrix, _checked_step(table, matrix)


def _column(table: pl.DataFrame, name: str) -> npt.NDArray[np.generic]:
    if name not in table.columns:
        raise _MisfitError(f"has no column {name}")
    column = table[name]
    if not (column.dtype == pl.Datetime if name == TIME else column.dtype.is_numeric()):
        raise _MisfitError(f"has a column {name} of {column.dtype}")
    return column.to_numpy()


def _checked_step(table: pl.DataFrame, matrix: Floats) -> float:
    times = _column(table, TIME).astype("datetime64[us]")
    steps = np.unique(np.diff(times))
    whole = len(steps) == 1 and len(times) * steps[0] == np.timedelta64(FORTNIGHT)
    if not whole or times[0] != np.datetime64(RECORDED_FROM.replace(tzinfo=None)):
        raise _MisfitError(f"must hold 14 days from {RECORDED_FROM:%Y-%m-%d %H:%M} in equal steps")
    if not np.isfinite(matrix).all() or (matrix < 0).any():
        raise _MisfitError("holds a demand that is missing or negative")
    return float(steps[0] / np.timedelta64(1, "s"))


def recording(lab: LabFile, source: Path | str | None = None) -> Recording:
    """The lab's demands, scaled so that the busiest link peaks at the file's ``peak_utilisation``.

    Args:
        source: the lab file, to be named in complaints; the lab's name if None.

    Raises:
        InputError: the lab file asks for no traffic, or the demand file does not fit it; names the lab file's key.
    """
    named = source or lab.name
    if lab.traffic is None:
        raise InputError(Place(named, key="traffic"), "this lab has no traffic")
    try:
        matrix, step = _scaled(lab, lab.traffic)
    except _MisfitError as problem:
        key = "traffic.demands" if problem.router is None else _naming_key(lab, problem.router)
        raise InputError(Place(named, key=key), f"{lab.traffic.demands} {problem}") from problem
    return Recording(tuple(lab.routers), matrix, step, lab.traffic.begins or A_MONDAY)


def _scaled(lab: LabFile, traffic: Traffic) -> tuple[Floats, float]:
    """[t, n, n] in bit/s, and the seconds between rows."""
    matrix, step = _read(traffic.demands, tuple(router.recorded_as or name for name, router in lab.routers.items()))
    peak = utilisations(lab, matrix).max(initial=0.0)
    if peak <= 0:
        raise _MisfitError("holds no traffic between the lab's routers")
    return matrix * (traffic.peak_utilisation / peak), step


def _naming_key(lab: LabFile, index: int) -> str:
    """The lab file's key that says whose columns a router plays."""
    name, router = list(lab.routers.items())[index]
    return f"routers.{name}.recorded_as" if router.recorded_as else f"routers.{name}"


def utilisations(lab: LabFile, matrix_bps: Floats) -> Floats:
    """[t, directed links] load over capacity of demands [t, n, n] on the lab's own costs with nothing down."""
    links, costs, capacities = directed_links(lab)
    n = len(lab.routers)
    share = shares(n, links, costs).reshape(n * n, len(links))
    loads: Floats = matrix_bps.reshape(len(matrix_bps), n * n) @ share / capacities
    return loads
