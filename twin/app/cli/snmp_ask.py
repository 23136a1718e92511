"""snmp get, walk, translate: what a device has, and what it is called."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twin.app.cli.common import JsonOption, Screen, SettingsOption, progress, screen, settings_of
from twin.app.render import table, to_json
from twin.vocab.errors import EXIT_ERROR, NettwinError
from twin.vocab.time import parse_duration

if TYPE_CHECKING:
    from collectors.snmp.names import Names
    from collectors.snmp.wire import Agent, Oid, Value, Walk
    from twin.app.settings import Settings
    from twin.vocab.inventory import Device

ROWS_AT_FIRST = 100
DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE", help="Its name in the devices file, or an address.")]
CredentialOption = Annotated[
    str | None,
    typer.Option("--credential", "-c", help="SNMP credential of the devices file, for an address not listed there."),
]


class EngineChoice(StrEnum):
    """Who asks."""

    FAST = "fast"
    PYSNMP = "pysnmp"


EngineOption = Annotated[
    EngineChoice | None, typer.Option("--engine", help="Who asks.", show_default="collect.snmp_engine")
]


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(get)
    app.command()(walk)
    app.command()(translate)


@dataclass(frozen=True)
class Row:
    """One object as an operator reads it; ``value`` as it came (octets in hexadecimal), ``text`` as people write it."""

    oid: str
    name: str
    type: str
    value: int | str | None
    text: str


def get(
    device: DeviceArgument,
    objects: Annotated[
        list[str], typer.Argument(metavar="OBJECT...", help="Names or OIDs; without an instance, .0 is tried too.")
    ],
    credential: CredentialOption = None,
    engine: EngineOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a device for single objects.

    For example: nettwin snmp get r1 sysDescr sysUpTime ifOperStatus.3

    The exit code is 1 if it has none of them.
    """
    from twin.app.wiring import names_of

    chosen = settings_of(settings)
    names = names_of(chosen)
    asked = [names.oid(text) for text in objects]
    found = _ask(chosen, device, credential, engine, partial(_get, asked))
    show = screen()
    _print([_row(oid, found[oid], names) for oid in found], f"{device}: {len(found)} objects", show, as_json=as_json)
    for text, oid in zip(objects, asked, strict=True):
        if oid not in found and (*oid, 0) not in found:
            show.warn(f"{device} has no {text}")
    if not found:
        raise typer.Exit(EXIT_ERROR)


async def _get(asked: Sequence[Oid], agent: Agent, _device: Device) -> dict[Oid, Value]:
    both = [oid for one in asked for oid in (one, (*one, 0))]
    found = await agent.get(both)
    return {oid: found[oid] for oid in both if oid in found}


def walk(
    device: DeviceArgument,
    what: Annotated[str, typer.Argument(metavar="OBJECT", help="Name or OID of a table, column, subtree or object.")],
    most: Annotated[int, typer.Option(min=1, help="Stop after so many values.")] = 100_000,
    within: Annotated[str, typer.Option(help="Stop after this long and show what came.")] = "1m",
    credential: CredentialOption = None,
    engine: EngineOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a device for everything below an object, in the order of OIDs.

    For example: nettwin snmp walk r1 ifName; nettwin snmp walk 192.0.2.1 1.3.6.1.2.1.15 --credential core

    The exit code is 1 if it has nothing there.
    """
    from twin.app.wiring import names_of

    chosen = settings_of(settings)
    names = names_of(chosen)
    oid = names.oid(what)
    until = time.monotonic() + parse_duration(within).total_seconds()
    with progress(f"walking {device}") as steps:
        taken = _ask(chosen, device, credential, engine, partial(_walk, oid, most, until))
        steps.finish(f"{len(taken)} values")
    rows = [_row(one, value, names) for one, value in taken.varbinds]
    show = screen()
    _print(rows, f"{device}: {names.label(oid)}, {len(rows)} values", show, as_json=as_json)
    for cut in taken.cut:
        show.warn(f"not all: {cut}")
    if not rows:
        raise NettwinError(f"{device}: has nothing at {names.label(oid)} or below it")


async def _walk(oid: Oid, most: int, until: float, agent: Agent, _device: Device) -> Walk:
    """What is below; if nothing, the object itself."""
    from collectors.snmp.wire import Column, Walk

    taken = await agent.walk([oid], rows=ROWS_AT_FIRST, max_rows=most, until=until)
    if len(taken) or taken.cut:
        return taken
    itself = await agent.get([oid])
    return Walk({oid: Column([()], [itself[oid]])}, taken.at) if oid in itself else taken


def _ask(settings: Settings, device: str, credential: str | None, engine: EngineChoice | None, question: Any) -> Any:
    from twin.app.agents import ask_device, device_of, with_engine

    chosen = with_engine(settings, engine.value if engine else None)
    return ask_device(chosen, device_of(settings, device, credential), question)


def translate(
    objects: Annotated[
        list[str], typer.Argument(metavar="OBJECT...", help="Names or OIDs, with instances or without.")
    ],
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what an object is called, or which OID a name has; asks no device.

    For example: nettwin snmp translate 1.3.6.1.2.1.2.2.1.8.3 bgpPeerState IF-MIB::linkDown

    Names come from nettwin's own table and from the MIB modules in the folders that the settings name (mibs:).
    """
    from collectors.snmp.wire import dotted
    from twin.app.wiring import names_of

    names = names_of(settings_of(settings))
    rows = []
    for oid in map(names.oid, objects):
        known = names.nearest(oid)
        values = ", ".join(f"{label} ({number})" for number, label in sorted(known.values.items())) if known else ""
        rows.append((names.label(oid), dotted(oid), known.type if known else "", values))
    show = screen()
    if as_json:
        show.json(to_json([dict(zip(("name", "oid", "type", "values"), row, strict=True)) for row in rows]))
    else:
        show.out.print(table("", ("name", "OID", "type", "values"), rows))


def _row(oid: Oid, value: Value, names: Names) -> Row:
    from collectors.snmp.wire import dotted

    plain = dotted(value) if isinstance(value, tuple) else value.hex() if isinstance(value, bytes) else value
    return Row(dotted(oid), names.label(oid), names.type_of(oid, value), plain, names.show(oid, value))


def _print(rows: Sequence[Row], title: str, show: Screen, *, as_json: bool) -> None:
    if as_json:
        show.json(to_json(rows))
    elif rows:
        show.out.print(table(title, ("object", "type", "value"), [(row.name, row.type, row.text) for row in rows]))
