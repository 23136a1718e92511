"""Answers: what moves, what is lost, how sure, and what is not blamed on the change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.net.worlds import GIGABIT, NOW, SQUARE, Wire, demands, devices, network
from twin.net.demands import estimate
from twin.net.routing import route
from twin.net.topology import build_snapshot
from twin.vocab.answer import Answer, LinkLoad
from twin.vocab.change import Change, SetCost, SetEnabled
from twin.vocab.demand import Demands, EdgeTotals
from twin.vocab.errors import NettwinError
from twin.vocab.observed import LINKS_MAY_LACK
from twin.vocab.plain import to_plain
from twin.vocab.snapshot import Port, Snapshot
from twin.whatif.policies import Policies
from twin.whatif.question import ask

DUMBBELL: tuple[Wire, ...] = (("r1", "r2", 10, 10), ("r2", "r3", 10, 10), ("r3", "r4", 10, 10))
BRIDGE = Port("r2", "eth1")
M = 1e6
POLICIES = Policies("1")


def uniform(bps: float, count: int = 4) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    matrix = np.full((count, count), bps)
    np.fill_diagonal(matrix, 0.0)
    return matrix


def asked(snapshot: Snapshot, change: Change, offered: Demands, measured: dict[Port, float] | None = None) -> Answer:
    return ask(snapshot, change, offered, POLICIES, asked_at=NOW, about=NOW, measured=measured)


def down(port: Port) -> Change:
    return Change((SetEnabled(port, False),))


def sent_by(answer: Answer, device: str, interface: str) -> LinkLoad:
    return next(link for link in answer.links if link.sender == Port(device, interface))


def test_removing_a_bridge_loses_exactly_the_demands_across() -> None:
    answer = asked(network(DUMBBELL), down(BRIDGE), demands(uniform(M), 4))
    across = {(a, b) for a in ("r1", "r2") for b in ("r3", "r4")} | {(b, a) for a in ("r1", "r2") for b in ("r3", "r4")}
    assert {(a, b) for a, b, _ in answer.lost_demands} == across
    assert answer.lost_bps == pytest.approx(8 * M)
    assert answer.moved_bps == 0.0
    assert answer.verdict == "FAIL"
    assert sent_by(answer, "r2", "eth1").after_bps == 0.0
    assert not sent_by(answer, "r2", "eth1").up_after
    assert sent_by(answer, "r1", "eth0").after_bps == pytest.approx(M)


def test_what_was_lost_before_is_not_blamed_on_the_change() -> None:
    broken = network((*DUMBBELL[:1], *DUMBBELL[2:]))
    answer = asked(broken, Change((SetCost(Port("r1", "eth0"), 99),)), demands(uniform(M), 4))
    assert (answer.lost_demands, answer.verdict) == ((), "PASS")


def test_a_cost_change_moves_one_side_of_the_square() -> None:
    matrix = np.zeros((4, 4))
    matrix[0, 3] = 8 * M
    answer = asked(network(SQUARE), Change((SetCost(Port("r1", "eth0"), 11),), "prefer r3"), demands(matrix, 4))
    assert answer.verdict == "PASS"
    assert answer.change == "prefer r3: set OSPF cost of r1:eth0 to 11"
    assert answer.moved_bps == pytest.approx(4 * M)
    assert sent_by(answer, "r1", "eth0").after_bps == 0.0
    assert (sent_by(answer, "r3", "eth3").before_bps, sent_by(answer, "r3", "eth3").after_bps) == pytest.approx(
        (4 * M, 8 * M)
    )
    assert [(m.device, m.destination, m.before, m.after) for m in answer.moves] == [
        ("r1", "r4", (Port("r1", "eth0"), Port("r1", "eth2")), (Port("r1", "eth2"),)),
        ("r3", "r2", (Port("r3", "eth2"), Port("r3", "eth3")), (Port("r3", "eth3"),)),
    ]


def test_carried_traffic_ends_at_capacity_and_offered_does_not() -> None:
    answer = asked(network(SQUARE), down(Port("r1", "eth0")), demands(uniform(0.5 * GIGABIT), 4))
    link = sent_by(answer, "r1", "eth2")
    assert link.after_bps == pytest.approx(1.5 * GIGABIT)
    assert link.carried_after_bps == GIGABIT
    assert answer.verdict == "FAIL"


def test_a_change_without_effect_changes_nothing() -> None:
    answer = asked(network(SQUARE), Change((SetCost(Port("r1", "eth0"), 10),)), demands(uniform(M), 4))
    assert all(link.after_bps == pytest.approx(link.before_bps) for link in answer.links)
    assert (answer.moves, answer.moved_bps) == ((), 0.0)
    assert "that is its cost already" in answer.evidence.findings[0].message


def test_measured_loads_are_trusted_and_carried_over() -> None:
    matrix = np.zeros((4, 4))
    matrix[0, 3] = 8 * M
    measured = {Port("r1", "eth0"): 6 * M, Port("r3", "eth3"): 5 * M, Port("r4", "eth1"): 1 * M}
    answer = asked(network(SQUARE), Change((SetCost(Port("r1", "eth0"), 11),)), demands(matrix, 4), measured)
    left, grown = sent_by(answer, "r1", "eth0"), sent_by(answer, "r3", "eth3")
    assert (left.before_bps, left.after_bps, left.measured_bps) == (6 * M, 0.0, 6 * M)
    assert (grown.before_bps, grown.after_bps) == pytest.approx((5 * M, 9 * M))
    assert sent_by(answer, "r4", "eth1").after_bps == M
    assert sent_by(answer, "r1", "eth2").measured_bps is None


def test_a_link_that_goes_down_carries_nothing_of_what_was_measured() -> None:
    answer = asked(network(SQUARE), down(Port("r1", "eth0")), demands(uniform(M), 4), {Port("r2", "eth0"): 9 * M})
    assert sent_by(answer, "r2", "eth0").after_bps == 0.0


def test_the_interval_spans_the_ensemble_and_holds_the_figure() -> None:
    ensemble = np.stack([uniform(k * M) for k in np.linspace(0.5, 1.5, 21)])
    offered = demands(uniform(M), 4, ensemble=ensemble)
    link = sent_by(asked(network(SQUARE), down(Port("r1", "eth0")), offered), "r1", "eth2")
    assert link.after_interval is not None
    assert (link.after_interval.low, link.after_bps, link.after_interval.high) == pytest.approx(
        (1.65 * M, 3 * M, 4.35 * M)
    )
    assert (link.after_interval.level, link.after_interval.basis) == (0.9, "demand matrices that fit the same counters")


def test_without_an_ensemble_there_is_no_interval() -> None:
    answer = asked(network(SQUARE), down(Port("r1", "eth0")), demands(uniform(M), 4))
    assert {link.after_interval for link in answer.links} == {None}


def test_the_answer_names_its_evidence_and_ends_with_the_first_source_to_age() -> None:
    snapshot = network(SQUARE)
    answer = asked(snapshot, down(Port("r1", "eth0")), demands(uniform(M), 4))
    assert answer.snapshot_hash == snapshot.hash
    assert (answer.evidence.devices, answer.evidence.devices_with_config, answer.evidence.unread_lines) == (4, 4, 0)
    assert answer.evidence.oldest_source is not None
    assert answer.expires == NOW + timedelta(minutes=30)


def test_a_partial_reading_makes_the_answer_inconclusive() -> None:
    *others, r4 = devices(SQUARE)
    assert r4.observed
    partial = replace(r4, observed=replace(r4.observed, flags=(f"{LINKS_MAY_LACK}: lldp_remote: no answer",)))
    answer = asked(build_snapshot(NOW, [*others, partial]), down(Port("r1", "eth0")), demands(uniform(M), 4))
    assert answer.verdict == "INCONCLUSIVE"
    assert answer.reasons[0].message == "links may be missing: lldp_remote: no answer"


def test_an_answer_never_expires_before_it_was_asked() -> None:
    later = NOW + timedelta(days=2)
    offered = demands(uniform(M), 4, at=later)
    answer = ask(network(SQUARE), down(BRIDGE), offered, POLICIES, asked_at=later, about=later)
    assert answer.expires == later
    assert answer.verdict == "INCONCLUSIVE"


def test_demands_of_strangers_are_refused() -> None:
    offered = replace(demands(uniform(M), 4), devices=("r1", "r2", "r3", "x"))
    with pytest.raises(NettwinError, match="x, which the snapshot lacks"):
        asked(network(SQUARE), down(BRIDGE), offered)


def test_an_answer_is_plain_data() -> None:
    answer = asked(network(SQUARE), down(Port("r1", "eth0")), demands(uniform(M), 4))
    assert to_plain(answer)["verdict"] == "PASS"


def test_an_idle_network_still_answers_routes_and_reachability() -> None:
    snapshot = network(SQUARE)
    routing, nothing = route(snapshot), np.zeros(4)
    edge = EdgeTotals(routing.devices, nothing, nothing)
    idle = estimate(routing, np.full(8, 300.0), edge, at=NOW, source="counters")
    answer = asked(snapshot, down(Port("r1", "eth0")), idle)
    assert answer.verdict == "PASS"
    assert answer.moves
    cut_off = asked(network(DUMBBELL), down(BRIDGE), idle)
    assert (cut_off.verdict, cut_off.lost_bps, len(cut_off.lost_demands)) == ("FAIL", 0.0, 8)
