"""Enrolling a device's SSH host key, and what its models let be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collectors.failures import PollError
from collectors.netconf.hostkey import fingerprint, key_type, offered_key
from collectors.netconf.models import offered
from collectors.netconf.readers import MODELS
from collectors.netconf.wire import Sessions
from twin.app.inventory import load_devices, read_entries
from twin.app.knownhosts import known_hosts, names, pin
from twin.app.settings import Settings
from twin.vocab.errors import NettwinError, UsageError


@dataclass(frozen=True)
class Place:
    """One device's NETCONF server, and the file its key is pinned in; seconds."""

    device: str
    address: str
    port: int
    timeout: float
    known_hosts: Path

    @staticmethod
    def of(devices: Path, name: str) -> Place:
        """By the devices file; no secret is looked up.

        Raises:
            UsageError: no such device, or it has no NETCONF credential.
        """
        file = read_entries(devices)
        entry = next((entry for entry in file.devices if entry.name == name), None)
        if entry is None:
            raise UsageError(f"{devices}: no device named {name}")
        credential = file.credentials.netconf.get(entry.netconf or "")
        if credential is None:
            raise UsageError(f"{devices}: {name} names no NETCONF credential that is there")
        path = devices.parent / credential.known_hosts
        return Place(name, entry.address, credential.port, credential.timeout.total_seconds(), path)


@dataclass(frozen=True)
class Seen:
    """The key a device shows and the one pinned for it ("" if none), in base64."""

    key: str
    pinned: str

    @property
    def is_pinned(self) -> bool:
        return self.key == self.pinned

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.key)

    @property
    def shown(self) -> str:
        return f"{key_type(self.key)} {fingerprint(self.key)}"

    @property
    def shown_pinned(self) -> str:
        return f"{key_type(self.pinned)} {fingerprint(self.pinned)}"


def look(place: Place) -> Seen:
    """Connect and see.

    Raises:
        NettwinError: the device can't be reached.
        UsageError: the known hosts can't be read.
    """
    lines = known_hosts(place.known_hosts) if place.known_hosts.exists() else ()
    pinned = next((key for hosts, key in lines if names(hosts, place.address, place.port)), "")
    try:
        return Seen(offered_key(place.address, place.port, place.timeout), pinned)
    except PollError as problem:
        raise NettwinError(f"{place.device}: {place.address}: {problem.reason}") from problem


def accept(place: Place, seen: Seen) -> None:
    """Pin what was seen.

    Raises:
        NettwinError: the file can't be written.
    """
    pin(place.known_hosts, place.address, place.port, key_type(seen.key), seen.key)


@dataclass(frozen=True)
class ReadModel:
    """One source of one topic; ``first``: it is the one asked first."""

    topic: str
    model: str
    first: bool
    verified: str


def choice_of(asked: tuple[Settings, str] | None) -> tuple[ReadModel, ...]:
    """All models that can be read, or those that one device of the settings announces.

    Raises:
        UsageError, MissingSecretError: the device is not in the files, or can't be asked.
        NettwinError: it can't be reached.
    """
    known = MODELS if asked is None else offered(MODELS, _announced(*asked))
    first: dict[str, str] = {}
    for model in known:
        first.setdefault(model.topic, model.name)
    return tuple(ReadModel(m.topic, m.name, asked is not None and first[m.topic] == m.name, m.verified) for m in known)


def _announced(settings: Settings, name: str) -> frozenset[str]:
    (device,) = load_devices(settings.at(settings.file.devices), names=frozenset({name}))
    try:
        return Sessions().offered(device, deadline=settings.file.collect.deadline.total_seconds())
    except PollError as problem:
        raise NettwinError(f"{name}: {problem.reason}") from problem
