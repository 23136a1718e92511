"""Devices, what they say of their neighbours, and what only people know -> a Snapshot with its links and doubts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

from twin.net.checks import device_findings, link_findings, network_findings
from twin.net.facts import NO_FACTS, LinkFactsTable
from twin.net.lldp import Sighting, sightings
from twin.net.ports import PortView, port_views
from twin.vocab.snapshot import Finding, Link, LinkFacts, Port, Snapshot, SnapshotDevice

Pair = tuple[Port, Port]
Views = Mapping[Port, PortView]


def build_snapshot(
    at: datetime,
    devices: Sequence[SnapshotDevice],
    facts: LinkFactsTable = NO_FACTS,
    *,
    management: Collection[IPv4Address] = (),
) -> Snapshot:
    """Links from LLDP and shared subnets, each checked against the other, addresses, configuration and OSPF.

    Capacity of a link: ``facts``, else the lower observed speed of its ends, else the lower configured bandwidth;
    never more than the members that are up can carry where an end is a bundle. What its members hear, a bundle hears.
    Interfaces that hold one of the ``management`` addresses never make a link. Whatever disagrees is a Finding.

    Raises:
        ValueError: two devices of one name.
    """
    named = {device.name: device for device in sorted(devices, key=lambda d: d.name)}
    if len(named) != len(devices):
        raise ValueError("two devices have one name")
    views = {p: v for p, v in port_views(named).items() if not holds(v, management)}
    bundles = {member: bundle for member, bundle in bundles_of(named).items() if bundle in views}
    heard = [_at_bundles(s, bundles, views) for s in sightings(named, views) if s.local in views]
    pairs, refused = _choose(heard, views)
    known = {row.ports: row.facts for row in facts.links}
    links = tuple(_link(pair, known.get(pair, LinkFacts()), views) for pair in pairs)
    hearers = _hearers(heard)
    findings = [
        *(s.finding for s in heard if s.finding),
        *refused,
        *(f for device in named.values() for f in device_findings(device, views)),
        *(f for link in links for f in link_findings(link, named, views, hearers[link.a, link.b])),
        *network_findings(named, views),
        *_unused_facts(facts, pairs),
    ]
    return Snapshot(at, named, links, tuple(findings))


def bundles_of(devices: Mapping[str, SnapshotDevice]) -> Mapping[Port, Port]:
    """Member port -> the port of the bundle that it belongs to."""
    told = ((d.name, b) for d in devices.values() if d.observed for b in d.observed.bundles)
    return {Port(device, member): Port(device, bundle.name) for device, bundle in told for member in bundle.members}


def _at_bundles(sighting: Sighting, bundles: Mapping[Port, Port], views: Views) -> Sighting:
    """LLDP is spoken on members (IEEE 802.1AX); the link is the bundle's."""
    local, remote = sighting.local, sighting.remote
    if remote is None or (local not in bundles and remote not in bundles):
        return replace(sighting, local=bundles.get(local, local))
    near, far = bundles.get(local, local), bundles.get(remote, remote)
    if local not in bundles:
        near = _opposite(far, near, views)
    if remote not in bundles:
        far = _opposite(near, far, views)
    return replace(sighting, local=near, remote=far if far != near else None)


def _opposite(bundle: Port, heard: Port, views: Views) -> Port:
    """Of a device that tells no bundles: its port in the bundle's subnet, where there is one, instead of ``heard``."""
    networks = views[bundle].networks
    ports = [p for p, view in views.items() if p.device == heard.device != bundle.device and view.networks & networks]
    return ports[0] if len(ports) == 1 else heard


def holds(view: PortView, addresses: Collection[IPv4Address]) -> bool:
    """One of ``addresses`` is the interface's own (as configured or as observed)."""
    known = [*(view.config.addresses if view.config else ()), *(view.observed.addresses if view.observed else ())]
    return any(address.ip in addresses for address in known)


