"""netconf enrol, models: accept a device's host key knowingly; what is read over NETCONF."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from twin.app.cli.common import JsonOption, SettingsOption, screen, settings_of
from twin.app.render import table, to_json
from twin.vocab.errors import EXIT_ERROR, NettwinError, UsageError

app = typer.Typer(no_args_is_help=True, help="NETCONF: host keys of devices, and what is read.")


@app.command()
def enrol(
    device: Annotated[str, typer.Argument(help="Name of the device in the devices file.")],
    fingerprint: Annotated[
        str | None, typer.Option(help="SHA256:... as the device's console shows it; anything else is refused.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept whatever key it shows, unchecked.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Give up a different key that is pinned.")] = False,
    settings: SettingsOption = None,
) -> None:
    """Pin a device's SSH host key: connect, show its type and fingerprint, ask, and add it to the known hosts.

    Nobody logs in. Without a terminal, --fingerprint or --yes decides; else nothing is pinned and the exit code is 2.
    """
    from twin.app.enrolling import Place, accept, look

    chosen, show = settings_of(settings), screen()
    place = Place.of(chosen.at(chosen.file.devices), device)
    seen = look(place)
    show.out.print(f"{device} at {place.address}:{place.port} shows {seen.shown}", soft_wrap=True, markup=False)
    if seen.is_pinned:
        show.out.print(f"it is pinned in {place.known_hosts}", soft_wrap=True, markup=False)
        return
    if seen.pinned and not replace:
        raise NettwinError(
            f"{device}: {place.known_hosts} pins another key: {seen.shown_pinned}. If the device or its keys "
            "were made anew, say --replace; if not, somebody else may be answering"
        )
    if not _agreed(seen.fingerprint, fingerprint, yes):
        show.error("nothing was pinned")
        raise typer.Exit(EXIT_ERROR)
    accept(place, seen)
    show.out.print(f"pinned in {place.known_hosts}", soft_wrap=True, markup=False)


@app.command()
def models(
    device: Annotated[
        str | None,
        typer.Argument(help="Only what this device announces; asks it.", show_default="all that can be read"),
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the models that are read over NETCONF, in order of preference, and by what each reading was verified.

    With DEVICE: those it announces, and which one tells each topic; the exit code is 1 when it announces none.
    """
    from twin.app.enrolling import choice_of

    rows = choice_of(None if device is None else (settings_of(settings), device))
    show = screen()
    if as_json:
        show.json(to_json(rows))
    else:
        told = [(row.topic, row.model, "yes" if row.first else "", row.verified) for row in rows]
        title = "read over NETCONF" if device is None else f"announced by {device}"
        show.out.print(table(title, ("topic", "model", "asked first", "verified by"), told))
    if not rows:
        raise typer.Exit(EXIT_ERROR)


def _agreed(shown: str, wanted: str | None, yes: bool) -> bool:
    """Raises: UsageError: there is nobody to ask. NettwinError: it is not the wanted one."""
    if wanted is not None:
        if wanted != shown:
            raise NettwinError(f"the device shows {shown}, not {wanted}: nothing was pinned")
        return True
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"there is no terminal to ask at: say --fingerprint {shown} after checking it, or --yes")
    return typer.confirm("Is this the key that the device's own console shows?")
