"""Finding devices: in address ranges given by hand and along LLDP and CDP, never outside the prefixes allowed.

No device is bothered by guessing: credentials are tried in their order of safety (SNMPv3 first), each once, and after
two that failed the device is left alone and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from collectors.failures import Failed
from collectors.results import Round
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Device, SnmpAccess, SnmpV1, SnmpV3
from twin.vocab.observed import LldpNeighbor, ObservedDevice

Poll = Callable[[Sequence[Device]], Round]
MOST_FAILED_AUTHENTICATIONS = 2
MOST_ADDRESSES = 65536


@dataclass(frozen=True)
class Found:
    """A device that answered: by its own name, with the credential that worked, and every address it told of itself."""

    device: Device
    credential: str
    addresses: tuple[IPv4Address, ...]
    observed: ObservedDevice


@dataclass(frozen=True)
class Skipped:
    """Someone who was not contacted, or gave nothing. ``seen_from``: the device that told of it, "" if none did."""

    name: str
    addresses: tuple[IPv4Address, ...]
    seen_from: str
    reason: str


@dataclass(frozen=True)
class Discovery:
    """All that was found, in the order found; all that was told of and not found; how many addresses were silent."""

    found: tuple[Found, ...]
    skipped: tuple[Skipped, ...]
    asked: frozenset[IPv4Address]
    silent: int = 0


@dataclass(frozen=True)
class _Candidate:
    """An address to ask. ``name``: what others call it; ``seen_from`` empty: it was given, or lies in a range."""

    address: IPv4Address
    name: str = ""
    seen_from: str = ""
    others: tuple[IPv4Address, ...] = ()
    expected: bool = True

    @property
    def called(self) -> str:
        return self.name or str(self.address)


def discover(
    seeds: Sequence[IPv4Address],
    ranges: Sequence[IPv4Network],
    allowed: Sequence[IPv4Network],
    credentials: Mapping[str, SnmpAccess],
    poll: Poll,
) -> Discovery:
    """Ask the seeds and every address of the ranges, then whoever they see by LLDP or CDP, and so on.

    Args:
        allowed: only addresses inside these are ever contacted.
        credentials: by name; each is tried with a single request, SNMPv3 before 2c before 1.
        poll: a full round over the devices given (``Poller.round``).

    Raises:
        UsageError: a seed or range lies outside ``allowed``, the ranges hold more than 65,536 addresses, or nothing
            says where to begin or how to ask.
    """
    _check(seeds, ranges, allowed, credentials)
    walk = _Walk(tuple(allowed), _by_safety(credentials))
    level = [_Candidate(address) for address in dict.fromkeys(seeds)]
    level += [_Candidate(a, expected=False) for a in dict.fromkeys(_hosts(ranges)) if a not in set(seeds)]
    while level:
        walk.ask(level, poll)
        level = walk.next_level()
    return Discovery(tuple(walk.found), tuple(walk.skipped.values()), frozenset(walk.asked), walk.silent)


def _check(
    seeds: Sequence[IPv4Address],
    ranges: Sequence[IPv4Network],
    allowed: Sequence[IPv4Network],
    credentials: Mapping[str, SnmpAccess],
) -> None:
    if not seeds and not ranges:
        raise UsageError("nowhere to begin: give the address of a device, or a range")
    if not credentials:
        raise UsageError("no SNMP credential to ask with")
    for seed in seeds:
        if not _is_allowed(seed, allowed):
            raise UsageError(f"seed {seed} is outside the allowed prefixes")
    for network in ranges:
        if not any(network.subnet_of(prefix) for prefix in allowed):
            raise UsageError(f"range {network} is outside the allowed prefixes")
    if sum(network.num_addresses for network in ranges) > MOST_ADDRESSES:
        raise UsageError(f"the ranges hold more than {MOST_ADDRESSES:,} addresses: take smaller ones")


def _by_safety(credentials: Mapping[str, SnmpAccess]) -> tuple[tuple[str, SnmpAccess], ...]:
    """SNMPv3 first; each asked with once: every repetition of a wrong community is one more failed authentication."""

    def rank(access: SnmpAccess) -> int:
        return 0 if isinstance(access.credentials, SnmpV3) else 2 if isinstance(access.credentials, SnmpV1) else 1

    once = ((name, replace(access, retries=0)) for name, access in credentials.items())
    return tuple(sorted(once, key=lambda named: rank(named[1])))


def _hosts(ranges: Iterable[IPv4Network]) -> Iterator[IPv4Address]:
    for network in ranges:
        yield from network.hosts()


@dataclass
class _Walk:
    """What is known so far. Devices are known by name (their own and others' for them) and by address."""

    allowed: tuple[IPv4Network, ...]
    credentials: tuple[tuple[str, SnmpAccess], ...]
    found: list[Found] = field(default_factory=list)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    asked: set[IPv4Address] = field(default_factory=set)
    silent: int = 0
    _names: dict[str, Found] = field(default_factory=dict)
    _addresses: set[IPv4Address] = field(default_factory=set)
    _fresh: list[Found] = field(default_factory=list)

    def ask(self, level: Sequence[_Candidate], poll: Poll) -> None:
        """Try one credential after the other with those that did not answer yet."""
        attempts = {str(candidate.address): _Attempts(candidate) for candidate in level}
        self.asked |= {candidate.address for candidate in level}
        for name, access in self.credentials:
            due = {address: a for address, a in attempts.items() if not a.settled}
            if due:
                self._try(name, access, due, poll)
        for asked in attempts.values():
            self._note_failure(asked)

    def _try(self, name: str, access: SnmpAccess, due: Mapping[str, _Attempts], poll: Poll) -> None:
        taken = poll([Device(address, address, access) for address in due])
        for address, told in taken.observed().items():
            due[address].answered = True
            self._note(due[address].candidate, name, access, told)
        for failure in taken.failures():
            due[failure.device].failed(failure, access)

    def _note(self, candidate: _Candidate, credential: str, access: SnmpAccess, told: ObservedDevice) -> None:
        name = told.system_name or candidate.called
        own = [interface.ip for i in told.interfaces for interface in i.addresses]
        addresses = tuple(dict.fromkeys([candidate.address, *candidate.others, *own]))
        known = self._names.get(name)
        if known is not None and (candidate.address in known.addresses or IPv4Address(known.device.address) in own):
            return
        if known is not None:
            reason = f"calls itself {name!r} as {known.device.address} does: give one of them another name"
            self._skip(candidate, reason, name=f"{name} ({candidate.address})")
        elif reason := _unusable(name):
            self._skip(candidate, reason)
        else:
            self._keep(candidate, Found(Device(name, str(candidate.address), access), credential, addresses, told))

    def _keep(self, candidate: _Candidate, made: Found) -> None:
        self.found.append(made)
        self._fresh.append(made)
        self._names |= {made.device.name: made} | ({candidate.name: made} if candidate.name else {})
        self._addresses |= {address for address in made.addresses if not address.is_loopback}
        self.skipped.pop(candidate.called, None)

    def _note_failure(self, attempts: _Attempts) -> None:
        """An address of a range at which nothing answers is no device; one that somebody told of is missed."""
        if attempts.answered or attempts.last is None:
            return
        if attempts.last.status == "silent" and not attempts.candidate.expected:
            self.silent += 1
        else:
            self._skip(attempts.candidate, attempts.reason)

    def _skip(self, candidate: _Candidate, reason: str, name: str = "") -> None:
        called = name or candidate.called
        addresses = (candidate.address, *candidate.others)
        self.skipped.setdefault(called, Skipped(called, addresses, candidate.seen_from, reason))

    def next_level(self) -> list[_Candidate]:
        """The neighbours that may be contacted and were not yet; the others are noted as skipped."""
        fresh, self._fresh = self._fresh, []
        seen = ((found.device.name, neighbor) for found in fresh for neighbor in found.observed.lldp)
        made = (self._candidate(device, neighbor) for device, neighbor in seen)
        level: dict[IPv4Address, _Candidate] = {}
        for candidate in made:
            if candidate is not None and not any(candidate.name == c.name for c in level.values()):
                level.setdefault(candidate.address, candidate)
        return list(level.values())

    def _candidate(self, seen_from: str, neighbor: LldpNeighbor) -> _Candidate | None:
        addresses = neighbor.management_addresses
        if neighbor.system_name in self._names or self._addresses.intersection(addresses):
            return None
        if reason := _why_not(neighbor, self.allowed):
            name = neighbor.system_name or f"(unnamed neighbour at {seen_from}:{neighbor.interface})"
            self.skipped.setdefault(name, Skipped(name, addresses, seen_from, reason))
            return None
        fresh = [a for a in addresses if _is_allowed(a, self.allowed) and a not in self.asked]
        others = tuple(a for a in addresses if a not in fresh[:1])
        return _Candidate(fresh[0], neighbor.system_name, seen_from, others) if fresh else None


@dataclass
class _Attempts:
    """How asking one address went. ``authentications``: how many failed, or may have (a community met with silence)."""

    candidate: _Candidate
    answered: bool = False
    authentications: int = 0
    last: Failed | None = None

    @property
    def settled(self) -> bool:
        return self.answered or self.authentications >= MOST_FAILED_AUTHENTICATIONS

    def failed(self, failure: Failed, access: SnmpAccess) -> None:
        """An SNMPv3 agent that is silent was only asked for its engine: no credential was shown to it."""
        shown = failure.status == "auth" or (failure.status == "silent" and not isinstance(access.credentials, SnmpV3))
        self.authentications += shown
        if self.last is None or failure.status != "silent":
            self.last = failure

    @property
    def reason(self) -> str:
        assert self.last is not None
        told = f"{self.last.status}: {self.last.reason}"
        left_alone = self.settled and self.last.status == "auth"
        return f"{told}; left alone after {self.authentications} failed authentications" if left_alone else told


def _unusable(name: str) -> str:
    return "its name holds a colon, which parts device and interface in the name of a port" if ":" in name else ""


def _why_not(neighbor: LldpNeighbor, allowed: Sequence[IPv4Network]) -> str:
    if reason := _unusable(neighbor.system_name):
        return reason
    if not neighbor.management_addresses:
        return "it tells no IPv4 management address"
    if not any(_is_allowed(address, allowed) for address in neighbor.management_addresses):
        return "its management address is outside the allowed prefixes"
    return ""


def _is_allowed(address: IPv4Address, allowed: Sequence[IPv4Network]) -> bool:
    return any(address in prefix for prefix in allowed)
