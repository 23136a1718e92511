"""The seam between polling and an SNMP engine: four nouns, plain Python values.

An engine that is faster than pysnmp replaces it by offering the same ``Engine``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from twin.vocab.inventory import Device

Oid: TypeAlias = tuple[int, ...]
Value: TypeAlias = int | bytes | Oid


@dataclass(frozen=True)
class Column:
    """One column as walked: the instances (sub-identifiers after the column's own, strictly increasing), their values.

    Columns of one ``Walk`` that have equal instances share one ``instances`` object, so ``is`` tells whether they are
    rows of the same table; those of different walks never do. Rows whose value is NULL are left out.
    INTEGER (signed), Counter32, Gauge32, TimeTicks and Counter64 are int; OCTET STRING, IpAddress and Opaque (also
    net-snmp's float and double) bytes; OBJECT IDENTIFIER a tuple.
    """

    instances: Sequence[Oid] = ()
    values: Sequence[Value] = ()


@dataclass(frozen=True)
class Walk:
    """What came of walking some columns (each one asked for is there), and when the last response came (UTC).

    ``cut`` says why it is not all there is (agent looping, silent, or more rows than allowed); empty = complete.
    """

    columns: Mapping[Oid, Column]
    at: np.datetime64
    cut: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many values there are."""
        return sum(len(column.values) for column in self.columns.values())

    @property
    def varbinds(self) -> Iterator[tuple[Oid, Value]]:
        """Object identifiers with their values, column by column."""
        for prefix, column in self.columns.items():
            for instance, value in zip(column.instances, column.values, strict=True):
                yield prefix + instance, value


@dataclass
class Tally:
    """What one conversation cost: requests sent (retries among them), retries, and datagrams that answered nothing."""

    requests: int = 0
    retries: int = 0
    ignored: int = 0


class Agent(Protocol):
    """The conversation with one agent; one request at a time.

    Both operations raise ``collectors.failures.PollError`` when nothing at all came back.
    """

    @property
    def tally(self) -> Tally: ...

    async def get(self, oids: Sequence[Oid]) -> Mapping[Oid, Value]:
        """The objects asked for; those the agent does not have are left out."""
        ...

    async def walk(self, columns: Sequence[Oid], *, rows: int, max_rows: int, until: float) -> Walk:
        """All instances below each column.

        Args:
            rows: how many rows to expect.
            max_rows: how many to accept in a column.
            until: when to stop and return what came (time.monotonic).
        """
        ...

    def close(self) -> None:
        """Give back what this conversation holds; what was learnt about the device stays with the engine."""
        ...


@runtime_checkable
class TellsTypes(Protocol):
    """An agent that notes the tag of each value it walks in ``types``, if that is a dict (RFC 3416: 65 = Counter32)."""

    types: dict[Oid, int] | None


class Engine(Protocol):
    """One per process; ``agent`` sends nothing yet."""

    async def agent(self, device: Device) -> Agent: ...

    async def close(self) -> None: ...


def parse_oid(text: str) -> Oid:
    """``1.3.6.1.2.1.1`` (a leading dot is allowed) -> tuple.

    Raises:
        ValueError: not a numeric object identifier.
    """
    arcs = text.strip().lstrip(".").split(".")
    if len(arcs) < 2 or not all(a.isascii() and a.isdigit() for a in arcs):
        raise ValueError(f"{text!r} is not a numeric object identifier")
    return tuple(int(a) for a in arcs)


def dotted(oid: Oid) -> str:
    return ".".join(map(str, oid))
