"""Versioned documents (configurations, topology, routing tables) on top of a Store.

Each reading leaves a row: with content when it changed, else with the hash alone. So the age of a document is the
age of its last reading, and rows with content are its history. Content is checked against its hash on reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np

from twin.store.protocols import Batch, Reader, Store, StoreError
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError
from twin.vocab.time import instant, to_datetime

KIND = "record"
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


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


@dataclass(frozen=True)
class RecordVersion:
    """One version of a document: read with this content from ``since`` on, last at ``confirmed_at``.

    ``number`` counts from 1, oldest first. A document that goes back to an earlier content has a new version.
    """

    device: str
    name: str
    number: int
    sha256: str
    since: datetime
    confirmed_at: datetime
    content: str


@dataclass(frozen=True)
class RecordEntry:
    """That there is such a document, and when it was last read."""

    device: str
    name: str
    sha256: str
    confirmed_at: datetime


class DamagedRecordError(StoreError):
    """What is stored of a document is not what was read; the line names it."""


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
    """Device -> the newest version of its document ``name``.

    Raises:
        DamagedRecordError: a content does not have the hash it was stored with.
    """
    wanted = {"record": name}
    confirmed = {row["device"]: row for row in store.latest(KIND, wanted, fields=["sha256"]).rows()}
    versions = store.latest(KIND, wanted, fields=["content"])
    return {row["device"]: _newest(store, name, row, confirmed[row["device"]]) for row in versions.rows()}


def _newest(store: Reader, name: str, row: dict[str, Any], confirmed: dict[str, Any]) -> StoredRecord:
    device, digest = row["device"], _digest(row["content"])
    if digest == confirmed["sha256"]:
        read = to_datetime(row["at"])
        return StoredRecord(device, name, row["content"], digest, read, to_datetime(confirmed["at"]))
    last = record_history(store, device, name)[-1]  # damaged, or two writers saw the change in another order
    return StoredRecord(device, name, last.content, last.sha256, last.since, last.confirmed_at)


def stored_records(store: Reader, device: str | None = None) -> tuple[RecordEntry, ...]:
    """Every document there is (of one device), by device and name."""
    wanted = {} if device is None else {"device": device}
    newest = store.latest(KIND, wanted, fields=["sha256"])
    return tuple(RecordEntry(r["device"], r["record"], r["sha256"], to_datetime(r["at"])) for r in newest.rows())


def record_history(
    store: Reader, device: str, name: str, start: datetime = _FIRST, end: datetime = _LAST
) -> tuple[RecordVersion, ...]:
    """The versions of a document read at start <= time < end, oldest first; () if there is none.

    Raises:
        ValueError: naive time.
        DamagedRecordError: a content does not have the hash it was stored with, or is not there at all.
        StoreError: the engine failed.
    """
    rows = store.range(KIND, {"device": device, "record": name}, _FIRST, end, ["content", "sha256"]).rows()
    contents: dict[str, str] = {}
    versions: list[RecordVersion] = []
    for row in rows:
        at, digest = to_datetime(row["at"]), _checked_hash(row)
        if "content" in row:
            contents[digest] = row["content"]
        if versions and versions[-1].sha256 == digest:
            versions[-1] = replace(versions[-1], confirmed_at=at)
        elif digest in contents:
            versions.append(RecordVersion(device, name, len(versions) + 1, digest, at, at, contents[digest]))
        else:
            raise DamagedRecordError(f"{_named(row)}: its content is not stored")
    return tuple(v for v in versions if v.confirmed_at >= start)


def record_at(store: Reader, device: str, name: str, when: datetime) -> RecordVersion:
    """The version a document had at a time: the one last read at or before it.

    Raises:
        UsageError: there was none yet, or no such document.
        ValueError, DamagedRecordError, StoreError: as ``record_history``.
    """
    found = record_history(store, device, name, end=when + timedelta(microseconds=1))
    if not found:
        raise UsageError(f"the store holds no {name} of {device} at {when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
    return found[-1]


def _checked_hash(row: dict[str, Any]) -> str:
    digest = str(row.get("sha256", ""))
    if "content" in row and _digest(row["content"]) != digest:
        raise DamagedRecordError(f"{_named(row)}: its content does not have the hash it was stored with")
    return digest


def _named(row: dict[str, Any]) -> str:
    return f"record {row['record']} of {row['device']}, read {to_datetime(row['at']):%Y-%m-%d %H:%M:%S} UTC"


def _newest_hashes(store: Reader, names: Sequence[str]) -> dict[tuple[str, str], str]:
    newest = store.latest(KIND, {"record": names}, fields=["sha256"])
    return {(row["device"], row["record"]): row["sha256"] for row in newest.rows()}


def _digest(content: str) -> str:
    return sha256(content.encode()).hexdigest()
