"""snmp record: all that a device tells, as a fixture."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from twin.app.cli.common import SettingsOption, progress, screen, settings_of
from twin.vocab.errors import UsageError
from twin.vocab.time import parse_duration


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(record)


def record(
    device: Annotated[str, typer.Argument(help="Its name in the devices file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write (snmprec text); must not be there.")
    ],
    subtree: Annotated[
        list[str] | None,
        typer.Option(help="Walk only this numeric OID; repeatable.", show_default="all"),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="How many values to take of each subtree.")] = 1_000_000,
    within: Annotated[str, typer.Option(help="Stop after this long and keep what came.")] = "10m",
    settings: SettingsOption = None,
) -> None:
    """Walk a device into a file: the fixture that a profile for a new kind of equipment is tested with.

    Communities, users, views and passwords are never recorded. Names, addresses and serial numbers are: read the file
    before you hand it on.
    """
    from collectors.snmp import record as recorder
    from collectors.snmp.wire import parse_oid
    from twin.app.agents import ask

    if output.exists():
        raise UsageError(f"{output}: is there already")
    try:
        roots = tuple(map(parse_oid, subtree)) if subtree else recorder.ROOTS
    except ValueError as problem:
        raise UsageError(f"--subtree: {problem}") from None
    until = time.monotonic() + parse_duration(within).total_seconds()
    take = partial(recorder.record, roots=roots, most=most, until=until)
    with progress(f"recording {device}") as steps:
        recording = ask(settings_of(settings), device, take)
        output.write_text(recording.text, encoding="ascii")
        steps.finish(f"{len(recording.lines):,} values, {recording.withheld} withheld as secret")
    show = screen()
    for cut in recording.cut:
        show.warn(f"not all: {cut}")
    show.out.print(f"{output}: {len(recording.lines):,} values", soft_wrap=True, markup=False)
