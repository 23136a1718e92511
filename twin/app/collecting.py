"""Rounds into the store: samples raw, configurations with their secrets hashed, what was observed as records."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from collectors.failures import Failed
from collectors.results import Round
from collectors.rounds import Heard, Poller
from twin.config.secrets import redact
from twin.store import Document, Store, put_records
from twin.vocab.blocks import Block
from twin.vocab.errors import NettwinError
from twin.vocab.inventory import Device
from twin.vocab.observed import ObservedDevice
from twin.vocab.plain import from_plain, to_plain
from twin.vocab.time import now, to_datetime

CONFIG, OBSERVED = "config", "observed"
OBSERVED_VERSION = 1
MAINTAIN_EVERY_S = 3600.0


@dataclass(frozen=True)
class RoundReport:
    """What one round, or one interval of watching, brought. ``answered``: devices that gave anything
    when last asked.

    ``samples``: measured values written; ``changed``: documents that are new.
    """

    at: datetime
    devices: int
    answered: int
    samples: int
    failures: tuple[Failed, ...]
    changed: tuple[str, ...]
    seconds: float


def measured_values(blocks: Sequence[Block]) -> int:
    """How many values devices gave: gaps and the notes about the polling itself are not counted."""
    return sum(int(c.valid.sum()) for block in blocks if block.kind != "poll" for c in block.fields.values())


def store_round(store: Store, taken: Round, key: bytes) -> tuple[int, tuple[str, ...]]:
    """Write one round: (measured values written, changed documents as ``device name``).

    Secrets inside configurations are replaced by keyed hashes before anything is stored.

    Raises:
        StoreError: the engine failed.
    """
    blocks = taken.blocks()
    store.write(blocks)
    documents = [
        Document(device, name, redact(text, key))
        for device, named in taken.documents().items()
        for name, text in named.items()
    ]
    documents += [Document(device, OBSERVED, observed_text(state)) for device, state in taken.observed().items()]
    changed = put_records(store, documents, to_datetime(taken.at)) if documents else ()
    return measured_values(blocks), tuple(f"{d.device} {d.name}" for d in changed)


def observed_text(state: ObservedDevice) -> str:
    """What a device said of itself, as stored."""
    return json.dumps({"schema_version": OBSERVED_VERSION, "observed": to_plain(state)}, sort_keys=True)


def read_observed(text: str) -> ObservedDevice:
    """The inverse.

    Raises:
        NettwinError: it was stored in a form this nettwin does not know.
    """
    try:
        stored = json.loads(text)
        if stored.get("schema_version") != OBSERVED_VERSION:
            raise NettwinError(f"stored in form {stored.get('schema_version')!r}, not {OBSERVED_VERSION}: collect anew")
        return from_plain(ObservedDevice, stored["observed"])
    except (ValueError, KeyError, AttributeError) as problem:
        raise NettwinError(f"stored state can't be read ({problem}): collect anew") from problem


def run_round(
    poller: Poller, devices: Sequence[Device], store: Store, key: bytes, *, full: bool, progress: Heard | None = None
) -> RoundReport:
    """Poll every device once and store what came.

    Raises:
        UsageError: the inventory can't be polled (duplicate name, unknown profile).
        StoreError: the engine failed.
    """
    began = time.monotonic()
    taken = poller.round(devices, full=full, progress=progress)
    samples, changed = store_round(store, taken, key)
    return RoundReport(
        to_datetime(taken.at),
        len(devices),
        sum(any(not isinstance(r, Failed) for r in results) for results in taken.results.values()),
        samples,
        tuple(taken.failures()),
        changed,
        time.monotonic() - began,
    )


class Upkeep:
    """Maintains the store about once an hour between rounds; ``clock`` is any monotonic clock, in seconds."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._due = clock() + MAINTAIN_EVERY_S

    def __call__(self) -> None:
        if self._clock() >= self._due:
            self._store.maintain(now())
            self._due = self._clock() + MAINTAIN_EVERY_S
