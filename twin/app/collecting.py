"""Rounds into the store: samples raw, configurations with their secrets hashed, what was observed as records."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from collectors.failures import Failed
from collectors.results import Round
from collectors.rounds import Heard, Poller
from twin.config.secrets import redact
from twin.store import Batch, Document, Reader, Store, StoreError, record_block
from twin.vocab.blocks import Block
from twin.vocab.errors import NettwinError
from twin.vocab.inventory import Device
from twin.vocab.observed import ObservedDevice
from twin.vocab.plain import from_plain, to_plain
from twin.vocab.time import to_datetime

CONFIG, OBSERVED = "config", "observed"
OBSERVED_VERSION = 1
PAUSES_S = 1.0, 4.0

log = structlog.get_logger(__name__)


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


@dataclass(frozen=True)
class Prepared:
    """A round as it is to be written: ``values`` measured, and the documents that are new, as ``device name``."""

    blocks: tuple[Block, ...]
    values: int
    changed: tuple[str, ...]


def prepare_round(reader: Reader, taken: Round, key: bytes) -> Prepared:
    """What is to be written of a round. Secrets inside configurations are replaced by keyed hashes.

    Raises:
        StoreError: the engine failed when asked for the documents it has.
    """
    blocks = taken.blocks()
    documents = [
        Document(device, name, redact(text, key))
        for device, named in taken.documents().items()
        for name, text in named.items()
    ]
    documents += [Document(device, OBSERVED, observed_text(state)) for device, state in taken.observed().items()]
    if not documents:
        return Prepared(tuple(blocks), measured_values(blocks), ())
    records, changed = record_block(reader, documents, [taken.read_at(d.device) for d in documents])
    return Prepared((*blocks, records), measured_values(blocks), tuple(f"{d.device} {d.name}" for d in changed))


class Deliveries:
    """Writes rounds under a name of its own: a round put again is prepared and written only once.

    Args:
        role: who writes, for example ``collect-1of3``; what is random is added, so that no restart repeats a name.
    """

    def __init__(self, store: Store, key: bytes, role: str) -> None:
        self._store, self._key = store, key
        self._writer = f"{role}-{secrets.token_hex(8)}"
        self._pending: tuple[int, Prepared] | None = None

    def put(self, taken: Round, beside: Callable[[], Sequence[Block]] = tuple) -> Prepared:
        """Store a round; put it again if that failed, before any other.

        Args:
            beside: gives what is to be stored with the round; asked at the first try only.

        Raises:
            ValueError: the round does not fit the schema, and never will; nothing of it was stored.
            StoreError: the engine failed.
        """
        if self._pending is None or self._pending[0] != taken.number:
            prepared = prepare_round(self._store, taken, self._key)
            self._pending = taken.number, replace(prepared, blocks=(*prepared.blocks, *beside()))
        prepared = self._pending[1]
        self._store.write(prepared.blocks, Batch(self._writer, taken.number))
        self._pending = None
        return prepared


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
    poller: Poller,
    devices: Sequence[Device],
    store: Store,
    key: bytes,
    *,
    full: bool,
    progress: Heard | None = None,
    pauses: Sequence[float] = PAUSES_S,
) -> RoundReport:
    """Poll every device once and store what came.

    Args:
        pauses: how long to wait before each further try if the store fails, in seconds.

    Raises:
        UsageError: the inventory can't be polled (duplicate name, unknown profile).
        StoreError: the engine failed, each time.
    """
    began = time.monotonic()
    taken = poller.round(devices, full=full, progress=progress)
    stored = _put(Deliveries(store, key, "once"), taken, pauses)
    return RoundReport(
        to_datetime(taken.at),
        len(devices),
        sum(any(not isinstance(r, Failed) for r in results) for results in taken.results.values()),
        stored.values,
        tuple(taken.failures()),
        stored.changed,
        time.monotonic() - began,
    )


def _put(deliveries: Deliveries, taken: Round, pauses: Sequence[float]) -> Prepared:
    for pause in pauses:
        try:
            return deliveries.put(taken)
        except StoreError as problem:
            log.warning("not stored yet", seconds=pause, reason=str(problem))
            time.sleep(pause)
    return deliveries.put(taken)
