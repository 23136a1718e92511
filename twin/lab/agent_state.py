"""What the lab's agent is told, and what it says of itself. Loads no NETCONF library."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from twin.vocab.errors import NettwinError
from twin.vocab.inventory import Device, NetconfAccess
from twin.vocab.plain import from_plain, to_plain
from twin.vocab.time import now

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Target:
    """One router: how to reach its NETCONF, its namespace, and where its FRR daemons listen."""

    name: str
    address: str
    user: str
    host_key: str
    key_file: str
    namespace: str
    vty_directory: str

    @property
    def device(self) -> Device:
        return Device(self.name, self.address, netconf=NetconfAccess(self.user, self.host_key, self.key_file))


@dataclass(frozen=True)
class AgentFile:
    """What the agent is told. ``state_file``: where it says how it fares; it ends when its own file is gone."""

    state_file: str
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class RouterState:
    """One router as the agent sees it. ``error`` empty = FRR runs what NETCONF says."""

    session: bool = False
    applied: int = 0
    error: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class _States:
    routers: dict[str, RouterState] = field(default_factory=dict)


def write(path: Path, state_file: Path, targets: Sequence[Target]) -> None:
    """The file ``python -m twin.lab.agent`` reads (paths of keys, no secrets)."""
    content = AgentFile(str(state_file), tuple(targets))
    path.write_text(json.dumps(to_plain(content), indent=1), encoding="utf-8")


def states(state_file: Path) -> dict[str, RouterState]:
    """How the agent of a lab fares, by router; empty before it has said anything.

    Raises:
        NettwinError: the file is damaged.
    """
    if not state_file.exists():
        return {}
    try:
        return from_plain(_States, json.loads(state_file.read_text(encoding="utf-8"))).routers
    except ValueError as problem:
        raise NettwinError(f"{state_file}: {problem}") from problem


class Reporter:
    """The state file, rewritten whole at each change; safe for many threads."""

    def __init__(self, state_file: Path, names: Sequence[str]) -> None:
        self._file = state_file
        self._lock = threading.Lock()
        self._routers = {name: RouterState(since=now()) for name in names}

    def change(self, name: str, **fields: Any) -> None:
        """Set fields of one router; log and write only what is new."""
        with self._lock:
            old = self._routers[name]
            new = replace(old, **fields)
            if new == old:
                return
            if new.error and new.error != old.error:
                _log.warning("does not follow", router=name, problem=new.error)
            self._routers[name] = replace(new, since=now())
            self._write()

    def applied(self, name: str) -> None:
        self.change(name, error="", applied=self._routers[name].applied + 1)

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(to_plain(_States(self._routers))), encoding="utf-8")
        fresh.replace(self._file)
