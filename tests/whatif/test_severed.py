"""A change that takes away more than links: customers, collectors, BGP sessions. Never PASS."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import numpy as np
import pytest

from tests.net.worlds import NOW, SQUARE, demands, devices, edit, network, observed, ospf
from twin.net.topology import build_snapshot, edge_ports
from twin.vocab.answer import Answer
from twin.vocab.change import Change, SetEnabled
from twin.vocab.config import BgpConfig, BgpNeighbor, InterfaceConfig
from twin.vocab.observed import ObservedBundle
from twin.vocab.snapshot import Port, Snapshot
from twin.whatif.policies import Policies
from twin.whatif.question import ask

M = 1e6
EDGE, SECOND, LOOPBACK, LINK = (Port("r1", name) for name in ("edge0", "edge1", "lo", "eth0"))
EDGES = tuple(Port(f"r{i}", "edge0") for i in (1, 2, 3, 4))
EACH_ONE = M * (np.ones((4, 4)) - np.eye(4))


def asked(snapshot: Snapshot, *ports: Port, matrix: Any = EACH_ONE, **told: Any) -> Answer:
    ensemble = np.stack([0.9 * matrix, 1.1 * matrix])
    change = Change(tuple(SetEnabled(port, False) for port in ports))
    offered = demands(matrix, 4, ensemble=ensemble)
    return ask(snapshot, change, offered, Policies("1"), asked_at=NOW, about=NOW, **told)


def two_edges() -> Snapshot:
    """The square, with a second edge port on r1."""
    r1, *others = devices(SQUARE)
    assert r1.config
    assert r1.observed
    address = (IPv4Interface("10.3.1.1/24"),)
    told = (*r1.config.interfaces, InterfaceConfig("edge1", addresses=address, ospf=ospf(1, passive=True)))
    seen = (*r1.observed.interfaces, observed("edge1", 77, address))
    r1 = replace(r1, config=replace(r1.config, interfaces=told), observed=replace(r1.observed, interfaces=seen))
    return build_snapshot(NOW, [r1, *others])


def with_session(session: BgpNeighbor, device: str = "r1") -> Snapshot:
    base = network(SQUARE)
    old = base.devices[device]
    assert old.config
    speaker = replace(old, config=replace(old.config, bgp=BgpConfig(65000, IPv4Address("10.0.0.1"), (), (session,))))
    return replace(base, devices={**base.devices, device: speaker})


def worst(answer: Answer) -> tuple[str, str, str, str]:
    reason = answer.reasons[0]
    return reason.outcome, reason.rule, reason.subject, reason.message


def test_the_only_edge_port_of_a_device_takes_all_of_its_traffic() -> None:
    snapshot = network(SQUARE)
    answer = asked(snapshot, EDGE, edges=edge_ports(snapshot))
    message = "customers' traffic enters and leaves there; 6 Mbit/s lost"
    assert worst(answer) == ("FAIL", "reachability", "r1:edge0", message)
    assert answer.lost_bps == pytest.approx(6 * M)
    assert {(a, b) for a, b, _ in answer.lost_demands} == {
        (a, b) for r in "234" for a, b in (("r1", f"r{r}"), (f"r{r}", "r1"))
    }
    assert not any(r.outcome == "PASS" and r.rule == "reachability" for r in answer.reasons)


def test_loads_fall_by_what_no_longer_enters() -> None:
    answer = asked(network(SQUARE), EDGE, edges=EDGES)
    rest = EACH_ONE.copy()
    rest[0] = rest[:, 0] = 0.0
    without = asked(network(SQUARE), matrix=rest)
    assert [link.after_bps for link in answer.links] == pytest.approx([link.before_bps for link in without.links])
    assert [link.after_interval for link in answer.links] == [link.after_interval for link in without.links]
    assert answer.moved_bps == 0.0


def test_one_edge_port_of_two_takes_its_measured_share() -> None:
    rates = {EDGE: (3.0, 1.0), SECOND: (1.0, 1.0)}
    answer = asked(two_edges(), EDGE, edges=(*EDGES, SECOND), edge_rates=rates)
    lost = {(a, b): bps for a, b, bps in answer.lost_demands}
    assert (lost["r1", "r4"], lost["r4", "r1"]) == pytest.approx((0.75 * M, 0.5 * M))
    assert len(lost) == 6
    assert worst(answer)[0:3] == ("FAIL", "reachability", "r1:edge0")
    assert answer.lost_bps == pytest.approx(3.75 * M)


def test_both_edge_ports_take_all_even_unmeasured() -> None:
    answer = asked(two_edges(), EDGE, SECOND, edges=(*EDGES, SECOND))
    assert worst(answer)[0:3] == ("FAIL", "reachability", "r1:edge0, r1:edge1")
    assert answer.lost_bps == pytest.approx(6 * M)


def test_a_silent_edge_port_still_has_customers() -> None:
    rates = {EDGE: (0.0, 0.0), SECOND: (0.0, 0.0)}
    answer = asked(two_edges(), EDGE, edges=(*EDGES, SECOND), edge_rates=rates)
    assert (answer.verdict, answer.lost_bps) == ("FAIL", 0.0)


def test_a_pair_without_a_path_is_counted_once() -> None:
    """r1 loses its links and its customers."""
    answer = asked(network(SQUARE), LINK, Port("r1", "eth2"), EDGE, edges=EDGES)
    assert answer.lost_bps == pytest.approx(6 * M)
    assert len(answer.lost_demands) == 6


UNROUTED = "carries traffic that the model does not route"
SESSIONS = "BGP sessions use its address, and BGP is not predicted"
IBGP = BgpNeighbor(IPv4Address("10.0.0.4"), 65000, IPv4Address("10.0.0.1"))
DOUBTFUL: dict[str, tuple[Snapshot, Port, dict[str, Any], str]] = {
    "nothing said of edges": (network(SQUARE), EDGE, {}, UNROUTED),
    "shares unknown": (two_edges(), EDGE, {"edges": (*EDGES, SECOND)}, UNROUTED),
    "a share not measured": (
        two_edges(),
        EDGE,
        {"edges": (*EDGES, SECOND), "edge_rates": {EDGE: (1.0, 1.0), SECOND: (1.0, float("nan"))}},
        UNROUTED,
    ),
    "no OSPF there": (edit(network(SQUARE), EDGE, ospf=None), EDGE, {"edges": EDGES[1:]}, UNROUTED),
    "management": (
        network(SQUARE),
        EDGE,
        {"edges": EDGES[1:], "management": [IPv4Address("10.2.1.1")]},
        "collectors reach the device through it",
    ),
    "loopback": (network(SQUARE), LOOPBACK, {"edges": EDGES}, "a loopback: what reaches the device by its address"),
    "update source": (with_session(IBGP), LOOPBACK, {"edges": EDGES}, SESSIONS),
    "another's neighbour": (with_session(IBGP), Port("r4", "lo"), {"edges": EDGES}, SESSIONS),
    "session over a link": (with_session(BgpNeighbor(IPv4Address("10.100.0.2"), 65001)), LINK, {}, SESSIONS),
}


@pytest.mark.parametrize(("snapshot", "port", "told", "words"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_the_figures_do_not_show_is_inconclusive(
    snapshot: Snapshot, port: Port, told: dict[str, Any], words: str
) -> None:
    answer = asked(snapshot, port, **told)
    assert answer.verdict == "INCONCLUSIVE"
    assert any(r.subject == str(port) and words in r.message for r in answer.reasons), answer.reasons
    assert answer.lost_bps == 0.0


def test_a_link_without_sessions_stays_a_pass() -> None:
    answer = asked(with_session(IBGP), LINK, edges=EDGES, management=[IPv4Address("192.0.2.1")])
    assert answer.verdict == "PASS"


def test_an_edge_port_that_was_down_before_takes_nothing() -> None:
    base = edit(network(SQUARE), EDGE, enabled=False)
    assert asked(base, EDGE, edges=EDGES[1:]).verdict == "PASS"


def test_a_member_of_a_bundle_leaves_it_with_less_than_is_computed() -> None:
    r1, *others = devices(SQUARE)
    assert r1.observed
    members = (observed("m1", 78), observed("m2", 79))
    seen = replace(
        r1.observed, interfaces=(*r1.observed.interfaces, *members), bundles=(ObservedBundle("eth0", ("m1", "m2")),)
    )
    answer = asked(build_snapshot(NOW, [replace(r1, observed=seen), *others]), Port("r1", "m1"), edges=EDGES)
    assert answer.verdict == "INCONCLUSIVE"
    assert "a member of eth0: what the bundle can carry without it is not computed" in worst(answer)[3]
