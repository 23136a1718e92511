"""Discovery as the settings allow it, and what was found into the devices file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from collectors.discover import Discovery, discover
from collectors.results import Round
from collectors.rounds import Poller
from twin.app.inventory import load_snmp_access, read_entries
from twin.app.settings import DEVICE_NAME, DeviceEntry, Settings
from twin.app.wiring import poller_of
from twin.vocab.errors import NettwinError, UsageError
from twin.vocab.inventory import Device

FoundProgress = Callable[[int, str], None]


@dataclass(frozen=True)
class FoundDevice:
    """A device that answered: its own name, the address it was asked at, what it says it is."""

    name: str
    address: str
    description: str


@dataclass(frozen=True)
class NotAsked:
    """A neighbour that was not contacted, or did not answer."""

    name: str
    address: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What a discovery brought."""

    found: tuple[FoundDevice, ...]
    skipped: tuple[NotAsked, ...]


def discover_from(
    settings: Settings, seed: str, allowed: Sequence[IPv4Network], credential: str, *, progress: FoundProgress
) -> Found:
    """Walk LLDP from the device at address ``seed``.

    Raises:
        UsageError: no prefix is allowed, the seed lies outside, or the credential is unknown.
        NettwinError: the seed does not answer.
        MissingSecretError: a secret is not where the devices file says.
    """
    if not allowed:
        raise UsageError("no prefix is allowed: give --allow PREFIX, or discover.allow in the settings")
    access = load_snmp_access(settings.at(settings.file.devices), credential)
    with poller_of(settings) as poller:
        watched = _Watched(poller, progress)
        first = Device(_own_name(poller, Device(seed, seed, access), allowed), seed, access)
        return _found(discover(first, allowed, watched), watched)


class _Watched:
    """A poll that reports how many devices were asked, and remembers what they say they are."""

    def __init__(self, poller: Poller, progress: FoundProgress) -> None:
        self._poller = poller
        self._progress = progress
        self._asked = 0
        self.descriptions: dict[str, str] = {}

    def __call__(self, devices: Sequence[Device]) -> Round:
        taken = self._poller.round(devices)
        self._asked += len(devices)
        self.descriptions |= {name: seen.system_description for name, seen in taken.observed().items()}
        self._progress(self._asked, f"{self._asked} devices asked")
        return taken


def _own_name(poller: Poller, seed: Device, allowed: Sequence[IPv4Network]) -> str:
    """The seed's sysName, else its address.

    Raises:
        NettwinError: it does not answer.
    """
    try:
        inside = any(IPv4Address(seed.address) in prefix for prefix in allowed)
    except ValueError:
        inside = False
    if not inside:
        return seed.address
    taken = poller.round([seed])
    if seed.name not in taken.observed():
        reasons = "; ".join(f"{f.status}: {f.reason}" for f in taken.failures())
        raise NettwinError(f"seed {seed.address}: {reasons}")
    return taken.observed()[seed.name].system_name or seed.address


def _found(discovery: Discovery, watched: _Watched) -> Found:
    return Found(
        tuple(
            FoundDevice(f.device.name, f.device.address, watched.descriptions.get(f.device.name, ""))
            for f in discovery.found
        ),
        tuple(NotAsked(s.name, ", ".join(map(str, s.addresses)), s.reason) for s in discovery.skipped),
    )


def write_found(path: Path, found: Found, snmp: str | None, netconf: str | None) -> int:
    """Add the devices that the file does not list yet; what stands in it, comments included, stays as it is.

    A device that calls itself something that can't be a name here (with a colon, a line break) is left out.

    Returns:
        how many were added.

    Raises:
        UsageError: the file can't be written.
        InputError: the file is bad, or would be after the change; it is left untouched.
    """
    file = read_entries(path)
    for kind, name, there in (("snmp", snmp, file.credentials.snmp), ("netconf", netconf, file.credentials.netconf)):
        if name is not None and name not in there:
            raise UsageError(f"{path}: credentials.{kind} has no {name!r}; there is {', '.join(there) or 'none'}")
    known = file.devices
    names, addresses = {d.name for d in known}, {d.address for d in known}
    new = [
        DeviceEntry(f.name, f.address, snmp, netconf)
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
