"""SSH host keys: the pinned one as the only one that is known, and what a device shows when it is enrolled."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paramiko  # type: ignore[import-untyped] # no stubs among our packages

from collectors.failures import PollError

# RFC 8332: an RSA key signs by these; ssh-rsa itself would be SHA-1
_RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256")


def key_type(host_key: str) -> str:
    """``ssh-ed25519``, ``ssh-rsa`` ... of a key in base64 (RFC 4253 section 6.6); "" if it is broken."""
    try:
        blob = base64.b64decode(host_key, validate=True)
        (length,) = struct.unpack(">I", blob[:4])
        return blob[4 : 4 + length].decode("ascii")
    except (ValueError, struct.error):
        return ""


def fingerprint(host_key: str) -> str:
    """As ``ssh-keygen -l`` shows it: ``SHA256:`` and base64 without padding."""
    digest = hashlib.sha256(base64.b64decode(host_key)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class PinnedKey(paramiko.HostKeys):  # type: ignore[misc] # paramiko is untyped
    """In the place of known_hosts files: whoever is asked for, this key is known and no other.

    ncclient's own way of pinning offers ``ssh-rsa`` alone for RSA keys, which no current server or paramiko signs by.
    """

    def __init__(self, host_key: str) -> None:
        super().__init__()
        self._key = host_key

    def load(self, filename: str) -> None:
        """Files are not read: nothing else is trusted."""

    def lookup(self, hostname: str) -> dict[str, str]:
        """The signature algorithms to negotiate."""
        kind = key_type(self._key)
        return dict.fromkeys(_RSA_ALGORITHMS if kind == "ssh-rsa" else (kind,), hostname)

    def check(self, hostname: str, key: Any) -> bool:  # noqa: ARG002 - as paramiko calls it
        return bool(key.asbytes() == base64.b64decode(self._key))

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter((self._key,))


def offered_key(address: str, port: int, timeout: float) -> str:
    """The host key a device shows, in base64. Nothing is sent to it but the key exchange; nobody logs in.

    Raises:
        PollError: it can't be reached, or does not speak SSH.
    """
    try:
        with _transport(address, port, timeout) as transport:
            transport.start_client(timeout=timeout)
            return str(transport.get_remote_server_key().get_base64())
    except TimeoutError:
        raise PollError("silent", "no answer") from None
    except ConnectionRefusedError:
        raise PollError("refused", f"connection refused at port {port}") from None
    except (OSError, EOFError, paramiko.SSHException) as problem:
        raise PollError("error", f"no SSH key exchange: {' '.join(str(problem).split())[:200]}") from None


@contextmanager
def _transport(address: str, port: int, timeout: float) -> Iterator[Any]:
    connection = socket.create_connection((address, port), timeout=timeout)
    transport = paramiko.Transport(connection)
    try:
        yield transport
    finally:
        transport.close()
        connection.close()
