"""Which devices may send notifications from which address."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

import structlog

from collectors.snmp.trap_engine import Sender
from twin.vocab.inventory import Device

log = structlog.get_logger(__name__)


class Sources:
    """The inventory's devices by the address they are polled at, and by those they were since seen to have.

    Devices that share the address they are polled at are told apart by their communities or users; an address that
    several were seen to have (a virtual router's, for one) is nobody's. ``seen`` may be called from any thread.

    Host names are looked up when it is made; unknown ones are left out and logged.
    """

    def __init__(self, devices: Iterable[Device]) -> None:
        self._listed: dict[str, tuple[Sender, ...]] = {}
        self._senders: dict[str, Sender] = {}
        self._seen: dict[str, str | None] = {}
        self._last_seen: dict[str, frozenset[str]] = {}
        for device in devices:
            if device.snmp is not None:
                sender = self._senders[device.name] = Sender(device.name, device.snmp.credentials)
                for address in _looked_up(device):
                    self._listed[address] = (*self._listed.get(address, ()), sender)

    def __iter__(self) -> Iterator[Sender]:
        return iter(self._senders.values())

    def at(self, address: str) -> tuple[Sender, ...]:
        """Who may send from there; none if it is a stranger's."""
        if listed := self._listed.get(address):
            return listed
        device = self._seen.get(address)
        return (self._senders[device],) if device else ()

    def seen(self, device: str, addresses: Iterable[str]) -> None:
        """The addresses a device has now."""
        if device not in self._senders:
            return
        fresh = frozenset(filter(_unique, addresses))
        before = self._last_seen.get(device, frozenset())
        for gone in before - fresh:
            if self._seen.get(gone) == device:
                del self._seen[gone]
        for address in fresh - before:
            self._seen[address] = device if self._seen.get(address, device) == device else None
        self._last_seen[device] = fresh


def plain_address(address: str) -> str:
    """Without an IPv6 zone, and IPv4 as IPv4."""
    return address.split("%", 1)[0].removeprefix("::ffff:")


def _unique(address: str) -> bool:
    """Whether the kind of address can be one device's alone."""
    kind = ip_address(address)
    return not (kind.is_loopback or kind.is_link_local or kind.is_unspecified or kind.is_multicast)


def _looked_up(device: Device) -> set[str]:
    try:
        told = socket.getaddrinfo(device.address, None, type=socket.SOCK_DGRAM)
    except OSError as problem:
        log.warning("traps_no_address", device=device.name, address=device.address, reason=str(problem))
        return set()
    return {plain_address(str(entry[4][0])) for entry in told}
