"""What a change takes away besides links: ports of customers, of collectors, and of sessions the model can't see."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from twin.net.ports import PortView, port_views
from twin.net.topology import bundles_of, holds
from twin.vocab.config import BgpNeighbor
from twin.vocab.demand import Demands
from twin.vocab.snapshot import Port, Snapshot

Floats = npt.NDArray[np.float64]
EdgeRates: TypeAlias = Mapping[Port, tuple[float, float]]


@dataclass(frozen=True)
class Cut:
    """Edge ports of one device that go down, and their shares of all that enters and leaves the network there."""

    device: str
    ports: tuple[Port, ...]
    entering: float
    leaving: float


@dataclass(frozen=True)
class Severed:
    """``cuts``: edge ports whose traffic is counted as lost; ``unmodelled``: (port, why its loss is not counted)."""

    cuts: tuple[Cut, ...]
    unmodelled: tuple[tuple[Port, str], ...]

    def kept(self, devices: tuple[str, ...]) -> Floats:
        """[n, n] share of each demand (origin, destination) that can still enter and leave."""
        entering = {cut.device: cut.entering for cut in self.cuts}
        leaving = {cut.device: cut.leaving for cut in self.cuts}
        enters = np.array([1.0 - entering.get(name, 0.0) for name in devices], dtype=np.float64)
        leaves = np.array([1.0 - leaving.get(name, 0.0) for name in devices], dtype=np.float64)
        return np.outer(enters, leaves)


def severed(
    before: Snapshot,
    after: Snapshot,
    edges: Collection[Port],
    edge_rates: EdgeRates,
    management: Collection[IPv4Address],
) -> Severed:
    """What goes with the ports that are up before and not after, far ends of links included.

    All edge ports of a device are all of its traffic; of several, each has the share that ``edge_rates`` give it.
    If they lack one of them, the loss is not counted.
    """
    views, later = port_views(before.devices), port_views(after.devices)
    down = {port: view for port, view in views.items() if view.up and not later[port].up}
    hit = sorted({port.device for port in down if port in edges})
    tried = (_cut([p for p in sorted(edges) if p.device == device], down, edge_rates) for device in hit)
    cuts = tuple(cut for cut in tried if cut is not None)
    counted = {port for cut in cuts for port in cut.ports}
    return Severed(cuts, tuple(_unmodelled(before, down, counted, management)))


def scaled(demands: Demands, shares: Floats) -> Demands:
    """Matrix and ensemble times ``shares`` [n, n]."""
    ensemble = None if demands.ensemble is None else demands.ensemble * shares
    return replace(demands, matrix_bps=demands.matrix_bps * shares, ensemble=ensemble)


def _cut(edges: Sequence[Port], down: Collection[Port], rates: EdgeRates) -> Cut | None:
    """``edges``: all edge ports of one device. None if their shares are unknown."""
    device, lost = edges[0].device, tuple(port for port in edges if port in down)
    if len(lost) == len(edges):
        return Cut(device, lost, 1.0, 1.0)
    if not all(np.isfinite(rates.get(port, np.nan)).all() for port in edges):
        return None
    total, gone = (np.sum([rates[port] for port in ports], axis=0) for ports in (edges, lost))
    entering, leaving = np.divide(gone, total, out=np.zeros(2), where=total > 0)
    return Cut(device, lost, float(entering), float(leaving))


def _unmodelled(
    before: Snapshot, down: Mapping[Port, PortView], counted: Collection[Port], management: Collection[IPv4Address]
) -> Iterator[tuple[Port, str]]:
    ends = {port for link in before.links for port in (link.a, link.b)}
    bundles = bundles_of(before.devices)
    for port, view in down.items():
        if holds(view, management):
            yield port, "collectors reach the device through it"
        elif view.loopback:
            yield port, "a loopback: what reaches the device by its address is lost, and the model does not show it"
        elif port in bundles:
            yield port, f"a member of {bundles[port].interface}: what the bundle can carry without it is not computed"
        elif port not in ends and port not in counted:
            verb = "carries" if view.addresses else "may carry"
            yield port, f"{verb} traffic that the model does not route"
        if any(_ends_at(view, device, session) for device, session in _bgp_sessions(before)):
            yield port, "BGP sessions use its address, and BGP is not predicted"


def _bgp_sessions(snapshot: Snapshot) -> Iterator[tuple[str, BgpNeighbor]]:
    for name, device in snapshot.devices.items():
        for neighbor in device.config.bgp.neighbors if device.config and device.config.bgp else ():
            yield name, neighbor


def _ends_at(view: PortView, device: str, session: BgpNeighbor) -> bool:
    """The session that ``device`` has configured begins or ends at an address of the interface."""
    own = {address.ip for address in view.addresses}
    if device != view.port.device:
        return session.address in own
    if session.update_source is not None:
        return session.update_source in own
    return any(session.address in network for network in view.networks)
