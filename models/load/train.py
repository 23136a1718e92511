"""Training: a site's history -> Forecaster."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

import structlog
import torch
from torch import Tensor, nn

from models.data import DAY, Panel, TooLittleHistoryError, usable
from models.load.calibration import calibrate
from models.load.examples import Batch, Examples
from models.load.forecaster import Forecaster, Head, Provenance
from models.load.network import LoadNetwork, NetworkConfig
from models.load.threads import limited_threads
from twin.vocab.forecast import LEVELS
from twin.vocab.time import FIVE_MINUTES, now, to_datetime

Progress = Callable[[float, str], None]

LEAST_TRAINING = 7 * DAY
_RATE = 2e-3
_INTERRUPTIBLE_S = 0.1
_WARM_UP = 0.06
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Plan:
    """One head: its network, share of the budget, windows per step, and steps held out of training to calibrate."""

    name: str
    config: NetworkConfig
    share: float
    batch: int
    held: int


_PLANS = (
    _Plan("1 hour", NetworkConfig(horizon=12, patch=1, centre="last", decay=48.0), 0.45, 256, DAY * 3 // 2),
    _Plan("1 day", NetworkConfig(horizon=DAY, patch=12, centre="day", decay=96.0), 0.55, 96, DAY * 5 // 2),
)


@dataclass(frozen=True)
class _Budget:
    """``steps`` if given (repeatable), else ``seconds`` of wall time from the first look on."""

    seconds: float
    steps: int | None

    def share(self, part: float, *, together: bool) -> _Budget:
        """A head's part; heads trained together each have all the time."""
        seconds = self.seconds if together else self.seconds * part
        return _Budget(seconds, None if self.steps is None else max(1, round(self.steps * part)))

    def spent(self, steps: int, seconds: float) -> float:
        """0 ... 1."""
        return min(1.0, steps / self.steps if self.steps is not None else seconds / self.seconds)


def train(
    panel: Panel,
    *,
    budget_seconds: float = 90.0,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    threads: int = 2,
) -> Forecaster:
    """Fit one global model to all usable series of a panel and calibrate its intervals on the last days.

    Args:
        panel: at least 7 days; series with less than a day of known values in the last week are left out (logged).
        budget_seconds: wall time for everything; ignored if ``steps`` is given.
        steps: optimiser steps of all heads together: then the same panel and seed give the same model.
        progress: told the share done (0 ... 1) and the phase, from one thread at a time.
        threads: 1 trains the heads one after the other, more side by side.

    Raises:
        TooLittleHistoryError: panel too short, or no usable series; names the first.
    """
    began, good = now(), _checked(panel)
    budget = _Budget(0.9 * budget_seconds, steps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = [LoadNetwork(plan.config) for plan in _PLANS]
    shared = _Shared(seed, progress or (lambda _share, _text: None))
    jobs = [
        partial(_head, plan, network, good, budget.share(plan.share, together=threads > 1), shared)
        for plan, network in zip(_PLANS, networks, strict=True)
    ]
    heads = _side_by_side(jobs, threads, shared)
    shared.tell(1.0, "done")
    first, last = to_datetime(good.at[0]), to_datetime(good.at[-1] + FIVE_MINUTES)
    return Forecaster(heads, good.series, Provenance(began, first, last, seed))


class _Shared:
    """What the heads trained side by side share: the seed, how far they are, and whether to stop."""

    def __init__(self, seed: int, tell: Progress) -> None:
        self.seed = seed
        self.tell = tell
        self.stop = threading.Event()
        self._done = dict.fromkeys(_PLANS, 0.0)
        self._lock = threading.Lock()

    def go_on(self) -> None:
        """Raises CancelledError once one of the heads has failed or the caller was interrupted."""
        if self.stop.is_set():
            raise CancelledError

    def advance(self, plan: _Plan, share: float) -> None:
        with self._lock:
            self._done[plan] = share
            self.tell(sum(p.share * x for p, x in self._done.items()), f"training {plan.name}")


def _side_by_side(jobs: Sequence[Callable[[], Head]], threads: int, shared: _Shared) -> tuple[Head, ...]:
    """A thread for each head, torch single-threaded: its own threads crawl when a core is busy elsewhere.

    Waits in short turns: a wait without end is not ended by Ctrl-C where a library (polars) took the signal over.
    """
    with limited_threads(1), ThreadPoolExecutor(min(max(1, threads), len(jobs))) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            left: set[Future[Head]] = set(futures)
            while left:
                done, left = wait(left, _INTERRUPTIBLE_S, FIRST_EXCEPTION)
                for future in done:
                    future.result()
        except BaseException:
            shared.stop.set()
            raise
        return tuple(future.result() for future in futures)


def _head(plan: _Plan, network: LoadNetwork, panel: Panel, budget: _Budget, shared: _Shared) -> Head:
    with limited_threads(1):
        shared.go_on()
        _fit(plan, network, Examples(panel, plan.held, shared.seed), budget, shared)
        return Head(network, calibrate(network, panel, plan.held, go_on=shared.go_on))


def _checked(panel: Panel) -> Panel:
    if len(panel) < LEAST_TRAINING:
        whose = f" of {panel.series[0]}" if panel.series else ""
        raise TooLittleHistoryError(
            f"{len(panel) / DAY:.1f} days of history{whose}: {LEAST_TRAINING // DAY} are needed to train"
        )
    good, left_out = usable(panel)
    for excluded in left_out:
        _log.info("series left out of training", series=str(excluded.series), reason=excluded.reason)
    if not good.series:
        raise TooLittleHistoryError(f"no series to train on{f': {left_out[0]}' if left_out else ''}")
    return good


def _fit(plan: _Plan, network: LoadNetwork, examples: Examples, budget: _Budget, shared: _Shared) -> None:
    """AdamW with warm-up and cosine decay to zero over the budget."""
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-2)
    start, step = time.monotonic(), 0
    while (spent := budget.spent(step, time.monotonic() - start)) < 1:
        shared.go_on()
        for group in optimiser.param_groups:
            group["lr"] = _RATE * min(1.0, 0.02 + spent / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * spent))
        loss = _loss(network, examples.batch(plan.batch, plan.config.horizon))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 10 == 0 or spent == 0:
            shared.advance(plan, spent)
    _log.debug("trained", head=plan.name, steps=step, seconds=round(time.monotonic() - start, 1))


def _loss(network: LoadNetwork, batch: Batch) -> Tensor:
    """Scaled quantile loss over what is known of the targets (they come in units of the day-to-day change)."""
    quantiles = network(batch.context, batch.known, batch.slot)
    levels = torch.tensor(LEVELS)
    error = batch.target[..., None] - quantiles
    loss = 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)
    weight = batch.target_known.to(loss.dtype)
    return (loss * weight).sum() / weight.sum().clamp(min=1)
