"""discover: find devices, and tell how they differ from the inventory."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Annotated

import typer

from twin.app.cli.common import JsonOption, SettingsOption, progress, screen, settings_of
from twin.app.render import table, to_json
from twin.vocab.errors import UsageError

if TYPE_CHECKING:
    from twin.app.cli.common import Screen
    from twin.app.discovering import Found
    from twin.app.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(discover)


def discover(
    seed: Annotated[list[str] | None, typer.Argument(help="Addresses of devices to start from.")] = None,
    snmp: Annotated[
        list[str] | None,
        typer.Option(help="SNMP credential of the devices file; repeatable.", show_default="all of them"),
    ] = None,
    ranges: Annotated[
        list[str] | None, typer.Option("--range", help="Prefix of which every address is asked; repeatable.")
    ] = None,
    netconf: Annotated[str | None, typer.Option(help="Name of the NETCONF credential to give what is found.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="Prefix in which anyone may be asked; repeatable.", show_default="settings")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Put new devices into the devices file, and the differences into the store.")
    ] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find devices: from seeds along LLDP and CDP, and in address ranges; inside allow-listed prefixes only.

    Credentials are tried SNMPv3 first, each once; after two failed authentications a device is left alone and listed.
    New, lost and changed devices are told by comparison with the devices file.

    Examples: nettwin discover 192.0.2.1 --snmp core --allow 192.0.2.0/24 --write
    nettwin discover --range 192.0.2.0/26 --allow 192.0.2.0/24
    """
    from twin.app.discovering import Search, check_netconf, discover_from

    chosen = settings_of(settings)
    search = Search(
        tuple(_address(text) for text in seed or ()),
        _prefixes("--range", ranges or ()),
        _prefixes("--allow", allow) if allow else chosen.file.discover.allow,
        tuple(snmp) if snmp else _all_credentials(chosen),
    )
    if netconf is not None:
        check_netconf(chosen.at(chosen.file.devices), netconf)
    with progress("discovering") as steps:
        found = discover_from(chosen, search, progress=lambda n, what: steps(n, None, what))
        steps.finish(f"{len(found.found)} devices")
    show = screen()
    if as_json:
        show.json(to_json(found))
    else:
        _print(show, found)
    if write:
        _write(show, chosen, found, netconf)
    elif found.events:
        show.note("nothing was written; --write keeps it")


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise UsageError(f"{text!r} is not an IPv4 address") from None


def _prefixes(option: str, texts: Iterable[str]) -> tuple[IPv4Network, ...]:
    made = []
    for text in texts:
        try:
            made.append(IPv4Network(text))
        except ValueError as problem:
            raise UsageError(f"{option} {text}: {problem}") from problem
    return tuple(made)


def _all_credentials(chosen: Settings) -> tuple[str, ...]:
    from twin.app.inventory import read_entries

    path = chosen.at(chosen.file.devices)
    names = tuple(read_entries(path).credentials.snmp)
    if not names:
        raise UsageError(f"{path}: credentials.snmp is empty: nothing to ask with")
    return names


def _print(show: Screen, found: Found) -> None:
    rows = [(f.name, f.address, f.credential, f.description) for f in found.found]
    show.out.print(table("found", ("name", "address", "credential", "what it says it is"), rows))
    if found.skipped:
        skipped = [(s.name, s.address or "–", s.reason) for s in found.skipped]
        show.out.print(table("not found", ("name", "address", "why"), skipped))
    if found.events:
        events = [(e.device, e.subject, e.event.removeprefix("device_"), e.detail) for e in found.events]
        show.out.print(table("other than in the devices file", ("device", "address", "what", "detail"), events))
    if found.silent:
        show.note(f"{found.silent} addresses of the ranges are silent")


def _write(show: Screen, chosen: Settings, found: Found, netconf: str | None) -> None:
    from twin.app.discovering import write_found
    from twin.app.events import store_events
    from twin.app.wiring import store_of

    path = chosen.at(chosen.file.devices)
    added = write_found(path, found, netconf)
    show.note(f"{path}: {added} devices added")
    with store_of(chosen) as store:
        store_events(store, found.events)
