"""What devices can't tell about links: the file type of configs/links.yaml."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator
from pydantic.dataclasses import dataclass

from twin.vocab.files import STRICT
from twin.vocab.snapshot import LinkFacts, Port
from twin.vocab.units import rate_of

_DELAY_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_LENGTH_KM = {"m": 0.001, "km": 1.0}


def _quantity(text: str, units: dict[str, float], example: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip())
    if not found or found[2] not in units:
        raise ValueError(f"{text!r} needs a number and a unit; write for example {example}")
    return float(found[1]) * units[found[2]]


def _port(value: Any) -> Port:
    return value if isinstance(value, Port) else Port.parse(str(value))


def _delay(value: Any) -> float | None:
    return _quantity(value, _DELAY_MS, "4.2ms") if isinstance(value, str) else value


def _length(value: Any) -> float | None:
    return _quantity(value, _LENGTH_KM, "120km") if isinstance(value, str) else value


PortName = Annotated[Port, BeforeValidator(_port), PlainSerializer(str)]
Rate = Annotated[int | None, BeforeValidator(rate_of)]
Delay = Annotated[float | None, BeforeValidator(_delay)]
Length = Annotated[float | None, BeforeValidator(_length)]


@dataclass(frozen=True, config=STRICT)
class LinkRow:
    """One link, named by its two ports in any order."""

    a: PortName
    b: PortName
    capacity: Rate = None
    delay: Delay = None
    length: Length = None
    circuit: str = ""
    shared_risk: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _joins_two_ports(self) -> LinkRow:
        if self.a == self.b:
            raise ValueError(f"{self.a} can't be joined to itself")
        return self

    @property
    def ports(self) -> tuple[Port, Port]:
        return (min(self.a, self.b), max(self.a, self.b))

    @property
    def facts(self) -> LinkFacts:
        return LinkFacts(self.capacity, self.delay, self.length, self.circuit, self.shared_risk)


@dataclass(frozen=True, config=STRICT)
class LinkFactsTable:
    """configs/links.yaml. A key that is absent means unknown, never 0."""

    schema_version: Literal["1"]
    links: tuple[LinkRow, ...] = Field(default=())

    @model_validator(mode="after")
    def _each_link_once(self) -> LinkFactsTable:
        seen: set[tuple[Port, Port]] = set()
        for row in self.links:
            if row.ports in seen:
                raise ValueError(f"the link {row.ports[0]} - {row.ports[1]} stands twice")
            seen.add(row.ports)
        return self


NO_FACTS = LinkFactsTable("1")
