"""The routing table each router should hold, by prefix: connected, static and OSPF. Comparable with the real one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

import numpy as np

from twin.net import spf
from twin.net.ospf import DISTANCE, stub_networks
from twin.net.ports import PortView, port_views
from twin.net.routing import Routing, route
from twin.vocab.config import StaticRoute
from twin.vocab.snapshot import Port, Snapshot

Protocol = Literal["connected", "static", "ospf"]


@dataclass(frozen=True, order=True)
class NextHop:
    """Out of ``interface``, to ``address`` (None: directly connected). Interface "" = discard."""

    interface: str
    address: IPv4Address | None = None


@dataclass(frozen=True)
class RibEntry:
    """The best route to one prefix."""

    protocol: Protocol
    distance: int
    metric: int
    next_hops: frozenset[NextHop]


Rib = dict[IPv4Network, RibEntry]
Announced = Mapping[IPv4Network, list[tuple[int, int]]]


def rib(snapshot: Snapshot, routing: Routing | None = None) -> dict[str, Rib]:
    """Selected routes of every device whose configuration is known, by device and prefix.

    Lowest administrative distance wins (connected 0, static 1 unless configured, OSPF 110). A static route whose
    next hop can't be resolved (by anything but the default route) is left out.
    """
    routing = routing or route(snapshot)
    views = port_views(snapshot.devices)
    announced = _announcements(snapshot, routing, views)
    return {name: _table(snapshot, routing, views, announced, name) for name in routing.devices}


def _announcements(snapshot: Snapshot, routing: Routing, views: Mapping[Port, PortView]) -> Announced:
    """Prefix -> [(device index, cost)]"""
    found: dict[IPv4Network, list[tuple[int, int]]] = defaultdict(list)
    for view in views.values():
        for network, cost in stub_networks(view, snapshot.devices):
            found[network].append((routing.index[view.port.device], cost))
    return found


def _table(
    snapshot: Snapshot, routing: Routing, views: Mapping[Port, PortView], announced: Announced, device: str
) -> Rib:
    own = [view for port, view in views.items() if port.device == device and view.up]
    table = _ospf_routes(routing, views, announced, routing.index[device])
    table |= {network: _connected(own, network) for view in own for network in view.networks}
    config = snapshot.devices[device].config
    for prefix, routes in _by_prefix(config.static_routes if config else ()).items():
        entry = _static(routes, own, table)
        if entry and (prefix not in table or entry.distance < table[prefix].distance):
            table[prefix] = entry
    return table


def _connected(own: Iterable[PortView], network: IPv4Network) -> RibEntry:
    hops = frozenset(NextHop(view.port.interface) for view in own if network in view.networks)
    return RibEntry("connected", 0, 0, hops)


def _ospf_routes(routing: Routing, views: Mapping[Port, PortView], announced: Announced, device: int) -> Rib:
    """RFC 2328 section 16.1 stage 2: nearest announcer, next hops of all that tie."""
    table: Rib = {}
    out = np.flatnonzero(routing.graph.tail == device)
    for prefix, owners in announced.items():
        reach = [(int(routing.distance[o, device]) + cost, o) for o, cost in owners if o != device]
        metric = min((m for m, _ in reach), default=int(spf.UNREACHABLE))
        if metric < spf.UNREACHABLE:
            nearest = [o for m, o in reach if m == metric]
            links = out[routing.chosen[nearest][:, out].any(axis=0)]
            hops = frozenset(_hop(views, *routing.links[e]) for e in links)
            table[prefix] = RibEntry("ospf", DISTANCE, metric, hops)
    return table


def _hop(views: Mapping[Port, PortView], sender: Port, receiver: Port) -> NextHop:
    far = views[receiver].address_towards(views[sender])
    return NextHop(sender.interface, far.ip if far else None)


def _by_prefix(routes: Iterable[StaticRoute]) -> dict[IPv4Network, list[StaticRoute]]:
    found: dict[IPv4Network, list[StaticRoute]] = defaultdict(list)
    for static in routes:
        found[static.prefix].append(static)
    return found


def _static(routes: list[StaticRoute], own: list[PortView], table: Rib) -> RibEntry | None:
    """The resolvable routes of the least distance, together."""
    resolved = [(static.distance, hops) for static in routes if (hops := _resolve(static, own, table))]
    if not resolved:
        return None
    least = min(distance for distance, _ in resolved)
    return RibEntry("static", least, 0, frozenset().union(*(hops for d, hops in resolved if d == least)))


def _resolve(static: StaticRoute, own: list[PortView], table: Rib) -> frozenset[NextHop]:
    if static.interface:
        up = any(view.port.interface == static.interface for view in own)
        return frozenset({NextHop(static.interface, static.next_hop)} if up else ())
    if static.next_hop is None:
        return frozenset({NextHop("")})
    through = [n for n in table if static.next_hop in n and n.prefixlen and n != static.prefix]
    if not through:
        return frozenset()
    entry = table[max(through, key=lambda n: n.prefixlen)]
    return frozenset(NextHop(hop.interface, hop.address or static.next_hop) for hop in entry.next_hops)
