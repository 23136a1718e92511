"""Receives SNMP notifications: v1 and v2c traps, v2c and v3 traps and informs, from the devices of the inventory only.

A thread of its own reads the socket. Datagrams from strangers are not even decoded; every device may say so many things
a second; what is dropped is counted by reason and logged once for each device and reason.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias

import structlog

from collectors.pace import Policer
from collectors.snmp.names import Names
from collectors.snmp.notification import translate
from collectors.snmp.trap_engine import Address, Identity, Sender, TrapEngine
from collectors.snmp.trap_sources import Sources, plain_address
from twin.vocab.errors import NettwinError
from twin.vocab.events import Event
from twin.vocab.time import now

Deliver: TypeAlias = Callable[[Event], None]
InterfaceName: TypeAlias = Callable[[str, int], str | None]

RECEIVE_BUFFER = 4 << 20
MOST_REMARKS = 1000
FIRST_FREE_PORT = 1024
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Allowance:
    """Notifications a second, on average, and how many at once: of one device, and of all."""

    device: Policer = field(default_factory=lambda: Policer(per_second=10.0, burst=50))
    all: Policer = field(default_factory=lambda: Policer(per_second=100.0, burst=500))


class TrapReceiver:
    """A context manager; within it, ``deliver`` is called with each event, in the receiver's thread.

    Args:
        interface: (device, ifIndex) -> the interface's name as last known.
        identity: what informs over SNMPv3 are addressed to.

    Raises (on entering):
        NettwinError: the address or port can't be listened on.
    """

    def __init__(
        self,
        listen: tuple[str, int],
        sources: Sources,
        deliver: Deliver,
        *,
        names: Names,
        identity: Identity,
        interface: InterfaceName = lambda _device, _index: None,
        allowance: Allowance | None = None,
    ) -> None:
        self._listen = listen
        self.sources = sources
        self._deliver = deliver
        self._names = names
        self._identity = identity
        self._interface = interface
        self._allowance = allowance or Allowance()
        self._policers: dict[str, Policer] = {}
        self._overall = self._allowance.all
        self._engines: list[TrapEngine] = []
        self._engine_of: dict[Sender, TrapEngine] = {}
        self._counts: Counter[str] = Counter()
        self._remarked: set[tuple[str, str]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._transport: asyncio.DatagramTransport | None = None

    def tally(self) -> Mapping[str, int]:
        """How many notifications were ``taken``, and dropped for which reason."""
        return dict(self._counts)

    @property
    def port(self) -> int:
        """The port listened on (port 0 takes any free one)."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._socket = _bound(self._listen)
        self._thread = threading.Thread(target=self._run, name="traps", daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(stop.set)
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as problem:  # noqa: BLE001 - what pysnmp can't be made of; polling goes on
            log.error("traps_stopped", reason=" ".join(f"{type(problem).__name__}: {problem}".split()))  # noqa: TRY400
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        for sender in self.sources:
            self._engine_of[sender] = self._admit(sender)
        self._transport, _ = await self._loop.create_datagram_endpoint(
            lambda: _Listener(self._received), sock=self._socket
        )
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            self._transport.close()
            for engine in self._engines:
                engine.close()

    def _admit(self, sender: Sender) -> TrapEngine:
        """Users of one name with different keys need an engine, and an engine id, each."""
        for engine in self._engines:
            if engine.admits(sender.credentials):
                return engine
        number = len(self._engines)
        mine = Identity(self._identity.engine_id + bytes([number] if number else []), self._identity.boots)
        fresh = TrapEngine(mine, self._send)
        fresh.admits(sender.credentials)
        self._engines.append(fresh)
        return fresh

    def _send(self, message: bytes, address: Address) -> None:
        if self._transport is not None:
            self._transport.sendto(message, address)

    def _received(self, datagram: bytes, address: Address) -> None:
        source, at = plain_address(str(address[0])), time.monotonic()
        senders = self.sources.at(source)
        if not senders:
            self._drop(source, "unknown source")
        elif not self._allowed(source, at):
            self._drop(source, "too many")
        else:
            self._hear(datagram, address, source, senders, at)

    def _allowed(self, source: str, at: float) -> bool:
        mine, wait = self._policers.get(source, self._allowance.device).take(at)
        overall, wait_for_all = self._overall.take(at)
        if wait > 0 or wait_for_all > 0:
            return False
        self._policers[source], self._overall = mine, overall
        return True

    def _hear(self, datagram: bytes, address: Address, source: str, senders: Sequence[Sender], at: float) -> None:
        dropped = ""
        for engine in dict.fromkeys(self._engine_of[sender] for sender in senders):
            heard = engine.hear(datagram, address, [s for s in senders if self._engine_of[s] is engine], at)
            if heard.device:
                self._tell(heard.device, source, heard.varbinds)
                return
            dropped = dropped or heard.dropped
        if dropped:
            self._drop(source, dropped)

    def _tell(self, device: str, source: str, varbinds: Sequence[tuple[Any, Any]]) -> None:
        try:
            event = translate(device, varbinds, self._names, lambda index: self._interface(device, index), now())
        except ValueError as problem:
            self._drop(source, str(problem))
            return
        self._counts["taken"] += 1
        try:
            self._deliver(event)
        except Exception as problem:  # noqa: BLE001 - one event's fate is not the receiver's
            log.error("trap_not_delivered", device=device, event_name=event.event, problem=type(problem).__name__)  # noqa: TRY400

    def _drop(self, source: str, reason: str) -> None:
        self._counts[reason] += 1
        if (source, reason) not in self._remarked and len(self._remarked) < MOST_REMARKS:
            self._remarked.add((source, reason))
            devices = [sender.device for sender in self.sources.at(source)]
            log.warning("trap_dropped", source=source, devices=devices, reason=reason)


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._received(data, addr)


_HINTS = {
    errno.EACCES: f": a port below {FIRST_FREE_PORT} needs root",
    errno.EADDRINUSE: "; another collector on this machine? Only one can have a port",
}


def _bound(listen: tuple[str, int]) -> socket.socket:
    host, port = listen
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError as problem:
        sock.close()
        reason = problem.strerror or str(problem)
        hint = _HINTS.get(problem.errno or 0, "")
        raise NettwinError(f"can't listen for traps on {host} port {port}: {reason}{hint}") from problem
    return sock
