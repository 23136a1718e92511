"""Discovery as the settings allow it, and what was found into the devices file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from collectors.discover import Discovery, discover
from collectors.failures import Failed
from collectors.results import Polled, Round
from collectors.rounds import Poller
from twin.app.inventory import load_snmp_access, read_entries
from twin.app.settings import DEVICE_NAME, DeviceEntry, Settings
from twin.app.wiring import poller_of
from twin.vocab.errors import NettwinError, UsageError
from twin.vocab.events import Event
from twin.vocab.inventory import Device
from twin.vocab.time import now

FoundProgress = Callable[[int, str], None]


@dataclass(frozen=True)
class FoundDevice:
    """A device that answered: its own name, where it was asked, what it says it is, and by which credential."""

    name: str
    address: str
    description: str
    credential: str = ""


@dataclass(frozen=True)
class NotAsked:
    """Someone who was not contacted, or did not answer."""

    name: str
    address: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What a discovery brought. ``silent``: addresses of ranges at which nothing answered.

    ``events``: how it differs from the inventory: device_new, device_lost, device_changed.
    """

    found: tuple[FoundDevice, ...]
    skipped: tuple[NotAsked, ...]
    silent: int = 0
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Search:
    """Where to look, from whom to walk on, with which credentials. No prefix allowed = nowhere."""

    seeds: tuple[IPv4Address, ...]
    ranges: tuple[IPv4Network, ...]
    allowed: tuple[IPv4Network, ...]
    credentials: tuple[str, ...]


def discover_from(settings: Settings, search: Search, *, progress: FoundProgress) -> Found:
    """Look for devices.

    Raises:
        UsageError: no prefix is allowed, a seed or range lies outside, or a credential is unknown.
        NettwinError: there is one seed, no range, and it does not answer.
        MissingSecretError: a secret is not where the devices file says.
    """
    if not search.allowed:
        raise UsageError("no prefix is allowed: give --allow PREFIX, or discover.allow in the settings")
    path = settings.at(settings.file.devices)
    credentials = {name: load_snmp_access(path, name) for name in search.credentials}
    with poller_of(settings) as poller:
        watched = _Watched(poller, progress)
        discovery = discover(search.seeds, search.ranges, search.allowed, credentials, watched)
    if not discovery.found and search.seeds and not search.ranges:
        reasons = "; ".join(f"{skipped.name}: {skipped.reason}" for skipped in discovery.skipped)
        raise NettwinError(f"no seed answers: {reasons}")
    events = differences(discovery, read_entries(path).devices, now())
    return Found(
        tuple(
            FoundDevice(f.device.name, f.device.address, f.observed.system_description, f.credential)
            for f in discovery.found
        ),
        tuple(NotAsked(s.name, ", ".join(map(str, s.addresses)), s.reason) for s in discovery.skipped),
        discovery.silent,
        events,
    )


class _Watched:
    """A poll that reports how many addresses were asked."""

    def __init__(self, poller: Poller, progress: FoundProgress) -> None:
        self._poller = poller
        self._progress = progress
        self._asked = 0

    def __call__(self, devices: Sequence[Device]) -> Round:
        return self._poller.round(devices, progress=self._heard)

    def _heard(self, _: Polled | Failed) -> None:
        self._asked += 1
        self._progress(self._asked, f"{self._asked} asked")


def differences(discovery: Discovery, known: Sequence[DeviceEntry], at: datetime) -> tuple[Event, ...]:
    """How what was found differs from the inventory.

    ``device_new``: neither its name nor one of its addresses is listed; ``device_changed``: it is listed by another
    name or at another address; ``device_lost``: it is listed, its address was asked, and nobody answered there.
    """
    return (*_found_otherwise(discovery, known, at), *_lost(discovery, known, at))


