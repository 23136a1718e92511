"""doctor, init, check, import-configs, jobs: what has no device behind it."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from twin.app import doctor as doctor_room
from twin.app.cli.common import JsonOption, SettingsOption, screen, settings_of
from twin.app.render import clock, table, to_json
from twin.app.settings import SETTINGS_VARIABLE, packaged_configs, settings_path
from twin.vocab.errors import EXIT_ERROR, InputError, UsageError

STATUS_STYLE = {"ok": "green", "optional": "yellow", "missing": "red"}


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(doctor)
    app.command()(init)
    app.command()(check)
    app.command(name="import-configs")(import_configs)
    app.command()(jobs)


def doctor(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Say what this machine has and lacks for nettwin, and how to get it.

    Exit code 1 when something that every installation needs is missing.
    """
    from twin.lab.machine import missing

    checks = doctor_room.examine(lambda: [f"{m.what}: {m.remedy}" for m in missing()], settings_path(settings))
    show = screen()
    if as_json:
        show.json(to_json(checks))
    else:
        rows = [(Text(c.status, STATUS_STYLE[c.status]), c.name, c.found, c.remedy) for c in checks]
        show.out.print(table("what this machine has", ("status", "what", "found", "to do"), rows))
    if any(c.status == "missing" for c in checks):
        raise typer.Exit(EXIT_ERROR)


SAMPLES = ("nettwin.yaml", "devices.yaml", "links.yaml", "policies.yaml")


def init(folder: Annotated[Path, typer.Argument(help="Where to put them; made if it is not there.")]) -> None:
    """Start an installation: commented settings, devices, links and policies to fill in. Overwrites nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    if there := [name for name in SAMPLES if (folder / name).exists()]:
        raise UsageError(f"{folder / there[0]}: is there already")
    for name in SAMPLES:
        shutil.copyfile(packaged_configs() / name, folder / name)
    show = screen()
    show.out.print(f"{folder}: fill in devices.yaml, then nettwin check", soft_wrap=True)
    show.out.print(f"export {SETTINGS_VARIABLE}={(folder / 'nettwin.yaml').resolve()}", soft_wrap=True)


def check(settings: SettingsOption = None) -> None:
    """Read every settings file and say whether it holds, without touching a device."""
    from collectors.lint import lint
    from twin.app.wiring import (
        influx_server,
        link_facts_of,
        names_of,
        policies_of,
        profiles_folder,
        profiles_of,
        store_options,
    )

    chosen = settings_of(settings)
    from twin.app.inventory import load_devices
    from twin.store.transfer import read_mapping

    devices = load_devices(chosen.at(chosen.file.devices))
    facts = link_facts_of(chosen)
    influx_server(chosen)
    store_options(chosen)
    policies_of(chosen)
    names_of(chosen)
    for fault in lint(profiles_folder(chosen)):
        raise InputError(fault.place, fault.text)
    for path in sorted((chosen.path.parent / "mappings").glob("*.yaml")):
        read_mapping(path)
    profiles = profiles_of(chosen)
    for device in devices:
        profiles.refuse_unknown(device)
    screen().out.print(f"{chosen.path}: all files hold ({len(devices)} devices, {len(facts.links)} links with facts)")


class ConfigLayout(StrEnum):
    """How a folder of configuration text is laid out."""

    OXIDIZED = "oxidized"
    RANCID = "rancid"


def import_configs(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder or git repository.", show_default="collect.configs of the settings")
    ] = None,
    layout: Annotated[ConfigLayout | None, typer.Option(help="Whose layout it has.", show_default="settings")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring configuration text that Oxidized or RANCID has fetched, once; nettwin collect does so by itself.

    Files are matched to the devices of the devices file by name or address. What can't be used is told, a line each.
    The exit code is 1 when no device had a text.
    """
    from twin.app.folderconfigs import import_folder
    from twin.app.inventory import read_entries
    from twin.app.wiring import hashing_key, store_of

    chosen, show = settings_of(settings), screen()
    section = chosen.file.collect.configs
    chosen_layout = layout.value if layout else section.layout if section else None
    path = folder or (chosen.at(section.path) if section else None)
    if path is None or chosen_layout is None:
        raise UsageError("say which FOLDER and which --layout, or set collect.configs in the settings")
    entries = read_entries(chosen.at(chosen.file.devices)).devices
    with store_of(chosen) as store:
        report = import_folder(path, chosen_layout, entries, store, hashing_key(chosen))
    if as_json:
        show.json(to_json(report))
    else:
        for remark in report.remarks:
            show.warn(remark)
        for document in report.changed:
            show.note(f"changed: {document}")
        show.out.print(f"configuration text of {report.read} of {len(entries)} devices, {len(report.changed)} new")
    if not report.read:
        raise typer.Exit(EXIT_ERROR)


def jobs(
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 20,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List past runs of long work (training, forecasting): when, and how they ended."""
    from twin.app.wiring import state_of

    chosen, show = settings_of(settings), screen()
    with state_of(chosen) as state:
        found = state.jobs(limit)
    if as_json:
        show.json(to_json(found))
        return
    rows = [
        (
            j.id,
            j.name,
            clock(j.started, chosen.zone),
            clock(j.ended, chosen.zone) if j.ended else "–",
            j.status,
            j.detail,
        )
        for j in found
    ]
    show.out.print(table("jobs", ("#", "job", "started", "ended", "status", "detail"), rows, right=("#",)))
