"""Routes between devices: OSPF adjacencies of a Snapshot as a graph, its shortest paths and equal-cost next hops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from twin.net import spf
from twin.net.ospf import adjacency_problem, interface_cost
from twin.net.ports import PortView, port_views
from twin.vocab.snapshot import Port, Snapshot

UNLIMITED_PATHS = 10**6


@dataclass(frozen=True, eq=False)
class Routing:
    """Next hops of every device towards every device.

    ``devices`` [n] and ``links`` [m] (sending port, receiving port) give the order of all arrays; ``links`` are
    all directed links of the snapshot, in use or not. ``distance`` [destination, device]; ``chosen``
    [destination, link].
    """

    devices: tuple[str, ...]
    links: tuple[tuple[Port, Port], ...]
    graph: spf.Graph
    distance: spf.Ints
    chosen: spf.Mask

    @cached_property
    def index(self) -> Mapping[str, int]:
        return {name: i for i, name in enumerate(self.devices)}

    @cached_property
    def fractions(self) -> sparse.csr_array:
        """A[link, origin * n + destination]: share of each demand on each directed link (ECMP, even per hop)."""
        return spf.fractions(self.graph, self.distance, self.chosen)

    @cached_property
    def reachable(self) -> spf.Mask:
        """[origin, destination]: there is a path."""
        return np.asarray(self.distance.T != spf.UNREACHABLE)

    def next_hops(self, device: str, destination: str) -> tuple[Port, ...]:
        """The sending ports ``device`` uses towards ``destination``; empty if there is no path or it is itself."""
        chosen = self.chosen[self.index[destination]] & (self.graph.tail == self.index[device])
        return tuple(self.links[e][0] for e in np.flatnonzero(chosen))

    def truncated(self) -> Iterator[tuple[str, str]]:
        """(device, destination) with more equal paths than the device keeps: which ones is the vendor's tie rule."""
        cut = spf.on_shortest_path(self.graph, self.distance) & ~self.chosen
        pairs = {(int(self.graph.tail[e]), int(t)) for t, e in zip(*np.nonzero(cut), strict=True)}
        return ((self.devices[v], self.devices[t]) for v, t in sorted(pairs))


def route(snapshot: Snapshot) -> Routing:
    """OSPF intra-area ECMP (RFC 2328 section 16.1) between the devices of a snapshot.

    A link carries traffic in both directions when its ends become adjacent, at the cost of the sending port.
    """
    devices = tuple(sorted(snapshot.devices))
    index = {name: i for i, name in enumerate(devices)}
    links = snapshot.directed_links
    views = port_views(snapshot.devices)
    graph = spf.Graph(
        len(devices),
        np.array([index[sender.device] for sender, _ in links], dtype=np.int64),
        np.array([index[receiver.device] for _, receiver in links], dtype=np.int64),
        np.array([_cost(views[s], views[r], snapshot) for s, r in links], dtype=np.int64),
        np.array([_multipath(snapshot, name) for name in devices], dtype=np.int64),
    )
    distance = spf.distances(graph)
    return Routing(devices, links, graph, distance, spf.next_hops(graph, distance))


def _cost(sender: PortView, receiver: PortView, snapshot: Snapshot) -> int:
    if adjacency_problem(sender, receiver, snapshot.devices):
        return int(spf.NO_LINK)
    return interface_cost(sender, snapshot.devices) or int(spf.NO_LINK)


def _multipath(snapshot: Snapshot, device: str) -> int:
    config = snapshot.devices[device].config
    return (config.ospf.maximum_paths if config and config.ospf else None) or UNLIMITED_PATHS
