"""store ship, store dead list|show|retry|drop: what goes to InfluxDB, and what it refused."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from twin.app.cli.common import JsonOption, SettingsOption, Stop, progress, screen, settings_of
from twin.app.render import shown, size, table, to_json
from twin.vocab.errors import EXIT_ERROR, UsageError
from twin.vocab.time import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.app.cli.common import Steps
    from twin.app.settings import InfluxSettings, Settings
    from twin.store import Outbox
    from twin.store.dead_letters import DeadLetter
    from twin.store.ship_status import ShipStatus
    from twin.store.shipper import Shipper

LOOK_S = 0.2
END_S = 2.0
SHOWN_LINE, SHOWN_ID = 60, 8

dead_app = typer.Typer(no_args_is_help=True, help="Lines that InfluxDB refused for good, each with its reason.")
IdsArgument = Annotated[list[str] | None, typer.Argument(help="Which, by the ids of the list.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]


def register(app: typer.Typer) -> None:
    """Adds the commands of this file to the group ``nettwin store``."""
    app.command()(ship)
    app.add_typer(dead_app, name="dead")


def ship(
    once: Annotated[bool, typer.Option("--once", help="Send what waits now, then stop.")] = False,
    within: Annotated[str | None, typer.Option(help="With --once: begin nothing more after this, e.g. 10m.")] = None,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Never send what waits now. It stays in the local store.")
    ] = False,
    kind: Annotated[list[str] | None, typer.Option(help="With --give-up: only this kind; repeatable.")] = None,
    forget: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Keep nothing any more for the InfluxDB of that name (settings: `name`)."),
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send what was stored to InfluxDB, until Ctrl-C. nettwin collect does so by itself; this is for another process.

    With --once the exit code is 1 when something is left.
    """
    from twin.app.wiring import shipper_of

    chosen = settings_of(settings)
    if forget is not None:
        _forget(chosen, forget)
        return
    section, outbox = _remote(chosen)
    if give_up:
        _give_up(outbox, kind, as_json=as_json)
        return
    shipper = shipper_of(chosen)
    assert shipper is not None
    if once:
        _once(shipper, within, as_json=as_json)
    else:
        _for_ever(shipper, section)


def _remote(chosen: Settings) -> tuple[InfluxSettings, Outbox]:
    from twin.app.wiring import outbox_of

    section = chosen.file.store.influxdb
    if section is None:
        raise UsageError(f"{chosen.path}: store has no section influxdb, so nothing is shipped")
    return section, outbox_of(chosen, section.name)


def _forget(chosen: Settings, name: str) -> None:
    """What InfluxDB has not got stays in the local store; from now on upkeep keeps no journal for it."""
    from twin.app.wiring import outbox_of, place_of
    from twin.store.cursors import consumers, forget
    from twin.store.ship_lock import only_shipper

    place, section = place_of(chosen), chosen.file.store.influxdb
    if section is not None and section.name == name:
        raise UsageError(f"{chosen.path}: store.influxdb ships to {name}: take the section away first")
    if name not in (known := consumers(place)):
        raise UsageError(f"nothing is kept for {name}; the journal's readers are {', '.join(known) or 'none'}")
    with only_shipper(outbox_of(chosen, name)):
        forget(place, name)
    screen().out.print(f"nothing is kept for {name} any more")


def _give_up(outbox: Outbox, kinds: list[str] | None, *, as_json: bool) -> None:
    from twin.store.shipper import give_up_backlog
    from twin.vocab.schema import KINDS

    if strange := set(kinds or ()) - set(KINDS):
        raise UsageError(f"--kind {min(strange)}: there is no such kind; there are {', '.join(KINDS)}")
    given_up, show = give_up_backlog(outbox, kinds), screen()
    if as_json:
        show.json(to_json(given_up))
        return
    named = ", ".join(f"{rows:,} of {kind}" for kind, rows in given_up.items() if rows)
    show.out.print(f"rows not to be sent any more: {named or 'none, nothing waited'}", soft_wrap=True)


def _once(shipper: Shipper, within: str | None, *, as_json: bool) -> None:
    from twin.store import StoreError

    ending = threading.Event()
    seconds = parse_duration(within).total_seconds() if within else None
    with Stop() as stop, progress("shipping") as steps:
        waits = threading.Thread(target=_watch, args=(shipper, steps, stop, ending), daemon=True)
        waits.start()
        try:
            status = shipper.ship(stop=ending, within=seconds)
        finally:
            ending.set()
            waits.join()
        if as_json:
            screen().json(to_json(status))
        if status.reason or status.backlog_rows:
            raise StoreError(f"not all was sent: {_told(status)}")
        steps.finish(_told(status))


