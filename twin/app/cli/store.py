"""store init|status|compact: makes or checks a store, tells how it is, merges its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from twin.app.cli.common import JsonOption, Screen, SettingsOption, Terminable, progress, screen, settings_of
from twin.app.render import age, clock, size, table, to_json
from twin.vocab.errors import EXIT_ERROR
from twin.vocab.time import now, parse_duration

if TYPE_CHECKING:
    from twin.app.settings import Settings
    from twin.app.store_status import RemoteStatus, StoreStatus
    from twin.app.upkeep import Upkept
    from twin.store.influx_setup import DatabaseSetup


def register(app: typer.Typer) -> None:
    """Adds the commands of this file to the group ``nettwin store``."""
    app.command()(init)
    app.command()(status)
    app.command()(compact)


def init(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Make the store, or check the one there is; with an influxdb section also what the server needs.

    Databases (2.x: buckets and DBRP mappings) for samples and tiers are made with the retention of the settings.
    What is there already is only checked. The exit code is 1 when something is left to mend by hand.
    """
    from twin.app.wiring import place_of, set_up_server, store_of

    chosen, show = settings_of(settings), screen()
    with store_of(chosen):
        pass
    made = set_up_server(chosen)
    where = place_of(chosen).address
    if as_json:
        show.json(to_json({"store": where, "server": made}))
    else:
        show.out.print(f"{where}: holds a store", soft_wrap=True)
        for database in made.databases if made else ():
            _print_database(show, database)
        if made:
            show.out.print(f"InfluxDB {made.version}: what is written from now on is shipped there")
    if made and any(database.to_mend for database in made.databases):
        raise typer.Exit(EXIT_ERROR)


def _print_database(show: Screen, database: DatabaseSetup) -> None:
    kept = "for ever" if database.retention is None else f"for {age(database.retention.total_seconds())}"
    if database.to_mend:
        show.error(f"{database.name}: {database.to_mend}")
    else:
        show.out.print(f"{database.name}: {'made' if database.made else 'is there'}, keeps points {kept}")


def status(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Say how the store is: what lies in it, free disk, who reads its journal, what waits for InfluxDB, last upkeep."""
    from twin.app.store_status import store_status

    chosen, show = settings_of(settings), screen()
    found = store_status(chosen, now())
    if as_json:
        show.json(to_json(found))
        return
    show.out.print(table("store", ("what", "value"), list(_facts(found, chosen).items())))
    rows = [
        (
            k.kind,
            k.thins or "",
            f"{k.rows:,}",
            size(k.size_bytes),
            f"{k.first:%Y-%m-%d %H:%M:%S}",
            f"{k.last:%Y-%m-%d %H:%M:%S}",
            "ever" if k.kept is None else age(k.kept.total_seconds()),
        )
        for k in found.kinds
    ]
    columns = ("kind", "thins", "rows", "size", "first (UTC)", "last (UTC)", "kept for")
    show.out.print(table("what is stored", columns, rows, right=("rows", "size")))
    if found.remote:
        show.out.print(table("shipping", ("what", "value"), list(_shipping(found.remote).items())))


def _facts(found: StoreStatus, chosen: Settings) -> dict[str, str]:
    upkeep, present = found.upkeep, now()
    done = "never"
    if upkeep:
        done = f"{clock(upkeep.began, chosen.zone)}, {upkeep.seconds:.1f} s: {upkeep.problem or _did(upkeep)}"
    readers = [f"{c.name}: {c.rows:,} rows ({size(c.size_bytes)}) not read" for c in found.consumers]
    waits = [f"{kind} since {age((present - since).total_seconds())} ago" for kind, since in found.thinned_to.items()]
    return {
        "engine": f"{found.engine} {found.version}",
        "where": found.where,
        "answers reads": found.reads,
        "free there": "without end" if found.spare_bytes is None else size(found.spare_bytes),
        "readers of the journal": "; ".join(readers) or "none",
        "to be thinned": "; ".join(waits) or "nothing",
        "last upkeep": done,
    }


def _shipping(remote: RemoteStatus) -> dict[str, str]:
    s, present = remote.status, now()
    waiting = f"{s.backlog_rows:,} rows, {size(s.backlog_bytes)} of {size(remote.quota)} that may wait"
    oldest = f"; the oldest {age(s.backlog_age.total_seconds())} old" if s.backlog_age is not None else ""
    return {
        "to": remote.url,
        "state": f"{s.state}: {s.reason}" if s.reason else s.state,
        "ships": remote.shipper or "no process: nettwin collect and nettwin store ship do",
        "waiting": waiting + oldest,
        "last success": f"{age((present - s.last_success).total_seconds())} ago" if s.last_success else "never",
        "sent": f"{s.sent:,} points; {s.expired:,} were older than the server keeps them",
        "dead letters": f"{remote.dead:,}{': see nettwin store dead list' if remote.dead else ''}",
    }


def compact(
    every: Annotated[
        str | None, typer.Option(help="Only if this was not done for so long, e.g. 15m; for timers and cron.")
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Merge small files, thin what is over, delete what is older than is kept. Safe while collecting.

    nettwin collect does so by itself. One process at a time does this.
    """
    from twin.app.upkeep import look_after
    from twin.app.wiring import data_of, local_store_of
    from twin.store import StoreError

    chosen, pause = settings_of(settings), parse_duration(every) if every else None
    with Terminable(), local_store_of(chosen) as store, progress("looking after the store") as steps:
        upkept = look_after(store, data_of(chosen), pause, steps)
        if upkept is None and every:
            steps.finish("nothing to do yet")
        elif upkept is None:
            raise StoreError("another process looks after this store just now")
    show = screen()
    if as_json:
        show.json(to_json(upkept))
    elif upkept:
        show.out.print(f"{_did(upkept)}, in {upkept.seconds:.1f} s")


def _did(upkept: Upkept) -> str:
    done = upkept.done
    dropped = f", dropped {done.dropped_rows:,} old rows" if done.dropped_rows else ""
    return (
        f"thinned to {done.thinned_rows:,} rows, merged {done.merged_files:,} files, deleted {done.deleted_files:,}"
        f"{dropped}"
    )
