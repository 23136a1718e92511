"""Device profiles: what to read from which equipment, as YAML data with numeric OIDs. No MIBs at run time.

A file (``configs/profiles/NAME.yaml``) is a ``Profile``. ``extends`` names profiles whose scalars and tables it takes
over; what it names itself replaces theirs. The profile of a device is the one with the longest matching sysObjectID
prefix, unless the inventory names profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from collectors.snmp.wire import Oid, parse_oid
from twin.vocab.errors import InputError, Place, UsageError
from twin.vocab.files import STRICT, read_yaml

ValueType = Literal["int", "text", "octets", "address", "oid", "number_text"]
IndexType = Literal["int", "address", "octets", "rest"]
Round = Literal["fast", "full"]
Subject = Literal[
    "interface",
    "address",
    "lldp_local",
    "lldp_remote",
    "lldp_address",
    "ospf_neighbor",
    "bgp_peer",
    "route",
    "processor",
    "storage",
]
DEFAULT_PROFILE = "generic"


def _oid(value: object) -> object:
    return parse_oid(value) if isinstance(value, str) else value


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdigit() else value


ObjectId = Annotated[Oid, BeforeValidator(_oid)]


@dataclass(frozen=True, config=STRICT)
class Source:
    """One way to learn a value: an object, or the sum of several (``plus``) less others (``minus``), times ``scale``.

    ``instance`` is appended to a scalar's OID as a length-prefixed string index (NET-SNMP-EXTEND-MIB).
    ``unknown`` lists values by which agents say "don't know". ``bits`` is the width of a counter.
    """

    oid: ObjectId
    plus: tuple[ObjectId, ...] = ()
    minus: tuple[ObjectId, ...] = ()
    instance: str = ""
    type: ValueType = "int"
    scale: float = 1.0
    unknown: tuple[int, ...] = ()
    bits: Annotated[Literal[32, 64], BeforeValidator(_number)] | None = None

    @property
    def oids(self) -> tuple[Oid, ...]:
        """All objects the value needs, its own first."""
        encoded = self.instance.encode()
        own = (*self.oid, len(encoded), *encoded) if encoded else self.oid
        return (own, *self.plus, *self.minus)


@dataclass(frozen=True, config=STRICT)
class Value:
    """One field: its sources, best first; a later one serves only where the earlier gave nothing."""

    sources: tuple[Source, ...]
    round: Round = "fast"


@dataclass(frozen=True, config=STRICT)
class Table:
    """One table: what its rows are about, how its index reads, and its columns by field name.

    ``count`` is a scalar with the number of rows: above the device's ``max_rows`` the walk is not begun.
    ``unless`` names scalars or tables; if one of them gave something, this table is not read.
    """

    subject: Subject
    index: Mapping[str, IndexType]
    columns: Mapping[str, Value]
    round: Round = "full"
    count: tuple[ObjectId, ...] = ()
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, config=STRICT)
class Profile:
    """The form of a profile file."""

    schema_version: Literal["1"]
    name: str
    extends: tuple[str, ...] = ()
    system_object_ids: tuple[ObjectId, ...] = ()
    scalars: Mapping[str, Value] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)


class ProfileSet:
    """Profiles by name, with their ``extends`` already merged in."""

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        self._profiles = profiles

    def __getitem__(self, name: str) -> Profile:
        """Raises: UsageError: no such profile."""
        if name not in self._profiles:
            raise UsageError(f"no device profile {name!r}; there are {', '.join(sorted(self._profiles))}")
        return self._profiles[name]

    def choose(self, system_object_id: Oid, named: Sequence[str] = ()) -> Profile:
        """The merged profiles ``named``, else the one with the longest sysObjectID prefix, else ``generic``.

        Raises:
            UsageError: a named profile does not exist.
        """
        if named:
            return _merge([self[name] for name in named], self[named[-1]])
        candidates = [
            (len(prefix), profile)
            for profile in self._profiles.values()
            for prefix in profile.system_object_ids
            if system_object_id[: len(prefix)] == prefix
        ]
        return max(candidates, key=lambda c: c[0])[1] if candidates else self[DEFAULT_PROFILE]


def load_profiles(folder: Path) -> ProfileSet:
    """Read every ``*.yaml`` of ``folder``.

    Raises:
        UsageError: the folder holds no profile named ``generic``.
        InputError: a file is not a profile, two have one name or sysObjectID, or ``extends`` is unknown or circular.
    """
    files = {path: read_yaml(path, Profile) for path in sorted(folder.glob("*.yaml"))}
    own: dict[str, Profile] = {}
    places: dict[str, Path] = {}
    for path, profile in files.items():
        if profile.name in own:
            raise InputError(Place(path, key="name"), f"{profile.name!r} is already in {places[profile.name]}")
        own[profile.name], places[profile.name] = profile, path
    if DEFAULT_PROFILE not in own:
        raise UsageError(f"{folder}: no device profile named {DEFAULT_PROFILE!r}")
    _refuse_shared_prefixes(own, places)
    return ProfileSet({name: _resolve(name, own, places, ()) for name in own})


def _refuse_shared_prefixes(own: Mapping[str, Profile], places: Mapping[str, Path]) -> None:
    taken: dict[Oid, str] = {}
    for name, profile in own.items():
        for prefix in profile.system_object_ids:
            if prefix in taken:
                place = Place(places[name], key="system_object_ids")
                raise InputError(place, f"{'.'.join(map(str, prefix))} already chooses profile {taken[prefix]!r}")
            taken[prefix] = name


def _resolve(name: str, own: Mapping[str, Profile], places: Mapping[str, Path], above: tuple[str, ...]) -> Profile:
    profile = own[name]
    for parent in profile.extends:
        place = Place(places[name], key="extends")
        if parent not in own:
            raise InputError(place, f"no profile {parent!r}")
        if parent in (*above, name):
            raise InputError(place, f"{' -> '.join((*above, name, parent))} goes round in a circle")
    parents = [_resolve(parent, own, places, (*above, name)) for parent in profile.extends]
    return _merge([*parents, profile], profile)


def _merge(profiles: Sequence[Profile], last: Profile) -> Profile:
    scalars = {k: v for p in profiles for k, v in p.scalars.items()}
    tables = {k: v for p in profiles for k, v in p.tables.items()}
    return Profile("1", last.name, last.extends, last.system_object_ids, scalars, tables)
