"""Device profiles looked over before they meet a device: all faults at once, each with file, line and key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from collectors.profiles import Profile, Source, Table, Value, complaints, resolve, shared_prefixes
from collectors.snmp.wire import Oid, dotted
from collectors.subjects import Subject
from twin.vocab.errors import InputError, Place
from twin.vocab.files import line_of, read_yaml
from twin.vocab.schema import KINDS

Where: TypeAlias = tuple[str | int, ...]
Complaints: TypeAlias = Iterator[tuple[Where, str]]

ENTERPRISES = (1, 3, 6, 1, 4, 1)
MOST_ARCS, LARGEST_ARC = 128, 2**32 - 1  # RFC 2578 section 3.5
_DBM = frozenset({"optical_rx_power", "optical_tx_power"})
_CELSIUS = frozenset({"temperature", "optical_temperature"})
_FITS = {"watts_to_dbm": _DBM, "fahrenheit_to_celsius": _CELSIUS}
_TO_THE_END = frozenset({"rest", "rest_text"})
_NOTHING = Value(())
_SAYS: Mapping[Subject, tuple[str, ...]] = {  # what a row of the subject is about: read twice, it counts twice
    "sensor": ("value", "status"),
    "processor": ("load_percent",),
    "memory_pool": ("used_bytes", "used_percent", "free_bytes"),
}


@dataclass(frozen=True)
class Fault:
    """What is wrong with a profile, and where."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


def lint(folder: Path, files: Sequence[Path] = ()) -> tuple[Fault, ...]:
    """The faults of ``files`` among the profiles of ``folder`` (none given: of them all), by file and line.

    A file stands in for the one of the folder that has its name.
    """
    wanted = tuple(files) or tuple(sorted(folder.glob("*.yaml")))
    names = {path.name for path in wanted}
    beside = [path for path in sorted(folder.glob("*.yaml")) if path.name not in names]
    read, faults = _read((*beside, *wanted))
    own = {profile.name: profile for profile in read.values()}
    places = {profile.name: path for path, profile in reversed(read.items())}
    cells = frozenset(oid for profile in read.values() for oid in _columns(profile))
    faults += [_fault(path, *found) for path, profile in read.items() for found in _own_faults(profile, cells)]
    faults += [
        _fault(path, ("name",), f"{profile.name!r} is already in {places[profile.name]}")
        for path, profile in read.items()
        if places[profile.name] != path
    ]
    faults += [Fault(problem.place, problem.message) for problem in shared_prefixes(own, places)]
    for name, profile in own.items():
        try:
            whole = resolve(name, own, places)
        except InputError as problem:
            faults.append(Fault(problem.place, problem.message))
            continue
        faults += [_fault(places[name], *found) for found in _merged_faults(profile, whole)]
    return tuple(sorted((f for f in dict.fromkeys(faults) if f.place.file in wanted), key=_order))


def _read(paths: Sequence[Path]) -> tuple[dict[Path, Profile], list[Fault]]:
    read: dict[Path, Profile] = {}
    faults: list[Fault] = []
    for path in paths:
        try:
            read[path] = read_yaml(path, Profile)
        except InputError as problem:
            faults.append(Fault(problem.place, problem.message))
    return read, faults


def _fault(path: Path, where: Where, text: str) -> Fault:
    return Fault(Place(path, line_of(path, *where), ".".join(map(str, where))), text)


def _order(fault: Fault) -> tuple[str, int]:
    return str(fault.place.file), fault.place.line or 0


def _columns(profile: Profile) -> Iterator[Oid]:
    """All objects that its tables read."""
    return (oid for table in profile.tables.values() for value in table.values.values() for oid in value.oids)


def _own_faults(profile: Profile, columns: frozenset[Oid]) -> Complaints:
    """What a file says by itself; ``columns``: those of tables that are known."""
    yield from complaints(profile)
    yield from _choice_faults(profile)
    if not profile.verified:
        yield ("verified",), "says nothing: by what real data, or unverified"
    for name, value in profile.scalars.items():
        field = KINDS["device"].fields.get(name)
        for place, source in _sources(("scalars", name), value):
            yield from _number_faults(place, source, counter=bool(field and field.counter))
            for oid in source.oids:
                if not source.instance and not _is_cell(oid, columns):
                    yield from _instance_faults(place, oid)
    for name, table in profile.tables.items():
        yield from _table_faults(("tables", name), table)


