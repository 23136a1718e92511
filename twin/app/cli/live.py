"""collect, discover, devices, snapshot: what is seen of real devices."""

from __future__ import annotations

import time
from datetime import timedelta
from ipaddress import IPv4Network
from typing import Annotated

import typer
from rich.text import Text

from twin.app.cli.common import JsonOption, Screen, SettingsOption, progress, screen, settings_of
from twin.app.render import age, bits, findings_table, table, to_json
from twin.vocab.errors import EXIT_ERROR, UsageError
from twin.vocab.time import now, parse_duration, to_datetime

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
    when no device answered. Ctrl-C ends after the round under way.
    """
    from collectors.pace import Pace
    from twin.app.collecting import RoundReport, rounds, run_round
    from twin.app.settings import load_devices
    from twin.app.wiring import hashing_key, poller_of, store_of

    chosen = settings_of(settings)
    inventory = load_devices(chosen.at(chosen.file.devices), names=frozenset(device) if device else None)
    if not inventory:
        raise UsageError(f"{chosen.at(chosen.file.devices)}: lists no device; fill it by hand or with nettwin discover")
    interval = parse_duration(every) if every else chosen.file.collect.every
    longer = parse_duration(full_every) if full_every else chosen.file.collect.full_every
    pace = Pace(time.monotonic(), interval.total_seconds(), max(1, round(longer / interval)))
    show = screen()
    with store_of(chosen) as store, poller_of(chosen) as poller:
        key = hashing_key(chosen)
        for number, missed in rounds(pace, time.monotonic, time.sleep):
            full = pace.is_full(number)
            with progress("full round" if full else "round") as steps:
                done = _Count(steps, len(inventory))
                report: RoundReport = run_round(poller, inventory, store, key, full=full, progress=done)
                steps.finish(f"{report.samples:,} values from {len(inventory)} devices in {report.seconds:.1f} s")
            _print_round(show, report, as_json, missed)
            if once:
                break
    answered = len(inventory) - len({f.device for f in report.failures})
    if answered == 0:
        raise typer.Exit(EXIT_ERROR)


class _Count:
    """Counts answers of a round into a progress line."""

    def __init__(self, steps: object, total: int) -> None:
        self._steps = steps
        self._total = total
        self._seen: set[str] = set()

    def __call__(self, result: object) -> None:
        self._seen.add(str(getattr(result, "device", "")))
        if callable(self._steps):
            self._steps(len(self._seen), self._total, str(getattr(result, "device", "")))


def _print_round(show: Screen, report: object, as_json: bool, missed: int) -> None:
    import json

    from twin.app.collecting import RoundReport
    from twin.vocab.plain import to_plain

    assert isinstance(report, RoundReport)
    if as_json:
        show.json(json.dumps(to_plain(report)))
        return
    if missed:
        show.err.print(f"{missed} rounds missed: rounds take longer than the interval", style="yellow")
    for failure in report.failures:
        show.err.print(Text(f"{failure.device}: {failure.protocol} {failure.status}: {failure.reason}", style="yellow"))
    for document in report.changed:
        show.note(f"changed: {document}")


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
        show.out.print(f"{path}: {added} devices added")


def _prefix(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as problem:
        raise UsageError(f"--allow {text}: {problem}") from problem


def devices(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """List the inventory and how each device last answered."""
    from twin.app.settings import read_entries
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
    window: Annotated[str, typer.Option(help="Loads are means over this time.")] = "60s",
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
    span: timedelta = parse_duration(window)
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
    columns = ("directed link", "state", "OSPF cost", "capacity", f"load ({window})", "used")
    show.out.print(table(title, columns, rows, right=columns[2:]))
    if made.findings:
        show.out.print(findings_table(made.findings))
