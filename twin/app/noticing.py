"""What polling itself tells of a device: that it is lost, is back, or is not what it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from collectors.failures import Failed
from collectors.pace import Breaker
from collectors.results import Polled
from twin.vocab.events import Event
from twin.vocab.observed import ObservedDevice

SOURCE = "polling"


@dataclass(frozen=True)
class Identity:
    """What a device calls itself and says it is (RFC 3418 system group)."""

    system_name: str
    object_id: str
    description: str

    @classmethod
    def of(cls, told: ObservedDevice) -> Identity:
        return cls(told.system_name, told.system_object_id, told.system_description)


class Noticing:
    """Remembers how each device was, and makes an event of each turn. ``identities``: as they were last stored."""

    def __init__(self, identities: Mapping[str, Identity]) -> None:
        self._identities = dict(identities)
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._answered: set[tuple[str, str]] = {(device, "snmp") for device in identities}
        self._lost: set[tuple[str, str]] = set()

    def notice(self, result: Polled | Failed, at: datetime) -> tuple[Event, ...]:
        """The events of one poll.

        ``device_lost``: it answered once and is silent now, so often that only probes are sent; ``device_back``: it
        answers again;
        ``device_changed``: it has another name, sysObjectID or description than before (an upgrade, another box).
        """
        return (*self._turns(result, at), *self._changes(result, at))

    def _turns(self, result: Polled | Failed, at: datetime) -> Iterator[Event]:
        key = (result.device, result.protocol)
        breaker = self._breakers[key] = self._breakers.get(key, Breaker()).after(result.status)
        if isinstance(result, Polled):
            self._answered.add(key)
            if key in self._lost:
                self._lost.remove(key)
                yield Event(result.device, "device_back", result.protocol, SOURCE, "", at)
        elif breaker.is_open and key in self._answered - self._lost:
            self._lost.add(key)
            detail = f"{breaker.silent} polls: {result.reason}"
            yield Event(result.device, "device_lost", result.protocol, SOURCE, detail, at)

    def _changes(self, result: Polled | Failed, at: datetime) -> Iterator[Event]:
        if not isinstance(result, Polled) or result.observed is None or not result.observed.system_object_id:
            return
        told = Identity.of(result.observed)
        before = self._identities.get(result.device, told)
        self._identities[result.device] = told
        for what in ("system_name", "object_id", "description"):
            was, now_is = getattr(before, what), getattr(told, what)
            if was != now_is:
                yield Event(result.device, "device_changed", what, SOURCE, f"was {was!r}, is {now_is!r}", at)
