"""A recording of the demo's lab: what the routers said, and when what was done. Played where no lab can run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from twin.app.collecting import measured_values
from twin.app.demo.network import LiveNetwork, Network, Tell
from twin.app.discovering import Found, FoundDevice, write_found
from twin.app.inventory import read_entries
from twin.app.labspace import write_settings
from twin.app.settings import Settings, load_settings, packaged_configs
from twin.app.wiring import store_of
from twin.lab.spec import LabFile
from twin.store import Store
from twin.store.frames import to_block, to_frame
from twin.vocab.change import Change
from twin.vocab.errors import InputError, Place, UsageError
from twin.vocab.schema import KINDS
from twin.vocab.time import instant

RECORDING_SCHEMA_VERSION = 1
POLLED = ("interface", "device", "ospf_neighbor", "bgp_peer", "route_summary", "poll", "record")
INDEX = "recording.json"
MARKS = ("collected", "before", "settled", "after")


def write_recording(network: Network, folder: Path, target: Path) -> None:
    """Write what a live demo polled, its inventory and its marks in time. Configurations hold hashed secrets only.

    Raises:
        UsageError: the network is not a live one that was played to its end.
    """
    if not isinstance(network, LiveNetwork) or set(network.marks) != set(MARKS):
        raise UsageError("only a live demo that ran to its end can be recorded")
    settings = load_settings(folder / "nettwin.yaml")
    target.mkdir(parents=True, exist_ok=True)
    devices = [[d.name, d.address] for d in read_entries(folder / "devices.yaml").devices]
    index = {
        "schema_version": RECORDING_SCHEMA_VERSION,
        "lab": network.spec.name,
        "begins": traffic.begins.isoformat() if (traffic := network.played().traffic) and traffic.begins else None,
        "marks": {name: when.isoformat() for name, when in network.marks.items()},
        "devices": devices,
    }
    (target / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    first, last = instant(network.marks["collected"] - timedelta(minutes=5)), instant(network.marks["after"])
    with store_of(settings) as store:
        for kind in POLLED:
            to_frame(store.range(kind, None, first, last)).write_parquet(target / f"{kind}.parquet", compression="zstd")


@dataclass
class RecordedNetwork:
    """Plays a recording: its present is the recorded one, and no time is spent waiting."""

    spec: LabFile
    folder: Path
    store: dict[str, Any]
    source: Path = field(default_factory=lambda: packaged_configs() / "labs" / "abilene-recording")
    mode: str = "recording"
    settings: Settings | None = None
    index: dict[str, Any] = field(default_factory=dict)
    values: int = 0
    _now: datetime | None = None
    _marks: Iterator[str] = field(default_factory=lambda: iter(MARKS))

    def open(self, tell: Tell) -> Settings:
        self.index = _read_index(self.source, self.spec.name)
        tell(1, 1, f"recorded {self.index['marks']['collected'][:16]} UTC")
        write_settings(self.spec.name, self.folder, self.store, allow=[str(self.spec.management)])
        self.settings = load_settings(self.folder / "nettwin.yaml")
        return self.settings

    def discover(self, tell: Tell) -> int:
        found = tuple(FoundDevice(name, address, "") for name, address in self.index["devices"])
        tell(1, 1, "as recorded")
        return write_found(self.folder / "devices.yaml", Found(found, ()), None)

    def collect(self, tell: Tell) -> str:
        self._play()
        tell(1, 1, "as recorded")
        return f"{self.values:,} values from {len(self.index['devices'])} devices"

    def clock(self) -> datetime:
        assert self._now is not None
        return self._now

    def watch(self, span: timedelta, tell: Tell) -> datetime:
        self._play()
        tell(1, 1, f"{span.total_seconds():.0f} s, as recorded")
        return self.clock()

    def apply(self, change: Change, tell: Tell) -> datetime:
        self._play()
        tell(1, 1, f"{change}: as recorded")
        return self.clock()

    def undo(self, change: Change, tell: Tell) -> None:
        tell(1, 1, f"{change}: as recorded")

    def played(self) -> LabFile:
        assert self.spec.traffic is not None
        begins = datetime.fromisoformat(self.index["begins"])
        return replace(self.spec, traffic=replace(self.spec.traffic, begins=begins))

    def stop_collecting(self) -> int:
        return self.values

    def close(self) -> None:
        """Nothing was started."""

    def _play(self) -> None:
        """Write everything up to the next mark into the store."""
        assert self.settings is not None
        start, self._now = self._now, datetime.fromisoformat(self.index["marks"][next(self._marks)])
        with store_of(self.settings) as store:
            self.values += self._write_span(store, start, self._now)

    def _write_span(self, store: Store, start: datetime | None, end: datetime) -> int:
        blocks = []
        for kind in POLLED:
            frame = pl.read_parquet(self.source / f"{kind}.parquet")
            block = to_block(kind, frame, tuple(name for name in KINDS[kind].fields if name in frame.columns))
            rows = block.at < instant(end)
            rows &= block.at >= instant(start) if start else np.ones(len(block), dtype=bool)
            if rows.any():
                blocks.append(block.take(rows))
        store.write(blocks)
        return measured_values([b for b in blocks if b.kind != "record"])


def _read_index(source: Path, lab: str) -> dict[str, Any]:
    try:
        index: dict[str, Any] = json.loads((source / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UsageError(f"{source / INDEX}: can't be read: {problem}") from problem
    if index.get("schema_version") != RECORDING_SCHEMA_VERSION or index.get("lab") != lab:
        raise InputError(Place(source / INDEX), f"is not a recording of lab {lab} this nettwin can play")
    return index
