"""Shortest paths, equal-cost splits, who becomes neighbours, and conservation of traffic."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

import networkx as nx  # type: ignore[import-untyped]  # a test oracle; its stubs are not installed
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.net.worlds import NOW, SQUARE, Wire, devices, edit, network, ospf
from twin.net.routing import Routing, route
from twin.net.topology import build_snapshot
from twin.net.traffic import align, edge_totals, link_rates, load_of
from twin.vocab.demand import Demands
from twin.vocab.errors import NettwinError
from twin.vocab.snapshot import Port, Snapshot

CHAIN: tuple[Wire, ...] = (("r1", "r2", 10, 10), ("r2", "r3", 10, 10))
PARALLEL: tuple[Wire, ...] = (("r1", "r2", 5, 5), ("r1", "r2", 5, 9), ("r1", "r2", 6, 5))
TO_R4 = ("r1", "r4")


@st.composite
def wires(draw: st.DrawFn) -> tuple[Wire, ...]:
    """A connected network of up to 6 routers with few different costs, so that ties and parallel links are common."""
    count = draw(st.integers(2, 6))
    cost = st.integers(1, 4)
    spanning = [(f"r{i}", f"r{draw(st.integers(1, i - 1))}", draw(cost), draw(cost)) for i in range(2, count + 1)]
    pair = st.lists(st.integers(1, count), min_size=2, max_size=2, unique=True)
    more = [(f"r{a}", f"r{b}", draw(cost), draw(cost)) for a, b in draw(st.lists(pair, max_size=6))]
    return tuple(spanning + more)


def oracle(routing: Routing) -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(len(routing.devices)))
    for link, (tail, head) in enumerate(zip(routing.graph.tail, routing.graph.head, strict=True)):
        graph.add_edge(int(tail), int(head), link, cost=int(routing.graph.cost[link]))
    return graph


def pushed(graph: nx.MultiDiGraph, origin: int, destination: int, amount: float, carried: dict[int, float]) -> None:
    """Hop by hop: each router splits evenly over all its links on a shortest path."""
    if origin == destination:
        return
    left = nx.single_source_dijkstra_path_length(graph.reverse(), destination, weight="cost")
    hops = [(v, k) for _, v, k, c in graph.out_edges(origin, keys=True, data="cost") if left[v] + c == left[origin]]
    for neighbour, link in hops:
        carried[link] = carried.get(link, 0.0) + amount / len(hops)
        pushed(graph, neighbour, destination, amount / len(hops), carried)


@given(wires())
@settings(max_examples=60, deadline=None)
def test_distances_and_shares_are_those_of_networkx(wires: tuple[Wire, ...]) -> None:
    routing = route(network(wires))
    graph, count = oracle(routing), len(routing.devices)
    shares = routing.fractions.toarray()
    for origin in range(count):
        for destination in range(count):
            expected = nx.dijkstra_path_length(graph, origin, destination, weight="cost")
            assert routing.distance[destination, origin] == expected
            carried: dict[int, float] = {}
            pushed(graph, origin, destination, 1.0, carried)
            column = shares[:, origin * count + destination]
            assert {int(e): float(column[e]) for e in np.flatnonzero(column)} == pytest.approx(carried)


@given(wires(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_what_enters_a_router_leaves_it(wires: tuple[Wire, ...], seed: int) -> None:
    routing = route(network(wires))
    count = len(routing.devices)
    matrix = np.random.default_rng(seed).exponential(1e6, (count, count))
    np.fill_diagonal(matrix, 0.0)
    load = load_of(routing, matrix)
    sent = np.bincount(routing.graph.tail, load, minlength=count)
    received = np.bincount(routing.graph.head, load, minlength=count)
    assert sent - received == pytest.approx(matrix.sum(axis=1) - matrix.sum(axis=0), abs=1e-3)


def test_equal_paths_share_evenly_and_unequal_ones_do_not() -> None:
    matrix = np.zeros((4, 4))
    matrix[0, 3] = 8.0
    even = route(network(SQUARE))
    assert even.next_hops(*TO_R4) == (Port("r1", "eth0"), Port("r1", "eth2"))
    assert dict(zip((str(s) for s, _ in even.links), load_of(even, matrix), strict=True)) == {
        "r1:eth0": 4.0,
        "r1:eth2": 4.0,
        "r2:eth1": 4.0,
        "r3:eth3": 4.0,
        "r2:eth0": 0.0,
        "r3:eth2": 0.0,
        "r4:eth1": 0.0,
        "r4:eth3": 0.0,
    }
    skewed = route(edit(network(SQUARE), Port("r1", "eth0"), ospf=ospf(11)))
    assert skewed.next_hops(*TO_R4) == (Port("r1", "eth2"),)


def test_parallel_links_split_per_direction_by_the_senders_cost() -> None:
    routing = route(network(PARALLEL))
    assert routing.next_hops("r1", "r2") == (Port("r1", "eth0"), Port("r1", "eth1"))
    assert routing.next_hops("r2", "r1") == (Port("r2", "eth0"), Port("r2", "eth2"))
    assert routing.next_hops("r1", "r1") == ()


def test_a_device_that_keeps_one_path_is_reported_as_choosing() -> None:
    snapshot = network(SQUARE)
    device = snapshot.devices["r1"]
    assert device.config
    assert device.config.ospf
    config = replace(device.config, ospf=replace(device.config.ospf, maximum_paths=1))
    routing = route(replace(snapshot, devices={**snapshot.devices, "r1": replace(device, config=config)}))
    assert routing.next_hops(*TO_R4) == (Port("r1", "eth0"),)
    assert list(routing.truncated()) == [TO_R4]
    assert list(route(snapshot).truncated()) == []


BREAKS = {
    "other area": {"ospf": replace(ospf(10), area=IPv4Address("0.0.0.1"))},
    "passive": {"ospf": ospf(10, passive=True)},
    "no OSPF": {"ospf": None},
    "disabled": {"enabled": False},
    "other subnet": {"addresses": (IPv4Interface("10.77.0.1/30"),)},
    "other hello": {"ospf": ospf(10, hello_interval=5, dead_interval=40)},
    "other dead": {"ospf": ospf(10, dead_interval=39)},
    "other type": {"ospf": ospf(10, network_type="point-to-point")},
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_one_disagreement_keeps_neighbours_apart(broken: dict[str, object]) -> None:
    snapshot = network(CHAIN)
    assert route(snapshot).reachable.all()
    parted = route(edit(snapshot, Port("r1", "eth0"), **broken))
    assert np.argwhere(~parted.reachable).tolist() == [[0, 1], [0, 2], [1, 0], [2, 0]]


def test_hello_alone_sets_dead_to_four_times_it() -> None:
    snapshot = edit(network(CHAIN), Port("r1", "eth0"), ospf=ospf(10, hello_interval=5))
    both = edit(snapshot, Port("r2", "eth0"), ospf=ospf(10, hello_interval=5, dead_interval=20))
    assert route(both).reachable.all()


@pytest.mark.parametrize(
    ("dialect", "bandwidth", "cost"),
    [("frr", 1_000_000_000, 1), ("frr", 40_000_000, 3), ("ios", 40_000_000, 2), ("frr", None, 1), ("frr", 1, 65535)],
)
def test_cost_follows_from_bandwidth(dialect: str, bandwidth: int | None, cost: int) -> None:
    snapshot = edit(network(CHAIN), Port("r1", "eth0"), ospf=ospf(), bandwidth_bps=bandwidth)
    r1 = snapshot.devices["r1"]
    assert r1.config
    spoken = replace(r1, config=replace(r1.config, dialect=dialect))
    routing = route(replace(snapshot, devices={**snapshot.devices, "r1": spoken}))
    assert routing.distance[routing.index["r2"], routing.index["r1"]] == cost


def test_a_device_without_configuration_routes_nothing() -> None:
    r1, r2, r3 = devices(CHAIN)
    snapshot = build_snapshot(NOW, [r1, replace(r2, config=None), r3])
    assert route(snapshot).reachable.sum() == 3


def two_way(snapshot: Snapshot) -> Demands:
    matrix = np.array([[0.0, 5.0], [7.0, 0.0]])
    return Demands(("r2", "r1"), matrix, snapshot.at, "test", np.stack([matrix, 2 * matrix]))


def test_demands_are_brought_into_the_order_of_the_devices() -> None:
    aligned = align(two_way(network(CHAIN)), ("r1", "r2", "r3"))
    assert aligned.matrix_bps.tolist() == [[0, 7, 0], [5, 0, 0], [0, 0, 0]]
    assert aligned.ensemble is not None
    assert aligned.ensemble[1].tolist() == [[0, 14, 0], [10, 0, 0], [0, 0, 0]]


def test_demands_of_an_unknown_device_are_refused() -> None:
    with pytest.raises(NettwinError, match="r2, which the snapshot lacks"):
        align(two_way(network(CHAIN)), ("r1", "r3"))


def test_link_rates_trust_the_sender_and_fall_back_to_the_receiver() -> None:
    routing = route(network(CHAIN[:1]))
    assert link_rates(
        routing, {Port("r1", "eth0"): 5.0}, {Port("r2", "eth0"): 6.0, Port("r1", "eth0"): 7.0}
    ).tolist() == [5.0, 7.0]
    assert np.isnan(link_rates(routing, {}, {})).all()


def test_edge_totals_are_unknown_where_one_port_is() -> None:
    edges = [Port("r1", "a"), Port("r1", "b"), Port("r2", "a")]
    totals = edge_totals(("r1", "r2", "r3"), edges, {edges[0]: 1.0, edges[1]: 2.0}, dict.fromkeys(edges, 4.0))
    assert totals.leaving_bps.tolist() == [8.0, 4.0, 0.0]
    assert totals.entering_bps[0] == 3.0
    assert np.isnan(totals.entering_bps[1])
