"""Counters -> rates, once for everybody: wraps, reboots, discontinuities and gaps (RFC 2863 section 3.1.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rates:
    """``per_second[i]`` holds from ``start[i]`` to ``end[i]`` (at most ``start[i+1]``); NaN with ``reason``."""

    start: npt.NDArray[np.datetime64]
    end: npt.NDArray[np.datetime64]
    per_second: Floats
    reason: npt.NDArray[np.str_]


def counter_rates(
    at: npt.NDArray[np.datetime64],
    counter: npt.NDArray[np.int64],
    *,
    bits: int = 64,
    valid: Mask | None = None,
    uptime_cs: npt.NDArray[np.int64] | None = None,
    discontinuity_cs: npt.NDArray[np.int64] | None = None,
    ceiling: float | None = None,
    longest_gap_s: float | None = None,
) -> Rates:
    """Increase per second between successive samples of ONE series, sorted by time.

    Args:
        at, counter: [n] sample times and raw counts (Counter64 as the same bits in int64).
        bits: 32 or 64. Only a 32-bit decrease may be a wrap, and only if the agent did not restart,
            no discontinuity was stamped, and the implied rate stays under ``ceiling`` (counts per second).
        valid: [n] which samples were measured.
        uptime_cs: [n] sysUpTime with each sample; a decrease is a restart.
        longest_gap_s: a longer silence is a gap, not an average.

    Returns:
        [m-1] rates over the m valid samples.

    Raises:
        ValueError: times not strictly increasing, or bits not 32 or 64.
    """
    if bits not in (32, 64):
        raise ValueError(f"counters have 32 or 64 bits, not {bits}")
    keep = np.ones(len(at), dtype=bool) if valid is None else valid
    times, counts = at[keep], counter[keep]
    seconds = np.diff(times) / np.timedelta64(1, "s")
    if np.any(seconds <= 0):
        raise ValueError("sample times must increase")
    delta = np.diff(counts.view(np.uint64)).view(np.int64).astype(np.float64)
    if bits == 32:
        delta = np.where(delta < 0, delta + 2.0**32, delta)
    decreased = np.diff(counts.astype(np.int64)) < 0 if bits == 32 else delta < 0
    reason = np.full(len(seconds), "", dtype="<U13")
    with np.errstate(invalid="ignore"):
        implausible = (delta / seconds > ceiling) if ceiling is not None else np.zeros(len(seconds), dtype=bool)
    reason[implausible] = "implausible"
    reason[decreased & (implausible | (bits == 64) | (ceiling is None))] = "reset"
    if longest_gap_s is not None:
        reason[seconds > longest_gap_s] = "gap"
    if discontinuity_cs is not None:
        reason[np.diff(discontinuity_cs[keep]) != 0] = "discontinuity"
    if uptime_cs is not None:
        reason[np.diff(uptime_cs[keep]) < 0] = "restart"
    return Rates(times[:-1], times[1:], np.where(reason == "", delta / seconds, np.nan), reason)


def on_grid(rates: Rates, grid: npt.NDArray[np.datetime64], step: np.timedelta64) -> tuple[Floats, Mask]:
    """Time-weighted mean rate in each cell ``[grid[i], grid[i]+step)``.

    Returns:
        values [len(grid)] (NaN where nothing was known) and the mask of cells covered for at least half.
    """
    edges = np.append(grid, grid[-1:] + step).astype("datetime64[us]").astype(np.int64) / 1e6
    start, end = (t.astype("datetime64[us]").astype(np.int64) / 1e6 for t in (rates.start, rates.end))
    known = np.isfinite(rates.per_second)
    amount = _cumulated(start, end, np.where(known, rates.per_second, 0.0), edges)
    covered = _cumulated(start, end, known.astype(np.float64), edges)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = amount / covered
    mask = covered >= 0.5 * (step / np.timedelta64(1, "s"))
    return np.where(mask, values, np.nan), mask


def _cumulated(start: Floats, end: Floats, rate: Floats, edges: Floats) -> Floats:
    """Integral of the step function over each cell between successive edges."""
    if len(start) == 0:
        return np.zeros(len(edges) - 1)
    knots = np.column_stack([start, end]).ravel()
    total = np.cumsum(np.column_stack([np.zeros(len(rate)), rate * (end - start)]).ravel())
    return np.diff(np.interp(edges, knots, total))
