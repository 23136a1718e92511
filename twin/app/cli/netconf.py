"""netconf enrol: accept a device's host key, knowingly."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from twin.app.cli.common import SettingsOption, screen, settings_of
from twin.vocab.errors import EXIT_ERROR, NettwinError, UsageError

app = typer.Typer(no_args_is_help=True, help="NETCONF: host keys of devices.")


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
