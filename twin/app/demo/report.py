"""What the demo found, as figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twin.app.render import answer_json
from twin.app.score import Score
from twin.vocab.answer import Answer
from twin.vocab.plain import to_plain

if TYPE_CHECKING:
    from models.backtest import Row

REPORT_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Skill:
    """The model on the held-out last day. ``skill`` = 1 - relSQL: how much better than the naive day (1 = perfect)."""

    model: str
    horizon_hours: float
    sql: float
    rel_sql: float
    skill: float
    skill_against_last_value: float
    coverage80: float


def skills(rows: Sequence[Row], ours: str) -> list[Skill]:
    """One line a horizon for the model named ``ours``; errors are scaled quantile losses of the same values."""
    last_values = {r.horizon: r.rel_sql for r in rows if r.model == "last value"}
    return [
        Skill(
            r.model,
            r.horizon * 5 / 60,
            r.sql,
            r.rel_sql,
            1 - r.rel_sql,
            1 - r.rel_sql / last_values[r.horizon],
            r.coverage80,
        )
        for r in rows
        if r.model == ours
    ]


@dataclass(frozen=True)
class Facts:
    """All that the report says. ``mode``: ``lab`` (real routers) or ``recording`` (of them)."""

    mode: str
    lab: str
    store: str
    routers: int
    samples: int
    samples_read_back: int
    model: str
    rows: Sequence[Row]
    answer: Answer
    score: Score
    seconds: float


def report(facts: Facts) -> dict[str, Any]:
    """The report as plain JSON types: rates in bit/s, errors as shares."""
    made = facts.score
    return {
        "schema_version": REPORT_SCHEMA_VERSION,
        "mode": facts.mode,
        "lab": facts.lab,
        "store": facts.store,
        "routers": facts.routers,
        "samples": facts.samples,
        "samples_read_back": facts.samples_read_back,
        "forecast": {
            "model": facts.model,
            "skill": to_plain(skills(facts.rows, "nettwin")),
            "backtest": to_plain(facts.rows),
        },
        "whatif": answer_json(facts.answer),
        "links": [
            {
                "link": link.link,
                "before_bps": link.before_bps,
                "predicted_bps": link.predicted_bps,
                "measured_bps": link.measured_bps,
                "changed": link.changed,
            }
            for link in made.links
        ],
        "hottest_link": made.hottest_link,
        "hottest_link_error": made.hottest_link_error,
        "changed_links": made.changed_links,
        "changed_links_error": made.changed_links_error,
        "no_change_error": made.no_change_error,
        "seconds": round(facts.seconds, 1),
    }
