"""The file type of a change: what an operator wants to do, as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from twin.net.facts import PortName
from twin.vocab.change import Change, SetCost, SetEnabled, Step
from twin.vocab.config import OSPF_LARGEST_COST
from twin.vocab.files import STRICT, read_yaml


@dataclass(frozen=True, config=STRICT)
class CostRow:
    """``{port: r1:eth1, value: 500}``"""

    port: PortName
    value: int = Field(ge=1, le=OSPF_LARGEST_COST)


@dataclass(frozen=True, config=STRICT)
class StepRow:
    """One of ``disable: r1:eth1``, ``enable: r1:eth1``, ``cost: {port: r1:eth1, value: 500}``."""

    disable: PortName | None = None
    enable: PortName | None = None
    cost: CostRow | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> StepRow:
        if sum(part is not None for part in (self.disable, self.enable, self.cost)) != 1:
            raise ValueError("a step is exactly one of disable, enable or cost")
        return self

    @property
    def step(self) -> Step:
        if self.cost is not None:
            return SetCost(self.cost.port, self.cost.value)
        port = self.disable or self.enable
        assert port is not None
        return SetEnabled(port, enabled=self.enable is not None)


@dataclass(frozen=True, config=STRICT)
class ChangeFile:
    """Ordered steps under a name."""

    schema_version: Literal["1"]
    steps: Annotated[tuple[StepRow, ...], Field(min_length=1)]
    name: str = ""

    @property
    def change(self) -> Change:
        return Change(tuple(row.step for row in self.steps), self.name)


def read_change(path: Path) -> Change:
    """A change file -> Change.

    Raises:
        UsageError, InputError: the file can't be read or is not a change; file, line and key are named.
    """
    return read_yaml(path, ChangeFile).change
