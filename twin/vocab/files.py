"""The one reader of YAML files: scalars as written, duplicate and unknown keys refused, every complaint with its line.

A file's form is a frozen dataclass: ``@dataclass(frozen=True, config=STRICT)`` from ``pydantic.dataclasses``.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from twin.vocab.errors import InputError, Place, UsageError
from twin.vocab.time import parse_duration
from twin.vocab.units import size_of

T = TypeVar("T")
STRICT = ConfigDict(extra="forbid", str_strip_whitespace=True)
Lines = dict[tuple[Hashable, ...], int]
MOST_NODES, DEEPEST = 200_000, 40
_STRUCTURAL = ("dataclass_type", "dict_type", "list_type", "tuple_type", "mapping_type")


def _duration(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_duration(value)
    except UsageError as problem:
        raise ValueError(str(problem)) from problem


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A field written as 10s, 5m, 1h30m, 7d."""

Size = Annotated[int, BeforeValidator(size_of)]
"""A field in bytes, written as 500MB, 10GB."""


def read_yaml(path: Path, kind: type[T]) -> T:
    """A YAML file -> ``kind``. Every scalar reaches the type as text (22:30 stays 22:30) and is converted there.

    Raises:
        UsageError: the file can't be read.
        InputError: bad YAML, a duplicate or unknown key, or a value its type refuses: file, line and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path}: can't be read: {getattr(problem, 'strerror', None) or problem}") from problem
    return parse_yaml(text, kind, path)


def parse_yaml(text: str, kind: type[T], source: Path | str = "<text>") -> T:
    """The same for text already read; ``source`` names it in complaints."""
    lines: Lines = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        raise InputError(
            Place(source, mark.line + 1 if mark else None),
            f"not valid YAML: {getattr(problem, 'problem', None) or problem}",
        ) from problem
    plain = {} if node is None else _plain(node, (), lines, source)
    try:
        return TypeAdapter(kind).validate_python(plain)
    except ValidationError as problem:
        raise _first_complaint(problem, lines, source) from problem


def _plain(node: yaml.Node, path: tuple[Hashable, ...], lines: Lines, source: Path | str) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(path) > DEEPEST or len(lines) > MOST_NODES:
        raise InputError(Place(source, node.start_mark.line + 1), "nested too deeply, or aliases unfold without end")
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(node, path, lines, source)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*path, i), lines, source) for i, child in enumerate(node.value)]
    return None if node.tag == "tag:yaml.org,2002:null" else node.value


def _plain_mapping(node: yaml.MappingNode, path: tuple[Hashable, ...], lines: Lines, source: Path | str) -> Any:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in result:
            first = lines[(*path, key)]
            raise InputError(Place(source, line, key), f"stands twice (first on line {first})")
        lines[(*path, key)] = line
        result[key] = _plain(value_node, (*path, key), lines, source)
    return result


def _first_complaint(problem: ValidationError, lines: Lines, source: Path | str) -> InputError:
    complaints = [(_known_part(tuple(e["loc"]), lines), e) for e in problem.errors(include_url=False)]
    place, error = max(complaints, key=lambda c: (c[1]["type"] == "unexpected_keyword_argument", len(c[0])))
    location = [
        str(x) for x in error["loc"] if isinstance(x, int) or x in place or str(x).isidentifier() or "-" in str(x)
    ]
    named = ".".join(location) or None
    return InputError(Place(source, lines.get(place), named), _wording(error["type"], error["msg"], error["input"]))


def _known_part(location: tuple[Hashable, ...], lines: Lines) -> tuple[Hashable, ...]:
    """The longest path into the file that a complaint's location spells (union branches name types too)."""
    path: tuple[Hashable, ...] = ()
    for step in location:
        if (*path, step) in lines:
            path = (*path, step)
    return path


def _wording(kind: str, message: str, value: Any) -> str:
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return "unknown key"
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return "is missing"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind in _STRUCTURAL:
        wanted = message.split(" or an instance of", maxsplit=1)[0].replace("a valid tuple", "a list")
        return f"{wanted}, not {'text' if isinstance(value, str) else 'this'}"
    return f"{message} (found {value!r})" if isinstance(value, str) else message


def line_of(path: Path, *location: Hashable) -> int | None:
    """On which line of a YAML file something stands, for complaints that need the whole file to be made."""
    lines: Lines = {}
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    if node is not None:
        _plain(node, (), lines, path)
    return lines.get(location)
