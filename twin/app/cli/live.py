"""collect, discover, devices, snapshot: what is seen of real devices."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from twin.app.cli.common import (
    JsonOption,
    Screen,
    SettingsOption,
    Stop,
    WindowOption,
    progress,
    screen,
    settings_of,
    window_of,
)
from twin.app.render import age, bits, findings_table, table, to_json
from twin.store import StoreError
from twin.vocab.errors import EXIT_ERROR, UsageError
from twin.vocab.plain import to_plain
from twin.vocab.time import now, parse_duration, to_datetime

if TYPE_CHECKING:
    from collectors.failures import Failed
    from collectors.results import Polled
    from twin.app.collecting import RoundReport

STATUS_STYLE = {"ok": "green", "partial": "yellow"}


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(discover)
    app.command()(collect)
    app.command()(devices)
    app.command()(snapshot)


def collect(
    once: Annotated[bool, typer.Option("--once", help="One full round, then stop.")] = False,
    every: Annotated[str | None, typer.Option(help="Counters this often, e.g. 10s. [default: settings]")] = None,
    full_every: Annotated[str | None, typer.Option(help="Topology and configuration this often.")] = None,
    device: Annotated[list[str] | None, typer.Option("--device", "-d", help="Only this device; repeatable.")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Poll the inventory over SNMP and NETCONF and store what comes. Reads only.

    A device that is silent, slow or refuses is stored as such and never stops the round. With --once the exit code is 1
    when no device answered. Ctrl-C ends after the round under way (a second one at once).
    """
    from collectors.pace import Pace
    from twin.app.collecting import Upkeep, rounds, run_round
    from twin.app.inventory import load_devices
    from twin.app.wiring import hashing_key, poller_of, store_of

    chosen = settings_of(settings)
    inventory = load_devices(chosen.at(chosen.file.devices), names=frozenset(device) if device else None)
    if not inventory:
        raise UsageError(f"{chosen.at(chosen.file.devices)}: lists no device; fill it by hand or with nettwin discover")
    interval = parse_duration(every) if every else chosen.file.collect.every
    longer = parse_duration(full_every) if full_every else chosen.file.collect.full_every
    pace = Pace(time.monotonic(), interval.total_seconds(), max(1, round(longer / interval)))
    with store_of(chosen) as store, poller_of(chosen) as poller, Stop() as stop:
        take = partial(run_round, poller, inventory, store, hashing_key(chosen))
        upkeep, tally = Upkeep(store, time.monotonic), _Tally(screen(), as_json)
        for number, missed in rounds(pace, time.monotonic, stop.wait):
            if stop.requested:
                break
            tally.round(take, len(inventory), pace.is_full(number), missed, give_up=once)
            if once:
                break
            tally.keep_up(upkeep)
    if tally.failed:
        raise typer.Exit(EXIT_ERROR)


class _Tally:
    """Shows each round as it goes; ``failed``: the last round reached no device, or a round was lost."""

    def __init__(self, show: Screen, as_json: bool) -> None:
        self._show = show
        self._as_json = as_json
        self._failing: dict[tuple[str, str], str] = {}
        self.failed = False

    def round(self, take: Callable[..., RoundReport], devices: int, full: bool, missed: int, *, give_up: bool) -> None:
        """Take one round and show it. A store that fails loses the round, not the collector (unless ``give_up``)."""
        seen: set[str] = set()
        with progress("full round" if full else "round") as steps:

            def count(result: Polled | Failed) -> None:
                seen.add(result.device)
                steps(len(seen), devices, result.device)

            try:
                report = take(full=full, progress=count)
            except StoreError as problem:
                if give_up:
                    raise
                steps.finish("LOST")
                self._show.error(f"round lost: {problem}")
                self.failed = True
                return
            steps.finish(f"{report.samples:,} values from {devices} devices in {report.seconds:.1f} s")
        self._print(report, missed)
        self.failed = self.failed or report.answered == 0

    def keep_up(self, upkeep: Callable[[], None]) -> None:
        """Maintain the store; what fails now is tried again next hour."""
        try:
            upkeep()
        except StoreError as problem:
            self._show.error(f"the store could not be maintained: {problem}")

    def _print(self, report: RoundReport, missed: int) -> None:
        if self._as_json:
            self._show.json(json.dumps(to_plain(report)))
            return
        if missed:
            self._show.warn(f"{missed} rounds missed: rounds take longer than the interval")
        failing: dict[tuple[str, str], str] = {
            (f.device, f.protocol): f"{f.status}: {f.reason}" for f in report.failures
        }
        for who, what in failing.items():
            if self._failing.get(who) != what:
                self._show.warn(f"{who[0]}: {who[1]} {what}")
        for device, protocol in self._failing.keys() - failing.keys() if report.full else ():
            self._show.note(f"{device}: {protocol} answers again")
        self._failing = failing if report.full else self._failing | failing
        for document in report.changed:
            self._show.note(f"changed: {document}")


