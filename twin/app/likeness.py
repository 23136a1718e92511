"""The store's newest records -> a Snapshot; stored loads or forecasts -> demands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address

import numpy as np

from twin import config as dialects
from twin.app.collecting import CONFIG, OBSERVED, read_observed
from twin.app.forecasts import ForecastAt
from twin.app.series import PortRates, window_rates
from twin.app.settings import DeviceEntry
from twin.net.demands import estimate
from twin.net.facts import LinkFactsTable
from twin.net.routing import Routing, route
from twin.net.topology import build_snapshot, edge_ports
from twin.net.traffic import edge_totals, link_rates
from twin.store import Reader, StoredRecord, latest_records
from twin.vocab.config import DeviceConfig
from twin.vocab.demand import Demands
from twin.vocab.errors import NettwinError
from twin.vocab.observed import ObservedDevice
from twin.vocab.snapshot import Finding, Port, Snapshot, SnapshotDevice, Source

FORECAST_LEVELS = np.linspace(0.05, 0.95, 16)


class NothingStoredError(NettwinError):
    """The store lacks what the question needs; the message says what to run."""


@dataclass(frozen=True)
class Likeness:
    """A snapshot with what is needed to put traffic on it. ``management``: the addresses collectors ask."""

    snapshot: Snapshot
    routing: Routing
    edges: tuple[Port, ...]
    management: tuple[IPv4Address, ...]


def read_likeness(store: Reader, devices: tuple[DeviceEntry, ...], facts: LinkFactsTable, at: datetime) -> Likeness:
    """The network as last read, from the newest configuration and state of every device in the inventory.

    Raises:
        NothingStoredError: nothing was ever collected.
        StoreError: the engine failed.
    """
    configs, states = latest_records(store, CONFIG), latest_records(store, OBSERVED)
    if not configs and not states:
        raise NothingStoredError("the store holds no device yet: run nettwin collect first")
    findings: list[Finding] = []
    read = [_device(e.name, configs.get(e.name), states.get(e.name), findings) for e in devices]
    management = _management(devices)
    snapshot = build_snapshot(at, read, facts, management=management)
    snapshot = replace(snapshot, findings=(*findings, *snapshot.findings))
    return Likeness(snapshot, route(snapshot), edge_ports(snapshot, management=management), management)


def _management(devices: tuple[DeviceEntry, ...]) -> tuple[IPv4Address, ...]:
    found = []
    for device in devices:
        try:
            found.append(IPv4Address(device.address))
        except ValueError:
            continue
    return tuple(found)


def _device(
    name: str, config: StoredRecord | None, state: StoredRecord | None, findings: list[Finding]
) -> SnapshotDevice:
    sources = [Source(f"configuration of {name}", config.confirmed_at)] if config else []
    sources += [Source(f"state of {name}", state.confirmed_at)] if state else []
    return SnapshotDevice(name, _config(name, config, findings), _state(name, state, findings), tuple(sources))


def _state(name: str, record: StoredRecord | None, findings: list[Finding]) -> ObservedDevice | None:
    if record is None:
        return None
    try:
        return read_observed(record.content)
    except NettwinError as problem:
        findings.append(Finding("error", name, "state", str(problem)))
        return None


def _config(name: str, record: StoredRecord | None, findings: list[Finding]) -> DeviceConfig | None:
    if record is None:
        return None
    try:
        return dialects.read(record.content)
    except NettwinError as problem:
        findings.append(Finding("error", name, "configuration", str(problem)))
        return None


@dataclass(frozen=True)
class Traffic:
    """Demands, and what each port carried: by counters now, or as forecast. ``measured``: counters, not a forecast."""

    demands: Demands
    rates: Mapping[Port, PortRates]
    measured: bool

    @property
    def sent_bps(self) -> dict[Port, float]:
        return {port: r.out_bps for port, r in self.rates.items() if r.out_bps is not None}

    def entering_leaving(self, edges: tuple[Port, ...]) -> dict[Port, tuple[float, float]]:
        """What enters and leaves at each edge port of which both are known, bit/s."""
        known = ((port, self.rates.get(port)) for port in edges)
        return {p: (r.in_bps, r.out_bps) for p, r in known if r and r.in_bps is not None and r.out_bps is not None}


def traffic_now(likeness: Likeness, store: Reader, at: datetime, window: timedelta) -> Traffic:
    """The demands behind the counters of the last ``window``.

    Raises:
        NothingStoredError: no interface was polled twice in that window.
        StoreError: the engine failed.
    """
    rates = window_rates(store, at - window, at + timedelta(seconds=1))
    if not any(r.out_bps is not None for r in rates.values()):
        raise NothingStoredError(
            f"no interface was polled twice in the last {window.total_seconds():.0f} s: run nettwin collect"
        )
    last = max(r.last for r in rates.values())
    told = f"counters of the last {window.total_seconds():.0f} s"
    return Traffic(estimated(likeness, rates, last, told), rates, measured=True)


def estimated(
    likeness: Likeness, rates: Mapping[Port, PortRates], at: datetime, source: str, *, ensemble: int = 32, seed: int = 0
) -> Demands:
    """Demands from what each port received and sent."""
    sent = {port: r.out_bps for port, r in rates.items() if r.out_bps is not None}
    received = {port: r.in_bps for port, r in rates.items() if r.in_bps is not None}
    routing = likeness.routing
    edge = edge_totals(routing.devices, likeness.edges, received, sent)
    measured = link_rates(routing, sent, received)
    return estimate(routing, measured, edge, at=at, source=source, ensemble=ensemble, seed=seed)


def traffic_forecast(likeness: Likeness, forecast: ForecastAt) -> Traffic:
    """The demands behind a forecast: the medians, and an ensemble over the forecast's own quantiles.

    All series are taken at the same quantile at a time (they rise and fall together), which is the cautious choice
    for sums; each member also varies what the loads leave open.
    """
    source = f"forecast {forecast.model}, issued {forecast.issued:%Y-%m-%d %H:%M} UTC"
    at = forecast.at
    middle = estimated(likeness, forecast.rates(0.5), at, source, ensemble=0)
    members = [
        estimated(likeness, forecast.rates(float(level)), at, source, ensemble=2, seed=i).ensemble
        for i, level in enumerate(FORECAST_LEVELS)
    ]
    demands = replace(middle, ensemble=np.concatenate([m for m in members if m is not None]))
    return Traffic(demands, forecast.rates(0.5), measured=False)
