"""Series on one 5-minute grid, with gaps as gaps: what every model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.vocab.errors import UsageError
from twin.vocab.forecast import SeriesKey
from twin.vocab.rates import Rates, on_grid
from twin.vocab.time import FIVE_MINUTES, Instants

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

DAY = 288
WEEK = 2016
_MONDAY = np.datetime64("1970-01-05T00:00", "us")


class TooLittleHistoryError(UsageError):
    """A series is known at too few times to say anything of it; the message names it."""


@dataclass(frozen=True)
class Panel:
    """Series on a common grid: ``values`` [series, T] hold in the cells ``[at, at + 5 min)`` (UTC); NaN = unknown.

    Raises:
        ValueError: shapes disagree, a series stands twice, an infinite value, or the grid isn't every 5 minutes.
    """

    series: tuple[SeriesKey, ...]
    at: Instants
    values: Floats

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.series), len(self.at)):
            raise ValueError(f"{len(self.series)} series x {len(self.at)} times, but values are {self.values.shape}")
        if len(set(self.series)) != len(self.series):
            raise ValueError("a series stands twice")
        if np.isinf(self.values).any():
            raise ValueError("a value is infinite")
        if self.at.dtype != np.dtype("datetime64[us]") or not _is_grid(self.at):
            raise ValueError("times must be datetime64[us], every 5 minutes, on the clock's 5-minute marks")

    @property
    def mask(self) -> Mask:
        """[series, T] where a value is known."""
        return np.isfinite(self.values)

    def __len__(self) -> int:
        return len(self.at)

    def window(self, start: int, stop: int) -> Panel:
        """The steps ``start`` to ``stop`` (exclusive), as a copy."""
        return Panel(self.series, self.at[start:stop].copy(), self.values[:, start:stop].copy())

    def before(self, cutoff: np.datetime64) -> Panel:
        """All cells that end at or before ``cutoff``."""
        return self.window(0, int(np.searchsorted(self.at + FIVE_MINUTES, cutoff, side="right")))

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Panel:
        """The series named by an index or boolean array, in its order."""
        kept = np.arange(len(self.series))[rows]
        return Panel(tuple(self.series[i] for i in kept), self.at, self.values[kept])


@dataclass(frozen=True)
class Excluded:
    """A series left out, and why."""

    series: SeriesKey
    reason: str

    def __str__(self) -> str:
        return f"{self.series}: {self.reason}"


def _is_grid(at: Instants) -> bool:
    step = FIVE_MINUTES.astype("timedelta64[us]")
    on_mark = len(at) == 0 or (at[0] - np.datetime64(0, "us")) % step == np.timedelta64(0, "us")
    return bool(on_mark and (np.diff(at) == step).all())


def grid(start: np.datetime64, end: np.datetime64) -> Instants:
    """The starts of all 5-minute cells that lie wholly in ``[start, end]``, UTC."""
    step = FIVE_MINUTES.astype("timedelta64[us]").astype(np.int64)
    first = -(-start.astype("datetime64[us]").astype(np.int64) // step)
    last = end.astype("datetime64[us]").astype(np.int64) // step
    at: Instants = (np.arange(first, max(first, last)) * step).astype("datetime64[us]")
    return at


def from_rates(rates: Mapping[SeriesKey, Rates], start: np.datetime64, end: np.datetime64) -> Panel:
    """Rates of any spacing -> Panel over ``[start, end]``; a cell covered for less than half stays unknown."""
    at = grid(start, end)
    rows = [on_grid(series, at, FIVE_MINUTES)[0] for series in rates.values()]
    return Panel(tuple(rates), at, np.array(rows, dtype=np.float64).reshape(len(rates), len(at)))


def join(panels: Sequence[Panel]) -> Panel:
    """All series and times of several panels; where two know a value the earlier panel's holds.

    Raises:
        ValueError: no panels.
    """
    spans = [p for p in panels if len(p)]
    if not spans:
        raise ValueError("no panel with any time to join")
    at = np.arange(min(p.at[0] for p in spans), max(p.at[-1] for p in spans) + FIVE_MINUTES, FIVE_MINUTES)
    names = tuple(dict.fromkeys(key for p in spans for key in p.series))
    values = np.full((len(names), len(at)), np.nan)
    row = {key: i for i, key in enumerate(names)}
    for panel in reversed(spans):
        rows = np.array([row[key] for key in panel.series], dtype=np.intp)
        first = int((panel.at[0] - at[0]) // FIVE_MINUTES)
        cells = np.ix_(rows, np.arange(first, first + len(panel)))
        values[cells] = np.where(panel.mask, panel.values, values[cells])
    return Panel(names, at.astype("datetime64[us]"), values)


def usable(panel: Panel, *, least: int = DAY, within: int = WEEK) -> tuple[Panel, tuple[Excluded, ...]]:
    """The series with at least ``least`` known values in the last ``within`` steps, and the others with the reason."""
    counts = np.isfinite(panel.values[:, -within:]).sum(axis=1)
    left_out = tuple(
        Excluded(key, f"{count} known 5-minute values in the last {within}, {least} are needed")
        for key, count in zip(panel.series, counts, strict=True)
        if count < least
    )
    return panel.select(counts >= least), left_out


def require_history(panel: Panel, *, least: int = DAY, within: int = WEEK) -> None:
    """Nothing, if every series is usable.

    Raises:
        TooLittleHistoryError: names the first series that is not, and how many more.
    """
    _, left_out = usable(panel, least=least, within=within)
    if left_out:
        more = f" (and {len(left_out) - 1} more series)" if len(left_out) > 1 else ""
        raise TooLittleHistoryError(f"too little history: {left_out[0]}{more}")


def slot_of_week(at: Instants) -> npt.NDArray[np.int64]:
    """0 ... 2015: which 5-minute cell of the UTC week, 0 = Monday 00:00."""
    cells: npt.NDArray[np.int64] = (at.astype("datetime64[us]") - _MONDAY) // FIVE_MINUTES
    return cells.astype(np.int64) % WEEK


def filled(values: Floats) -> Floats:
    """[series, T] with each gap taken from the same time on the day before, else the last known value.

    Looks only backwards; before the first known value of a series that value stands; 0 if there is none at all.
    """
    result = values.copy()
    for start in range(DAY, result.shape[1], DAY):
        today = result[:, start : start + DAY]
        yesterday = result[:, start - DAY : start - DAY + today.shape[1]]
        today[:] = np.where(np.isfinite(today), today, yesterday)
    known = np.isfinite(result)
    latest = np.maximum.accumulate(np.where(known, np.arange(result.shape[1]), -1), axis=1)
    first = np.where(known.any(axis=1), known.argmax(axis=1), 0)[:, None] if result.shape[1] else latest
    result = np.take_along_axis(result, np.where(latest >= 0, latest, first), axis=1)
    return np.where(np.isfinite(result), result, 0.0)
