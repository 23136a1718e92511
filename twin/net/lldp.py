"""Who is at the other end: LLDP neighbours (IEEE 802.1AB) resolved to ports of known devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from twin.net.ports import PortView
from twin.vocab.observed import LldpNeighbor
from twin.vocab.snapshot import Finding, Port, SnapshotDevice

Names = Mapping[str, str | None]


@dataclass(frozen=True)
class Sighting:
    """``local`` heard a neighbour; ``remote`` is its port, or None with the reason in ``finding``."""

    local: Port
    remote: Port | None
    finding: Finding | None = None


def sightings(devices: Mapping[str, SnapshotDevice], views: Mapping[Port, PortView]) -> list[Sighting]:
    """Each LLDP neighbour of each device, resolved by system name (or management address) and port."""
    names = _names(devices)
    owners = {a.ip: view.port.device for view in views.values() for a in view.addresses if not a.ip.is_loopback}
    return [
        _resolve(Port(device.name, heard.interface), heard, _who(heard, names, owners), devices, views)
        for _, device in sorted(devices.items())
        if device.observed
        for heard in device.observed.lldp
    ]


def _names(devices: Mapping[str, SnapshotDevice]) -> dict[str, str | None]:
    """Lower-case system names, with and without domain -> device; None where two devices share one."""
    found: dict[str, str | None] = {}
    for device in devices.values():
        spellings = {name.lower() for name in _spellings(device)}
        for spelling in sorted(spellings | {s.partition(".")[0] for s in spellings}):
            found[spelling] = device.name if found.get(spelling, device.name) == device.name else None
    return found | {name.lower(): name for name in devices}


def _spellings(device: SnapshotDevice) -> set[str]:
    """The names a device goes by: the inventory's, its own sysName, its configured host name."""
    own = {device.observed.system_name} if device.observed else set()
    configured = {device.config.hostname} if device.config else set()
    return ({device.name} | own | configured) - {""}


def _who(heard: LldpNeighbor, names: Names, owners: Mapping[IPv4Address, str]) -> str | None:
    spelling = heard.system_name.lower()
    by_name = names.get(spelling) or names.get(spelling.partition(".")[0])
    by_address = (owners[a] for a in heard.management_addresses if a in owners)
    return by_name or next(by_address, None)


def _resolve(
    local: Port,
    heard: LldpNeighbor,
    device: str | None,
    devices: Mapping[str, SnapshotDevice],
    views: Mapping[Port, PortView],
) -> Sighting:
    if device is None:
        message = f"LLDP neighbour {heard.system_name or 'without a name'!r} is not a device of the inventory"
        return Sighting(local, None, Finding("note", local.device, local.interface, message))
    far = {port: view for port, view in views.items() if port.device == device and port != local}
    matches = (
        _by_name(heard, far) or _by_echo(local, devices[device], devices, far) or _by_subnet(views.get(local), far)
    )
    if len(matches) == 1:
        return Sighting(local, matches[0])
    spelled = heard.port_description or heard.port_id
    message = f"LLDP names port {spelled!r} of {device}, which matches {len(matches)} of its interfaces"
    return Sighting(local, None, Finding("warning", local.device, local.interface, message))


def _by_name(heard: LldpNeighbor, far: Mapping[Port, PortView]) -> list[Port]:
    """By port id, then by port description; some agents send the interface index as id."""
    for spelling in (heard.port_id, heard.port_description):
        if found := [port for port in far if spelling and port.interface.lower() == spelling.lower()]:
            return found
    index = int(heard.port_id) if heard.port_id.isdecimal() else None
    return [port for port, view in far.items() if view.observed and view.observed.index == index]


def _by_echo(
    local: Port, device: SnapshotDevice, devices: Mapping[str, SnapshotDevice], far: Mapping[Port, PortView]
) -> list[Port]:
    """The ports on which the remote device hears our port."""
    own = {name.lower() for name in _spellings(devices[local.device])}
    return [
        port
        for n in (device.observed.lldp if device.observed else ())
        if n.system_name.lower() in own and local.interface in (n.port_id, n.port_description)
        if (port := Port(device.name, n.interface)) in far
    ]


def _by_subnet(local: PortView | None, far: Mapping[Port, PortView]) -> list[Port]:
    return [port for port, view in far.items() if local and local.networks & view.networks]
