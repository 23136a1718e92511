"""What an operator wants to do: ordered steps, as text in a device's dialect or as plain intent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from twin.vocab.snapshot import Port


@dataclass(frozen=True)
class SetEnabled:
    """Interface up (``enabled``) or down."""

    port: Port
    enabled: bool

    def __str__(self) -> str:
        return f"{'enable' if self.enabled else 'disable'} {self.port}"


@dataclass(frozen=True)
class SetCost:
    """OSPF cost of an interface (1..65535)."""

    port: Port
    cost: int

    def __str__(self) -> str:
        return f"set OSPF cost of {self.port} to {self.cost}"


Step: TypeAlias = SetEnabled | SetCost


@dataclass(frozen=True)
class Change:
    """Ordered steps under one name."""

    steps: tuple[Step, ...]
    name: str = ""

    def __str__(self) -> str:
        steps = "; ".join(map(str, self.steps))
        return ": ".join(part for part in (self.name, steps) if part)
