"""One NETCONF session over SSH (RFC 6241, RFC 6242) with ncclient.

Only <get-config>, <get> and the read-only RPCs of Junos (``READ_ONLY``) are sent.

The host key is pinned: there is no trust on first use. Replies are capped while they arrive, and a session that is
not done in time is cut at its socket (ncclient issue 668: close_session may hang for ever).
"""

from __future__ import annotations

import importlib
import queue
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from lxml import etree
from ncclient.devices.default import DefaultDeviceHandler
from ncclient.manager import Manager
from ncclient.operations import RPC, RaiseMode, RPCError, TimeoutExpiredError
from ncclient.transport import AuthenticationError, SSHError, SSHSession, SSHUnknownHostError
from paramiko.ssh_exception import SSHException  # type: ignore[import-untyped] # no stubs among our packages

from collectors.failures import FailureStatus, PollError
from collectors.netconf.ask import Asked, RefusedError, ask
from collectors.netconf.found import Topic
from collectors.netconf.hostkey import PinnedKey
from collectors.netconf.models import (
    LIBRARY_FILTER,
    NOTIFICATION,
    Request,
    library_namespaces,
    namespaces,
    needs_library,
    offered,
    wrapped,
)
from collectors.netconf.readers import MODELS
from twin.vocab.inventory import Device, NetconfAccess

MOST_BYTES = 64 << 20
MOST_BYTES_UNTAKEN, MOST_WAITING = 1 << 20, 1000
KEEPALIVE_S, DEAD_AFTER_MS = 30, 120_000
OTHER_HOST_KEY = "the host key is not the pinned one; nettwin netconf enrol --replace pins a new one"


READ_ONLY = frozenset(model.operation for model in MODELS if model.operation)


@dataclass(frozen=True)
class Replies:
    """The running configuration as sent (None if it was not asked for), and what the state replies told."""

    config: str | None
    state: Asked


