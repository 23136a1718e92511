"""FRR's vty socket, without vtysh: command + NUL in; text + three NULs + a status byte (0 = done) out."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from twin.vocab.errors import NettwinError

_END = b"\0\0\0"


class Vty:
    """A conversation with one daemon of one router, ``with Vty(directory, "zebra") as vty: vty.json("show ...")``."""

    def __init__(self, directory: Path, daemon: str, *, timeout: float = 10.0) -> None:
        """Raises NettwinError where the daemon does not listen."""
        self.path = directory / f"{daemon}.vty"
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(self.path))
            self.command("enable")
        except OSError as problem:
            self._socket.close()
            raise NettwinError(f"{self.path}: no FRR daemon answers there ({problem})") from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None) -> None:
        self._socket.close()

    def command(self, text: str) -> str:
        """What the daemon prints.

        Raises:
            NettwinError: it refuses the command, or closes the conversation.
        """
        self._socket.sendall(text.encode() + b"\0")
        reply = b""
        while not (len(reply) >= 4 and reply[-4:-1] == _END):
            piece = self._socket.recv(1 << 16)
            if not piece:
                raise NettwinError(f"{self.path}: closed during {text!r}")
            reply += piece
        answer = reply[:-4].decode(errors="replace")
        if reply[-1]:
            raise NettwinError(f"{self.path}: {text!r}: {answer.strip() or f'refused with status {reply[-1]}'}")
        return answer

    def json(self, text: str) -> Any:
        return json.loads(self.command(text) or "{}")
