"""What the trap receiver is told by the application: who it is as an SNMP engine, and what interfaces are called."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from collectors.netconf.notifications import SOURCE, WORTH_A_POLL
from collectors.snmp.trap_engine import Identity
from twin.store import Reader, StoreError
from twin.vocab.errors import UsageError
from twin.vocab.events import Event
from twin.vocab.observed import ObservedDevice

IDENTITY_FILE = "snmp-engine.json"
NAMES_KEPT_S, UNKNOWN_KEPT_S = 60.0, 5.0
# RFC 3411 SnmpEngineID: first bit set, enterprise 20408 (pysnmp, whose engine it is), format 5: octets
_ENGINE_ID_PREFIX = bytes.fromhex("80004fb805")
_UNTOLD_BY_POLLING = ("authenticationFailure",)


def worth_a_poll(event: Event) -> bool:
    """Whether polling the device anew may show more. A stranger who knocks at it must not make us poll it."""
    if event.source == SOURCE:
        return event.event in WORTH_A_POLL
    return event.event not in _UNTOLD_BY_POLLING


def own_addresses(observed: ObservedDevice) -> Iterator[str]:
    """Every address of its interfaces: a device may send from any of them."""
    for interface in observed.interfaces:
        yield from (str(address.ip) for address in interface.addresses)
        yield from (str(address.ip) for address in interface.addresses6)


def engine_identity(folder: Path) -> Identity:
    """Who informs over SNMPv3 are addressed to: an id made at first use, and one boot more at every call.

    Raises:
        UsageError: the file that keeps it is damaged.
        OSError: it can't be written.
    """
    path = folder / IDENTITY_FILE
    last = Identity(_ENGINE_ID_PREFIX + secrets.token_bytes(8), 0)
    with suppress(FileNotFoundError):
        try:
            kept = json.loads(path.read_text(encoding="ascii"))
            last = Identity(bytes.fromhex(kept["engine_id"]), int(kept["boots"]))
        except (ValueError, KeyError, TypeError) as problem:
            raise UsageError(
                f"{path}: is damaged: remove it, and have devices that send informs learn anew"
            ) from problem
    fresh = Identity(last.engine_id, last.boots + 1)
    _replace(path, json.dumps({"engine_id": fresh.engine_id.hex(), "boots": fresh.boots}))
    return fresh


def _replace(path: Path, text: str) -> None:
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(draft).replace(path)


class InterfaceNames:
    """(device, ifIndex) -> the name as last polled, None if never. What was read is kept for a minute
    (that an index is unknown: for seconds).

    A store that fails costs the name, not the event.
    """

    def __init__(self, reader: Reader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._clock = clock
        self._kept: dict[str, tuple[float, dict[int, str]]] = {}

    def __call__(self, device: str, index: int) -> str | None:
        read_at, names = self._kept.get(device, (-NAMES_KEPT_S, {}))
        if self._clock() - read_at >= (NAMES_KEPT_S if index in names else UNKNOWN_KEPT_S):
            names = self._read(device)
            self._kept[device] = (self._clock(), names)
        return names.get(index)

    def _read(self, device: str) -> dict[int, str]:
        """Where an index was given anew, the last interface that had it."""
        try:
            rows = self._reader.latest("interface", {"device": device}, ["index"]).rows()
        except StoreError:
            return {}
        return {row["index"]: row["interface"] for row in sorted(rows, key=lambda row: row["at"])}
