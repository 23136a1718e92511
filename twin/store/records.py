"""Versioned documents (configurations, topology) on top of a Store: a version is kept when its content changed.

Each reading leaves a row: with content when it changed, else with the hash alone. So the age of a document is the
age of its last reading, and rows with content are its history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import numpy as np

from twin.store.protocols import Batch, Reader, Store
from twin.vocab.blocks import Block
from twin.vocab.time import instant, to_datetime

KIND = "record"


@dataclass(frozen=True)
class Document:
    """What was read: one document of one device."""

    device: str
    name: str
    content: str


@dataclass(frozen=True)
class StoredRecord:
    """The newest version: ``changed_at`` when this content was first read, ``confirmed_at`` when last."""

    device: str
    name: str
    content: str
    sha256: str
    changed_at: datetime
    confirmed_at: datetime


def record_block(
    reader: Reader, documents: Sequence[Document], at: Sequence[np.datetime64]
) -> tuple[Block, tuple[Document, ...]]:
    """One reading of each document, each at its time (UTC), as what is to be written.

    Returns:
        The block, and those documents whose content differs from the newest stored one.

    Raises:
        ValueError: one document twice.
        StoreError: the engine failed.
    """
    if len({(d.device, d.name) for d in documents}) < len(documents):
        raise ValueError("one reading holds a document once")
    known = _newest_hashes(reader, sorted({d.name for d in documents}))
    rows, changed = [], []
    for document, when in zip(documents, at, strict=True):
        digest = _digest(document.content)
        row = {"device": document.device, "record": document.name, "sha256": digest, "at": when}
        if known.get((document.device, document.name)) != digest:
            changed.append(document)
            row["content"] = document.content
        rows.append(row)
    return Block.from_rows(KIND, rows), tuple(changed)


def put_records(
    store: Store, documents: Sequence[Document], at: datetime, batch: Batch | None = None
) -> tuple[Document, ...]:
    """Store one reading of each document, in one write.

    Returns:
        Those whose content differs from the newest stored one.

    Raises:
        ValueError: naive time, or one document twice.
        StoreError: the engine failed.
    """
    block, changed = record_block(store, documents, [instant(at)] * len(documents))
    store.write([block], batch)
    return changed


def put_record(store: Store, device: str, name: str, content: str, at: datetime) -> bool:
    """Store one reading of one document; whether its content changed. A round of many: ``put_records``."""
    return bool(put_records(store, [Document(device, name, content)], at))


def latest_records(store: Reader, name: str) -> dict[str, StoredRecord]:
    """Device -> the newest version of its document ``name``."""
    wanted = {"record": name}
    confirmed = store.latest(KIND, wanted, fields=["sha256"])
    last_seen = dict(zip(confirmed.keys["device"], confirmed.at, strict=True))
    versions = store.latest(KIND, wanted, fields=["content"])
    return {
        row["device"]: StoredRecord(
            row["device"],
            name,
            row["content"],
            _digest(row["content"]),
            to_datetime(row["at"]),
            to_datetime(last_seen[row["device"]]),
        )
        for row in versions.rows()
    }


def _newest_hashes(store: Reader, names: Sequence[str]) -> dict[tuple[str, str], str]:
    newest = store.latest(KIND, {"record": names}, fields=["sha256"])
    return {(row["device"], row["record"]): row["sha256"] for row in newest.rows()}


def _digest(content: str) -> str:
    return sha256(content.encode()).hexdigest()
