"""The frozen likeness of a network at one time: what it is told, what it does, and how sure we are of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from twin.vocab.config import DeviceConfig
from twin.vocab.observed import ObservedDevice

Severity = Literal["note", "warning", "error"]


@dataclass(frozen=True)
class Source:
    """Where a part of a snapshot came from, and when."""

    name: str
    at: datetime


@dataclass(frozen=True)
class Finding:
    """Something that disagrees, is missing, or could not be read. ``error`` makes answers INCONCLUSIVE."""

    severity: Severity
    device: str
    subject: str
    message: str


@dataclass(frozen=True, order=True)
class Port:
    """One end of a link: ``device`` and interface name. Written ``device:interface``."""

    device: str
    interface: str

    def __str__(self) -> str:
        return f"{self.device}:{self.interface}"

    @staticmethod
    def parse(text: str) -> Port:
        """``device:interface`` -> Port.

        Raises:
            ValueError: one of the two is missing.
        """
        device, colon, interface = text.partition(":")
        if not (device and colon and interface):
            raise ValueError(f"{text!r} is not device:interface")
        return Port(device, interface)


@dataclass(frozen=True)
class LinkFacts:
    """What devices can't tell (configs/links.yaml). None = unknown, never 0."""

    capacity_bps: int | None = None
    delay_ms: float | None = None
    length_km: float | None = None
    circuit: str = ""
    shared_risk: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """Two ports joined. ``a < b``. Traffic is directed: a directed link is named by its sending port."""

    a: Port
    b: Port
    capacity_bps: int | None = None
    facts: LinkFacts = field(default_factory=LinkFacts)

    def far(self, port: Port) -> Port:
        return self.b if port == self.a else self.a


@dataclass(frozen=True)
class SnapshotDevice:
    """One device: configuration, observed state, and the sources of both. Either may be missing."""

    name: str
    config: DeviceConfig | None
    observed: ObservedDevice | None
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """The network at a time. ``hash`` names its content, not its age."""

    at: datetime
    devices: Mapping[str, SnapshotDevice]
    links: tuple[Link, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 over configuration, state and links (not over ages and findings), hexadecimal."""
        content = {
            "devices": {n: [_plain(d.config), _plain(d.observed)] for n, d in sorted(self.devices.items())},
            "links": [_plain(link) for link in sorted(self.links, key=lambda x: (x.a, x.b))],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    def link_at(self, port: Port) -> Link | None:
        return next((x for x in self.links if port in (x.a, x.b)), None)

    @property
    def directed_links(self) -> tuple[tuple[Port, Port], ...]:
        """(sending port, receiving port) of every link, both ways, sorted."""
        both = [(x.a, x.b) for x in self.links] + [(x.b, x.a) for x in self.links]
        return tuple(sorted(both))


def _plain(value: Any) -> Any:
    return None if value is None else asdict(value)
