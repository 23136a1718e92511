"""Line protocol -> rows: nettwin's own lines as they were written, others' by a mapping. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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


class Mapped:
    """Others' points by a mapping. ``rename``: what the lines call a device -> its name here."""

    def __init__(self, mapping: MappingFile, rename: Mapping[str, str]) -> None:
        self._blank = mapping.blank
        self._rename = rename
        self._rules = {name: rule for rule in mapping.measurements for name in rule.names}
        self._known = {name: _known(rule) for name, rule in self._rules.items()}

    def __call__(self, point: Point, tally: Tally) -> Row | None:
        rule = self._rules.get(point.measurement)
        if rule is None:
            tally.unmapped[point.measurement] += 1
            return None
        tags = point.tags
        if self._blank in tags.values():
            tags = {name: text for name, text in tags.items() if text != self._blank}
        values = _values(rule, {**tags, **point.fields})
        self._count_strange(point, rule, values, tally)
        return Row(rule.kind, self._keys(rule, tags), point.time, values) if values else None

    def _keys(self, rule: Rule, tags: Mapping[str, str]) -> tuple[str, ...]:
        keys = []
        for key in KINDS[rule.kind].keys:
            text = next((t for form in rule.keys[key] if (t := filled(form, tags)) is not None), None)
            if text is None:
                raise ValueError(f"no tag {' or '.join(rule.keys[key])}, which names the {key}")
            keys.append(self._rename.get(text, text) if key == "device" else text)
        return tuple(keys)

    def _count_strange(self, point: Point, rule: Rule, values: Mapping[str, Cell], tally: Tally) -> None:
        known = self._known[point.measurement]
        for name in [n for n in (*point.fields, *point.tags) if n not in known]:
            counted = tally.left_out if name in rule.left_out else tally.unmapped
            counted[f"{point.measurement}.{name}"] += 1
        for name, alternatives in rule.fields.items():
            if name not in values:  # part of a sum: counted, for it is not stored
                for part in {p for one in alternatives for p in one.sum if p in point.fields}:
                    tally.unmapped[f"{point.measurement}.{part}"] += 1


def _known(rule: Rule) -> frozenset[str]:
    taken = (name for alternatives in rule.fields.values() for one in alternatives for name in one.names)
    keys = (name for forms in rule.keys.values() for form in forms for name in template_names(form))
    return frozenset(taken) | frozenset(keys)


def _values(rule: Rule, given: Mapping[str, Value]) -> dict[str, Cell]:
    values: dict[str, Cell] = {}
    for name, alternatives in rule.fields.items():
        for one in alternatives:
            if (value := _taken(one, given)) is not None:
                values[name] = _fits(rule.kind, name, _numeral(rule.kind, name, value))
                values |= {constant: _fits(rule.kind, constant, number) for constant, number in one.also.items()}
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
    if one.sum:
        parts = [given.get(name) for name in one.sum]
        if any(part is None for part in parts):
            return None
        value: Value | None = sum(part for part in parts if isinstance(part, int | float))
    else:
        value = given.get(one.names[0])
    if value is None or (one.unknown and _word(value) in one.unknown):
        return None
    if one.values:
        value = _looked_up(value, one.values)
    return value * one.scale if one.scale != 1 and isinstance(value, int | float) else value


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
