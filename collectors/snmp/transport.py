"""One UDP socket for one device, on any asyncio loop that watches file descriptors."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from collectors.failures import PollError

SocketAddress: TypeAlias = tuple[Any, ...]
RECEIVE_BUFFER = 1 << 20
LARGEST_DATAGRAM = 65535
_ARRIVED = memoryview(bytearray(LARGEST_DATAGRAM))
_SO_RCVBUFFORCE = 33  # Linux: beyond net.core.rmem_max, for root


@dataclass(frozen=True)
class Endpoint:
    """A family and an address to send to."""

    family: int
    address: SocketAddress


async def resolve(host: str, port: int) -> list[Endpoint]:
    """The endpoints a name or an address stands for.

    Raises:
        PollError: the name is unknown.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):
            raise PollError("error", f"can't ask {host}: unknown host name") from None
    return [Endpoint(family, address) for family, _, _, _, address in found]


class Port:
    """Sends to one endpoint and hands on what comes.

    Connected, the kernel lets only that endpoint's datagrams through and tells of ICMP errors; unconnected, anybody's
    come.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        connected: bool,
        received: Callable[[bytes], None],
        failed: Callable[[OSError], None],
    ) -> None:
        """Open it.

        Raises:
            OSError: there is no way to that endpoint, or no more sockets.
        """
        self._received, self._failed = received, failed
        self._target = None if connected else endpoint.address
        self._socket = socket.socket(endpoint.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            raise_buffer(self._socket, RECEIVE_BUFFER)
            if connected:
                self._socket.connect(endpoint.address)
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._socket, self._read)
        except OSError:
            self._socket.close()
            raise

    def send(self, datagram: bytes) -> None:
        """A full send buffer loses it, as the network might."""
        try:
            if self._target is None:
                self._socket.send(datagram)
            else:
                self._socket.sendto(datagram, self._target)
        except BlockingIOError:
            pass
        except OSError as problem:
            self._failed(problem)

    def close(self) -> None:
        with suppress(OSError, RuntimeError):
            self._loop.remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        try:
            size = self._socket.recv_into(_ARRIVED)
        except BlockingIOError:
            return
        except OSError as problem:
            self._failed(problem)
        else:
            self._received(bytes(_ARRIVED[:size]))


def raise_buffer(sock: socket.socket, size: int) -> None:
    """Let so many octets wait in the kernel; beyond net.core.rmem_max where that is permitted."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
