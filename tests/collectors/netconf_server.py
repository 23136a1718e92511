"""A NETCONF server of canned replies on loopback, behind real SSH."""

from __future__ import annotations

import io
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import paramiko  # type: ignore[import-untyped] # no stubs among our packages
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from twin.vocab.inventory import Device, NetconfAccess, Secret

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
IETF = "urn:ietf:params:xml:ns:yang:ietf-interfaces"
NOTIFICATION = "urn:ietf:params:xml:ns:netconf:notification:1.0"
END = b"]]>]]>"
BASE_1_0 = "urn:ietf:params:netconf:base:1.0"
CONFIG = f'<data><interfaces xmlns="{IETF}"><interface><name>eth1</name></interface></interfaces></data>'
STATE = (
    f'<data><interfaces-state xmlns="{IETF}"><interface><name>eth1</name><oper-status>up</oper-status>'
    "<statistics><in-octets>18446744073709551615</in-octets><out-octets>7</out-octets></statistics>"
    "</interface></interfaces-state></data>"
)
DENIED = (
    "<rpc-error><error-type>protocol</error-type><error-tag>access-denied</error-tag>"
    "<error-severity>error</error-severity></rpc-error>"
)


@dataclass
class Server:
    """``answer``: the body of the reply to an rpc, None to stay silent for ever."""

    port: int
    host_key: str
    received: list[str]
    answer: Callable[[str], str | None]
    capabilities: tuple[str, ...] = (BASE_1_0, IETF)
    preamble: str = ""
    subscribers: list[Any] = field(default_factory=list)

    def notify(self, *told: str) -> None:
        """Send notifications to every session that subscribed."""
        for channel in list(self.subscribers):
            for one in told:
                envelope = f'<notification xmlns="{NOTIFICATION}"><eventTime>2026-11-25T12:00:00Z</eventTime>{one}'
                channel.sendall(f"{envelope}</notification>".encode() + END)

    @property
    def device(self) -> Device:
        access = NetconfAccess("ops", self.host_key, password=Secret("right"), port=self.port, timeout=5.0)
        return Device("r1", "127.0.0.1", netconf=access)


class _Door(paramiko.ServerInterface):  # type: ignore[misc] # paramiko is untyped
    def get_allowed_auths(self, _username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        return int(paramiko.AUTH_SUCCESSFUL if (username, password) == ("ops", "right") else paramiko.AUTH_FAILED)

    def check_channel_request(self, _kind: str, _chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_subsystem_request(self, _channel: Any, name: str) -> bool:
        return name == "netconf"


def canned(rpc: str) -> str:
    return (
        "<ok/>" if "close-session" in rpc or "create-subscription" in rpc else CONFIG if "get-config" in rpc else STATE
    )


@contextmanager
def serving(key: Any) -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    state = Server(int(listener.getsockname()[1]), key.get_base64(), [], canned)
    transports: list[Any] = []
    acceptor = threading.Thread(target=_accept, args=(listener, key, state, transports), daemon=True)
    acceptor.start()
    yield state
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for transport in transports:
        transport.close()
    acceptor.join(5)


def new_key() -> Any:
    """A fresh Ed25519 key; paramiko can't make one itself."""
    encoded = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return paramiko.Ed25519Key.from_private_key(io.StringIO(encoded.decode()))


def _accept(listener: socket.socket, key: Any, state: Server, transports: list[Any]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        try:
            transport = paramiko.Transport(connection)
            transports.append(transport)
            transport.add_server_key(key)
            transport.start_server(server=_Door())
            channel = transport.accept(2)
        except (paramiko.SSHException, EOFError, OSError):  # the client hung up, as some tests want
            continue
        if channel is not None:
            threading.Thread(target=_serve, args=(channel, state), daemon=True).start()


def _serve(channel: Any, state: Server) -> None:
    capabilities = "".join(f"<capability>{capability}</capability>" for capability in state.capabilities)
    hello = f'<hello xmlns="{BASE}"><capabilities>{capabilities}</capabilities><session-id>1</session-id></hello>'
    try:
        channel.sendall(f"{state.preamble}{hello}".encode() + END)
        buffer = b""
        while received := channel.recv(65536):
            buffer += received
            while END in buffer:
                message, _, buffer = buffer.partition(END)
                _reply(channel, message.decode(), state)
    except (OSError, EOFError, paramiko.SSHException):
        return


def _reply(channel: Any, message: str, state: Server) -> None:
    found = re.search(r'message-id="([^"]+)"', message)
    if found is None:
        return
    state.received.append(message)
    body = state.answer(message)
    if body is not None:
        channel.sendall(f'<rpc-reply xmlns="{BASE}" message-id="{found[1]}">{body}</rpc-reply>'.encode() + END)
    if "create-subscription" in message and body == "<ok/>":
        state.subscribers.append(channel)
