"""Configuration text from a folder into the store: versioned like NETCONF's, secrets hashed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from collectors.configs import Layout, read_folder
from twin.app.collecting import CONFIG
from twin.config.secrets import redact
from twin.store import Document, Store, StoreError, put_records
from twin.vocab.time import now

CONFIG_TEXT = "config-text"
AT_ONCE = 64  # so that a folder of any size fits into memory


@dataclass(frozen=True)
class FolderReport:
    """``read``: how many devices had a text; ``changed``: documents that are new; ``remarks``: what was unusable."""

    read: int
    changed: tuple[str, ...]
    remarks: tuple[str, ...]


class Named(Protocol):
    """As much of a device as matters here, with its secrets or without."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def netconf(self) -> object | None: ...


def document_name(device: Named) -> str:
    """A device asked by NETCONF keeps ``config`` for that: its text stands beside it, so no version alternates."""
    return CONFIG if device.netconf is None else CONFIG_TEXT


def import_folder(path: Path, layout: Layout, devices: Sequence[Named], store: Store, key: bytes) -> FolderReport:
    """Read the texts of these devices and store what is new.

    Raises:
        StoreError: the engine failed.
    """
    parts = [
        _import(path, layout, devices[start : start + AT_ONCE], store, key) for start in range(0, len(devices), AT_ONCE)
    ]
    return FolderReport(
        sum(part.read for part in parts),
        tuple(name for part in parts for name in part.changed),
        tuple(dict.fromkeys(remark for part in parts for remark in part.remarks)),
    )


def _import(path: Path, layout: Layout, devices: Sequence[Named], store: Store, key: bytes) -> FolderReport:
    found = read_folder(path, layout, {device.name: device.address for device in devices})
    documents = [
        Document(device.name, document_name(device), redact(found.texts[device.name], key))
        for device in devices
        if device.name in found.texts
    ]
    changed = put_records(store, documents, now()) if documents else ()
    return FolderReport(len(documents), tuple(f"{d.device} {d.name}" for d in changed), found.remarks)


class Background:
    """Does ``work`` every so many seconds in a thread of its own, at first at once.

    A remark is told once, until it is gone. A store that fails is told by ``trouble``; the next time may do.
    """

    def __init__(
        self,
        work: Callable[[], FolderReport],
        every: float,
        tell: Callable[[FolderReport], None],
        trouble: Callable[[str], None],
    ) -> None:
        self._work, self._every, self._tell, self._trouble = work, every, tell, trouble
        self._told: frozenset[str] = frozenset()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="configs", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._one()
            except StoreError as problem:
                self._trouble(f"configuration text was not stored: {problem}")
            if self._ending.wait(self._every):
                return

    def _one(self) -> None:
        report = self._work()
        fresh = tuple(remark for remark in report.remarks if remark not in self._told)
        self._told = frozenset(report.remarks)
        self._tell(FolderReport(report.read, report.changed, fresh))
