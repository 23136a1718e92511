"""A device that does not speak NETCONF is one clear line."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from twin.vocab.errors import NettwinError, UsageError
from twin.vocab.inventory import Device, NetconfAccess


@contextmanager
def listening(*, greeting: bytes) -> Iterator[int]:
    """A port of this machine that says one thing and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.sendall(greeting)
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join(timeout=5)


def test_a_device_without_netconf_access_is_named() -> None:
    from twin.lab.netconf_client import session

    with pytest.raises(UsageError, match="r1: no NETCONF access"), session(Device("r1", "127.0.0.1")):
        pass


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-broken\r\n", b"HTTP/1.1 400 no\r\n\r\n"])
def test_a_port_that_is_no_netconf_server_is_one_line(greeting: bytes) -> None:
    from twin.lab.netconf_client import session

    with listening(greeting=greeting) as port:
        device = Device("r1", "127.0.0.1", netconf=NetconfAccess("root", "AAAA", port=port, timeout=3))
        with pytest.raises(NettwinError, match=r"r1: no NETCONF session with 127\.0\.0\.1"), session(device):
            pass