def discover(
    seed: Annotated[str, typer.Argument(help="Address of the device to start from.")],
    snmp: Annotated[str, typer.Option(help="Name of the SNMP credential in the devices file.")],
    netconf: Annotated[str | None, typer.Option(help="Name of the NETCONF credential to give what is found.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="Prefix in which neighbours may be asked; repeatable. [default: settings]")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Put what was found into the devices file.")] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Walk LLDP from one device to its neighbours and theirs, inside allow-listed prefixes only."""
    from twin.app.discovering import discover_from, write_found

    chosen = settings_of(settings)
    prefixes = tuple(_prefix(p) for p in allow) if allow else chosen.file.discover.allow
    with progress("discovering") as steps:
        found = discover_from(chosen, seed, prefixes, snmp, progress=lambda n, what: steps(n, None, what))
        steps.finish(f"{len(found.found)} devices")
    show = screen()
    if as_json:
        show.json(to_json(found))
    else:
        rows = [(f.name, f.address, f.description) for f in found.found]
        show.out.print(table("found", ("name", "address", "what it says it is"), rows))
        if found.skipped:
            skipped = [(s.name, s.address or "–", s.reason) for s in found.skipped]
            show.out.print(table("not asked", ("name", "address", "why"), skipped))
    if write:
        path = chosen.at(chosen.file.devices)
        added = write_found(path, found, snmp, netconf)
        show.note(f"{path}: {added} devices added")


def _prefix(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as problem:
        raise UsageError(f"--allow {text}: {problem}") from problem


def devices(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """List the inventory and how each device last answered."""
    from twin.app.inventory import read_entries
    from twin.app.wiring import store_of

    chosen = settings_of(settings)
    entries = read_entries(chosen.at(chosen.file.devices)).devices
    with store_of(chosen) as store:
        polls = store.latest("poll").rows()
    show, present = screen(), now()
    if as_json:
        show.json(to_json({"devices": entries, "polls": [p | {"at": to_datetime(p["at"])} for p in polls]}))
        return
    rows = []
    for entry in entries:
        mine = [p for p in polls if p["device"] == entry.name]
        for p in mine or [{}]:
            since = age((present - to_datetime(p["at"])).total_seconds()) + " ago" if p else "never"
            status = Text(str(p.get("status", "–")), STATUS_STYLE.get(str(p.get("status")), "red"))
            rows.append((entry.name, entry.address, p.get("protocol", "–"), status, since, p.get("reason", "")))
    show.out.print(table("devices", ("name", "address", "protocol", "last answer", "when", "reason"), rows))


def snapshot(
    window: WindowOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the network as last collected: links with cost, capacity and load, and everything that disagrees."""
    from twin.app.asking import likeness_of
    from twin.app.series import window_rates
    from twin.app.wiring import store_of
    from twin.net.ospf import interface_cost
    from twin.net.ports import port_views

    chosen, present = settings_of(settings), now()
    span = window_of(chosen, window)
    with store_of(chosen) as store:
        likeness = likeness_of(chosen, store, present)
        rates = window_rates(store, present - span, present)
    made, show = likeness.snapshot, screen()
    if as_json:
        show.json(to_json({"hash": made.hash, "at": made.at, "links": made.links, "findings": made.findings}))
        return
    views = port_views(made.devices)
    rows = []
    for sender, receiver in made.directed_links:
        link, rate = made.link_at(sender), rates.get(sender)
        load = rate.out_bps if rate else None
        capacity = link.capacity_bps if link else None
        used = f"{load / capacity:.0%}" if load is not None and capacity else "–"
        view = views[sender]
        cost = interface_cost(view, made.devices)
        state = "up" if view.up else "down"
        rows.append((f"{sender} → {receiver}", state, cost or "–", bits(capacity), bits(load), used))
    title = f"{len(made.devices)} devices, {len(made.links)} links, snapshot {made.hash[:12]}"
    columns = ("directed link", "state", "OSPF cost", "capacity", f"load ({span.total_seconds():.0f} s)", "used")
    show.out.print(table(title, columns, rows, right=columns[2:]))
    if made.findings:
        show.out.print(findings_table(made.findings))