class Sessions:
    """The sessions now open; may be used from many threads."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._open: set[_CappedSocket] = set()
        self._closed = False

    def fetch(self, device: Device, *, config: bool, topics: Collection[Topic], deadline: float) -> Replies:
        """Ask one device for its running configuration (if ``config``) and its state.

        Args:
            topics: what to ask state about, as far as the device's models have it.
            deadline: seconds after which the session is cut, whatever it is doing.

        Raises:
            PollError: why there is nothing.
        """
        with self._session(device, self._most_bytes, deadline) as (session, _, _):
            return Replies(_config(session) if config else None, _state(session, topics))

    def offered(self, device: Device, *, deadline: float) -> frozenset[str]:
        """The namespaces a device announces, in its hello or its YANG library.

        Raises:
            PollError: it can't be reached.
        """
        with self._session(device, self._most_bytes, deadline) as (session, _, _):
            return _there(session)

    @contextmanager
    def subscribed(self, device: Device, *, deadline: float) -> Iterator[Subscription]:
        """A subscription to the device's default stream of notifications (RFC 5277), for as long as wished.

        Args:
            deadline: seconds after which the attempt to subscribe is given up.

        Raises:
            NotOfferedError: the device has no notifications.
            PollError: it can't be reached, or the session ended.
        """
        with self._session(device, MOST_BYTES_UNTAKEN, deadline) as (session, sock, watchdog):
            if NOTIFICATION not in namespaces(session.server_capabilities):
                raise NotOfferedError("error", "offers no notifications")
            session.create_subscription()
            watchdog.cancel()
            yield Subscription(session, sock)

    @contextmanager
    def _session(
        self, device: Device, most_bytes: int, deadline: float
    ) -> Iterator[tuple[Any, _CappedSocket, threading.Timer]]:
        if device.netconf is None or self._closed:
            raise PollError("error", "no NETCONF access configured" if device.netconf is None else "stopped")
        if not device.netconf.host_key:
            raise PollError("auth", "no host key is pinned for it: nettwin netconf enrol does so after checking it")
        sock = _connect(device.address, device.netconf, most_bytes, deadline)
        with self._watched(sock, deadline) as watchdog:
            try:
                with _session(device, device.netconf, sock) as session:
                    yield session, sock, watchdog
            except PollError:
                raise
            except Exception as problem:  # noqa: BLE001 - whatever a device makes ncclient raise is its failure
                raise _failure(problem, sock) from None

    def close(self) -> None:
        """Cut every open session; later ones are refused."""
        self._closed = True
        for sock in list(self._open):
            sock.cut()

    @contextmanager
    def _watched(self, sock: _CappedSocket, deadline: float) -> Iterator[threading.Timer]:
        watchdog = threading.Timer(deadline, sock.cut)
        watchdog.daemon = True
        watchdog.start()
        self._open.add(sock)
        if self._closed:
            sock.cut()
        try:
            yield watchdog
        finally:
            self._open.discard(sock)
            watchdog.cancel()
            sock.close()


class NotOfferedError(PollError):
    """The device does not have what was asked for, and will not have it soon."""


class Subscription:
    """Notifications as they come. Those that wait untaken are bounded, in number and octets."""

    def __init__(self, session: Any, sock: _CappedSocket) -> None:
        self._session = session
        self._sock = sock

    def take(self, seconds: float) -> str | None:
        """The next notification, as XML; None if none came in this time.

        Raises:
            PollError: the session ended.
        """
        told = self._session.take_notification(block=True, timeout=seconds)
        if told is None and not self._session.connected:
            raise PollError("silent", "the session ended")
        if told is None:
            return None
        text = str(told.notification_xml)
        self._sock.left = min(MOST_BYTES_UNTAKEN, self._sock.left + 2 * len(text) + 1024)
        return text

    def dropped(self) -> int:
        """How many were lost since it was last asked, because too many waited."""
        return int(self._session._session._notification_q.forget())  # noqa: SLF001 - ours, see _opened


class _Waiting(queue.Queue[Any]):
    """Keeps so many and drops what is more: a device that floods us fills no memory."""

    lost = 0

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 - as Queue has it
        try:
            super().put(item, block=False)
        except queue.Full:
            self.lost += 1

    def forget(self) -> int:
        lost, self.lost = self.lost, 0
        return lost


class _CappedSocket(socket.socket):
    """Stops receiving after ``left`` bytes, and can be cut from another thread."""

    left: int
    overflowed = False
    was_cut = False

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        received = super().recv(size, flags)
        self.left -= len(received)
        if self.left < 0:
            self.overflowed = True
            self.hang_up()
            return b""
        return received

    def cut(self) -> None:
        """End whatever is going on, from outside."""
        self.was_cut = True
        self.hang_up()

    def hang_up(self) -> None:
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)


def _connect(address: str, access: NetconfAccess, most_bytes: int, deadline: float) -> _CappedSocket:
    try:
        plain = socket.create_connection((address, access.port), timeout=min(access.timeout, deadline))
    except TimeoutError:
        raise PollError("silent", "no answer") from None
    except ConnectionRefusedError:
        raise PollError("refused", f"connection refused at port {access.port}") from None
    except OSError as problem:
        raise PollError("silent", f"can't connect: {problem.strerror or problem}") from None
    sock = _CappedSocket(fileno=plain.detach())
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)
    sock.left = most_bytes
    return sock


@contextmanager
def _session(device: Device, access: NetconfAccess, sock: _CappedSocket) -> Iterator[Any]:
    session = _opened(device.address, access, sock)
    try:
        yield session
    finally:
        if not sock.overflowed and not sock.was_cut:
            with suppress(Exception):
                session.close_session()
        sock.hang_up()


def _opened(address: str, access: NetconfAccess, sock: _CappedSocket) -> Any:
    handler = _handler(access.handler)({"name": access.handler})
    session = SSHSession(handler)
    session._host_keys = PinnedKey(access.host_key)  # noqa: SLF001 - the one way to pin RSA keys too
    session._notification_q = _Waiting(MOST_WAITING)  # noqa: SLF001 - ncclient's own has no bound
    try:
        session.connect(
            address,
            port=access.port,
            sock=sock,
            timeout=access.timeout,
            username=access.user,
            password=access.password.reveal() if access.password else None,
            key_filename=access.key_file,
            hostkey_verify=True,
            allow_agent=False,
            look_for_keys=False,
            keepalive=KEEPALIVE_S,
        )
    except BaseException:
        if session.transport:
            session.close()
        raise
    return Manager(session, handler, timeout=access.timeout, raise_mode=RaiseMode.ERRORS)


def _handler(name: str) -> Callable[[dict[str, str]], Any]:
    """ncclient's device handler ``name``, held to the pinned host key and to replies as they were sent.

    Its handlers for IOS XR, IOS XE and CSR take any host key for known, those for Junos and SR OS strip namespaces,
    and several add operations that write.

    Raises:
        PollError: ncclient has no such handler.
    """
    name = "iosxe" if name == "csr" else name  # its old name, which ncclient warns of
    try:
        module = importlib.import_module(f"ncclient.devices.{name}")
        base = getattr(module, f"{name.capitalize()}DeviceHandler")
    except (ImportError, AttributeError):
        raise PollError("error", f"ncclient has no device handler {name!r}") from None
    plain: Any = DefaultDeviceHandler
    as_default = ("add_additional_ssh_connect_params", "transform_reply", "add_additional_operations")
    return type("PinnedHandler", (base,), {method: getattr(plain, method) for method in as_default})


def _config(session: Any) -> str:
    return str(session.get_config(source="running").xml)


def _there(session: Any) -> frozenset[str]:
    there = namespaces(session.server_capabilities)
    if needs_library(MODELS, there):
        there |= library_namespaces(str(session.get(filter=wrapped(LIBRARY_FILTER)).xml))
    return there


def _state(session: Any, topics: Collection[Topic]) -> Asked:
    there = _there(session)
    return ask(offered(MODELS, there), there, topics, partial(_send, session))


def _send(session: Any, request: Request) -> str:
    """Raises: RefusedError: the server has an rpc-error for it."""
    try:
        if request.operation:
            return str(session.execute(_ReadOnly, request.operation).xml)
        return str(session.get(filter=wrapped(request.filter)).xml)
    except RPCError as problem:
        raise RefusedError(f"rpc-error {problem.tag}: {_one_line(problem.message)}") from None


class _ReadOnly(RPC):  # type: ignore[misc] # ncclient is untyped
    """One of the RPCs that only tell state, by name."""

    def request(self, name: str) -> Any:
        if name not in READ_ONLY:
            raise ValueError(f"{name} is not among the read-only operations")
        return self._request(etree.Element(name))


def _failure(problem: Exception, sock: _CappedSocket) -> PollError:
    if sock.overflowed:
        return PollError("error", "the reply is longer than allowed")
    if sock.was_cut or isinstance(problem, (TimeoutExpiredError, TimeoutError)):
        return PollError("silent", "connected, but not done in time")
    if isinstance(problem, SSHUnknownHostError):
        return PollError("auth", OTHER_HOST_KEY)
    if isinstance(problem, AuthenticationError):
        return PollError("auth", "the device accepts neither the key nor the password")
    if isinstance(problem, RPCError):
        status: FailureStatus = "refused" if problem.tag == "access-denied" else "error"
        return PollError(status, f"rpc-error {problem.tag}: {_one_line(problem.message)}")
    if isinstance(problem, (SSHError, SSHException)) and "egotiation" in str(problem):
        return PollError("auth", f"no common SSH algorithm or host key type: {_one_line(problem)}")
    return PollError("error", f"{type(problem).__name__}: {_one_line(problem)}")


def _one_line(problem: object) -> str:
    return " ".join(str(problem).split())[:200]
