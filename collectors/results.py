"""What one device gave in one round, and all of a round: values that travel from polling to the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from collectors.failures import Failed, FailureStatus, Protocol
from twin.vocab.blocks import Block, concat
from twin.vocab.observed import ObservedDevice

Status = Literal["ok", "partial"] | FailureStatus


@dataclass(frozen=True)
class Polled:
    """What one device gave by one protocol. ``values``: how many were read; ``flags``: what is missing and why.

    ``requests`` and ``retries``: messages it took, counted where the engine counts. ``at``: when asking began (UTC).

    ``observed`` is None in fast rounds. ``documents``: by name, ``config`` is the running configuration as sent
    (secrets included: hash them before they are stored), ``routes`` the routing table.
    """

    device: str
    protocol: Protocol
    blocks: tuple[Block, ...]
    observed: ObservedDevice | None
    documents: Mapping[str, str]
    seconds: float
    values: int
    flags: tuple[str, ...] = ()
    requests: int = 0
    retries: int = 0
    at: np.datetime64 | None = None

    @property
    def status(self) -> Status:
        return "partial" if self.flags else "ok"

    @property
    def reason(self) -> str:
        """What is missing first, and how much more is; empty if nothing is."""
        more = f" (and {len(self.flags) - 1} more)" if len(self.flags) > 1 else ""
        return self.flags[0] + more if self.flags else ""


@dataclass(frozen=True)
class Round:
    """One round: when it began (UTC), and per device what each protocol gave.

    ``number``: counts the rounds that are handed on one after the other; it stays when one is offered again.

    The results aren't shown: asyncio.Runner has a finished task written out, result and all, each time it sets SIGINT's
    handler (2.5 ms for each device's arrays).
    """

    at: np.datetime64
    results: Mapping[str, tuple[Polled | Failed, ...]] = field(repr=False)
    number: int = 0

    def blocks(self) -> list[Block]:
        """All samples, one block a kind, and a ``poll`` block with a row for each device and protocol."""
        by_kind: dict[str, list[Block]] = {}
        for result in self._all():
            for block in result.blocks if isinstance(result, Polled) else ():
                by_kind.setdefault(block.kind, []).append(block)
        return [*(concat(blocks) for blocks in by_kind.values()), *self._poll_block()]

    def observed(self) -> dict[str, ObservedDevice]:
        """Each device as last observed in this round; by SNMP if it answered, else by NETCONF."""
        by_protocol: dict[str, dict[str, ObservedDevice]] = {"netconf": {}, "snmp": {}}
        for result in self._all():
            if isinstance(result, Polled) and result.observed:
                by_protocol[result.protocol][result.device] = result.observed
        return by_protocol["netconf"] | by_protocol["snmp"]

    def documents(self) -> dict[str, dict[str, str]]:
        """Documents by device and name."""
        found: dict[str, dict[str, str]] = {}
        for result in self._all():
            if isinstance(result, Polled) and result.documents:
                found.setdefault(result.device, {}).update(result.documents)
        return found

    def read_at(self, device: str) -> np.datetime64:
        """When reading what the device is began: the time of what is told of it in ``observed`` and ``documents``."""
        told = [
            result.at
            for result in self.results.get(device, ())
            if isinstance(result, Polled) and (result.observed or result.documents) and result.at is not None
        ]
        return min(told, default=self.at)

    def failures(self) -> list[Failed]:
        return [result for result in self._all() if isinstance(result, Failed)]

    def _all(self) -> list[Polled | Failed]:
        return [result for results in self.results.values() for result in results]

    def _poll_block(self) -> list[Block]:
        rows = [_poll_row(result, self.at) for result in self._all()]
        return [Block.from_rows("poll", rows)] if rows else []


def _poll_row(result: Polled | Failed, at: np.datetime64) -> dict[str, Any]:
    row: dict[str, Any] = {
        "device": result.device,
        "protocol": result.protocol,
        "status": result.status,
        "seconds": result.seconds,
        "at": at if result.at is None else result.at,
    }
    if isinstance(result, Failed):
        return row | {"reason": result.reason, "values": 0}
    told = {"reason": "; ".join(result.flags), "values": result.values}
    return row | told | {"requests": result.requests, "retries": result.retries}
