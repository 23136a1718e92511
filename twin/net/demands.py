"""Demands from link counters and edge totals: the matrix nearest to gravity that the counters allow.

Estimating a traffic matrix is under-determined; among the matrices that fit, the one of least Kullback-Leibler
distance to a gravity prior is taken (Zhang, Roughan, Lund, Donoho: "An information-theoretic approach to traffic
matrix estimation", SIGCOMM 2003). Counters are noisy, so each equation may be missed by about its own error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from twin.net.routing import Routing
from twin.vocab.demand import Demands, EdgeTotals
from twin.vocab.errors import NettwinError

Floats = npt.NDArray[np.float64]
Matrix: TypeAlias = "Floats | sparse.csr_array"
_DENSE_UP_TO = 4_000_000
RELATIVE_ERROR = 0.02
ERROR_FLOOR = 1e-4
PRIOR_SPREAD = 0.8
_SMALLEST_SHARE = 1e-6
IDLE_BPS = 10_000  # what routing protocols and LLDP send on a link without customers' traffic
_STEPS = 60
_FLAT = 1e-9
_NEARLY_FLAT = 1e-6
_SHORTEST_STEP = 1e-8
_LARGEST_EXPONENT = 300.0
_FIRST_SLACK = 30.0
_STAGES = 6


@dataclass(frozen=True)
class _Equations:
    """``coefficients`` [equation, demand] times demands = ``values``, each within ``errors``; shares of the total."""

    coefficients: Matrix
    values: Floats
    errors: Floats


def estimate(
    routing: Routing,
    link_bps: Floats,
    edge: EdgeTotals,
    *,
    at: datetime,
    source: str,
    ensemble: int = 32,
    seed: int = 0,
) -> Demands:
    """The demand matrix behind measured link loads and edge totals.

    Args:
        routing: in force while the counters ran; gives the order of devices and links.
        link_bps: [m] measured bit/s per directed link, NaN where unknown.
        edge: entering and leaving bit/s per device, NaN where unknown (then bounded by the links around it).
        ensemble: how many other matrices to give: priors spread by a seeded log-normal, each fitted to the
            counters spread by their own error.

    Where no counter shows more than ``IDLE_BPS`` the demands are zero, with residual None: the network is idle. They
    are zero too where links carry traffic that enters and leaves nowhere; the residual is 1 then.

    Raises:
        NettwinError: nothing was measured, or the edge totals are of other devices.
    """
    entering, leaving = _complete(routing, link_bps, edge)
    total = max(entering.sum(), leaving.sum())
    links_measured = bool(np.isfinite(link_bps).any())
    if not total > 0 and not links_measured:
        raise NettwinError("no traffic was measured at the edge or on the links: demands can't be estimated")
    busiest = np.nanmax([*link_bps, *edge.entering_bps, *edge.leaving_bps])
    if not total > 0 or (links_measured and busiest <= IDLE_BPS):
        zero = np.zeros((ensemble + 1, len(routing.devices), len(routing.devices)))
        unexplained = None if busiest <= IDLE_BPS else 1.0
        return Demands(routing.devices, zero[0], at, source, zero[1:] if ensemble else None, unexplained)
    pairs = np.flatnonzero(routing.reachable & ~np.eye(len(routing.devices), dtype=bool))
    equations = _equations(routing, link_bps / total, edge, total, pairs)
    prior = gravity(entering / total, leaving / total).ravel()[pairs]
    best = _fit(equations, prior)
    members = _spread_fits(equations, prior, ensemble, np.random.default_rng(seed))
    matrices = _matrices(np.vstack([best[None, :], members]) * total, pairs, len(routing.devices))
    others = matrices[1:] if ensemble else None
    return Demands(routing.devices, matrices[0], at, source, others, _residual(routing, link_bps, matrices[0]))


def gravity(entering: Floats, leaving: Floats) -> Floats:
    """[n, n] product of the totals without diagonal, scaled to both margins (iterative proportional fitting)."""
    least = _SMALLEST_SHARE * max(entering.sum(), leaving.sum())
    rows, columns = np.maximum(entering, least), np.maximum(leaving, least)
    columns = columns * (rows.sum() / columns.sum())
    matrix: Floats = np.outer(rows, columns)
    np.fill_diagonal(matrix, 0.0)
    for _ in range(50):
        matrix *= (rows / np.maximum(matrix.sum(axis=1), least * least))[:, None]
        matrix *= (columns / np.maximum(matrix.sum(axis=0), least * least))[None, :]
    return matrix


def _complete(routing: Routing, link_bps: Floats, edge: EdgeTotals) -> tuple[Floats, Floats]:
    """Edge totals with gaps filled: between what the links prove and what they allow."""
    if edge.devices != routing.devices:
        raise NettwinError("edge totals and routing list different devices")
    known = np.nan_to_num(link_bps, nan=0.0)
    count = len(routing.devices)
    sent = np.bincount(routing.graph.tail, known, minlength=count)
    received = np.bincount(routing.graph.head, known, minlength=count)
    entering = (np.maximum(sent - received, 0.0) + sent) / 2
    leaving = (np.maximum(received - sent, 0.0) + received) / 2
    return (
        np.where(np.isnan(edge.entering_bps), entering, edge.entering_bps),
        np.where(np.isnan(edge.leaving_bps), leaving, edge.leaving_bps),
    )


def _equations(
    routing: Routing, link_share: Floats, edge: EdgeTotals, total: float, pairs: npt.NDArray[np.int64]
) -> _Equations:
    count = len(routing.devices)
    every, ones = np.arange(count * count), np.ones(count * count)
    origins = sparse.csr_array((ones, (every // count, every)), shape=(count, count * count))
    destinations = sparse.csr_array((ones, (every % count, every)), shape=(count, count * count))
    stacked = sparse.vstack([routing.fractions, origins, destinations], format="csr")[:, pairs]
    values = np.concatenate([link_share, edge.entering_bps / total, edge.leaving_bps / total])
    kept = np.flatnonzero(np.isfinite(values) & (np.diff(stacked.indptr) > 0))
    errors = RELATIVE_ERROR * values[kept] + ERROR_FLOOR
    coefficients = sparse.csr_array(stacked[kept])
    small = coefficients.shape[0] * coefficients.shape[1] <= _DENSE_UP_TO
    return _Equations(coefficients.toarray() if small else coefficients, values[kept], errors)


def _spread_fits(equations: _Equations, prior: Floats, members: int, random: np.random.Generator) -> Floats:
    """[members, demand]"""
    fits = []
    for _ in range(members):
        spread_prior = prior * np.exp(PRIOR_SPREAD * random.standard_normal(len(prior)))
        values = np.maximum(equations.values + equations.errors * random.standard_normal(len(equations.values)), 0.0)
        fits.append(_fit(_Equations(equations.coefficients, values, equations.errors), spread_prior))
    return np.array(fits).reshape(members, len(prior))


@dataclass(frozen=True)
class _Dual:
    """The dual of: least KL(x, prior) + half the squared misses in units of their errors, over x > 0.

    Strictly convex in the multipliers z because of the errors; x = prior * exp(B'z).
    """

    equations: _Equations
    prior: Floats
    transposed: Matrix

    def demand(self, z: Floats) -> Floats:
        exponent = np.clip(self.transposed @ z, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
        return np.asarray(self.prior * np.exp(exponent))

    def value(self, z: Floats) -> float:
        misses = 0.5 * float((self.equations.errors * z) @ (self.equations.errors * z))
        return float(self.demand(z).sum() - z @ self.equations.values) + misses

    def slope(self, z: Floats, demand: Floats) -> Floats:
        known = self.equations
        return np.asarray(known.coefficients @ demand - known.values + known.errors**2 * z)

    def curvature(self, demand: Floats) -> Floats:
        known = self.equations
        if isinstance(known.coefficients, np.ndarray):
            products = (known.coefficients * demand) @ self.transposed
        else:
            products = (known.coefficients.multiply(demand[None, :]).tocsr() @ self.transposed).toarray()
        return np.asarray(products + np.diag(known.errors**2))


def _fit(equations: _Equations, prior: Floats) -> Floats:
    """The demands nearest to the prior that the equations allow.

    Errors start wide and tighten to their own size, but no faster than the equations can be met: those that
    contradict the others stay wide, so that a dead or wrong counter bends the answer instead of breaking it.
    """
    slack = equations.errors * _FIRST_SLACK
    fitted, transposed = prior, _transposed(equations.coefficients)
    for _ in range(_STAGES):
        found = _minimise(_Dual(replace(equations, errors=slack), prior, transposed))
        if found is None:
            break
        fitted = found
        tighter = np.maximum(equations.errors, np.abs(equations.coefficients @ fitted - equations.values) / 3)
        if np.allclose(tighter, slack):
            break
        slack = np.minimum(slack, tighter)
    return fitted


def _transposed(matrix: Matrix) -> Matrix:
    return matrix.T if isinstance(matrix, np.ndarray) else matrix.T.tocsr()


def _minimise(dual: _Dual) -> Floats | None:
    """Damped Newton; None if it does not settle."""
    z = np.zeros(len(dual.equations.values))
    for _ in range(_STEPS):
        demand = dual.demand(z)
        slope = dual.slope(z, demand)
        if np.abs(slope).max(initial=0.0) < _FLAT:
            return demand
        step: Floats = np.asarray(np.linalg.solve(dual.curvature(demand), slope), dtype=np.float64)
        length = _step_length(dual, z, step, float(slope @ step))
        if length == 0.0:
            return demand if np.abs(slope).max() < _NEARLY_FLAT else None
        z = z - length * step
    return None


def _step_length(dual: _Dual, z: Floats, step: Floats, decrease: float) -> float:
    """Armijo's rule; 0 when no step improves any more."""
    here, length = dual.value(z), 1.0
    while length > _SHORTEST_STEP:
        if dual.value(z - length * step) <= here - 1e-4 * length * decrease:
            return length
        length /= 2
    return 0.0


def _matrices(demands: Floats, pairs: npt.NDArray[np.int64], count: int) -> Floats:
    """[k, demand] -> [k, n, n]"""
    flat = np.zeros((len(demands), count * count))
    flat[:, pairs] = demands
    return flat.reshape(-1, count, count)


def _residual(routing: Routing, link_bps: Floats, matrix: Floats) -> float | None:
    """Share of the measured link traffic that the matrix misses or invents; None if no link was measured."""
    known = np.isfinite(link_bps)
    measured = float(link_bps[known].sum())
    explained = routing.fractions @ matrix.ravel()
    return float(np.abs(explained - link_bps)[known].sum() / measured) if measured > 0 else None
