"""Device profiles: what to read from which equipment, as YAML data with numeric OIDs. No MIBs at run time.

A file (``configs/profiles/NAME.yaml``) is a ``Profile``; docs/profiles.md teaches writing one. ``extends`` names
profiles whose scalars and tables it takes over; what it names itself replaces theirs. The profile of a device is the
one with the longest matching sysObjectID prefix, unless the inventory names profiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from collectors.snmp.index import Part
from collectors.snmp.wire import Oid, dotted, parse_oid
from collectors.subjects import FORMS, SCALARS, Subject
from twin.vocab.errors import InputError, Place, UsageError
from twin.vocab.files import STRICT, line_of, read_yaml
from twin.vocab.inventory import Device
from twin.vocab.sensors import SENSOR_UNITS

ValueType = Literal["int", "text", "octets", "address", "oid", "number_text"]
Conversion = Literal["watts_to_dbm", "fahrenheit_to_celsius", "ieee754_single"]
Round = Literal["fast", "full", "kept"]
DEFAULT_PROFILE = "generic"
UNVERIFIED = "unverified"
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _oid(value: object) -> object:
    return parse_oid(value) if isinstance(value, str) else value


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _part(value: object) -> object:
    return Part.parse(value) if isinstance(value, str) else value


def _pattern(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        pattern = re.compile(value)
    except re.error as problem:
        raise ValueError(f"{value!r} is not a regular expression: {problem}") from problem
    if pattern.groups != 1:
        raise ValueError(f"{value!r} must have one group: what it matches is the value")
    return pattern


ObjectId = Annotated[Oid, BeforeValidator(_oid)]
IndexPart = Annotated[Part, BeforeValidator(_part)]
Pattern = Annotated[re.Pattern[str], BeforeValidator(_pattern)]


@dataclass(frozen=True, config=STRICT)
class Source:
    """One way to learn a value: an object (``oid``), or ``text`` in which ``{NAME}`` stands for a part or column.

    Where: the row's own instance; with ``at`` the instance those parts, columns or numbers spell (a join), and with
    ``climb`` (an object with the number of what contains it) its container's, and so on up. For a scalar,
    ``instance`` is appended as a length-prefixed string (NET-SNMP-EXTEND-MIB). ``when`` names columns or parts that
    must have one of the values given.

    A number is, in this order: raw unless ``unknown``; ``signed`` (two's complement of so many bits); ``high`` * 2^32
    added; ``plus`` added, ``minus`` taken off, ``times`` multiplied; ``scale_code`` and ``precision`` (RFC 3433);
    divided by ten to the power of ``exponent``; ``scale`` multiplied, ``add`` added; ``convert``. ``bits`` is the width
    of a counter.
    Text: ``pattern`` picks a part of it. Last, ``values`` names what a raw value means (others mean nothing), or
    ``contains`` what a text that holds a word means (first that fits, whatever the case).
    """

    oid: ObjectId | None = None
    text: str = ""
    at: tuple[str, ...] = ()
    climb: ObjectId | None = None
    instance: str = ""
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    type: ValueType = "int"
    unknown: tuple[int, ...] = ()
    signed: Annotated[Literal[8, 16, 32, 64], BeforeValidator(_number)] | None = None
    high: ObjectId | None = None
    plus: tuple[ObjectId, ...] = ()
    minus: tuple[ObjectId, ...] = ()
    times: tuple[ObjectId, ...] = ()
    scale_code: ObjectId | None = None
    precision: ObjectId | None = None
    exponent: ObjectId | None = None
    scale: float = 1.0
    add: float = 0.0
    convert: Conversion | None = None
    bits: Annotated[Literal[32, 64], BeforeValidator(_number)] | None = None
    pattern: Pattern | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    contains: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def own(self) -> Oid:
        """The object itself, with ``instance``; empty for a ``text``."""
        encoded = self.instance.encode()
        return (*(self.oid or ()), len(encoded), *encoded) if encoded else self.oid or ()

    @cached_property
    def oids(self) -> tuple[Oid, ...]:
        """All objects the value needs, its own first."""
        single = [oid for oid in (self.high, self.scale_code, self.precision, self.exponent, self.climb) if oid]
        own = [self.own] if self.own else []
        return (*own, *self.plus, *self.minus, *self.times, *single)

    @cached_property
    def is_plain(self) -> bool:
        """Whether it is a sum of whole numbers of the row's own, perhaps scaled up: no join, condition or meaning."""
        odd = (self.at, self.when, self.high, self.times, self.scale_code, self.precision, self.exponent, self.signed)
        is_number = bool(self.oid) and self.type == "int" and self.scale >= 1 and self.scale.is_integer()
        return is_number and not any((*odd, self.add, self.convert, self.values, self.contains))

    @cached_property
    def is_plain_text(self) -> bool:
        """Whether it is the row's own text as it stands."""
        odd = (self.at, self.when, self.pattern, self.values, self.contains)
        return bool(self.oid) and self.type == "text" and not any(odd)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns and index parts it looks at."""
        spelled = [name for name in self.at if not name.isdigit()]
        return (*spelled, *self.when, *PLACEHOLDER.findall(self.text))

    @cached_property
    def meanings(self) -> tuple[str, ...]:
        """All texts it can give, if they stand in the profile."""
        return (*self.values.values(), *self.contains.values(), *([self.text] if self.text else []))


@dataclass(frozen=True, config=STRICT)
class Value:
    """One field: its sources, best first; a later one serves only where the earlier gave nothing.

    ``round``: fast = in every round its table is read; full = in full rounds only; kept = in full rounds, and between
    them its last reading serves (names, joins). ``unique``: what several rows give counts as not given.
    """

    sources: tuple[Source, ...]
    round: Round = "fast"
    unique: bool = False

    @cached_property
    def oids(self) -> frozenset[Oid]:
        return frozenset(oid for source in self.sources for oid in source.oids)

    @cached_property
    def own(self) -> tuple[Oid, ...]:
        """The objects that are looked at by the row's own instance."""
        own = (source for source in self.sources if source.own and not source.at)
        return tuple(oid for source in own for oid in source.oids)

    @cached_property
    def is_plain(self) -> bool:
        return all(source.is_plain for source in self.sources)


@dataclass(frozen=True, config=STRICT)
class Table:
    """One table: what its rows are about, how its index reads, and its columns by field name.

    ``helpers`` are columns that only others look at. ``only`` and ``skip``: which rows count, by the values of their
    columns or index parts ("" = none). ``count`` is a scalar with the number of rows: above the device's ``max_rows``
    the walk is not begun. ``unless`` names scalars or tables; if one of them gave something, this table is not read.
    """

    subject: Subject
    index: Mapping[str, IndexPart]
    columns: Mapping[str, Value]
    helpers: Mapping[str, Value] = field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    skip: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    round: Literal["fast", "full"] = "full"
    count: tuple[ObjectId, ...] = ()
    unless: tuple[str, ...] = ()

    @cached_property
    def values(self) -> Mapping[str, Value]:
        """Helpers, then columns: each may look at those before it."""
        return {**self.helpers, **self.columns}

    @cached_property
    def values_between(self) -> Mapping[str, Value]:
        """Those that fast rounds need."""
        return {name: value for name, value in self.values.items() if value.round != "full"}


@dataclass(frozen=True, config=STRICT)
class Profile:
    """The form of a profile file.

    ``verified``: by what real data, or ``unverified``. ``system_description``: words one of which sysDescr must hold,
    where a sysObjectID prefix does not tell operating systems apart. ``without``: inherited scalars and tables that
    are not read.
    """

    schema_version: Literal["1"]
    name: str
    verified: str
    extends: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    system_object_ids: tuple[ObjectId, ...] = ()
    system_description: tuple[str, ...] = ()
    scalars: Mapping[str, Value] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)

    def fits(self, description: str) -> bool:
        return not self.system_description or any(word in description for word in self.system_description)


