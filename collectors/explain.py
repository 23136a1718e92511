"""Pure: what would be read from a device, by which profile, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from collectors.profiles import DEFAULT_PROFILE, Profile, ProfileSet, Round, Source, Value
from collectors.snmp.wire import Oid, dotted
from collectors.subjects import Subject


@dataclass(frozen=True)
class Link:
    """One profile of the chain: its file, what it was verified by, and what it leaves out of those before it."""

    profile: str
    file: str
    verified: str
    without: tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """A scalar or a column: when it is read, and how, best way first."""

    name: str
    round: Round
    sources: tuple[str, ...]


@dataclass(frozen=True)
class ExplainedTable:
    """A table: the profile and file it comes from, when it is read, and what keeps it from being read."""

    name: str
    profile: str
    file: str
    subject: Subject
    round: Round
    index: tuple[str, ...]
    unless: tuple[str, ...]
    columns: tuple[Item, ...]


@dataclass(frozen=True)
class ExplainedScalar:
    """A scalar, with the profile and file it comes from."""

    profile: str
    file: str
    scalar: Item


@dataclass(frozen=True)
class Explanation:
    """What would be read: ``why`` this profile; ``chain``: later ones replace what earlier ones say, by name."""

    profile: str
    why: str
    chain: tuple[Link, ...]
    scalars: tuple[ExplainedScalar, ...]
    tables: tuple[ExplainedTable, ...]


def explain(profiles: ProfileSet, object_id: Oid, description: str, named: Sequence[str]) -> Explanation:
    """What a device of this sysObjectID and sysDescr is read for; ``named``: the inventory's profiles.

    Raises:
        UsageError: a named profile does not exist.
    """
    chosen = profiles.choose(object_id, named, description)
    names = list(dict.fromkeys(link for name in named or [chosen.name] for link in _chain(profiles, name)))
    links = tuple(_link(profiles, name) for name in names)
    scalars = tuple(
        ExplainedScalar(origin, str(profiles.files[origin]), _item(name, value))
        for name, value in chosen.scalars.items()
        for origin in [_origin(profiles, names, value, name)]
    )
    tables = tuple(_table(profiles, names, chosen, name) for name in chosen.tables)
    return Explanation(chosen.name, _why(chosen, object_id, description, named), links, scalars, tables)


def _chain(profiles: ProfileSet, name: str) -> Iterator[str]:
    """The profile after all that it takes over, in the order of merging."""
    for parent in profiles.own[name].extends:
        yield from _chain(profiles, parent)
    yield name


def _link(profiles: ProfileSet, name: str) -> Link:
    own = profiles.own[name]
    return Link(name, str(profiles.files[name]), own.verified, own.without)


def _why(chosen: Profile, object_id: Oid, description: str, named: Sequence[str]) -> str:
    if named:
        return f"the inventory names {', '.join(named)}"
    fitting = [prefix for prefix in chosen.system_object_ids if object_id[: len(prefix)] == prefix]
    if not fitting:
        return f"no profile has a prefix of {dotted(object_id) or 'its sysObjectID'}: {DEFAULT_PROFILE} serves"
    why = f"sysObjectID {dotted(object_id)} begins with {dotted(max(fitting, key=len))}"
    words = [word for word in chosen.system_description if word in description]
    return f"{why}, and sysDescr holds {words[0]!r}" if words else why


def _origin(profiles: ProfileSet, names: Sequence[str], value: object, name: str) -> str:
    """The profile of the chain that says this."""
    own = (profiles.own[link] for link in reversed(names))
    return next(p.name for p in own if p.scalars.get(name) is value or p.tables.get(name) is value)


def _table(profiles: ProfileSet, names: Sequence[str], chosen: Profile, name: str) -> ExplainedTable:
    table = chosen.tables[name]
    origin = _origin(profiles, names, table, name)
    index = tuple(table.index)
    columns = tuple(_item(column, value) for column, value in table.values.items())
    file = str(profiles.files[origin])
    return ExplainedTable(name, origin, file, table.subject, table.round, index, table.unless, columns)


def _item(name: str, value: Value) -> Item:
    return Item(name, value.round, tuple(map(_how, value.sources)))


def _how(source: Source) -> str:
    """One way to learn a value, in words."""
    if not source.oid:
        return repr(source.text)
    said = dotted(source.oid) + (f".{source.instance!r}" if source.instance else "")
    for sign, others in (("+", source.plus), ("-", source.minus), ("×", source.times)):
        said += "".join(f" {sign} {dotted(oid)}" for oid in others)
    if source.at:
        said += f" at [{', '.join(source.at)}]"
    if source.climb:
        said += f" or what contains it ({dotted(source.climb)})"
    if source.when:
        said += " when " + ", ".join(f"{name} is {' or '.join(values)}" for name, values in source.when.items())
    return said