def _choice_faults(profile: Profile) -> Complaints:
    if profile.system_description and not profile.system_object_ids:
        yield ("system_description",), "chooses nothing without system_object_ids"
    for number, prefix in enumerate(profile.system_object_ids):
        if prefix[: len(ENTERPRISES)] != ENTERPRISES or len(prefix) == len(ENTERPRISES):
            yield ("system_object_ids", number), f"{dotted(prefix)} is no vendor's: it would choose devices of many"


def _sources(where: Where, value: Value) -> Iterator[tuple[Where, Source]]:
    return (((*where, "sources", number), source) for number, source in enumerate(value.sources))


def _is_cell(oid: Oid, columns: frozenset[Oid]) -> bool:
    """Whether it is an instance of a column: one cell of a table read as a scalar."""
    return any(oid[:length] in columns for length in range(len(oid)))


def _instance_faults(place: Where, oid: Oid) -> Complaints:
    yield from _arc_faults(place, oid)
    if oid[-1] != 0:
        yield place, f"{dotted(oid)} names no instance: a scalar's ends in .0"


def _arc_faults(place: Where, oid: Oid) -> Complaints:
    if len(oid) > MOST_ARCS or max(oid) > LARGEST_ARC or oid[0] > 2 or (oid[0] < 2 and oid[1] >= 40):
        yield place, f"{dotted(oid)} can't be an object identifier (RFC 2578 section 3.5)"


def _number_faults(place: Where, source: Source, *, counter: bool) -> Complaints:
    if source.bits and not counter:
        yield place, "bits is for counters, and this is none"
    if source.bits and not (source.scale == 1 and source.convert is None and source.precision is None):
        yield place, "bits goes with no scale, precision or convert: a counter is kept as read"


def _table_faults(where: Where, table: Table) -> Complaints:
    yield from _values_faults(where, table)
    for oid in table.count:
        yield from _instance_faults((*where, "count"), oid)
    yield from _index_faults((*where, "index"), table)
    yield from _helper_faults((*where, "helpers"), table)
    yield from _entry_faults(where, table)
    yield from _port_faults((*where, "columns", "interface"), table)
    if table.subject == "sensor":
        yield from _sensor_faults(where, table)


def _values_faults(where: Where, table: Table) -> Complaints:
    kind, alone = KINDS.get(table.subject), _is_of_one_object(table)
    for group, values in (("helpers", table.helpers), ("columns", table.columns)):
        for name, value in values.items():
            field = kind.fields.get(name) if kind and group == "columns" else None
            counter = bool(field and field.counter)
            for place, source in _sources((*where, group, name), value):
                yield from _number_faults(place, source, counter=counter)
                if counter and table.subject == "interface" and not source.bits:
                    yield place, "a counter needs bits: 32 or 64, or its wraps can't be told"
                yield from _column_faults(place, source, alone=alone)
            if name in table.index:
                yield (*where, group, name), f"{name!r} is a part of the index too"


def _is_of_one_object(table: Table) -> bool:
    """Whether it is a scalar read as a table of one row: all of its own columns are one object."""
    return len({source.own for _, source in _own_columns((), table)}) == 1


def _own_columns(where: Where, table: Table) -> Iterator[tuple[Where, Source]]:
    """The sources that are read at the rows' own instance."""
    for group, values in (("helpers", table.helpers), ("columns", table.columns)):
        for name, value in values.items():
            yield from (s for s in _sources((*where, group, name), value) if s[1].own and not s[1].at)


def _column_faults(place: Where, source: Source, *, alone: bool) -> Complaints:
    for oid in source.oids:
        yield from _arc_faults(place, oid)
        if oid[-1] == 0:
            yield place, f"{dotted(oid)} ends in .0 as a scalar's instance does: a column has no instance here"
        elif oid[-2] != 1 and not (alone and not source.at):
            yield place, f"{dotted(oid)} is no column: the number before its last is that of a table's entry, 1"


