"""store status|compact: what is stored, and its upkeep. Other commands of the group stand in files of their own."""

from __future__ import annotations

from typing import Annotated

import typer

from twin.app.cli.common import JsonOption, SettingsOption, progress, screen, settings_of
from twin.app.render import table, to_json
from twin.vocab.time import parse_duration


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


def compact(
    every: Annotated[
        str | None, typer.Option(help="Only if this was not done for so long, e.g. 15m; for timers and cron.")
    ] = None,
    settings: SettingsOption = None,
) -> None:
    """Merge small files and delete what no reader can still need. Safe while collecting, which does so by itself.

    One process at a time does this.
    """
    from twin.app.upkeep import look_after
    from twin.app.wiring import data_of, store_of
    from twin.store import StoreError

    chosen = settings_of(settings)
    with progress("compacting the store") as steps, store_of(chosen) as store:
        upkept = look_after(store, data_of(chosen), parse_duration(every) if every else None)
        if upkept is None and every:
            steps.finish("nothing to do yet")
            return
        if upkept is None:
            raise StoreError("another process looks after this store just now")
    done = upkept.done
    screen().out.print(f"merged {done.merged_files} files, deleted {done.deleted_files}, in {upkept.seconds:.1f} s")


def _size(octets: int | None) -> str:
    if octets is None:
        return "–"
    return f"{octets / 1e6:.1f} MB" if octets >= 1e5 else f"{octets / 1e3:.1f} kB"