class ProfileSet:
    """Profiles by name, with their ``extends`` already merged in; ``own`` and ``files``: as written, and where."""

    def __init__(self, profiles: Mapping[str, Profile], own: Mapping[str, Profile], files: Mapping[str, Path]) -> None:
        self._profiles = profiles
        self.own = own
        self.files = files
        self._named: dict[tuple[str, ...], Profile] = {}

    def __getitem__(self, name: str) -> Profile:
        """Raises: UsageError: no such profile."""
        if name not in self._profiles:
            raise UsageError(self._unknown(name))
        return self._profiles[name]

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._profiles.values())

    def refuse_unknown(self, device: Device) -> None:
        """Raises: UsageError: the device names a profile that does not exist."""
        for name in device.profiles:
            if name not in self._profiles:
                raise UsageError(f"device {device.name}: {self._unknown(name)}")

    def _unknown(self, name: str) -> str:
        return f"no device profile {name!r}; there are {', '.join(sorted(self._profiles))}"

    def choose(self, system_object_id: Oid, named: Sequence[str] = (), description: str = "") -> Profile:
        """The merged profiles ``named``, else the one that fits best, else ``generic``.

        Best: the longest sysObjectID prefix, and of those with one prefix the one that asks for words ``description``
        (sysDescr) holds.

        Raises:
            UsageError: a named profile does not exist.
        """
        if named:
            return self._merged(tuple(named))
        candidates = [
            (len(prefix), bool(profile.system_description), profile)
            for profile in self._profiles.values()
            if profile.fits(description)
            for prefix in profile.system_object_ids
            if system_object_id[: len(prefix)] == prefix
        ]
        return max(candidates, key=lambda c: c[:2])[2] if candidates else self[DEFAULT_PROFILE]

    def _merged(self, named: tuple[str, ...]) -> Profile:
        if named not in self._named:
            self._named[named] = _merge([self[name] for name in named], self[named[-1]])
        return self._named[named]


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
        _refuse_complaints(path, profile)
    if DEFAULT_PROFILE not in own:
        why = f"no device profile named {DEFAULT_PROFILE!r}" if folder.is_dir() else "is no folder of device profiles"
        raise UsageError(f"{folder}: {why}")
    for problem in shared_prefixes(own, places):
        raise problem
    return ProfileSet({name: resolve(name, own, places) for name in own}, own, places)


