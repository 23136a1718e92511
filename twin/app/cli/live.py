"""devices, events, snapshot: what is seen of real devices."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from rich.text import Text

from twin.app.cli.common import (
    JsonOption,
    SettingsOption,
    WindowOption,
    screen,
    settings_of,
    window_of,
)
from twin.app.render import age, bits, clock, findings_table, table, to_json
from twin.vocab.time import now, parse_duration, to_datetime

STATUS_STYLE = {"ok": "green", "partial": "yellow"}


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(devices)
    app.command()(events)
    app.command()(snapshot)


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


def events(
    device: Annotated[str | None, typer.Option("--device", "-d", help="Only of this device.")] = None,
    since: Annotated[str, typer.Option(help="How far back, e.g. 2h or 7d.")] = "1d",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what happened: told by devices (traps, notifications) or noticed while polling and discovering."""
    from twin.app.events import read_events
    from twin.app.wiring import store_of

    chosen, present = settings_of(settings), now()
    with store_of(chosen) as store:
        found = read_events(store, present - parse_duration(since), present + timedelta(seconds=1), device)
    show = screen()
    if as_json:
        show.json(to_json(found))
        return
    rows = [(clock(e.at, chosen.zone), e.device, e.event, e.subject, e.source, e.detail) for e in found]
    show.out.print(table(f"the last {since}", ("when", "device", "what", "of", "told by", "detail"), rows))


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
        told = {"hash": made.hash, "at": made.at, "links": made.links, "findings": made.findings}
        show.json(to_json(told | {"loads": {str(port): rate for port, rate in rates.items()}}))
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
        why = "" if load is not None else f" ({rate.reason if rate else 'not polled'})"
        rows.append((f"{sender} → {receiver}", state, cost or "–", bits(capacity), bits(load) + why, used))
    title = f"{len(made.devices)} devices, {len(made.links)} links, snapshot {made.hash[:12]}"
    columns = ("directed link", "state", "OSPF cost", "capacity", f"load ({span.total_seconds():.0f} s)", "used")
    show.out.print(table(title, columns, rows, right=columns[2:]))
    if made.findings:
        show.out.print(findings_table(made.findings))
