"""Forks: the base stays, the copy changes, impossible steps are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.net.worlds import SQUARE, edit, network
from twin.net.ports import port_views
from twin.net.routing import route
from twin.vocab.change import Change, SetCost, SetEnabled, Step
from twin.vocab.errors import UsageError
from twin.vocab.snapshot import Port, Snapshot
from twin.whatif.fork import fork

BASE = network(SQUARE)
ETH0, FAR = Port("r1", "eth0"), Port("r2", "eth0")
PORTS = [Port(f"r{i}", name) for i, name in ((1, "eth0"), (1, "eth2"), (2, "eth1"), (4, "eth3"), (4, "edge0"))]


def forked(*steps: Step, base: Snapshot = BASE) -> Snapshot:
    return fork(base, Change(steps))


steps = st.one_of(
    st.builds(SetEnabled, st.sampled_from(PORTS), st.booleans()),
    st.builds(SetCost, st.sampled_from(PORTS), st.integers(1, 65535)),
)


@given(st.lists(steps, max_size=5))
def test_the_base_is_never_touched(changes: list[Step]) -> None:
    before = BASE.hash, len(BASE.findings)
    forked(*changes)
    assert (BASE.hash, len(BASE.findings)) == before


@given(st.sampled_from(PORTS))
def test_disabling_and_enabling_again_restores_the_network(port: Port) -> None:
    assert forked(SetEnabled(port, False), SetEnabled(port, True)).hash == BASE.hash


def test_disabling_takes_both_ends_down_and_both_directions_out() -> None:
    copy = forked(SetEnabled(ETH0, False))
    views = port_views(copy.devices)
    assert (views[ETH0].up, views[FAR].up, views[FAR].enabled) == (False, False, True)
    assert route(copy).next_hops("r2", "r1") == (Port("r2", "eth1"),)
    assert copy.links == BASE.links


def test_enabling_one_end_leaves_the_link_down_while_the_other_is_disabled() -> None:
    copy = forked(SetEnabled(ETH0, False), SetEnabled(FAR, False), SetEnabled(ETH0, True))
    views = port_views(copy.devices)
    assert (views[ETH0].up, views[FAR].up) == (False, False)


def test_a_cost_moves_only_the_senders_direction() -> None:
    copy = forked(SetCost(ETH0, 500))
    old, new = route(BASE), route(copy)
    assert new.next_hops("r1", "r4") == (Port("r1", "eth2"),)
    assert new.next_hops("r4", "r1") == old.next_hops("r4", "r1")


NO_OPS: tuple[tuple[Step, str], ...] = (
    (SetCost(ETH0, 10), "that is its cost already"),
    (SetEnabled(ETH0, True), "it is enabled already"),
    (SetCost(Port("r1", "mgmt"), 7), "OSPF does not run there"),
)


@pytest.mark.parametrize(("step", "words"), NO_OPS, ids=[w for _, w in NO_OPS])
def test_a_step_without_effect_is_noted(step: Step, words: str) -> None:
    base = edit(BASE, Port("r1", "lo"), name="mgmt", ospf=None)
    copy = forked(step, base=base)
    assert copy.hash == base.hash
    assert [(f.severity, f.device, words in f.message) for f in copy.findings] == [("note", "r1", True)]


REFUSED: tuple[tuple[Step, str], ...] = (
    (SetEnabled(Port("r11", "eth0"), False), "unknown device 'r11'; did you mean r1"),
    (SetCost(Port("r1", "eht0"), 5), "device r1 has no interface 'eht0'; did you mean eth0"),
    (SetCost(ETH0, 0), "an OSPF cost is 1 to 65535, not 0"),
    (SetCost(ETH0, 65536), "an OSPF cost is 1 to 65535, not 65536"),
)


@pytest.mark.parametrize(("step", "words"), REFUSED, ids=[w for _, w in REFUSED])
def test_an_impossible_step_is_refused_by_name(step: Step, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        forked(step)


def test_a_device_of_unknown_configuration_can_lose_an_interface_but_not_change_a_cost() -> None:
    base = replace(BASE, devices={**BASE.devices, "r1": replace(BASE.devices["r1"], config=None)})
    assert not port_views(forked(SetEnabled(ETH0, False), base=base).devices)[ETH0].up
    with pytest.raises(UsageError, match="its configuration is not known"):
        forked(SetCost(ETH0, 5), base=base)


def test_routes_of_the_fork_are_those_of_a_network_built_that_way() -> None:
    built = network((("r1", "r2", 500, 10), *SQUARE[1:]))
    assert np.array_equal(route(built).distance, route(forked(SetCost(ETH0, 500))).distance)
