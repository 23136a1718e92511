"""store verify: proves that every file of the store is what was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from twin.app.cli.common import JsonOption, Screen, SettingsOption, progress, screen, settings_of
from twin.app.render import table, to_json
from twin.vocab.errors import EXIT_ERROR

if TYPE_CHECKING:
    from twin.store.verify import Finding, Verified

MOST_NOTES = 20


def register(app: typer.Typer) -> None:
    """Adds the command of this file to the group ``nettwin store``."""
    app.command()(verify)


def verify(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Read every file of the store and hold it against its hash, the log and itself. Safe while collecting.

    Names each damaged file, the rows it affects and what can be done. Exit codes: 0 whole, 1 damaged.
    """
    from twin.app.wiring import place_of
    from twin.store.verify import verify as verified

    place = place_of(settings_of(settings))
    with progress("verifying the store") as steps:
        found = verified(place, steps)
        steps.finish(f"{found.octets / 1e6:,.1f} MB, {found.octets / 1e6 / max(found.seconds, 1e-6):,.0f} MB/s")
    if as_json:
        screen().json(to_json(found))
    else:
        _show(screen(), found)
    if not found.whole:
        raise typer.Exit(EXIT_ERROR)


def _show(show: Screen, found: Verified) -> None:
    kinds = [(k.kind, str(k.version), f"{k.files:,}", f"{k.rows:,}", f"{k.former_files:,}") for k in found.kinds]
    heads = ("kind", "version", "files", "rows", "merged away")
    show.out.print(table(f"store {found.where}, version {found.version}", heads, kinds, right=heads[1:]))
    if found.unhashed:
        show.note(f"{found.unhashed:,} files from before names carried a hash: read in full instead")
    _list_notes(show, found.notes)
    for finding in found.damage:
        _tell(show, finding)
    number = len(found.damage)
    show.out.print(f"DAMAGED: {number} finding{'s'[: number - 1]}" if number else "whole")


def _list_notes(show: Screen, notes: Sequence[Finding]) -> None:
    for note in notes[:MOST_NOTES]:
        show.note(f"{note.file}: {note.problem}{f' ({note.advice})' if note.advice else ''}")
    if len(notes) > MOST_NOTES:
        show.note(f"and {len(notes) - MOST_NOTES:,} more notes (--json lists all)")


def _tell(show: Screen, finding: Finding) -> None:
    show.error(f"{finding.file}: {finding.problem}")
    for head, text in (("affects", finding.affects), ("advice", finding.advice)):
        if text:
            show.warn(f"  {head}: {text}")
