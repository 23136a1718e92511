"""Line protocol -> rows: nettwin's own lines as they were written, others' by a mapping. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from twin.store.line_parser import LineError, Parsed, Point, Value, parse_lines
from twin.store.lines import from_point
from twin.store.transfer.mapping import MappingFile, Rule, Taken, filled, template_names
from twin.store.transfer.rows import Cell, Found, Row, Tally, fitted, implausible
from twin.vocab.schema import KINDS

Translate: TypeAlias = "Callable[[Point, Tally], Row | None]"
"""Raises ValueError (the reason) for a point that can't be what it says; the row's time is still the file's."""

PRECISIONS: Mapping[str, tuple[int, int]] = {"s": (1_000_000, 1), "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}
"""Unit of a line's time -> factor and divisor that make it microseconds."""


class LineReader:
    """A ``RowReader``. ``precision``: the unit of the lines' times; told by the first line unless given."""

    def __init__(self, translate: Translate, present: int, precision: str = "") -> None:
        self._translate = translate
        self._present = present
        self.precision = precision

    def read(self, buffer: bytes, line: int, *, final: bool, tally: Tally) -> Iterator[Found]:
        for parsed in parse_lines(buffer, line, final=final):
            yield self._found(parsed, tally)

    def _found(self, parsed: Parsed, tally: Tally) -> Found:
        place = (parsed.line, parsed.start, parsed.end)
        point = parsed.outcome
        if point is None:
            return Found(*place)
        if isinstance(point, LineError):
            return Found(*place, column=point.column, problem=point.reason)
        if not self.precision:
            self.precision = likely_precision(point.time)
        factor, divisor = PRECISIONS[self.precision]
        at = point.time * factor // divisor
        try:
            row = self._translate(point, tally)
        except ValueError as problem:
            return Found(*place, problem=str(problem))
        if row is None:
            return Found(*place)
        reason = implausible(row.kind, at, row.values, self._present)
        return Found(*place, problem=reason) if reason else Found(*place, Row(row.kind, row.keys, at, row.values))


def likely_precision(stamp: int) -> str:
    """The unit in which a time lies between 1973 and 2200."""
    size = abs(stamp)
    return "s" if size < 10**11 else "ms" if size < 10**14 else "us" if size < 10**17 else "ns"


def own_lines(point: Point, tally: Tally) -> Row | None:
    """The inverse of ``twin.store.lines.to_lines``."""
    spec = KINDS.get(point.measurement)
    if spec is None:
        tally.unmapped[point.measurement] += 1
        return None
    keys, values, strange = from_point(point)
    tally.unmapped.update(f"{point.measurement}.{name}" for name in strange)
    if not values:
        return None
    return Row(spec.name, keys, point.time, {name: _fits(spec.name, name, v) for name, v in values.items()})


def _fits(kind: str, name: str, value: Value) -> Cell:
    try:
        return fitted(value, KINDS[kind].fields[name])
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from None


@dataclass(frozen=True)
class _Plan:
    """A rule, made ready: ``plain`` are whole numbers that are taken as they come, ``others`` the other fields."""

    rule: Rule
    known: frozenset[str]
    plain: tuple[tuple[str, str], ...]
    others: tuple[tuple[str, tuple[Taken, ...]], ...]
    sums: tuple[tuple[str, frozenset[str]], ...]


def _plan(rule: Rule) -> _Plan:
    taken = (name for alternatives in rule.fields.values() for one in alternatives for name in one.names)
    keys = (name for forms in rule.keys.values() for form in forms for name in template_names(form))
    integers = {name for name, field in KINDS[rule.kind].fields.items() if field.type == "int"}
    plain = {n: a[0].source for n, a in rule.fields.items() if n in integers and len(a) == 1 and a[0].as_it_comes}
    return _Plan(
        rule,
        frozenset(taken) | frozenset(keys),
        tuple((name, source) for name, source in plain.items() if source),
        tuple((name, alternatives) for name, alternatives in rule.fields.items() if name not in plain),
        tuple((n, frozenset(p for one in a for p in one.sum)) for n, a in rule.fields.items() if any(o.sum for o in a)),
    )


class Mapped:
    """Others' points by a mapping. ``rename``: what the lines call a device -> its name here."""

    def __init__(self, mapping: MappingFile, rename: Mapping[str, str]) -> None:
        self._blank = mapping.blank
        self._rename = rename
        self._plans = {name: _plan(rule) for rule in mapping.measurements for name in rule.names}

    def __call__(self, point: Point, tally: Tally) -> Row | None:
        plan = self._plans.get(point.measurement)
        if plan is None:
            tally.unmapped[point.measurement] += 1
            return None
        tags = point.tags
        if self._blank in tags.values():
            tags = {name: text for name, text in tags.items() if text != self._blank}
        values = _values(plan, {**tags, **point.fields})
        keys = self._keys(plan.rule, tags) if values else ()
        _count_strange(plan, point, values, tally)
        return Row(plan.rule.kind, keys, point.time, values) if values else None

    def _keys(self, rule: Rule, tags: Mapping[str, str]) -> tuple[str, ...]:
        keys = []
        for key in KINDS[rule.kind].keys:
            text = next((t for form in rule.keys[key] if (t := filled(form, tags)) is not None), None)
            if text is None:
                raise ValueError(f"no tag {' or '.join(rule.keys[key])}, which names the {key}")
            keys.append(self._rename.get(text, text) if key == "device" else text)
        return tuple(keys)


def _count_strange(plan: _Plan, point: Point, values: Mapping[str, Cell], tally: Tally) -> None:
    for name in (point.fields.keys() | point.tags.keys()) - plan.known:
        counted = tally.left_out if name in plan.rule.left_out else tally.unmapped
        counted[f"{point.measurement}.{name}"] += 1
    for name, parts in plan.sums:
        if name not in values:  # parts of a sum that is not there: counted, for they are not stored
            tally.unmapped.update(f"{point.measurement}.{part}" for part in parts & point.fields.keys())


def _values(plan: _Plan, given: Mapping[str, Value]) -> dict[str, Cell]:
    kind = plan.rule.kind
    values: dict[str, Cell] = {}
    for name, source in plan.plain:
        value = given.get(source)
        if value is not None:
            quick = type(value) is int and value < 2**63  # nearly all: counters
            values[name] = value if quick else _fits(kind, name, _numeral(kind, name, value))
    for name, alternatives in plan.others:
        for one in alternatives:
            if (value := _taken(one, given)) is not None:
                values[name] = _fits(kind, name, _numeral(kind, name, value))
                values |= {constant: _fits(kind, constant, number) for constant, number in one.also.items()}
                break
    return values


def _numeral(kind: str, name: str, value: Value) -> Value:
    """A tag is always text: one that spells a number is that number where one is wanted."""
    if not isinstance(value, str) or KINDS[kind].fields[name].type == "str":
        return value
    try:
        return int(value)
    except ValueError:
        return value


def _taken(one: Taken, given: Mapping[str, Value]) -> Value | None:
    value = _sum(one.sum, given) if one.sum else given.get(one.source or "")
    if value is None or (one.unknown and _word(value) in one.unknown):
        return None
    if one.values:
        value = _looked_up(value, one.values)
    return value * one.scale if one.scale != 1 and isinstance(value, int | float) else value


def _sum(names: Sequence[str], given: Mapping[str, Value]) -> Value | None:
    """None unless all are there."""
    total: float = 0
    for name in names:
        part = given.get(name)
        if part is None:
            return None
        if isinstance(part, str):
            raise ValueError(f"{name}: {part!r} is not a number")  # noqa: TRY004 - input, not a programming error
        total += part
    return total


def _looked_up(value: Value, table: Mapping[str, str]) -> Value:
    meant = table.get(_word(value))
    if meant is None:
        return value
    try:
        return int(meant)
    except ValueError:
        return meant


def _word(value: Value) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