def _watch(shipper: Shipper, steps: Steps, stop: Stop, ending: threading.Event) -> None:
    """Show how it goes, and pass on the wish to end."""
    before = shipper.status.sent
    while not ending.wait(LOOK_S):
        status = shipper.status
        sent = status.sent - before
        steps(sent, sent + status.backlog_rows, _told(status))
        if stop.requested:
            ending.set()


def _for_ever(shipper: Shipper, section: InfluxSettings) -> None:
    show, ending = screen(), threading.Event()
    show.note(f"shipping to {section.url}; Ctrl-C ends")
    thread = threading.Thread(target=shipper.run, args=(ending,), name="shipper", daemon=True)
    told: tuple[str, str] = ("", "")
    with Stop() as stop:
        thread.start()
        while not stop.requested and thread.is_alive():
            status = shipper.status
            if (status.state, status.reason) != told and status.state != "shipping":
                told = status.state, status.reason
                (show.error if status.state == "holding" else show.note)(_told(status))
            thread.join(LOOK_S)
        ending.set()
        thread.join(END_S)
    show.note(_told(shipper.status))


def _told(status: ShipStatus) -> str:
    why = f": {status.reason}" if status.reason else ""
    left = (
        f"{status.backlog_rows:,} rows ({size(status.backlog_bytes)}) wait" if status.backlog_rows else "nothing waits"
    )
    return f"{status.state}{why}; {left}, {status.sent:,} points sent so far"


@dead_app.command(name="list")
def dead_list(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """List the lines that were refused."""
    letters, show = _letters(settings_of(settings)), screen()
    if as_json:
        show.json(to_json([{"id": i, "letter": letter} for i, letter in letters.items()]))
        return
    rows = [(i, d.time, d.kind, d.reason, d.line[:SHOWN_LINE]) for i, d in letters.items()]
    show.out.print(table(f"{len(letters)} dead letters", ("id", "refused (UTC)", "kind", "why", "begins"), rows))


@dead_app.command(name="show")
def dead_show(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Which, by the ids of the list.")],
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print one refused line whole, as it was sent."""
    letters, show = _letters(settings_of(settings)), screen()
    (letter,) = _chosen(letters, [identity], every=False)
    if as_json:
        show.json(to_json(letter))
        return
    show.note(f"{letter.kind}, refused {letter.time}: {letter.reason}")
    show.out.print(shown(letter.line), markup=False, soft_wrap=True)


@dead_app.command(name="retry")
def dead_retry(
    ids: IdsArgument = None, every: AllOption = False, settings: SettingsOption = None, as_json: JsonOption = False
) -> None:
    """Send refused lines again; those accepted now are no longer dead letters. Works while shipping goes on.

    The exit code is 1 when one is refused again.
    """
    from twin.app.wiring import influx_server
    from twin.store.dead_retry import retry_dead_letters
    from twin.store.influx_connection import InfluxConnection

    chosen, show = settings_of(settings), screen()
    section, outbox = _remote(chosen)
    letters = _chosen(_letters(chosen), ids, every=every)
    server = influx_server(chosen)
    assert server is not None
    with progress(f"sending {len(letters):,} lines"):
        done = retry_dead_letters(outbox, InfluxConnection(server), section.database, letters)
    if as_json:
        show.json(to_json(done))
    else:
        for letter, reason in done.refused:
            show.warn(f"{_id(letter)}: refused again: {reason}")
        show.out.print(f"{done.sent:,} sent, {len(done.refused):,} refused again")
    if done.trouble:
        show.error(f"not all were tried: {done.trouble}")
    if done.refused or done.trouble:
        raise typer.Exit(EXIT_ERROR)


@dead_app.command(name="drop")
def dead_drop(ids: IdsArgument = None, every: AllOption = False, settings: SettingsOption = None) -> None:
    """Forget refused lines. The samples stay in the local store."""
    from twin.store.dead_letters import remove_dead_letters

    chosen = settings_of(settings)
    _, outbox = _remote(chosen)
    gone = remove_dead_letters(outbox, _chosen(_letters(chosen), ids, every=every))
    screen().out.print(f"{gone:,} dropped")


def _letters(chosen: Settings) -> dict[str, DeadLetter]:
    from twin.store.dead_letters import dead_letters

    _, outbox = _remote(chosen)
    return {_id(letter): letter for letter in dead_letters(outbox)}


def _id(letter: DeadLetter) -> str:
    named = f"{letter.kind} {letter.version} {letter.line}"
    return hashlib.sha256(named.encode()).hexdigest()[:SHOWN_ID]


def _chosen(letters: dict[str, DeadLetter], ids: list[str] | None, *, every: bool) -> Sequence[DeadLetter]:
    if every == bool(ids):
        raise UsageError("say which: ids of nettwin store dead list, or --all")
    if strange := [i for i in ids or () if i not in letters]:
        raise UsageError(f"there is no dead letter {strange[0]}")
    return list(letters.values()) if every else [letters[i] for i in ids or ()]
