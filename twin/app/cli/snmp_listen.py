"""snmp listen: hear traps and informs, and print what they say."""

from __future__ import annotations

import json
import queue
from dataclasses import replace
from itertools import count as counting
from typing import TYPE_CHECKING, Annotated

import typer

from twin.app.cli.common import JsonOption, Screen, SettingsOption, Stop, screen, settings_of
from twin.app.render import clock, shown
from twin.vocab.errors import UsageError
from twin.vocab.plain import to_plain

if TYPE_CHECKING:
    from datetime import tzinfo

    from twin.app.settings import TrapSettings
    from twin.vocab.events import Event

LOOK_S = 0.2
MOST_WAITING = 10_000


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(listen)


def listen(
    at: Annotated[
        str | None,
        typer.Option("--at", help="ADDRESS:PORT.", show_default="traps.listen of the settings, else 127.0.0.1:162"),
    ] = None,
    device: Annotated[list[str] | None, typer.Option("--device", "-d", help="Only this device; repeatable.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many.", show_default=False)] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the traps and informs of the devices in the list as they come; stores nothing, polls nothing. Ctrl-C ends.

    Devices are known by the address they send from, and must send with the community or user they are polled with.
    What is dropped is counted by reason and told at the end. nettwin collect hears them too, if the settings say so.
    """
    from twin.app.inventory import load_devices
    from twin.app.settings import TrapSettings
    from twin.app.wiring import store_of, trap_receiver_of

    chosen = settings_of(settings)
    asked = _at(chosen.file.traps or TrapSettings(), at)
    devices = load_devices(chosen.at(chosen.file.devices), names=frozenset(device) if device else None)
    events: queue.Queue[Event] = queue.Queue(MOST_WAITING)
    show = screen()
    with store_of(chosen) as store, Stop() as stop:
        with trap_receiver_of(chosen, asked, devices, events.put_nowait, store) as receiver:
            show.note(f"listening on {asked.listen} for {len(devices)} devices; Ctrl-C ends")
            for _ in counting() if count is None else range(count):
                event = _next(events, stop)
                if event is None:
                    break
                _print(event, show, chosen.zone, as_json=as_json)
        told = ", ".join(f"{number} {what}" for what, number in sorted(receiver.tally().items()))
    show.note(told or "nothing came")


def _at(configured: TrapSettings, at: str | None) -> TrapSettings:
    from twin.app.settings import listen_address

    try:
        return configured if at is None else replace(configured, listen=listen_address(at))
    except ValueError as problem:
        raise UsageError(f"--at {at}: {problem}") from None


def _next(events: queue.Queue[Event], stop: Stop) -> Event | None:
    """The next event; None when told to end."""
    while not stop.requested:
        try:
            return events.get(timeout=LOOK_S)
        except queue.Empty:
            continue
    return None


def _print(event: Event, show: Screen, zone: tzinfo, *, as_json: bool) -> None:
    if as_json:
        show.json(json.dumps(to_plain(event)))
        return
    words = (clock(event.at, zone), event.device, event.event, event.subject, event.detail)
    show.out.print(shown("  ".join(word for word in words if word)), markup=False, soft_wrap=True)
