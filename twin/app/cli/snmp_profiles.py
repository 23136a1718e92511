"""snmp lint, snmp profile: device profiles checked and explained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twin.app.cli.common import JsonOption, SettingsOption, screen, settings_of
from twin.app.render import shown, to_json
from twin.vocab.errors import EXIT_FAIL


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(lint)


def lint(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Profile files. [default: all that the settings use]", show_default=False),
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
