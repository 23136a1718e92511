"""What disagrees between configuration, state, neighbours and addresses. Checks yield Findings and decide nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Network

from twin.net.ospf import adjacency_problem, ospf_config, stub_networks
from twin.net.ports import PortView, is_live
from twin.vocab.observed import LINKS_MAY_LACK
from twin.vocab.snapshot import Finding, Link, Port, Severity, SnapshotDevice

Devices = Mapping[str, SnapshotDevice]
Views = Mapping[Port, PortView]
FULL = 8
NEIGHBOURS, LLDP, OSPF = "neighbours", "lldp", "ospf"


def _at(severity: Severity, port: Port, message: str) -> Finding:
    return Finding(severity, port.device, port.interface, message)


def device_findings(device: SnapshotDevice, views: Views) -> Iterator[Finding]:
    """Missing parts, unread lines, and interfaces whose state is not what they are told."""
    if device.config is None:
        yield Finding("error", device.name, "configuration", "configuration unknown: no routes are computed through it")
    if device.observed is None:
        yield Finding("error", device.name, "state", "state unknown: enabled interfaces are taken to be up")
    for flag in device.observed.flags if device.observed else ():
        yield Finding("error" if flag.startswith(LINKS_MAY_LACK) else "warning", device.name, "state", flag)
    if device.config and device.config.unread:
        first, count = device.config.unread[0], len(device.config.unread)
        message = f"{count} configuration lines not understood, first line {first.line}: {first.text.strip()!r}"
        yield Finding("warning", device.name, "configuration", message)
    for port, view in views.items():
        if port.device == device.name:
            yield from _port_findings(view)
            yield from _bundle_findings(view)


def _port_findings(view: PortView) -> Iterator[Finding]:
    if view.config is None:
        return
    if view.observed is None:
        if view.device_seen and (view.config.addresses or view.config.ospf):
            yield _at("warning", view.port, "configured but not observed: taken to be down")
        return
    if view.enabled and not view.up:
        state = "administratively down" if view.observed.admin_up is False else "down"
        yield _at("warning", view.port, f"configured enabled but observed {state}")
    if not view.enabled and view.observed.oper_up:
        yield _at("warning", view.port, "configured disabled but observed up")
    yield from _address_findings(view)


def _bundle_findings(view: PortView) -> Iterator[Finding]:
    """Members that are down, and a reported speed that is not what the live ones have."""
    down = [member.name for member in view.members if not is_live(member)]
    if down:
        yield _at("warning", view.port, f"{len(down)} of {len(view.members)} members down: {', '.join(down)}")
    unknown = [member.name for member in view.members if is_live(member) and not member.speed_bps]
    if unknown:
        message = f"the speed of member {unknown[0]} is unknown: the bundle's own speed is taken for its capacity"
        yield _at("warning", view.port, message)
    elif view.live_bps and view.speed_bps and view.live_bps != view.speed_bps:
        message = f"speed {view.speed_bps} bit/s, but the members that are up have {view.live_bps} bit/s: taken as such"
        yield _at("warning", view.port, message)


def _address_findings(view: PortView) -> Iterator[Finding]:
    configured = set(view.config.addresses) if view.config else set()
    observed = {a for a in view.observed.addresses if not a.is_loopback} if view.observed else set()
    if configured and observed and configured != observed:
        told, seen = (", ".join(map(str, sorted(s))) for s in (configured, observed))
        yield _at("warning", view.port, f"configured {told} but observed {seen}")


def link_findings(link: Link, devices: Devices, views: Views, hearers: Collection[Port]) -> Iterator[Finding]:
    """Where sources of knowledge about a link disagree. ``hearers``: the ends that hear the other by LLDP."""
    a, b = views[link.a], views[link.b]
    yield from _hearing_findings(link, devices, hearers)
    if a.addresses and b.addresses and a.address_towards(b) is None:
        yield _at("warning", link.a, f"linked to {link.b} by LLDP, but they share no subnet")
    both_told = all(_told(devices[port.device], NEIGHBOURS) for port in (link.a, link.b))
    if both_told and a.capacity_bps and b.capacity_bps and a.capacity_bps != b.capacity_bps:
        yield _at("warning", link.a, f"speed {a.capacity_bps} bit/s, but {link.b} says {b.capacity_bps} bit/s")
    if link.capacity_bps is None:
        yield _at("warning", link.a, f"capacity of the link to {link.b} is unknown")
    yield from _ospf_findings(a, b, devices)


def _told(device: SnapshotDevice, *subjects: str) -> bool:
    """State was read, and no flag says that one of ``subjects`` is missing from it, in whole or in part."""
    flags = device.observed.flags if device.observed else ()
    return device.observed is not None and not any(subject in flag for flag in flags for subject in subjects)


def _hearing_findings(link: Link, devices: Devices, hearers: Collection[Port]) -> Iterator[Finding]:
    """An end whose LLDP neighbours were not read is not blamed for its silence."""
    silent = [p for p in (link.a, link.b) if p not in hearers and _told(devices[p.device], NEIGHBOURS, LLDP)]
    if len(silent) == 2:
        yield _at("warning", link.a, f"shares a subnet with {link.b}, but neither end hears the other by LLDP")
    for port in silent if len(silent) == 1 else ():
        reason = ", which hears it" if link.far(port) in hearers else ""
        yield _at("warning", port, f"does not hear {link.far(port)} by LLDP{reason}")


def _ospf_findings(a: PortView, b: PortView, devices: Devices) -> Iterator[Finding]:
    if not (ospf_config(a, devices) and ospf_config(b, devices) and a.up and b.up):
        return
    problem = adjacency_problem(a, b, devices)
    if problem:
        yield _at("warning", a.port, f"OSPF adjacency with {b.port} can't form: {problem}")
        return
    for near, far in ((a, b), (b, a)):
        yield from _neighbour_findings(near, far, devices[near.port.device])


def _neighbour_findings(near: PortView, far: PortView, device: SnapshotDevice) -> Iterator[Finding]:
    """Whether the OSPF neighbours that the device was read to have hold the far end."""
    full = {n.address for n in device.observed.ospf if n.state == FULL} if device.observed else set()
    if not _told(device, NEIGHBOURS) or full & {address.ip for address in far.addresses}:
        return
    fault = "is not a full neighbour" if _told(device, OSPF) else "may be no full neighbour: not all were read"
    yield _at("error", near.port, f"both ends run OSPF, but {far.port} {fault}")


def network_findings(devices: Devices, views: Views) -> Iterator[Finding]:
    """What only the whole shows: identifiers twice, several areas, routes outside the load model."""
    yield from _twice(
        "router id", ((d.config.ospf.router_id, n) for n, d in devices.items() if d.config and d.config.ospf)
    )
    addresses = (
        (a.ip, str(p)) for p, v in views.items() for a in v.addresses if not v.loopback or not a.ip.is_loopback
    )
    yield from _twice("address", addresses)
    areas = {o.area for v in views.values() if v.up and (o := ospf_config(v, devices))}
    if len(areas) > 1:
        named = ", ".join(map(str, sorted(areas)))
        yield Finding("error", "", "OSPF", f"areas {named}: only routes inside one area are predicted")
    yield from _outside_the_model(devices, views)


def _twice(what: str, owners: Iterable[tuple[object, str]]) -> Iterator[Finding]:
    found: dict[object, list[str]] = defaultdict(list)
    for value, owner in owners:
        found[value].append(owner)
    for value, names in sorted(found.items(), key=str):
        if len(names) > 1:
            device, _, interface = names[0].partition(":")
            yield Finding("error", device, interface or what, f"{what} {value} is also that of {', '.join(names[1:])}")


def _outside_the_model(devices: Devices, views: Views) -> Iterator[Finding]:
    announced = {network: v.port.device for v in views.values() for network, _ in stub_networks(v, devices)}
    for name, device in devices.items():
        for route in device.config.static_routes if device.config else ():
            if other := _overridden(route.prefix, name, announced):
                message = (
                    f"static route {route.prefix} overrides OSPF towards {other}; loads don't follow static routes"
                )
                yield Finding("error", name, "static routes", message)
        if device.config and device.config.bgp:
            yield Finding("note", name, "BGP", "BGP routes are not predicted; loads follow OSPF between the devices")


def _overridden(prefix: IPv4Network, device: str, announced: Mapping[IPv4Network, str]) -> str | None:
    """The other device whose announced network a static route takes over."""
    return next((owner for network, owner in announced.items() if owner != device and prefix.subnet_of(network)), None)
