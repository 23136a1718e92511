"""Finding devices: breadth-first along LLDP from one seed, never outside the prefixes allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from collectors.results import Round
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Device
from twin.vocab.observed import LldpNeighbor, ObservedDevice

Poll = Callable[[Sequence[Device]], Round]


@dataclass(frozen=True)
class Found:
    """A device that answered, with every address it told of itself."""

    device: Device
    addresses: tuple[IPv4Address, ...]


@dataclass(frozen=True)
class Skipped:
    """A neighbour that was not contacted, or that did not answer. ``seen_from``: the device that told of it."""

    name: str
    addresses: tuple[IPv4Address, ...]
    seen_from: str
    reason: str


@dataclass(frozen=True)
class Discovery:
    """All that was found, the seed first, and all that was not followed, with the reason."""

    found: tuple[Found, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class _Candidate:
    device: Device
    addresses: tuple[IPv4Address, ...]
    seen_from: str


def discover(seed: Device, allowed: Sequence[IPv4Network], poll: Poll) -> Discovery:
    """Walk LLDP from ``seed``, asking neighbours by SNMP with the seed's credentials.

    Args:
        allowed: only management addresses inside these are ever contacted, the seed's included.
        poll: a full round over the devices given (``Poller.round``).

    Raises:
        UsageError: the seed has no SNMP access, its address is outside ``allowed``, or it does not answer.
    """
    _check_seed(seed, allowed)
    walk = _Walk(seed, tuple(allowed))
    level = [_Candidate(replace(seed, netconf=None), (), "")]
    while level:
        observed = walk.ask(level, poll)
        level = walk.next_level(observed)
    if not walk.found:
        raise UsageError(f"seed {seed.name!r}: {walk.skipped[seed.name].reason}")
    return Discovery(tuple(walk.found.values()), tuple(walk.skipped.values()))


def _check_seed(seed: Device, allowed: Sequence[IPv4Network]) -> None:
    if seed.snmp is None:
        raise UsageError(f"seed {seed.name!r} has no SNMP access")
    try:
        address = IPv4Address(seed.address)
    except ValueError:
        raise UsageError(f"seed {seed.name!r}: {seed.address!r} is not an IPv4 address") from None
    if not _is_allowed(address, allowed):
        raise UsageError(f"seed {seed.name!r}: {address} is outside the allowed prefixes")


@dataclass
class _Walk:
    """What is known so far. Devices are known by name (their own and the inventory's) and by address."""

    seed: Device
    allowed: tuple[IPv4Network, ...]
    found: dict[str, Found] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    addresses: set[IPv4Address] = field(default_factory=set)

    def ask(self, level: Sequence[_Candidate], poll: Poll) -> Mapping[str, ObservedDevice]:
        """Poll one level and note who answered."""
        results = poll([candidate.device for candidate in level])
        observed = results.observed()
        reasons = {failed.device: f"{failed.status}: {failed.reason}" for failed in results.failures()}
        for candidate in level:
            name = candidate.device.name
            if name in observed:
                self._note(candidate, observed[name])
            else:
                reason = reasons.get(name, "no answer")
                self.skipped[name] = Skipped(name, candidate.addresses, candidate.seen_from, reason)
        return observed

    def _note(self, candidate: _Candidate, told: ObservedDevice) -> None:
        own = (interface.ip for i in told.interfaces for interface in i.addresses)
        addresses = dict.fromkeys([IPv4Address(candidate.device.address), *candidate.addresses, *own])
        self.found[candidate.device.name] = Found(candidate.device, tuple(addresses))
        self.names |= {candidate.device.name, told.system_name}
        self.addresses |= {address for address in addresses if not address.is_loopback}

    def next_level(self, observed: Mapping[str, ObservedDevice]) -> list[_Candidate]:
        """The neighbours that may be contacted and were not yet; the others are noted as skipped."""
        neighbors = [(device, neighbor) for device, told in observed.items() for neighbor in told.lldp]
        level = [c for device, neighbor in neighbors if (c := self._candidate(device, neighbor)) is not None]
        for candidate in level:
            self.skipped.pop(candidate.device.name, None)
        return level

    def _candidate(self, seen_from: str, neighbor: LldpNeighbor) -> _Candidate | None:
        addresses = neighbor.management_addresses
        if neighbor.system_name in self.names or self.addresses.intersection(addresses):
            return None
        name = neighbor.system_name or f"(unnamed neighbour at {seen_from}:{neighbor.interface})"
        if reason := _why_not(neighbor, self.allowed):
            self.skipped.setdefault(name, Skipped(name, addresses, seen_from, reason))
            return None
        self.names.add(name)
        address = next(a for a in addresses if _is_allowed(a, self.allowed))
        device = Device(name, str(address), self.seed.snmp, profiles=self.seed.profiles)
        return _Candidate(device, addresses, seen_from)


def _why_not(neighbor: LldpNeighbor, allowed: Sequence[IPv4Network]) -> str:
    if not neighbor.system_name:
        return "it does not tell its name"
    if ":" in neighbor.system_name:
        return "its name holds a colon, which parts device and interface in the name of a port"
    if not neighbor.management_addresses:
        return "it tells no IPv4 management address"
    if not any(_is_allowed(address, allowed) for address in neighbor.management_addresses):
        return "its management address is outside the allowed prefixes"
    return ""


def _is_allowed(address: IPv4Address, allowed: Sequence[IPv4Network]) -> bool:
    return any(address in prefix for prefix in allowed)