def shared_prefixes(own: Mapping[str, Profile], places: Mapping[str, Path]) -> Iterator[InputError]:
    """What two profiles both want to be chosen by, said of the second."""
    taken: dict[tuple[Oid, str], str] = {}
    for name, profile in own.items():
        for prefix in profile.system_object_ids:
            for word in profile.system_description or ("",):
                if (prefix, word) in taken:
                    yield _about(
                        places[name],
                        "system_object_ids",
                        f"{dotted(prefix)} already chooses profile {taken[prefix, word]!r}",
                    )
                taken.setdefault((prefix, word), name)


def _about(path: Path, key: str, text: str) -> InputError:
    return InputError(Place(path, line_of(path, key), key), text)


def _refuse_complaints(path: Path, profile: Profile) -> None:
    for where, complaint in complaints(profile):
        raise InputError(Place(path, line_of(path, *where), ".".join(map(str, where))), complaint)


def complaints(profile: Profile) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with a file that has the right form: where, and what."""
    for name, value in profile.scalars.items():
        if name not in SCALARS:
            yield ("scalars", name), f"there is no such scalar; there are {', '.join(SCALARS)}"
        yield from _about_sources(("scalars", name), value, frozenset())
    for name, table in profile.tables.items():
        yield from _about_table(("tables", name), table)


def _about_table(where: tuple[str | int, ...], table: Table) -> Iterator[tuple[tuple[str | int, ...], str]]:
    form = FORMS[table.subject]
    for name in table.columns:
        if name not in form.columns:
            known = ", ".join(form.columns)
            yield (*where, "columns", name), f"{table.subject} has no such column (a helper?); it has {known}"
    for name in form.needs:
        if name not in table.columns and name not in table.index:
            yield where, f"{table.subject} needs {name!r} as a column or a part of the index"
    known_names = frozenset(table.index)
    for group in ("helpers", "columns"):
        for name, value in getattr(table, group).items():
            yield from _about_sources((*where, group, name), value, known_names)
            known_names |= {name}
    for name in (*table.only, *table.skip):
        if name not in known_names:
            yield where, f"only, skip: there is no column or part {name!r}"
    if table.subject == "sensor" and "type" in table.columns:
        yield from _about_sensor_types((*where, "columns", "type"), table.columns["type"])


def _about_sources(
    where: tuple[str | int, ...], value: Value, names: frozenset[str]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for number, source in enumerate(value.sources):
        place = (*where, "sources", number)
        if bool(source.oid) == bool(source.text):
            yield place, "a source has either an oid or a text"
        for name in source.names:
            if name not in names:
                yield place, f"looks at {name!r}, which is no part of the index, and no helper or column before it"
        if source.climb and not source.at:
            yield place, "climb needs at: where to begin"


def _about_sensor_types(where: tuple[str | int, ...], value: Value) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for number, source in enumerate(value.sources):
        place = (*where, "sources", number)
        if not source.meanings:
            yield place, "a sensor's type is said by text, values or contains"
        for meaning in source.meanings:
            if meaning not in SENSOR_UNITS and not PLACEHOLDER.fullmatch(meaning):
                yield place, f"there is no sensor type {meaning!r}; there are {', '.join(SENSOR_UNITS)}"


def resolve(name: str, own: Mapping[str, Profile], places: Mapping[str, Path], above: tuple[str, ...] = ()) -> Profile:
    """The profile ``name`` with what it extends merged in; ``places``: the files of the profiles.

    Raises:
        InputError: ``extends`` names an unknown profile or goes round in a circle, ``without`` what is not there.
    """
    profile = own[name]
    for parent in profile.extends:
        if parent not in own:
            raise _about(places[name], "extends", f"no profile {parent!r}")
        if parent in (*above, name):
            raise _about(places[name], "extends", f"{' -> '.join((*above, name, parent))} goes round in a circle")
    parents = [resolve(parent, own, places, (*above, name)) for parent in profile.extends]
    inherited = {key for parent in parents for key in (*parent.scalars, *parent.tables)}
    for gone in profile.without:
        if gone not in inherited:
            raise _about(places[name], "without", f"no profile it extends has {gone!r}")
    return _merge([*(_without(parent, profile.without) for parent in parents), profile], profile)


def _without(profile: Profile, gone: Sequence[str]) -> Profile:
    scalars = {k: v for k, v in profile.scalars.items() if k not in gone}
    tables = {k: v for k, v in profile.tables.items() if k not in gone}
    return replace(profile, scalars=scalars, tables=tables)


def _merge(profiles: Sequence[Profile], last: Profile) -> Profile:
    scalars = {k: v for p in profiles for k, v in p.scalars.items()}
    tables = {k: v for p in profiles for k, v in p.tables.items()}
    return replace(last, scalars=scalars, tables=tables)
