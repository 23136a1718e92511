"""Shares of each demand on each link under shortest paths with equal-cost splitting (RFC 2328 section 16)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import shortest_path

from twin.lab.spec import LabFile

Floats = npt.NDArray[np.float64]


def directed_links(lab: LabFile) -> tuple[list[tuple[int, int]], Floats, Floats]:
    """(sender, receiver) by index into the file's routers, a's side of each link first; costs; capacities in bit/s."""
    index = {name: i for i, name in enumerate(lab.routers)}
    forth = [(index[x.a], index[x.b], x.cost_ab or x.cost, x.capacity) for x in lab.links]
    back = [(index[x.b], index[x.a], x.cost_ba or x.cost, x.capacity) for x in lab.links]
    both = [end for pair in zip(forth, back, strict=True) for end in pair]
    return [(s, r) for s, r, _, _ in both], np.array([x[2] for x in both], float), np.array([x[3] for x in both], float)


def shares(n: int, links: Sequence[tuple[int, int]], costs: Floats) -> Floats:
    """[n, n, links] share of the demand from row to column that crosses each directed link; 0 where unreachable."""
    matrix = np.full((n, n), np.inf)
    for (sender, receiver), cost in zip(links, costs, strict=True):
        matrix[sender, receiver] = min(matrix[sender, receiver], cost)
    distance = shortest_path(np.where(np.isinf(matrix), 0.0, matrix), method="D")
    result = np.zeros((n, n, len(links)))
    for destination in range(n):
        _spread(result[:, destination], links, costs, distance[:, destination])
    return result


def _spread(into: Floats, links: Sequence[tuple[int, int]], costs: Floats, distance: Floats) -> None:
    """One destination: from the farthest router inwards, each splits what it holds over its next hops."""
    held = np.eye(len(distance))  # [origin, router]
    for router in np.argsort(-distance, kind="stable"):
        if not np.isfinite(distance[router]) or distance[router] == 0:
            continue
        hops = [i for i, (s, r) in enumerate(links) if s == router and costs[i] + distance[r] == distance[router]]
        for i in hops:
            into[:, i] += held[:, router] / len(hops)
            held[:, links[i][1]] += held[:, router] / len(hops)
