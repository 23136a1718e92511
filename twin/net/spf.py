"""The routing kernel on plain arrays: shortest paths and ECMP shares. Knows numbers only, no devices or protocols."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
UNREACHABLE = np.int64(2**62)
NO_LINK = np.int64(0)


@dataclass(frozen=True)
class Graph:
    """Directed links: link e leads from ``tail[e]`` to ``head[e]`` at ``cost[e]`` >= 1; NO_LINK = not in use.

    ``multipath[v]`` bounds the next hops of node v (the first in link order are kept).
    """

    nodes: int
    tail: Ints
    head: Ints
    cost: Ints
    multipath: Ints


def distances(graph: Graph) -> Ints:
    """[destination, node]: least cost from each node to each destination, UNREACHABLE where there is no path.

    Dijkstra over reversed links (RFC 2328 section 16.1), one run a destination.
    """
    into: list[list[tuple[int, int]]] = [[] for _ in range(graph.nodes)]
    for link in np.flatnonzero(graph.cost != NO_LINK):
        into[graph.head[link]].append((int(graph.tail[link]), int(graph.cost[link])))
    rows = [_distances_to(t, into) for t in range(graph.nodes)]
    return np.array(rows, dtype=np.int64).reshape(graph.nodes, graph.nodes)


def _distances_to(destination: int, into: list[list[tuple[int, int]]]) -> list[int]:
    best = [int(UNREACHABLE)] * len(into)
    best[destination] = 0
    queue = [(0, destination)]
    while queue:
        distance, node = heapq.heappop(queue)
        if distance > best[node]:
            continue
        for neighbour, cost in into[node]:
            if distance + cost < best[neighbour]:
                best[neighbour] = distance + cost
                heapq.heappush(queue, (distance + cost, neighbour))
    return best


def on_shortest_path(graph: Graph, distance: Ints) -> Mask:
    """[destination, link]: the link is one of its sender's equal-cost next hops (before ``multipath``)."""
    near, far = distance[:, graph.tail], distance[:, graph.head]
    usable = (graph.cost != NO_LINK) & (far != UNREACHABLE)
    return np.asarray(usable & (near == far + graph.cost))


def next_hops(graph: Graph, distance: Ints) -> Mask:
    """[destination, link]: the sender uses the link towards the destination."""
    chosen = on_shortest_path(graph, distance)
    for node in np.flatnonzero(graph.multipath < np.bincount(graph.tail, minlength=graph.nodes)):
        links = np.flatnonzero(graph.tail == node)
        rank = np.cumsum(chosen[:, links], axis=1)
        chosen[:, links] &= rank <= graph.multipath[node]
    return chosen


def fractions(graph: Graph, distance: Ints, chosen: Mask) -> sparse.csr_array:
    """A[link, origin * n + destination]: the share of that demand which the link carries, split evenly per hop."""
    count = graph.nodes
    rows, columns, values = [], [], []
    for destination in range(count):
        share = _shares_to(graph, distance[destination], chosen[destination])
        link, origin = np.nonzero(share)
        rows.append(link)
        columns.append(origin * count + destination)
        values.append(share[link, origin])
    entries = (np.concatenate(values or [np.zeros(0)]), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(entries, shape=(len(graph.cost), count * count))


def _shares_to(graph: Graph, distance: Ints, chosen: Mask) -> Floats:
    """[link, origin] for one destination: nodes hand on what reached them, farthest first."""
    through = np.eye(graph.nodes)
    share = np.zeros((len(graph.cost), graph.nodes))
    links = np.flatnonzero(chosen)
    links = links[np.lexsort((graph.tail[links], -distance[graph.tail[links]]))]
    starts = np.flatnonzero(np.diff(graph.tail[links], prepend=-1))
    for out in np.split(links, starts[1:]) if len(links) else ():
        share[out] = through[graph.tail[out[0]]] / len(out)
        np.add.at(through, graph.head[out], share[out])
    return share
