"""The lab file: which routers, which links, what traffic. Read strictly, checked for sense before anything is built."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import field
from datetime import UTC, time
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BeforeValidator, Field
from pydantic.dataclasses import dataclass

from twin.vocab.config import OSPF_LARGEST_COST
from twin.vocab.errors import InputError, Place, UsageError
from twin.vocab.files import STRICT, read_yaml
from twin.vocab.units import rate_of

Igp = Literal["ospf", "isis", "ospf6"]
LARGEST_LAB = 200
_NAME = "^[a-z][a-z0-9]{0,13}$"

Rate = Annotated[int, BeforeValidator(rate_of), Field(ge=1_000_000)]
Cost = Annotated[int, Field(ge=1, le=OSPF_LARGEST_COST)]
Name = Annotated[str, Field(pattern=_NAME)]


@dataclass(frozen=True, config=STRICT)
class Location:
    """Degrees, WGS 84."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]


@dataclass(frozen=True, config=STRICT)
class Router:
    """One router: ``loopback`` is its router id; ``edge`` the prefix its host namespace lives in.

    ``recorded_as`` names its columns in the demand file (None = its own name), ``alias`` its name in the source data.
    """

    loopback: IPv4Address
    edge: IPv4Network
    edge_capacity: Rate = 100_000_000
    igp: tuple[Igp, ...] = ("ospf",)
    alias: str = ""
    recorded_as: str | None = None
    location: Location | None = None


@dataclass(frozen=True, config=STRICT)
class LabLink:
    """A link between two routers. ``cost`` both ways unless ``cost_ab`` or ``cost_ba`` says otherwise."""

    a: Name
    b: Name
    capacity: Rate
    cost: Cost = 10
    cost_ab: Cost | None = None
    cost_ba: Cost | None = None
    mtu: Annotated[int, Field(ge=1280, le=9000)] = 1500
    name: str = ""

    @property
    def title(self) -> str:
        return self.name or f"{self.a}-{self.b}"


@dataclass(frozen=True, config=STRICT)
class Traffic:
    """What is sent. ``demands``: parquet with ``time`` and a column ``A>B`` (any unit) per origin and destination.

    Scaled by one factor so that the busiest link peaks at ``peak_utilisation`` over the whole recording;
    each demand is spread over ``flows`` UDP flows of packets of ``packet`` octets (on the wire, without FCS).
    ``begins`` is a Monday 00:00 UTC on which the fortnight begins (None: chosen when the lab comes up).
    """

    demands: Path
    peak_utilisation: Annotated[float, Field(gt=0, le=0.95)] = 0.70
    flows: Annotated[int, Field(ge=256, le=16384)] = 256
    packet: Annotated[int, Field(ge=64, le=1294)] = 1250
    begins: AwareDatetime | None = None


@dataclass(frozen=True, config=STRICT)
class Bgp:
    """iBGP full mesh between the loopbacks; each router announces its edge prefix."""

    asn: Annotated[int, Field(ge=1, le=4294967295)]


@dataclass(frozen=True, config=STRICT)
class LabFile:
    """The whole file. ``management``: the prefix of the management bridge, unique among labs that run side by side."""

    schema_version: Literal["1"]
    name: Name
    routers: dict[Name, Router]
    links: tuple[LabLink, ...]
    management: IPv4Network = IPv4Network("10.255.0.0/24")
    link_prefix: IPv4Network = IPv4Network("10.1.0.0/16")
    traffic: Traffic | None = None
    bgp: Bgp | None = None
    description: str = field(default="")


def is_name(text: str) -> bool:
    """Whether a lab (or a router of one) can be called so: names become directories, namespaces and control groups."""
    return re.fullmatch(_NAME, text) is not None


def checked_name(text: str) -> str:
    """Itself, if a lab can be called so.

    Raises:
        UsageError: it can't.
    """
    if not is_name(text):
        raise UsageError(f"{text!r} is no name of a lab: a small letter, then at most 13 small letters or digits")
    return text


