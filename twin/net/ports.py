"""One interface as configured and as observed, side by side, and what follows from the two."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network

from twin.vocab.config import InterfaceConfig
from twin.vocab.observed import ObservedInterface
from twin.vocab.snapshot import Port, SnapshotDevice

_LOOPBACK = re.compile(r"lo(opback)?\d*(\.\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class PortView:
    """``device_seen``: the device's interface table was read, so an interface missing from it isn't there.

    ``members``: of the bundle that the interface is; one that the interface table lacks has no speed.
    """

    port: Port
    config: InterfaceConfig | None
    observed: ObservedInterface | None
    device_seen: bool
    members: tuple[ObservedInterface, ...] = ()

    @property
    def addresses(self) -> tuple[IPv4Interface, ...]:
        """As configured, else as observed."""
        if self.config and self.config.addresses:
            return self.config.addresses
        return self.observed.addresses if self.observed else ()

    @property
    def networks(self) -> frozenset[IPv4Network]:
        return frozenset(address.network for address in self.addresses)

    @property
    def enabled(self) -> bool:
        return self.config is None or self.config.enabled

    @property
    def up(self) -> bool:
        """Enabled, and nothing observed says otherwise; unknown state counts as up."""
        if self.observed is None:
            return self.enabled and not self.device_seen
        return self.enabled and self.observed.admin_up is not False and self.observed.oper_up is not False

    @property
    def speed_bps(self) -> int | None:
        """Observed speed; 0 means the agent does not know (RFC 2863 ifHighSpeed)."""
        return (self.observed.speed_bps or None) if self.observed else None

    @property
    def live_bps(self) -> int | None:
        """The speeds of a bundle's members that are up, added; None if one is unknown, or there are none."""
        speeds = [member.speed_bps or 0 for member in self.members if is_live(member)]
        return sum(speeds) if speeds and all(speeds) else None

    @property
    def capacity_bps(self) -> int | None:
        """What the interface can carry: a bundle what its live members can, else the observed speed."""
        return self.live_bps or self.speed_bps

    @property
    def bandwidth_bps(self) -> int | None:
        """Configured bandwidth, else observed speed: what routing protocols reckon with."""
        configured = self.config.bandwidth_bps if self.config else None
        return configured or self.speed_bps

    @property
    def loopback(self) -> bool:
        kind = self.config.ospf.network_type if self.config and self.config.ospf else None
        return kind == "loopback" or _LOOPBACK.fullmatch(self.port.interface) is not None

    @property
    def passive(self) -> bool:
        return bool(self.config and self.config.ospf and self.config.ospf.passive)

    def address_towards(self, far: PortView) -> IPv4Interface | None:
        """The own address in a subnet that the far port has too."""
        return next((a for a in self.addresses if a.network in far.networks), None)


def is_live(member: ObservedInterface) -> bool:
    """Nothing observed says that the member is down."""
    return member.admin_up is not False and member.oper_up is not False


def port_views(devices: Mapping[str, SnapshotDevice]) -> dict[Port, PortView]:
    """Every interface that is configured or observed on any device, by port, sorted."""
    views = (view for device in devices.values() for view in _views_of(device))
    return dict(sorted((view.port, view) for view in views))


def _views_of(device: SnapshotDevice) -> Iterable[PortView]:
    configured = {i.name: i for i in device.config.interfaces} if device.config else {}
    observed = {i.name: i for i in device.observed.interfaces} if device.observed else {}
    bundles = {b.name: b.members for b in device.observed.bundles} if device.observed else {}
    for name in configured.keys() | observed.keys():
        members = tuple(observed.get(m) or ObservedInterface(m, 0) for m in bundles.get(name, ()))
        port = Port(device.name, name)
        yield PortView(port, configured.get(name), observed.get(name), device.observed is not None, members)
