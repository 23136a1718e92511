"""What happened to a device, told by it (trap, notification) or noticed (polling, discovery)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Event:
    """One happening. ``event``: linkDown, coldStart, device_new ...; ``subject``: the interface, peer or address it is
    about, empty if the whole device.

    ``source``: what told it (snmp-trap, netconf ...); ``detail``: what else was told, as one line; ``at``: when it was
    heard (UTC).
    """

    device: str
    event: str
    subject: str
    source: str
    detail: str
    at: datetime
