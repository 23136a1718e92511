"""What others' line protocol means in our terms: a mapping is a YAML file (docs/import.md); applying it is pure."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator
from pydantic.dataclasses import dataclass

from twin.vocab.errors import InputError, Place, UsageError
from twin.vocab.files import STRICT, line_of, read_yaml
from twin.vocab.schema import KINDS

_IN_TEMPLATE = re.compile(r"\{([^{}]+)\}")


def _listed(value: object) -> object:
    """One thing may be written without its list."""
    return [value] if isinstance(value, str | dict) else value


def _source(value: object) -> object:
    """A field written as a name alone is taken as it is."""
    return [{"source": v} if isinstance(v, str) else v for v in value] if isinstance(value, list) else value


def _number(value: object) -> object:
    """Whole factors stay whole, so that counters keep all their bits."""
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return float(value)
    return value


Number = Annotated[int | float, BeforeValidator(_number)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


@dataclass(frozen=True, config=STRICT)
class Taken:
    """Where a value comes from: a field (or tag) ``source``, or the ``sum`` of several, all of which must be there.

    It is then looked up in ``values`` (what is not there stays as it is), dropped if ``unknown``, and multiplied by
    ``scale``. ``also``: constants that go with it.
    """

    source: str | None = None
    sum: tuple[str, ...] = ()
    scale: Number = 1
    values: dict[str, str] = field(default_factory=dict)
    unknown: Names = ()
    also: dict[str, Number] = field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of(self) -> Taken:
        if (self.source is None) == (not self.sum):
            raise ValueError("a value has a source: or a sum:, one of them")
        return self

    @property
    def as_it_comes(self) -> bool:
        return self.source is not None and self.scale == 1 and not (self.values or self.unknown or self.also)

    @property
    def names(self) -> tuple[str, ...]:
        return self.sum if self.source is None else (self.source,)


Alternatives = Annotated[tuple[Taken, ...], BeforeValidator(lambda value: _source(_listed(value)))]


@dataclass(frozen=True, config=STRICT)
class Rule:
    """What one measurement is. ``keys``: tags (or ``{tag} texts {tag}``) in order of preference; ``fields``: likewise.

    ``left_out``: fields and tags that are known and not taken, each with the reason.
    """

    names: Names
    kind: str
    keys: dict[str, Names]
    fields: dict[str, Alternatives]
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, config=STRICT)
class MappingFile:
    """configs/mappings/*.yaml. ``blank``: what the writer puts for an empty tag."""

    schema_version: Literal["1"]
    title: str
    evidence: tuple[str, ...] = ()
    blank: str | None = None
    measurements: tuple[Rule, ...] = ()


def read_mapping(path: Path) -> MappingFile:
    """A mapping, checked.

    Raises:
        UsageError: the file can't be read.
        InputError: it does not hold; with line and key.
    """
    made = read_yaml(path, MappingFile)
    for where, text in _faults(made):
        raise InputError(Place(path, line_of(path, *where), ".".join(map(str, where))), text)
    return made


def _faults(made: MappingFile) -> Iterator[tuple[tuple[Hashable, ...], str]]:
    seen: set[str] = set()
    if not made.measurements:
        yield ("measurements",), "is empty"
    for i, rule in enumerate(made.measurements):
        here = ("measurements", i)
        for name in rule.names:
            if name in seen:
                yield (*here, "names"), f"measurement {name} stands twice"
            seen.add(name)
        yield from _rule_faults(rule, here)


def _rule_faults(rule: Rule, here: tuple[Hashable, ...]) -> Iterator[tuple[tuple[Hashable, ...], str]]:
    spec = KINDS.get(rule.kind)
    if spec is None:
        yield (*here, "kind"), f"no kind {rule.kind!r}; there are {', '.join(KINDS)}"
        return
    for key in rule.keys:
        if key not in spec.keys:
            yield (*here, "keys", key), f"kind {rule.kind} has no such key; it has {', '.join(spec.keys)}"
    if missing := [key for key in spec.keys if key not in rule.keys]:
        yield (*here, "keys"), f"{', '.join(missing)} of kind {rule.kind} is missing"
    for name, taken in rule.fields.items():
        for target in (name, *(constant for one in taken for constant in one.also)):
            if target not in spec.fields:
                yield (
                    (*here, "fields", name),
                    f"kind {rule.kind} has no field {target}; it has {', '.join(spec.fields)}",
                )
        if name in spec.fields and spec.fields[name].type == "str" and any(one.scale != 1 or one.sum for one in taken):
            yield (*here, "fields", name), "is text: no scale, no sum"


def find_mapping(wanted: str, folders: Sequence[Path]) -> Path:
    """A mapping's file by its name in one of the folders, or by its path.

    Raises:
        UsageError: there is none; those there are, are named.
    """
    if Path(wanted).suffix in (".yaml", ".yml"):
        return Path(wanted)
    for folder in folders:
        if (path := folder / f"{wanted}.yaml").is_file():
            return path
    names = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise UsageError(f"no mapping {wanted!r}; there are {', '.join(names)}, or name a .yaml file")


def template_names(text: str) -> list[str]:
    """The tags a key is made of."""
    return _IN_TEMPLATE.findall(text) or [text]


def filled(text: str, tags: Mapping[str, str]) -> str | None:
    """A key's value: the tag itself, or a text with tags in it; None if one of them is missing."""
    if "{" not in text:
        return tags.get(text)
    if any(name not in tags for name in _IN_TEMPLATE.findall(text)):
        return None
    return _IN_TEMPLATE.sub(lambda found: tags[found[1]], text)
