"""The question "what would this change do": both sides computed, compared, judged -> Answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address

import numpy as np
import numpy.typing as npt

from twin.net.ports import port_views
from twin.net.routing import Routing, route
from twin.net.traffic import align, load_of
from twin.vocab.answer import Answer, Evidence, Interval, LinkLoad, RouteMove
from twin.vocab.change import Change
from twin.vocab.demand import Demands
from twin.vocab.snapshot import Finding, Port, Snapshot, Source
from twin.whatif.fork import fork
from twin.whatif.policies import Case, Policies, judge
from twin.whatif.severed import Cut, EdgeRates, scaled, severed

Floats = npt.NDArray[np.float64]
LEVEL = 0.9
BASIS = "demand matrices that fit the same counters"
_TINY_BPS = 1e-6


@dataclass(frozen=True)
class _Side:
    """A snapshot and what it routes; ``up`` [m]: both ends of the directed link are up."""

    snapshot: Snapshot
    routing: Routing
    up: npt.NDArray[np.bool_]


def ask(
    snapshot: Snapshot,
    change: Change,
    demands: Demands,
    policies: Policies,
    *,
    asked_at: datetime,
    about: datetime,
    measured: Mapping[Port, float] | None = None,
    edges: Collection[Port] = (),
    edge_rates: EdgeRates | None = None,
    management: Collection[IPv4Address] = (),
) -> Answer:
    """What a change would do to routes and link loads, with a verdict and what it rests on.

    Args:
        demands: offered traffic at the time asked about, measured or forecast.
        measured: bit/s now per sending port. Where known, ``before`` is the measured load and ``after`` moves
            with it: measured + (computed after - computed before), the correction shrinking with the load that
            leaves. On Abilene's matrices this costs the hottest link at most 0.2 points of accuracy (others 0.3)
            when counters are merely noisy (1 to 3 %), and gains it 2 to 3.4 points when a part of the traffic is
            not in the model (local traffic, a cost that is not the configured one). Leave it out for a future time.
        edges: all ports where customer traffic enters and leaves. What passes those that go down is lost: all of a
            device's traffic with its last edge port, else the share that ``edge_rates`` give them.
        edge_rates: (entering, leaving) bit/s of edge ports at the time asked about.
        management: addresses at which collectors reach devices.

    Losing a port of unknown traffic, or one that collectors or BGP sessions use, is INCONCLUSIVE.

    Demands that had no path before are not blamed on the change.

    Raises:
        UsageError: the change names something unknown or impossible.
        NettwinError: the demands name devices the snapshot lacks.
    """
    before, after = _side(snapshot), _side(fork(snapshot, change))
    demands = align(demands, before.routing.devices)
    gone = severed(before.snapshot, after.snapshot, edges, edge_rates or {}, management)
    kept = gone.kept(before.routing.devices)
    remaining = scaled(demands, kept)
    links = tuple(_link_loads(before, after, demands, remaining, measured or {}))
    evidence = _evidence(before.snapshot, after.snapshot, demands)
    lost = _newly_lost(before.routing, after.routing, demands, np.ones_like(kept))
    lost_or_cut = _newly_lost(before.routing, after.routing, demands, kept)
    case = Case(
        asked_at,
        about,
        demands.at,
        links,
        lost,
        _sources(snapshot),
        evidence,
        tuple(sorted({*before.routing.truncated(), *after.routing.truncated()})),
        tuple((cut.ports, _passing(before.routing, demands, cut)) for cut in gone.cuts),
        gone.unmodelled,
    )
    verdict, reasons = judge(case, policies)
    return Answer(
        str(change),
        verdict,
        reasons,
        asked_at,
        about,
        _expiry(case, policies),
        snapshot.hash,
        links,
        tuple(_moves(before.routing, after.routing)),
        _moved_bps(before.routing, after.routing, remaining),
        sum(bps for _, _, bps in lost_or_cut),
        lost_or_cut,
        evidence,
    )


def _side(snapshot: Snapshot) -> _Side:
    views = port_views(snapshot.devices)
    routing = route(snapshot)
    up = np.array([views[s].up and views[r].up for s, r in routing.links], dtype=bool)
    return _Side(snapshot, routing, up)


def _link_loads(
    before: _Side, after: _Side, demands: Demands, remaining: Demands, measured: Mapping[Port, float]
) -> Iterator[LinkLoad]:
    links = before.routing.links
    old, new = load_of(before.routing, demands.matrix_bps), load_of(after.routing, remaining.matrix_bps)
    counted = np.array([measured.get(sender, np.nan) for sender, _ in links], dtype=np.float64)
    correction = np.where(np.isnan(counted), 0.0, counted - old)
    staying = np.minimum(1.0, new / np.maximum(old, _TINY_BPS))
    shift = np.where(after.up, np.where(old > _TINY_BPS, correction * staying, correction), 0.0)
    low, high = _bounds(after, remaining, shift)
    capacities = {port: link.capacity_bps for link in before.snapshot.links for port in (link.a, link.b)}
    for e, (sender, receiver) in enumerate(links):
        capacity = capacities[sender]
        load = max(0.0, float(new[e] + shift[e]))
        interval = None
        if low is not None and high is not None:
            interval = Interval(min(load, float(low[e])), max(load, float(high[e])), LEVEL, BASIS)
        yield LinkLoad(
            sender,
            receiver,
            capacity,
            max(0.0, float(old[e] + correction[e])),
            load,
            min(load, capacity) if capacity else load,
            interval,
            None if np.isnan(counted[e]) else float(counted[e]),
            bool(after.up[e]),
        )


def _bounds(after: _Side, demands: Demands, shift: Floats) -> tuple[Floats, Floats] | tuple[None, None]:
    """[m] quantiles over the ensemble's loads after the change."""
    if demands.ensemble is None or len(demands.ensemble) == 0:
        return None, None
    members = np.maximum(load_of(after.routing, demands.ensemble) + shift, 0.0)
    low, high = np.quantile(members, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def _newly_lost(before: Routing, after: Routing, demands: Demands, kept: Floats) -> tuple[tuple[str, str, float], ...]:
    """(origin, destination, bit/s) of every pair that had a path before and loses it or a share, largest first."""
    share = np.where(after.reachable, 1.0 - kept, 1.0)
    pairs = np.argwhere(before.reachable & (share > 0) & ~np.eye(len(kept), dtype=bool))
    named = [(before.devices[s], before.devices[t], float((share * demands.matrix_bps)[s, t])) for s, t in pairs]
    return tuple(sorted(named, key=lambda x: (-x[2], x[0], x[1])))


def _passing(before: Routing, demands: Demands, cut: Cut) -> float:
    """bit/s that had a path and entered or left the network at the ports of the cut."""
    routed = np.where(before.reachable & ~np.eye(len(before.devices), dtype=bool), demands.matrix_bps, 0.0)
    at = before.index[cut.device]
    return float(cut.entering * routed[at].sum() + cut.leaving * routed[:, at].sum())


def _moved_bps(before: Routing, after: Routing, demands: Demands) -> float:
    """Of each demand that still has a path, the largest share that any link gains or loses."""
    shift = abs(after.fractions - before.fractions)
    share = shift.max(axis=0).toarray().ravel()
    return float(share @ np.where(after.reachable, demands.matrix_bps, 0.0).ravel())


def _moves(before: Routing, after: Routing) -> Iterator[RouteMove]:
    changed = before.chosen != after.chosen
    pairs = {(int(before.graph.tail[e]), int(t)) for t, e in zip(*np.nonzero(changed), strict=True)}
    for v, t in sorted(pairs):
        device, destination = before.devices[v], before.devices[t]
        hops = (side.next_hops(device, destination) for side in (before, after))
        yield RouteMove(device, destination, *hops)


def _evidence(before: Snapshot, after: Snapshot, demands: Demands) -> Evidence:
    devices = before.devices.values()
    sources = [source for _, source in _sources(before)]
    findings: tuple[Finding, ...] = after.findings
    return Evidence(
        len(before.devices),
        sum(device.config is not None for device in devices),
        sum(device.observed is not None for device in devices),
        min(sources, key=lambda s: s.at, default=None),
        sum(len(device.config.unread) for device in devices if device.config),
        demands.source,
        demands.residual,
        findings,
    )


def _sources(snapshot: Snapshot) -> tuple[tuple[str, Source], ...]:
    return tuple((device.name, source) for device in snapshot.devices.values() for source in device.sources)


def _expiry(case: Case, policies: Policies) -> datetime:
    """When the first source of a fresh enough answer grows too old; never before it was asked."""
    ends = [source.at + policies.limit_of(source) for _, source in case.sources]
    ends.append(case.demands_at + policies.maximum_demand_age)
    return max(min(ends), case.asked_at)
