"""snmp lint, snmp profile: device profiles checked and explained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from twin.app.cli.common import JsonOption, Screen, SettingsOption, screen, settings_of
from twin.app.render import shown, table, to_json
from twin.vocab.errors import EXIT_FAIL, UsageError

if TYPE_CHECKING:
    from collectors.explain import ExplainedTable, Explanation, Item
    from collectors.profiles import ProfileSet
    from twin.app.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(lint)
    app.command()(profile)


def lint(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Profile files.", show_default="all that the settings use"),
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look device profiles over: every fault with file, line and key. Touches no device.

    Exit code 3 when there is a fault. A file is judged among the profiles that the settings use, as one of them.
    """
    from collectors.lint import lint as faults_of
    from twin.app.wiring import profiles_folder

    folder = profiles_folder(settings_of(settings))
    faults = faults_of(folder, files or ())
    show = screen()
    if as_json:
        show.json(
            to_json(
                [{"file": str(f.place.file), "line": f.place.line, "key": f.place.key, "fault": f.text} for f in faults]
            )
        )
    for fault in faults if not as_json else ():
        show.out.print(shown(str(fault)), soft_wrap=True, markup=False)
    if faults:
        raise typer.Exit(EXIT_FAIL)
    if not as_json:
        show.out.print(f"{len(files) if files else len(list(folder.glob('*.yaml')))} profiles, no fault")


def profile(
    device: Annotated[str | None, typer.Argument(help="Its name in the devices file; it is asked once.")] = None,
    object_id: Annotated[
        str | None, typer.Option(help="A sysObjectID, instead of asking a device.", show_default=False)
    ] = None,
    description: Annotated[str, typer.Option(help="The sysDescr that goes with --object-id.")] = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is read from a device, when, by which profile and why, and what each profile was verified by.

    Without a device: the profiles there are.
    """
    from collectors.explain import explain
    from twin.app.wiring import profiles_of

    chosen = settings_of(settings)
    known = profiles_of(chosen)
    show = screen()
    if device is None and object_id is None:
        _list(show, known, as_json=as_json)
        return
    if device is not None and object_id is not None:
        raise UsageError("name a device or give --object-id, not both")
    told = _ask_system(chosen, device) if device else (_object_id(object_id or ""), description, ())
    explained = explain(known, *told)
    if as_json:
        show.json(to_json(explained))
    else:
        _print(show, explained)


def _list(show: Screen, known: ProfileSet, *, as_json: bool) -> None:
    from collectors.snmp.wire import dotted

    rows = [
        (p.name, list(map(dotted, p.system_object_ids)), p.system_description, p.verified) for p in known.own.values()
    ]
    heads = ("profile", "sysObjectID begins with", "sysDescr holds one of", "verified by")
    if as_json:
        keys = ("profile", "system_object_ids", "system_description", "verified")
        show.json(to_json([dict(zip(keys, row, strict=True)) for row in rows]))
    else:
        show.out.print(table("profiles", heads, [(n, ", ".join(o), ", ".join(d), v) for n, o, d, v in rows]))


def _object_id(text: str) -> tuple[int, ...]:
    from collectors.snmp.wire import parse_oid

    try:
        return parse_oid(text)
    except ValueError as problem:
        raise UsageError(f"--object-id: {problem}") from None


def _ask_system(settings: Settings, name: str) -> tuple[tuple[int, ...], str, tuple[str, ...]]:
    """sysObjectID and sysDescr as the device tells them, and the profiles that the inventory names."""
    from collectors.snmp.read import SYS_DESCR, SYS_OBJECT_ID
    from collectors.snmp.sheet import text_of
    from collectors.snmp.wire import Agent
    from twin.app.agents import ask
    from twin.vocab.inventory import Device

    async def question(agent: Agent, device: Device) -> tuple[tuple[int, ...], str, tuple[str, ...]]:
        found = await agent.get([SYS_DESCR, SYS_OBJECT_ID])
        object_id = found.get(SYS_OBJECT_ID)
        description = text_of(found.get(SYS_DESCR)) or ""
        return object_id if isinstance(object_id, tuple) else (), description, device.profiles

    return ask(settings, name, question)


def _print(show: Screen, explained: Explanation) -> None:
    show.out.print(shown(f"profile {explained.profile}: {explained.why}"), soft_wrap=True, markup=False)
    chain = [(x.profile, Path(x.file).name, x.verified, ", ".join(x.without)) for x in explained.chain]
    title = f"profiles of {Path(explained.chain[-1].file).parent}, each replacing what those above say"
    show.out.print(table(title, ("profile", "file", "verified by", "left out"), chain))
    rows = [_row("", s.profile, s.scalar, s.scalar.round) for s in explained.scalars]
    for t in explained.tables:
        heads = [(_head(t), t.profile), *[("", "")] * len(t.columns)]
        rows += [
            _row(*head, c, t.round if c.round == "fast" else c.round) for head, c in zip(heads, t.columns, strict=False)
        ]
    show.out.print(table("what is read", ("table", "profile", "value", "round", "object, best first"), rows))


def _head(explained: ExplainedTable) -> str:
    waits = f" unless {', '.join(explained.unless)}" if explained.unless else ""
    return f"{explained.name} ({explained.subject} by {', '.join(explained.index)}){waits}"


def _row(name: str, profile: str, item: Item, when: str) -> tuple[str | Text, ...]:
    return name, profile, item.name, when, Text("\n".join(map(shown, item.sources)))
