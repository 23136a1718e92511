"""records list|history|show|diff: what devices' documents were, at any time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from difflib import unified_diff
from typing import Annotated

import typer
from rich.text import Text

from twin.app.cli.common import JsonOption, Screen, SettingsOption, screen, settings_of
from twin.app.render import clock, shown, table, to_json
from twin.app.settings import Settings
from twin.store import RecordVersion
from twin.vocab.errors import UsageError
from twin.vocab.time import now, parse_at

app = typer.Typer(
    no_args_is_help=True,
    help="Configurations, observed state (topology) and other documents of devices, as they were at any time.",
)
CONFIG = "config"
SHORT = 12
STYLES = {"+": "green", "-": "red", "@": "cyan"}

DeviceArgument = Annotated[str, typer.Argument(help="Whose document.")]
NameArgument = Annotated[str, typer.Argument(help="Which document: config, config-text, observed, routes ...")]


@app.command(name="list")
def list_records(
    device: Annotated[str | None, typer.Argument(help="Of this device only.", show_default="all")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which documents are stored, and when each was last read."""
    from twin.app.wiring import store_of
    from twin.store import stored_records

    chosen, show = settings_of(settings), screen()
    with store_of(chosen) as store:
        found = stored_records(store, device)
    if as_json:
        show.json(to_json(found))
        return
    rows = [(e.device, e.name, e.sha256[:SHORT], clock(e.confirmed_at, chosen.zone)) for e in found]
    show.out.print(table("documents", ("device", "document", "sha256", "last read"), rows))


@app.command()
def history(
    device: DeviceArgument,
    name: NameArgument = CONFIG,
    since: Annotated[str | None, typer.Option("--from", help="Versions still read then or later.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Versions first read before.")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the versions of one document: since when, last read when, how long, and its hash."""
    chosen, show = settings_of(settings), screen()
    found = _versions(chosen, device, name, since, until)
    if as_json:
        show.json(to_json([_summary(v) for v in found]))
        return
    rows = [
        (
            v.number,
            clock(v.since, chosen.zone),
            clock(v.confirmed_at, chosen.zone),
            f"{len(v.content):,}",
            v.sha256[:SHORT],
        )
        for v in found
    ]
    columns = ("#", "since", "last read", "characters", "sha256")
    show.out.print(table(f"{name} of {device}", columns, rows, right=("#", "characters")))


@app.command(name="show")
def show_record(
    device: DeviceArgument,
    name: NameArgument = CONFIG,
    at: Annotated[str | None, typer.Option(help="As it was then.", show_default="now")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print one document as it was at a time; secrets in configurations are keyed hashes."""
    chosen, show = settings_of(settings), screen()
    found = _version_at(chosen, device, name, at)
    if as_json:
        show.json(to_json(found))
        return
    show.note(
        f"{name} of {device}, version {found.number}, since {clock(found.since, chosen.zone)}, sha256 {found.sha256}"
    )
    for line in _lines(found.content):
        show.out.print(shown(line), markup=False, soft_wrap=True)


@app.command()
def diff(
    device: DeviceArgument,
    name: NameArgument = CONFIG,
    since: Annotated[
        str | None, typer.Option("--from", help="The time to compare from.", show_default="the version before")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="The time to compare with.", show_default="now")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what changed in one document between any two times, as a unified diff."""
    chosen, show = settings_of(settings), screen()
    after = _version_at(chosen, device, name, until)
    before = _version_at(chosen, device, name, since) if since else _version_before(chosen, after)
    lines = list(
        unified_diff(
            _lines(before.content),
            _lines(after.content),
            f"{device} {name} {before.since.isoformat()}",
            f"{device} {name} {after.since.isoformat()}",
            lineterm="",
        )
    )
    if as_json:
        show.json(to_json({"before": _summary(before), "after": _summary(after), "diff": lines}))
    else:
        _print_diff(show, lines)


def _print_diff(show: Screen, lines: Sequence[str]) -> None:
    if not lines:
        show.note("no difference")
    for line in lines:
        show.out.print(Text(shown(line), style=STYLES.get(line[:1], "")), soft_wrap=True)


def _versions(
    settings: Settings, device: str, name: str, since: str | None, until: str | None
) -> tuple[RecordVersion, ...]:
    from twin.app.wiring import store_of
    from twin.store import record_history

    span = {"start": _time(settings, since)} if since else {}
    span |= {"end": _time(settings, until)} if until else {}
    with store_of(settings) as store:
        found = record_history(store, device, name, **span)
    if not found:
        raise UsageError(f"the store holds no {name} of {device}{' in that time' if span else ''}")
    return found


def _version_at(settings: Settings, device: str, name: str, at: str | None) -> RecordVersion:
    from twin.app.wiring import store_of
    from twin.store import record_at

    with store_of(settings) as store:
        return record_at(store, device, name, _time(settings, at or "now"))


def _version_before(settings: Settings, version: RecordVersion) -> RecordVersion:
    from twin.app.wiring import store_of
    from twin.store import record_at

    if version.number == 1:
        raise UsageError(f"{version.name} of {version.device} has one version only: nothing to compare it with")
    with store_of(settings) as store:
        return record_at(store, version.device, version.name, version.since - timedelta(microseconds=1))


def _time(settings: Settings, text: str) -> datetime:
    return parse_at(text, settings.zone, present=now())


def _lines(content: str) -> list[str]:
    """The document line by line; JSON is written out so that a difference is a line."""
    try:
        plain = json.loads(content)
    except ValueError:
        return content.splitlines()
    whole = isinstance(plain, dict | list)
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False).splitlines() if whole else [content]


def _summary(version: RecordVersion) -> dict[str, object]:
    return {
        "device": version.device,
        "name": version.name,
        "number": version.number,
        "sha256": version.sha256,
        "since": version.since,
        "confirmed_at": version.confirmed_at,
        "characters": len(version.content),
    }