def _index_faults(where: Where, table: Table) -> Complaints:
    if not table.index:
        yield where, "has no part"
    for name in list(table.index)[:-1]:
        if table.index[name].kind in _TO_THE_END:
            yield (*where, name), f"{table.index[name].kind} takes all that is left: it must come last"


def _helper_faults(where: Where, table: Table) -> Complaints:
    seen = {name for value in table.values.values() for source in value.sources for name in source.names}
    for name in table.helpers:
        if name not in seen | set(table.only) | set(table.skip):
            yield (*where, name), "nothing looks at it"


def _entry_faults(where: Where, table: Table) -> Complaints:
    """A lone column whose entry is almost that of the others is a slip of the pen."""
    columns = list(_own_columns(where, table))
    entries = Counter(source.own[:-1] for _, source in columns)
    for place, source in columns:
        entry = source.own[:-1]
        near = [other for other in entries if entries[other] > entries[entry] == 1 and _is_slip(entry, other)]
        if near:
            yield place, f"{dotted(source.own)} is outside the table's entry {dotted(near[0])}"


def _is_slip(entry: Oid, other: Oid) -> bool:
    """One number too many, too few, or another one; tables of one index differ in their own number or their group's."""
    longer, shorter = (entry, other) if len(entry) > len(other) else (other, entry)
    if len(longer) == len(shorter) + 1:
        return any(longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer)))
    differ = [i for i, (a, b) in enumerate(zip(entry, other, strict=False)) if a != b]
    return len(entry) == len(other) and len(differ) == 1 and differ[0] < len(entry) - 3


def _port_faults(where: Where, table: Table) -> Complaints:
    for place, source in _sources(where, table.columns.get("interface", _NOTHING)):
        part = source.text.removeprefix("{").removesuffix("}")
        if part in table.index and table.index[part].kind == "int":
            yield place, f"a number as text is no ifIndex: call the part {part!r} of the index interface"


def _sensor_faults(where: Where, table: Table) -> Complaints:
    said = table.columns.get("type")
    types = {meaning for source in said.sources for meaning in source.meanings} if said else set()
    if any("{" in meaning for meaning in types):
        return
    if types and all(meaning.endswith("_state") for meaning in types) and "status" not in table.columns:
        yield where, "a state's value is the device's own code: status must say what it means"
    for name in ("value", "low", "high"):
        for place, source in _sources((*where, "columns", name), table.columns.get(name, _NOTHING)):
            if source.convert in _FITS and not types & _FITS[source.convert]:
                yield place, f"{source.convert} does not fit {', '.join(sorted(types))}"


def _merged_faults(own: Profile, whole: Profile) -> Complaints:
    """What a file's tables make of those it takes over."""
    order = {name: place for place, name in enumerate(whole.tables)}
    for name, table in own.tables.items():
        where = ("tables", name)
        for other in table.unless:
            yield from _unless_faults((*where, "unless"), name, other, whole, order)
        for other in list(order)[: order[name]]:
            if twice := _read_twice(table, whole.tables[other]):
                yield where, f"reads {dotted(twice)} as table {other!r} does: every row would count twice"


def _unless_faults(where: Where, name: str, other: str, whole: Profile, order: Mapping[str, int]) -> Complaints:
    if other in whole.scalars:
        return
    if other not in whole.tables:
        yield where, f"there is no scalar or table {other!r}"
    elif order[other] >= order[name]:
        yield where, f"{other!r} is read after {name!r}, which does not wait for it"
    elif whole.tables[name].round == "fast" and whole.tables[other].round != "fast":
        yield where, f"{other!r} is not read in fast rounds, and {name!r} is"


def _read_twice(table: Table, other: Table) -> Oid:
    """An object that both tables read for the same purpose, under no condition; empty if there is none."""
    if table.subject != other.subject or table.unless or other.unless or table.only or table.skip:
        return ()
    for name in _SAYS.get(table.subject, ()):
        mine, others = (
            {s.own for s in t.columns[name].sources if s.own and not s.when} if name in t.columns else set()
            for t in (table, other)
        )
        if both := mine & others:
            return min(both)
    return ()
