"""The demo's thread, step by step: read ``run`` as a table of contents."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.app.asking import Asked, ask_and_record, likeness_of
from twin.app.collecting import measured_values
from twin.app.demo.network import Network, Tell
from twin.app.demo.past import write_past
from twin.app.demo.report import Facts
from twin.app.forecasts import history_panel, store_forecast
from twin.app.score import Score, link_name, score
from twin.app.series import window_rates
from twin.app.settings import Settings
from twin.app.transferring import marks_of
from twin.app.wiring import registry_of, set_up_server, state_of, store_of
from twin.lab.spec import LabFile
from twin.store import Store
from twin.store.transfer import ImportPlan, import_file
from twin.vocab.answer import Answer
from twin.vocab.change import Change, SetEnabled, Step
from twin.vocab.errors import UsageError

if TYPE_CHECKING:
    from models.backtest import Row
    from models.data import Panel
    from models.load.forecaster import Forecaster

PAST = timedelta(days=14)
WINDOW = timedelta(seconds=60)
HELD_OUT = 288

Stage = Callable[[str], AbstractContextManager[Tell]]
Say = Callable[[Any], None]


@dataclass(frozen=True)
class Plan:
    """What the demo plays: the lab, the change and its reverse, and how long things may take."""

    lab: LabFile
    change: Change
    undo: Change
    folder: Path
    train_for: timedelta
    window: timedelta = WINDOW


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    facts: Facts
    answer: Answer
    later: Answer | None
    score: Score
    rows: Sequence[Row]


def run(plan: Plan, network: Network, stage: Stage, say: Say) -> Outcome:
    """The whole thread. The network is left as it was found; the caller closes it.

    Raises:
        NettwinError: a step failed; the message says which part.
    """
    began = time.monotonic()
    settings = _opened(network, stage)
    devices = _discovered(network, stage)
    _collected(network, stage, say)
    with store_of(settings) as store:
        _past_imported(plan, settings, store, network, stage)
        rows, model = _learnt(plan, settings, store, network, stage)
        asked, later = _asked(plan, settings, store, network, stage)
        say(asked.answer)
        measured = _done_for_real(plan, store, network, stage)
        made = _scored(settings, asked, measured, network)
        samples = network.stop_collecting()
        with stage("reading back every sample") as _:
            read_back = _read_back(store)
    facts = Facts(
        mode=network.mode,
        lab=plan.lab.description or plan.lab.name,
        store=settings.file.store.engine,
        routers=devices,
        samples=samples,
        samples_read_back=read_back,
        model=model,
        rows=rows,
        answer=asked.answer,
        score=made,
        seconds=time.monotonic() - began,
    )
    return Outcome(facts, asked.answer, later, made, rows)


def _opened(network: Network, stage: Stage) -> Settings:
    with stage("bringing the network up") as tell:
        settings = network.open(tell)
    set_up_server(settings)
    return settings


def _discovered(network: Network, stage: Stage) -> int:
    with stage("discovering devices along LLDP") as tell:
        return network.discover(tell)


def _collected(network: Network, stage: Stage, say: Say) -> None:
    with stage("collecting over SNMP and NETCONF") as tell:
        told = network.collect(tell)
    say(told)


def _past_imported(plan: Plan, settings: Settings, store: Store, network: Network, stage: Stage) -> None:
    with stage("importing 14 days of measured Abilene traffic, aligned to this weekday and hour") as tell:
        present = network.clock()
        likeness = likeness_of(settings, store, present)
        path = plan.folder / "history.parquet"
        tell(0, 2, "writing the table")
        write_past(network.played(), likeness, present, PAST, path)
        tell(1, 2, "into the store")
        import_file(store, path, ImportPlan(marks_of(settings)), present, lambda *_: None)


def _learnt(plan: Plan, settings: Settings, store: Store, network: Network, stage: Stage) -> tuple[Sequence[Row], str]:
    """Train on all but the last day, score on that day, forecast from now on."""
    from models.backtest import backtest
    from models.split import Split

    present = network.clock()
    panel, _ = history_panel(store, present, PAST + timedelta(days=1))
    splits = [Split.last(panel, HELD_OUT, h, every=h) for h in (12, HELD_OUT)]
    with stage("training the load model (PyTorch)") as tell:
        forecaster = _trained(plan, settings, splits[0].training(panel), tell)
    with stage("scoring it on the held-out last day, beside naive forecasts") as tell:
        tell(0, None, f"{len(panel.series)} series")
        rows = backtest(panel, {"nettwin": lambda _training: forecaster}, splits)
    with stage("forecasting every interface for a day") as _:
        store_forecast(store, forecaster.forecast(panel, HELD_OUT, present))
    return rows, forecaster.model_id


def _trained(plan: Plan, settings: Settings, panel: Panel, tell: Tell) -> Forecaster:
    from twin.app.forecasts import train_model

    return train_model(
        panel,
        registry_of(settings),
        seconds=plan.train_for.total_seconds(),
        threads=settings.file.forecast.threads,
        progress=lambda share, what: tell(share, 1.0, what),
    )


def _asked(plan: Plan, settings: Settings, store: Store, network: Network, stage: Stage) -> tuple[Asked, Answer]:
    """The question about the present, and the same for two hours from now on the forecast."""
    with stage("measuring the loads before the change") as tell:
        present = network.watch(plan.window, tell)
    with stage("asking the twin what the change would do") as _:
        question = partial(ask_and_record, settings, store, plan.change, present=present, window=plan.window)
        later = question(about=present + timedelta(hours=2)).answer
        return question(about=present), later


def _done_for_real(plan: Plan, store: Store, network: Network, stage: Stage) -> dict[str, float]:
    """Make the change, measure, undo; what each sending port carried, bit/s."""
    with stage("making the change on the real routers") as tell:
        settled = network.apply(plan.change, tell)
    try:
        with stage("measuring the loads after the change") as tell:
            until = network.watch(plan.window + timedelta(seconds=5), tell)
    finally:
        with stage("undoing the change") as tell:
            network.undo(plan.undo, tell)
    rates = window_rates(store, settled, until)
    return {str(port): r.out_bps for port, r in rates.items() if r.out_bps is not None}


def _scored(settings: Settings, asked: Asked, measured: dict[str, float], network: Network) -> Score:
    observed = {
        link_name(link): measured[str(link.sender)] for link in asked.answer.links if str(link.sender) in measured
    }
    with state_of(settings) as state:
        state.record_observation(asked.number, network.clock(), observed)
    return score(asked.answer, observed)


def _read_back(store: Store) -> int:
    """Measured values of every polled kind in the store."""
    kinds = ("interface", "device", "ospf_neighbor", "bgp_peer", "route_summary")
    start, end = (
        datetime.fromisoformat("2000-01-01T00:00:00+00:00"),
        datetime.fromisoformat("2100-01-01T00:00:00+00:00"),
    )
    return sum(measured_values([store.range(kind, None, start, end)]) for kind in kinds)


def reverse(change: Change, likeness_costs: dict[str, int]) -> Change:
    """The change that takes ``change`` back, given the costs before it.

    Raises:
        UsageError: a cost before the change is not known.
    """
    steps: list[Step] = []
    for step in reversed(change.steps):
        if isinstance(step, SetEnabled):
            steps.append(replace(step, enabled=not step.enabled))
        elif str(step.port) in likeness_costs:
            steps.append(replace(step, cost=likeness_costs[str(step.port)]))
        else:
            raise UsageError(f"{step.port}: its cost before the change is not known")
    return Change(tuple(steps), f"undo {change.name}".strip())