def edge_ports(
    snapshot: Snapshot,
    *,
    management: Collection[IPv4Address] = (),
    extra: Collection[Port] = (),
    never: Collection[Port] = (),
) -> tuple[Port, ...]:
    """Ports where customer traffic enters and leaves, sorted: up, addressed, no link end, no loopback, no management.

    On a device whose configuration is known the port must also run OSPF, else nobody could route to it.
    ``extra`` and ``never`` (the operator's word) override.
    """
    ends = {port for link in snapshot.links for port in (link.a, link.b)}
    found = {
        port
        for port, view in port_views(snapshot.devices).items()
        if _carries_customers(view, snapshot.devices[port.device]) and port not in ends and not holds(view, management)
    }
    return tuple(sorted((found | set(extra)) - set(never)))


def _carries_customers(view: PortView, device: SnapshotDevice) -> bool:
    announced = device.config is None or (view.config is not None and view.config.ospf is not None)
    return view.up and bool(view.addresses) and not view.loopback and announced


def _choose(heard: Sequence[Sighting], views: Views) -> tuple[list[Pair], list[Finding]]:
    """Pairs in order of trust: LLDP from both ends, from one end, shared subnet. A port joins one link only."""
    votes = {pair: len(ends) for pair, ends in _hearers(heard).items()}
    by_subnet, findings = _subnet_pairs(views)
    taken: dict[Port, Pair] = {}
    for pair in sorted(votes.keys() | by_subnet, key=lambda p: (-votes.get(p, 0), p)):
        rivals = {taken[port] for port in pair if port in taken}
        if not rivals:
            taken.update(dict.fromkeys(pair, pair))
        elif pair in votes:
            findings.append(_shared_port(pair, min(rivals)))
    return sorted(set(taken.values())), findings


def _pair(one: Port, other: Port) -> Pair:
    return (min(one, other), max(one, other))


def _shared_port(pair: Pair, rival: Pair) -> Finding:
    message = f"also hears {pair[1]}, but is already linked as {rival[0]} - {rival[1]}; shared segments aren't modelled"
    return Finding("error", pair[0].device, pair[0].interface, message)


def _subnet_pairs(views: Views) -> tuple[set[Pair], list[Finding]]:
    """Two ports of two devices alone in a subnet are a link, unless one is passive (a customer's LAN)."""
    pairs: set[Pair] = set()
    findings = []
    for network, ports in sorted(_subnets(views).items()):
        active = [p for p in ports if not views[p].passive]
        if len(ports) == len(active) == 2 and ports[0].device != ports[1].device:
            pairs.add(_pair(*ports))
        elif len(ports) > 2 and sum(_runs_ospf(views[p]) for p in active) > 2:
            message = f"{network} joins {len(ports)} ports; segments of more than two routers aren't modelled"
            findings.append(Finding("error", ports[0].device, ports[0].interface, message))
    return pairs, findings


def _subnets(views: Views) -> dict[IPv4Network, list[Port]]:
    members: dict[IPv4Network, list[Port]] = defaultdict(list)
    for port, view in views.items():
        for network in () if view.loopback else view.networks:
            if network.prefixlen < 32:
                members[network].append(port)
    return members


def _runs_ospf(view: PortView) -> bool:
    return view.config is not None and view.config.ospf is not None


def _link(pair: Pair, facts: LinkFacts, views: Views) -> Link:
    return Link(*pair, _capacity(facts, [views[port] for port in pair]), facts)


def _capacity(facts: LinkFacts, ends: Sequence[PortView]) -> int | None:
    if facts.capacity_bps:
        return min(facts.capacity_bps, *(view.live_bps or facts.capacity_bps for view in ends))
    speeds = [view.capacity_bps for view in ends if view.capacity_bps]
    configured = [v.config.bandwidth_bps for v in ends if v.config and v.config.bandwidth_bps]
    return min(speeds or configured, default=None)


def _hearers(heard: Sequence[Sighting]) -> Mapping[Pair, set[Port]]:
    """The ends of each link that hear the other by LLDP."""
    found: dict[Pair, set[Port]] = defaultdict(set)
    for sighting in heard:
        if sighting.remote:
            found[_pair(sighting.local, sighting.remote)].add(sighting.local)
    return found


def _unused_facts(facts: LinkFactsTable, pairs: Collection[Pair]) -> Iterable[Finding]:
    for row in facts.links:
        if row.ports not in pairs:
            a, b = row.ports
            message = f"the link facts name {a} - {b}, but no device shows such a link"
            yield Finding("warning", a.device, a.interface, message)