def _found_otherwise(discovery: Discovery, known: Sequence[DeviceEntry], at: datetime) -> Iterator[Event]:
    by_name, by_address = {d.name: d for d in known}, {d.address: d for d in known}
    for found in discovery.found:
        name, address = found.device.name, found.device.address
        told = partial(Event, name, subject=address, source="discovery", at=at)
        addresses = {str(a) for a in found.addresses}
        listed_here = next((by_address[a] for a in (address, *sorted(addresses)) if a in by_address), None)
        if name in by_name:
            if by_name[name].address not in addresses:
                yield told(event="device_changed", detail=f"listed at {by_name[name].address}")
        elif listed_here is not None:
            yield told(event="device_changed", detail=f"listed as {listed_here.name}")
        else:
            yield told(event="device_new", detail=found.observed.system_description)


def _lost(discovery: Discovery, known: Sequence[DeviceEntry], at: datetime) -> Iterator[Event]:
    answered = {str(a) for found in discovery.found for a in found.addresses}
    names = {found.device.name for found in discovery.found}
    asked = {str(a) for a in discovery.asked}
    for entry in known:
        if entry.address in asked - answered and entry.name not in names:
            yield Event(entry.name, "device_lost", entry.address, "discovery", "it does not answer", at)


def check_netconf(path: Path, name: str) -> None:
    """Raises UsageError if the devices file has no such NETCONF credential."""
    there = read_entries(path).credentials.netconf
    if name not in there:
        raise UsageError(f"{path}: credentials.netconf has no {name!r}; there is {', '.join(there) or 'none'}")


def write_found(path: Path, found: Found, netconf: str | None) -> int:
    """Add the devices that the file does not list yet; what stands in it, comments included, stays as it is.

    Each gets the SNMP credential by which it answered, and the NETCONF credential ``netconf`` if one is named.

    A device that calls itself something that can't be a name here (with a colon, a line break) is left out.

    Returns:
        how many were added.

    Raises:
        UsageError: the file can't be written.
        InputError: the file is bad, or would be after the change; it is left untouched.
    """
    file = read_entries(path)
    known = file.devices
    names, addresses = {d.name for d in known}, {d.address for d in known}
    new = [
        DeviceEntry(f.name, f.address, f.credential or None, netconf)
        for f in found.found
        if f.name not in names and f.address not in addresses and re.fullmatch(DEVICE_NAME, f.name)
    ]
    if new:
        _replace_checked(path, _with_devices(path.read_text(encoding="utf-8"), new))
    return len(new)


def _with_devices(text: str, new: Sequence[DeviceEntry]) -> str:
    """The devices file with entries added below its key ``devices``."""
    lines = text.splitlines()
    at = next((i for i, line in enumerate(lines) if line.split("#")[0].rstrip() in ("devices:", "devices: []")), None)
    following = lines[at + 1 :] if at is not None else []
    first = next((line for line in following if line.strip() and not line.lstrip().startswith("#")), "  - ")
    margin = first[: len(first) - len(first.lstrip())] if first.lstrip().startswith("-") else "  "
    entries = [margin + line for entry in new for line in _entry_lines(entry)]
    if at is None:
        return "\n".join([*lines, "devices:", *entries]) + "\n"
    return "\n".join([*lines[:at], "devices:", *entries, *lines[at + 1 :]]) + "\n"


def _entry_lines(entry: DeviceEntry) -> list[str]:
    fields = {"name": entry.name, "address": entry.address, "snmp": entry.snmp, "netconf": entry.netconf}
    written = [f"{key}: {_quoted(value)}" for key, value in fields.items() if value is not None]
    return [f"- {written[0]}", *(f"  {line}" for line in written[1:])]


def _quoted(value: str) -> str:
    """Text a device chose, as a YAML scalar that means just that text."""
    plain = all(c.isalnum() or c in "._-" for c in value) and value[:1].isalnum() and value.lower() != "null"
    return value if plain else "'" + "".join(c for c in value if c.isprintable()).replace("'", "''") + "'"


def _replace_checked(path: Path, text: str) -> None:
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            draft = Path(folder) / path.name
            draft.write_text(text, encoding="utf-8")
            draft.chmod(path.stat().st_mode)
            read_entries(draft)
            draft.replace(path)
    except OSError as problem:
        raise UsageError(f"{path}: can't be written: {problem.strerror}") from problem
