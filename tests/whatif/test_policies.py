"""Verdicts: a broken limit fails, missing evidence is inconclusive, and a certain failure beats both."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.net.worlds import NOW
from twin.vocab.answer import Evidence, Interval, LinkLoad, Verdict
from twin.vocab.errors import InputError
from twin.vocab.files import parse_yaml, read_yaml
from twin.vocab.snapshot import Finding, Port, Source
from twin.whatif.policies import Case, Policies, judge

POLICIES = Policies("1")
SAMPLE = Path(__file__).parents[2] / "configs" / "policies.yaml"
A, B = Port("r1", "eth0"), Port("r2", "eth0")
EVIDENCE = Evidence(2, 2, 2, None, 0, "counters", 0.01, ())
FRESH = (("r1", Source("configuration", NOW)), ("r1", Source("state", NOW)))


def link(
    before: float, after: float, high: float | None = None, capacity: int | None = 100, up: bool = True
) -> LinkLoad:
    interval = None if high is None else Interval(0.0, high, 0.9, "test")
    return LinkLoad(A, B, capacity, before, after, after, interval, None, up)


def case(*links: LinkLoad, **changed: Any) -> Case:
    return replace(Case(NOW, NOW, NOW, links or (link(50, 60),), (), FRESH, EVIDENCE), **changed)


def aged(name: str, hours: float) -> tuple[tuple[str, Source], ...]:
    return (("r1", Source(name, NOW - timedelta(hours=hours))),)


CASES: dict[str, tuple[Case, Verdict, str]] = {
    "all well": (case(), "PASS", "utilisation"),
    "at the limit": (case(link(10, 80)), "PASS", "utilisation"),
    "above the limit": (case(link(10, 81)), "FAIL", "utilisation"),
    "only the interval above": (case(link(10, 79, 90)), "INCONCLUSIVE", "utilisation"),
    "untouched and near the limit": (case(link(79, 79, 81)), "PASS", "utilisation"),
    "above before, not worse": (case(link(90, 85)), "PASS", "utilisation"),
    "above before, worse": (case(link(90, 95)), "FAIL", "utilisation"),
    "down links are not judged": (case(link(90, 99, up=False)), "PASS", "utilisation"),
    "unknown capacity grows": (case(link(1, 2, capacity=None)), "INCONCLUSIVE", "utilisation"),
    "unknown capacity stays": (case(link(2, 2, capacity=None)), "PASS", "utilisation"),
    "a pair is cut off": (case(lost=(("r1", "r2", 5e6),)), "FAIL", "reachability"),
    "a silent pair is cut off": (case(lost=(("r1", "r2", 0.0),)), "FAIL", "reachability"),
    "old state": (case(sources=aged("state", 1)), "INCONCLUSIVE", "age"),
    "old configuration": (case(sources=aged("configuration", 25)), "INCONCLUSIVE", "age"),
    "configuration of this morning": (case(sources=aged("configuration", 8)), "PASS", "age"),
    "no ages at all": (case(sources=()), "INCONCLUSIVE", "age"),
    "demands of another time": (case(demands_at=NOW - timedelta(hours=1)), "INCONCLUSIVE", "demands"),
    "demands don't explain": (case(evidence=replace(EVIDENCE, demand_residual=0.2)), "INCONCLUSIVE", "demands"),
    "residual unknown": (case(evidence=replace(EVIDENCE, demand_residual=None)), "PASS", "demands"),
    "unread lines": (case(evidence=replace(EVIDENCE, unread_lines=1)), "INCONCLUSIVE", "evidence"),
    "a finding of weight": (
        case(evidence=replace(EVIDENCE, findings=(Finding("error", "r1", "state", "unknown"),))),
        "INCONCLUSIVE",
        "evidence",
    ),
    "a finding without weight": (
        case(evidence=replace(EVIDENCE, findings=(Finding("warning", "r1", "eth0", "one-sided"),))),
        "PASS",
        "evidence",
    ),
    "the vendor chooses": (case(truncated=(("r1", "r2"),)), "INCONCLUSIVE", "evidence"),
    "failure beats missing evidence": (
        case(link(10, 99), sources=(), evidence=replace(EVIDENCE, unread_lines=3)),
        "FAIL",
        "utilisation",
    ),
}


@pytest.mark.parametrize(("judged", "verdict", "rule"), CASES.values(), ids=CASES)
def test_verdicts(judged: Case, verdict: Verdict, rule: str) -> None:
    found, reasons = judge(judged, POLICIES)
    assert found == verdict
    assert (rule, verdict) in {(r.rule, r.outcome) for r in reasons}
    assert reasons[0].outcome == verdict


def test_every_rule_leaves_a_reason() -> None:
    assert {r.rule for r in judge(case(), POLICIES)[1]} == {
        "utilisation",
        "reachability",
        "age",
        "demands",
        "evidence",
    }


def test_reachability_can_be_left_unjudged() -> None:
    verdict, reasons = judge(case(lost=(("r1", "r2", 1.0),)), replace(POLICIES, reachability=False))
    assert verdict == "PASS"
    assert "reachability" not in {r.rule for r in reasons}


def test_reasons_say_their_figures() -> None:
    (reason, *_) = judge(case(link(10, 91)), POLICIES)[1]
    assert (reason.subject, reason.message) == ("r1:eth0 → r2:eth0", "91.0% after the change, more than 80%")


def test_the_sample_shows_the_defaults() -> None:
    assert read_yaml(SAMPLE, Policies) == POLICIES


@pytest.mark.parametrize(
    "line", ["maximum_utilisation: 0", "maximum_state_age: soon", "colour: red", "maximum_residual: -1"]
)
def test_bad_policies_are_refused(line: str) -> None:
    with pytest.raises(InputError, match=line.partition(":")[0]):
        parse_yaml(f"schema_version: 1\n{line}\n", Policies)
