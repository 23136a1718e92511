"""Demands from counters: they fit, they never run away, and they predict unseen changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.net.worlds import NOW, SQUARE, Wire, network
from twin.net.demands import estimate, gravity
from twin.net.routing import Routing, route
from twin.net.traffic import load_of
from twin.vocab.demand import Demands, EdgeTotals
from twin.vocab.errors import NettwinError

Floats = npt.NDArray[np.float64]
AROUND = ((f"r{i}", f"r{i % 6 + 1}", 10 + i, 10 + i) for i in range(1, 7))
AROUND = ((f"r{i}", f"r{i % 6 + 1}", 10 + i, 10 + i) for i in range(1, 7))
RING: tuple[Wire, ...] = (*AROUND, ("r1", "r4", 9, 9))


def totals(routing: Routing, matrix: Floats) -> EdgeTotals:
    return EdgeTotals(routing.devices, matrix.sum(axis=1), matrix.sum(axis=0))


def traffic(count: int, seed: int, spread: float = 0.0) -> Floats:
    """Gravity with a log-normal deviation, Mbit/s."""
    random = np.random.default_rng(seed)
    size = random.lognormal(0.0, 1.0, count) * 1e6
    matrix = gravity(size, random.permutation(size)) * random.lognormal(0.0, spread, (count, count))
    return np.asarray(matrix)


def estimated(routing: Routing, link_bps: Floats, edge: EdgeTotals, ensemble: int = 0, seed: int = 0) -> Demands:
    return estimate(routing, link_bps, edge, at=NOW, source="counters", ensemble=ensemble, seed=seed)


def test_traffic_that_is_gravity_is_found_again() -> None:
    routing = route(network(RING))
    matrix = traffic(6, seed=1)
    found = estimated(routing, load_of(routing, matrix), totals(routing, matrix))
    assert found.matrix_bps == pytest.approx(matrix, rel=0.01, abs=1e3)
    assert found.devices == routing.devices
    assert found.residual == pytest.approx(0.0, abs=1e-3)
    assert found.ensemble is None


def test_a_line_of_two_is_fully_determined() -> None:
    routing = route(network((("r1", "r2", 1, 1),)))
    found = estimated(
        routing, np.array([3e6, 5e6]), EdgeTotals(("r1", "r2"), np.array([3e6, 5e6]), np.array([5e6, 3e6]))
    )
    assert found.matrix_bps == pytest.approx(np.array([[0, 3e6], [5e6, 0]]), rel=1e-3)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_loads_of_the_estimate_fit_the_counters(seed: int) -> None:
    routing = route(network(RING))
    matrix = traffic(6, seed, spread=1.0)
    load = load_of(routing, matrix)
    found = estimated(routing, load, totals(routing, matrix))
    assert load_of(routing, found.matrix_bps) == pytest.approx(load, rel=0.02, abs=1e-3 * load.max())
    assert (found.matrix_bps >= 0).all()
    assert np.diagonal(found.matrix_bps).tolist() == [0.0] * 6


@given(st.lists(st.one_of(st.just(np.nan), st.floats(0, 1e12)), min_size=14 + 12, max_size=14 + 12))
@settings(max_examples=25, deadline=None)
def test_no_counters_however_contradictory_make_it_run_away(counters: list[float]) -> None:
    routing = route(network(RING))
    values = np.array(counters)
    edge = EdgeTotals(routing.devices, values[14:20], values[20:])
    if not np.nansum(values) > 0:
        return
    found = estimated(routing, values[:14], edge, ensemble=1)
    assert np.isfinite(found.matrix_bps).all()
    assert (found.matrix_bps >= 0).all()
    assert found.matrix_bps.max() <= 100 * np.nanmax(values)


def test_contradictions_show_as_residual() -> None:
    routing = route(network(RING))
    matrix = traffic(6, seed=2)
    load = load_of(routing, matrix)
    load[3] *= 3
    found = estimated(routing, load, totals(routing, matrix))
    assert found.residual is not None
    assert found.residual > 0.02


def test_unknown_edges_are_bounded_by_the_links_around_them() -> None:
    routing = route(network(RING))
    matrix = traffic(6, seed=3)
    unknown = np.full(6, np.nan)
    found = estimated(routing, load_of(routing, matrix), EdgeTotals(routing.devices, unknown, unknown))
    assert load_of(routing, found.matrix_bps) == pytest.approx(load_of(routing, matrix), rel=0.05)


def test_the_ensemble_fits_too_differs_and_is_reproducible() -> None:
    routing = route(network(RING))
    matrix = traffic(6, seed=4, spread=0.5)
    load = load_of(routing, matrix)
    found = estimated(routing, load, totals(routing, matrix), ensemble=8, seed=11)
    again = estimated(routing, load, totals(routing, matrix), ensemble=8, seed=11)
    assert found.ensemble is not None
    assert again.ensemble is not None
    assert found.ensemble.shape == (8, 6, 6)
    assert (found.ensemble == again.ensemble).all()
    assert load_of(routing, found.ensemble) == pytest.approx(np.tile(load, (8, 1)), rel=0.12, abs=2e-3 * load.max())
    assert found.ensemble[:, 0, 2].std() > 0.05 * matrix[0, 2]


def test_nothing_measured_is_refused() -> None:
    routing = route(network(SQUARE))
    with pytest.raises(NettwinError, match="no traffic"):
        estimated(routing, np.full(8, np.nan), EdgeTotals(routing.devices, np.zeros(4), np.zeros(4)))


@pytest.mark.parametrize(("link", "edge"), [(0.0, 0.0), (700.0, 0.0), (700.0, 90.0), (700.0, np.nan)])
def test_an_idle_network_has_no_demands(link: float, edge: float) -> None:
    """Hellos and the like are no traffic to explain."""
    routing = route(network(SQUARE))
    totals = EdgeTotals(routing.devices, np.full(4, edge), np.full(4, edge))
    found = estimated(routing, np.full(8, link), totals, ensemble=3)
    assert not found.matrix_bps.any()
    assert found.ensemble is not None
    assert found.ensemble.shape == (3, 4, 4)
    assert found.residual is None
    assert estimated(routing, np.full(8, link), totals).ensemble is None


def test_one_busy_counter_is_enough_not_to_be_idle() -> None:
    routing = route(network((("r1", "r2", 1, 1),)))
    found = estimated(routing, np.array([3e6, 0]), EdgeTotals(("r1", "r2"), np.array([3e6, 0]), np.array([0, 3e6])))
    assert found.matrix_bps[0, 1] == pytest.approx(3e6, rel=1e-2)


def test_traffic_on_links_that_enters_nowhere_is_left_unexplained() -> None:
    routing = route(network(SQUARE))
    found = estimated(routing, np.full(8, 1e6), EdgeTotals(routing.devices, np.zeros(4), np.zeros(4)))
    assert (found.matrix_bps.max(), found.residual) == (0.0, 1.0)


def test_edge_totals_of_other_devices_are_refused() -> None:
    routing = route(network(SQUARE))
    with pytest.raises(NettwinError, match="different devices"):
        estimated(routing, np.zeros(8), EdgeTotals(("r1",), np.ones(1), np.ones(1)))
