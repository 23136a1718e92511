"""Made-up load series: daily and weekly shapes, noise that remembers, level shifts, bursts. Seeded; nothing real."""

from __future__ import annotations

import numpy as np

from models.data import DAY, WEEK, Floats, Panel, slot_of_week
from twin.vocab.forecast import SeriesKey
from twin.vocab.time import FIVE_MINUTES, Instants

_START = np.datetime64("2026-01-05T00:00", "us")


def synthetic_panel(series: int, steps: int, *, seed: int = 0, start: np.datetime64 = _START) -> Panel:
    """``series`` non-negative series on the grid from ``start``; the same arguments give the same panel."""
    rng = np.random.default_rng(seed)
    at = (start + np.arange(steps) * FIVE_MINUTES).astype("datetime64[us]")
    names = tuple(SeriesKey(f"synthetic{i}", "if0", "in_bps") for i in range(series))
    rows = [_one(rng, at) for _ in range(series)]
    return Panel(names, at, np.array(rows).reshape(series, steps))


def _one(rng: np.random.Generator, at: Instants) -> Floats:
    """level x (shape of the week) x (slow wander) + noise + bursts, cut at zero."""
    shape = _week(rng)[(slot_of_week(at) + rng.integers(-24, 25)) % WEEK]
    wander = np.exp(_remembering(rng, len(at), rng.uniform(0.995, 0.9995)) * rng.uniform(0.02, 0.25))
    noise = _remembering(rng, len(at), rng.uniform(0.0, 0.9)) * rng.uniform(0.01, 0.15)
    load: Floats = shape * wander * _shifts(rng, len(at)) * (1 + noise) + _bursts(rng, len(at))
    return np.maximum(load, 0.0) * float(10 ** rng.uniform(4, 9))


def _week(rng: np.random.Generator) -> Floats:
    """[2016]: two or three harmonics of the day, a weekend factor, mean 1."""
    angle = 2 * np.pi * np.arange(WEEK) / DAY
    amplitude = rng.uniform(0.0, 0.7) / np.arange(1, 4)
    phase = rng.uniform(0, 2 * np.pi, 3)
    day = 1 + sum(a * np.cos((k + 1) * angle + p) for k, (a, p) in enumerate(zip(amplitude, phase, strict=True)))
    weekend = np.where(np.arange(WEEK) >= 5 * DAY, rng.choice([1.0, rng.uniform(0.3, 1.1)]), 1.0)
    week: Floats = np.maximum(day, 0.05) * weekend
    return week


def _remembering(rng: np.random.Generator, steps: int, memory: float) -> Floats:
    """AR(1) with unit variance."""
    shocks = rng.standard_normal(steps) * np.sqrt(1 - memory**2)
    state, path = float(rng.standard_normal()), np.empty(steps)
    for i, shock in enumerate(shocks):
        state = memory * state + shock
        path[i] = state
    return path


def _shifts(rng: np.random.Generator, steps: int) -> Floats:
    """Now and then the level changes for good (a rerouted flow, a new customer)."""
    jumps = np.where(rng.random(steps) < rng.choice([0.0, 1.0]) / WEEK, rng.normal(0, 0.4, steps), 0.0)
    level: Floats = np.exp(np.cumsum(jumps))
    return level


def _bursts(rng: np.random.Generator, steps: int) -> Floats:
    """Short transfers: sudden start, up to two hours, heavy-tailed; often at the same hour each day (backups)."""
    burst = np.zeros(steps)
    length = int(rng.integers(1, 25))
    starts = np.flatnonzero(rng.random(steps) < rng.choice([0.0, 0.3, 2.0]) / DAY)
    if rng.random() < 0.3:
        starts = np.append(starts, np.arange(rng.integers(0, DAY), steps, DAY))
    for start in starts:
        burst[start : start + length] += 0.2 * rng.pareto(2.5)
    return burst
