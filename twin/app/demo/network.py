"""The demo's network: real routers in the lab, or a recording of them. The same thread runs on both."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Protocol

from twin.app.discovering import Search, discover_from, write_found
from twin.app.labspace import NETCONF, SNMP_V3, write_workspace
from twin.app.settings import Settings, load_settings
from twin.lab import lab as lab_room
from twin.lab.lab import Lab
from twin.lab.machine import missing
from twin.lab.spec import LabFile
from twin.vocab.change import Change
from twin.vocab.errors import NettwinError
from twin.vocab.time import now

SETTLE = timedelta(seconds=4)
FIRST_ROUND_S = 60.0


class Tell(Protocol):
    """Progress of one step: done, of how many (None = unknown), what."""

    def __call__(self, done: float, total: float | None = None, what: str = "") -> None: ...


class Network(Protocol):
    """What the demo needs of a network. ``mode`` names which of the two it is."""

    mode: str

    def open(self, tell: Tell) -> Settings:
        """Bring it up; settings that reach it."""
        ...

    def discover(self, tell: Tell) -> int:
        """Fill the inventory; how many devices."""
        ...

    def collect(self, tell: Tell) -> str:
        """Start collecting and wait for a first whole round; a line about it."""
        ...

    def clock(self) -> datetime:
        """The network's present."""
        ...

    def watch(self, span: timedelta, tell: Tell) -> datetime:
        """Collect for a while; the present after it."""
        ...

    def apply(self, change: Change, tell: Tell) -> datetime:
        """Make the change for real; when it had settled."""
        ...

    def undo(self, change: Change, tell: Tell) -> None:
        """Make the reverse change."""
        ...

    def played(self) -> LabFile:
        """The lab file with the fortnight as it is played."""
        ...

    def stop_collecting(self) -> int:
        """End the collector; how many values it wrote."""
        ...

    def close(self) -> None:
        """Leave nothing behind. May be called at any time, more than once."""
        ...


@dataclass
class LiveNetwork:
    """Real routers on this machine, polled by a collector of its own process, as an operator would run it."""

    spec: LabFile
    folder: Path
    store: dict[str, Any]
    every: timedelta = timedelta(seconds=5)
    mode: str = "lab"
    lab: Lab | None = None
    settings: Settings | None = None
    collector: subprocess.Popen[bytes] | None = None
    marks: dict[str, datetime] = field(default_factory=dict)
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "collect.log"

    def open(self, tell: Tell) -> Settings:
        if self.spec.name in lab_room.labs():
            tell(0, None, "taking the last demo's lab down")
            lab_room.down(self.spec.name)
        self.lab = lab_room.up(self.spec, progress=lambda what, done, total: tell(done, total, what))
        self.lab.start_traffic()
        self.settings = load_settings(write_workspace(self.lab, self.folder, inventory=False, store=self.store))
        return self.settings

    def discover(self, tell: Tell) -> int:
        lab, settings = self._up()
        allowed: tuple[IPv4Network, ...] = settings.file.discover.allow
        search = Search((IPv4Address(lab.access()[0].address),), (), allowed, (SNMP_V3,))
        found = discover_from(settings, search, progress=lambda n, what: tell(n, None, what))
        return write_found(settings.at(settings.file.devices), found, NETCONF)

    def collect(self, tell: Tell) -> str:
        _, settings = self._up()
        every = f"{self.every.total_seconds():g}s"
        argv = [sys.executable, "-m", "twin.app.cli", "collect", "--every", every, "--full-every", "60s", "--json"]
        with self.log.open("wb") as log, (self.folder / "collect.err").open("wb") as errors:
            self.collector = subprocess.Popen([*argv, "--settings", str(settings.path)], stdout=log, stderr=errors)
        deadline = time.monotonic() + FIRST_ROUND_S
        while not (taken := self._rounds()):
            self._still_collecting()
            if time.monotonic() > deadline:
                raise NettwinError(f"the collector made no round in {FIRST_ROUND_S:.0f} s; see {self.log}")
            tell(0, None, "first round")
            time.sleep(0.2)
        self._mark("collected")
        first = taken[0]
        return f"{first['samples']:,} values from {first['devices']} devices, {len(first['failures'])} failures"

    def clock(self) -> datetime:
        return now()

    def watch(self, span: timedelta, tell: Tell) -> datetime:
        total = span.total_seconds()
        began = time.monotonic()
        while (passed := time.monotonic() - began) < total:
            self._still_collecting()
            tell(passed, total, f"{total - passed:.0f} s to go")
            time.sleep(min(0.5, total - passed))
        return self._mark("after" if "settled" in self.marks else "before")

    def apply(self, change: Change, tell: Tell) -> datetime:
        lab, _ = self._up()
        tell(0, None, "over NETCONF, with a confirmed commit")
        lab.apply(change)
        time.sleep(SETTLE.total_seconds())
        return self._mark("settled")

    def undo(self, change: Change, tell: Tell) -> None:
        lab, _ = self._up()
        tell(0, None, "over NETCONF")
        lab.apply(change)

    def played(self) -> LabFile:
        return self._up()[0].file

    def stop_collecting(self) -> int:
        if self.collector is not None and self.collector.poll() is None:
            self.collector.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.collector.wait(30)
            if self.collector.poll() is None:
                self.collector.kill()
                self.collector.wait()
        self.collector = None
        return sum(r["samples"] for r in self._rounds())

    def close(self) -> None:
        self.stop_collecting()
        if self.lab is not None or self.spec.name in lab_room.labs():
            lab_room.down(self.spec.name)
            self.lab = None

    def _mark(self, name: str) -> datetime:
        self.marks[name] = now()
        return self.marks[name]

    def _up(self) -> tuple[Lab, Settings]:
        if self.lab is None or self.settings is None:
            raise NettwinError("the lab is not up")
        return self.lab, self.settings

    def _rounds(self) -> list[dict[str, Any]]:
        """The rounds the collector has reported so far (a line each; the last may be half-written)."""
        if not self.log.exists():
            return []
        whole = self.log.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def _still_collecting(self) -> None:
        if self.collector is not None and self.collector.poll() is not None:
            lines = (self.folder / "collect.err").read_text(encoding="utf-8", errors="replace").splitlines()
            raise NettwinError(
                f"the collector ended: {lines[-1] if lines else f'exit code {self.collector.returncode}'}"
            )


def why_not_live() -> list[str]:
    """What keeps this machine from running real routers; empty if nothing does."""
    return [m.what for m in missing()]
