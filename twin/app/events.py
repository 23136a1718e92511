"""Events into the store, and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from twin.store import Reader, Writer
from twin.vocab.blocks import Block
from twin.vocab.events import Event
from twin.vocab.time import instant, to_datetime


def store_events(writer: Writer, events: Sequence[Event]) -> None:
    """Write what happened. Events of one device, name and subject at one instant are one.

    Raises:
        StoreError: the engine failed.
    """
    if events:
        writer.write([event_block(events)])


def event_block(events: Sequence[Event]) -> Block:
    """Events as they are written."""
    return Block.from_rows("event", [_row(event) for event in events])


def _row(event: Event) -> dict[str, object]:
    return {
        "device": event.device,
        "event": event.event,
        "subject": event.subject,
        "source": event.source,
        "detail": event.detail,
        "at": instant(event.at),
    }


def read_events(reader: Reader, start: datetime, end: datetime, device: str | None = None) -> tuple[Event, ...]:
    """What happened in ``[start, end)``, in order of time.

    Raises:
        StoreError: the engine failed.
    """
    block = reader.range("event", None if device is None else {"device": device}, start, end)
    events = (
        Event(
            row["device"],
            row["event"],
            row["subject"],
            row.get("source", ""),
            row.get("detail", ""),
            to_datetime(row["at"]),
        )
        for row in block.rows()
    )
    return tuple(sorted(events, key=lambda event: event.at))