def read_lab(path: Path) -> LabFile:
    """A lab file -> checked ``LabFile`` with the demand file's path resolved beside it.

    Raises:
        UsageError: the file can't be read.
        InputError: bad YAML, an unknown key, or routers and links that make no sense.
    """
    lab = read_yaml(path, LabFile)
    if lab.traffic is not None:
        demands = (path.parent / lab.traffic.demands).resolve()
        lab = dataclasses.replace(lab, traffic=dataclasses.replace(lab.traffic, demands=demands))
    return checked(lab, path)


def checked(lab: LabFile, source: Path | str = "<lab>") -> LabFile:
    """Itself, if a lab can be built of it.

    Raises:
        InputError: names the key that is wrong.
    """
    for key, message in _complaints(lab):
        raise InputError(Place(source, key=key), message)
    return lab


def _complaints(lab: LabFile) -> Iterator[tuple[str, str]]:
    """Every key that can't be, with what is wrong with it."""
    if not 1 <= len(lab.routers) <= LARGEST_LAB:
        yield "routers", f"a lab has 1 to {LARGEST_LAB} routers, not {len(lab.routers)}"
    for i, link in enumerate(lab.links):
        yield from _link_complaints(lab, f"links.{i}", link)
    yield from _repeated("links", "link", (link.title for link in lab.links))
    yield from _repeated("routers", "loopback", (r.loopback for r in lab.routers.values()))
    yield from _prefix_complaints(lab)
    if lab.traffic is not None:
        yield from _traffic_complaints(lab.traffic)
    for island in _islands(lab)[1:]:
        yield "links", f"no link leads from {next(iter(lab.routers))} to {', '.join(sorted(island))}"


def _traffic_complaints(traffic: Traffic) -> Iterator[tuple[str, str]]:
    if not traffic.demands.is_file():
        yield "traffic.demands", f"there is no file {traffic.demands}"
    begins = traffic.begins and traffic.begins.astimezone(UTC)
    if begins and (begins.weekday() or begins.time() != time()):
        yield "traffic.begins", f"{begins:%A %Y-%m-%d %H:%M:%S} UTC is not a Monday 00:00 UTC"


def _link_complaints(lab: LabFile, key: str, link: LabLink) -> Iterator[tuple[str, str]]:
    for end in ("a", "b"):
        if getattr(link, end) not in lab.routers:
            yield f"{key}.{end}", f"unknown router {getattr(link, end)!r}"
    if link.a == link.b:
        yield key, f"a link from {link.a} to itself"


def _repeated(key: str, noun: str, values: Iterable[object]) -> Iterator[tuple[str, str]]:
    yield from ((key, f"{noun} {value} stands {n} times") for value, n in Counter(values).items() if n > 1)


def _prefix_complaints(lab: LabFile) -> Iterator[tuple[str, str]]:
    if lab.link_prefix.num_addresses < 4 * len(lab.links):
        yield "link_prefix", f"{lab.link_prefix} holds no /30 for each of {len(lab.links)} links"
    if lab.management.num_addresses < len(lab.routers) + 16:
        yield "management", f"{lab.management} holds no address for each of {len(lab.routers)} routers"
    for name, router in lab.routers.items():
        if router.edge.prefixlen > 30:
            yield f"routers.{name}.edge", f"{router.edge} holds no address for a host"
    yield from _overlaps(lab)


def _overlaps(lab: LabFile) -> Iterator[tuple[str, str]]:
    taken = {"management": lab.management, "link_prefix": lab.link_prefix}
    taken |= {f"routers.{n}.edge": r.edge for n, r in lab.routers.items()}
    taken |= {f"routers.{n}.loopback": IPv4Network(r.loopback) for n, r in lab.routers.items()}
    for i, (key, prefix) in enumerate(taken.items()):
        for other, theirs in list(taken.items())[:i]:
            if prefix.overlaps(theirs):
                yield key, f"{prefix} overlaps {other} ({theirs})"


def _islands(lab: LabFile) -> list[set[str]]:
    """Routers that reach each other, the first router's island first."""
    left, islands = list(lab.routers), []
    while left:
        island, frontier = set[str](), {left[0]}
        while frontier:
            island |= frontier
            ends = {end for link in lab.links if {link.a, link.b} & frontier for end in (link.a, link.b)}
            frontier = (ends & set(left)) - island
        islands.append(island)
        left = [name for name in left if name not in island]
    return islands
