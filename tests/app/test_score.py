"""Predictions are scored by what was measured, over the links that changed."""

from datetime import UTC, datetime

import pytest

from twin.app.score import score
from twin.vocab.answer import Answer, Evidence, LinkLoad
from twin.vocab.snapshot import Port

AT = datetime(2026, 1, 1, tzinfo=UTC)
CAPACITY = 10_000_000


def link(name: str, before: float, after: float, measured: float | None) -> LinkLoad:
    return LinkLoad(Port(name, "e1"), Port("far", "e2"), CAPACITY, before, after, after, None, measured)


def answer(*links: LinkLoad) -> Answer:
    evidence = Evidence(2, 2, 2, None, 0, "counters", 0.0, ())
    return Answer("x", "PASS", (), AT, AT, AT, "hash", links, (), 0.0, 0.0, (), evidence)


def observed(**loads: float) -> dict[str, float]:
    return {f"{name}:e1 > far:e2": load for name, load in loads.items()}


def test_only_links_whose_measured_load_changed_are_scored() -> None:
    made = score(
        answer(link("a", 1e6, 2e6, 1e6), link("b", 4e6, 4e6, 4e6), link("c", 1e6, 0.5e6, 1e6)),
        observed(a=2.5e6, b=4.1e6, c=0.5e6),
    )
    assert made.changed_links == 2
    assert made.changed_links_error == pytest.approx((0.2 + 0.0) / 2)
    assert made.no_change_error == pytest.approx((0.6 + 1.0) / 2)
    assert made.hottest_link == "b:e1 > far:e2"
    assert made.hottest_link_error == pytest.approx(0.1 / 4.1)


def test_what_was_measured_before_counts_not_what_was_computed() -> None:
    made = score(answer(link("a", 9e6, 2e6, 1e6)), observed(a=2e6))
    assert made.no_change_error == pytest.approx(0.5)


def test_a_link_that_carries_nothing_any_more_has_no_relative_error() -> None:
    made = score(answer(link("a", 5e6, 0.0, 5e6), link("idle", 500.0, 500.0, 500.0)), observed(a=0.0, idle=900.0))
    assert made.changed_links == 0
    assert made.changed_links_error is None


def test_nothing_measured_is_no_score() -> None:
    made = score(answer(link("a", 1e6, 1e6, 1e6)), {})
    assert (made.hottest_link, made.changed_links, made.changed_links_error) == (None, 0, None)
