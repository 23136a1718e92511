"""store status|compact: what is stored, and its upkeep. Other commands of the group stand in files of their own."""

from __future__ import annotations

import typer

from twin.app.cli.common import JsonOption, SettingsOption, progress, screen, settings_of
from twin.app.render import table, to_json


def register(app: typer.Typer) -> None:
    """Adds the commands of this file to the group ``nettwin store``."""
    app.command()(status)
    app.command()(compact)


def status(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Say what is stored: kinds, rows, first and last time."""
    from twin.app.wiring import store_of

    with store_of(settings_of(settings)) as store:
        health = store.health()
    show = screen()
    if as_json:
        show.json(to_json(health))
        return
    rows = [
        (k.kind, f"{k.rows:,}", f"{k.first:%Y-%m-%d %H:%M:%S}", f"{k.last:%Y-%m-%d %H:%M:%S}", _size(k.size_bytes))
        for k in health.kinds
    ]
    title = f"{health.engine} {health.version} at {health.where} (UTC)"
    show.out.print(table(title, ("kind", "rows", "first", "last", "size"), rows, right=("rows", "size")))


def compact(settings: SettingsOption = None) -> None:
    """Merge small files and delete what no reader can still need. Safe while collecting."""
    from twin.app.wiring import store_of
    from twin.vocab.time import now

    with progress("compacting the store"), store_of(settings_of(settings)) as store:
        done = store.maintain(now())
    screen().out.print(f"merged {done.merged_files} files, deleted {done.deleted_files}")


def _size(octets: int | None) -> str:
    if octets is None:
        return "–"
    return f"{octets / 1e6:.1f} MB" if octets >= 1e5 else f"{octets / 1e3:.1f} kB"
