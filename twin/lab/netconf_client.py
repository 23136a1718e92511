"""A NETCONF session with one router of the lab."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ncclient import NCClientError, manager
from ncclient.transport import AuthenticationError, SSHUnknownHostError
from paramiko import SSHException  # type: ignore[import-untyped]  # paramiko ships no types

from twin.vocab.errors import NettwinError, UsageError
from twin.vocab.inventory import Device, NetconfAccess

NETCONF_ERRORS = (NCClientError, SSHException, OSError, EOFError)


@contextmanager
def session(device: Device) -> Iterator[Any]:
    """An ncclient manager for one device, its host key pinned, closed at the end.

    Raises:
        UsageError: the device has no NETCONF access.
        NettwinError: it can't be reached, shows another host key, or refuses the key.
    """
    opened = _connect(device)
    try:
        yield opened
    finally:
        close(opened)


def close(opened: Any) -> None:
    """End a session, whatever state it is in."""
    try:
        opened.close_session()
    except NETCONF_ERRORS:
        opened._session.close()  # noqa: SLF001 ncclient has no public way to drop a connection that no longer answers


def _connect(device: Device) -> Any:
    access = device.netconf
    if access is None:
        raise UsageError(f"{device.name}: no NETCONF access is configured")
    try:
        return _opened(device.address, access)
    except SSHUnknownHostError as problem:
        raise NettwinError(f"{device.name}: {device.address} shows another host key than the pinned one") from problem
    except AuthenticationError as problem:
        raise NettwinError(f"{device.name}: NETCONF at {device.address} refuses user {access.user}") from problem
    except NETCONF_ERRORS as problem:
        raise NettwinError(f"{device.name}: no NETCONF session with {device.address}: {problem}") from problem


def _opened(address: str, access: NetconfAccess) -> Any:
    """The manager; a connection that comes to nothing is closed, which ncclient leaves to the garbage collector."""
    connection = socket.create_connection((address, access.port), timeout=access.timeout)
    try:
        return manager.connect(
            host=address,
            port=access.port,
            sock=connection,
            username=access.user,
            key_filename=access.key_file,
            password=access.password.reveal() if access.password else None,
            hostkey_b64=access.host_key,
            hostkey_verify=True,
            allow_agent=False,
            look_for_keys=False,
            timeout=access.timeout,
            device_params={"name": access.handler},
        )
    except BaseException:
        connection.close()
        raise
