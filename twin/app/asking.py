"""A what-if from the store to the ledger: snapshot, demands, Answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from twin.app.forecasts import forecast_at
from twin.app.inventory import read_entries
from twin.app.likeness import Likeness, read_likeness, traffic_forecast, traffic_now
from twin.app.settings import Settings
from twin.app.wiring import link_facts_of, policies_of, state_of
from twin.store import Store
from twin.vocab.answer import Answer
from twin.vocab.change import Change
from twin.whatif.fork import fork
from twin.whatif.question import ask

NOW_WITHIN = timedelta(minutes=5)


@dataclass(frozen=True)
class Asked:
    """An answer and its number in the ledger."""

    answer: Answer
    number: int


def likeness_of(settings: Settings, store: Store, at: datetime) -> Likeness:
    """The network as last collected, with the settings' inventory and link facts."""
    entries = read_entries(settings.at(settings.file.devices)).devices
    return read_likeness(store, entries, link_facts_of(settings), at)


def ask_and_record(
    settings: Settings, store: Store, change: Change, *, present: datetime, about: datetime, window: timedelta
) -> Asked:
    """Answer a change: on the counters of the last ``window`` for the present, on the forecast for a future time.

    Raises:
        UsageError: the change names something unknown, or a file is bad.
        NettwinError: nothing collected, no forecast for that time, or the engine failed.
    """
    likeness = likeness_of(settings, store, present)
    _ = fork(likeness.snapshot, change)  # refuses what can't be done before any traffic is looked at
    if about - present < NOW_WITHIN:
        traffic = traffic_now(likeness, store, present, window)
    else:
        traffic = traffic_forecast(likeness, forecast_at(store, about))
    answer = ask(
        likeness.snapshot,
        change,
        traffic.demands,
        policies_of(settings),
        asked_at=present,
        about=about,
        measured=traffic.sent_bps if traffic.measured else None,
        edges=likeness.edges,
        edge_rates=traffic.entering_leaving(likeness.edges),
        management=likeness.management,
    )
    with state_of(settings) as state:
        return Asked(answer, state.record_answer(answer))
