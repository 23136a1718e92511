"""The score of past predictions: what an Answer said beside what the counters then showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from twin.app.asking import likeness_of
from twin.app.score import Score, link_name, score
from twin.app.series import window_rates
from twin.app.settings import Settings
from twin.app.wiring import state_of, store_of
from twin.net.ports import port_views
from twin.store import State
from twin.store.state import LedgerEntry
from twin.vocab.answer import Answer
from twin.vocab.errors import NettwinError
from twin.vocab.snapshot import Snapshot


@dataclass(frozen=True)
class Line:
    """One row of the ledger."""

    number: int
    asked_at: datetime
    verdict: str
    change: str
    observed: bool
    hottest_bps: float | None
    hottest_error: float | None
    changed_error: float | None


@dataclass(frozen=True)
class Entry:
    """One answer with what was observed after it."""

    answer: Answer
    observed: dict[str, float]


def entries(settings: Settings, limit: int) -> tuple[Line, ...]:
    """The newest answers with their score."""
    with state_of(settings) as state:
        return tuple(_line(state, e) for e in state.answers(limit))


def entry(settings: Settings, number: int) -> Entry:
    """One answer.

    Raises:
        UsageError: there is none of that number.
    """
    with state_of(settings) as state:
        found = state.answer(number)
        return Entry(found.answer(), _observed(state, number))


def not_in_force(snapshot: Snapshot, answer: Answer) -> str:
    """The first link whose state is not what the answer says it would be after the change; empty if all are."""
    views = port_views(snapshot.devices)
    for link in answer.links:
        ends = [views[p] for p in (link.sender, link.receiver) if p in views]
        if all(view.up for view in ends) != link.up_after:
            return f"{link_name(link)} is {'down' if link.up_after else 'up'}"
    return ""


def _score(e: LedgerEntry, observed: Mapping[str, float]) -> Score | None:
    """None for an answer of another form than today's: it stays listed, unscored."""
    try:
        return score(e.answer(), observed)
    except ValueError:
        return None


def observe(settings: Settings, number: int, at: datetime, window: timedelta) -> Score:
    """Enter what the counters show now as the outcome of an answer, and score it.

    Raises:
        UsageError: there is no such answer.
        NettwinError: the window begins before the answer, the change is not in force as last collected, or no
            interface was polled twice in that window.
    """
    answer = entry(settings, number).answer
    if at - window < answer.asked_at:
        waited = (at - answer.asked_at).total_seconds()
        raise NettwinError(
            f"answer {number} was asked {waited:.0f} s ago: make the change, let it be collected for "
            f"{window.total_seconds():.0f} s (or give a shorter --window), then observe"
        )
    with store_of(settings) as store:
        rates = window_rates(store, at - window, at + timedelta(seconds=1))
        likeness = likeness_of(settings, store, at)
    if undone := not_in_force(likeness.snapshot, answer):
        raise NettwinError(f"the change of answer {number} is not in force as last collected: {undone}")
    sent = {port: r.out_bps for port, r in rates.items() if r.out_bps is not None}
    measured = {link_name(link): sent[link.sender] for link in answer.links if link.sender in sent}
    if not measured:
        raise NettwinError(f"no link was polled twice in the last {window.total_seconds():.0f} s: run nettwin collect")
    with state_of(settings) as state:
        state.record_observation(number, at, measured)
    return score(answer, measured)


def _observed(state: State, number: int) -> dict[str, float]:
    seen = state.observations(number)
    return seen[-1].measured_bps if seen else {}


def _line(state: State, e: LedgerEntry) -> Line:
    observed = _observed(state, e.id)
    made = _score(e, observed) if observed else None
    hottest = observed.get(made.hottest_link or "") if made else None
    return Line(
        e.id,
        e.asked_at,
        e.verdict,
        e.change,
        bool(observed),
        hottest,
        made.hottest_link_error if made else None,
        made.changed_links_error if made else None,
    )
