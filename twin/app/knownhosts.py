"""OpenSSH known_hosts files (sshd(8)): whose key is pinned, and how one gets there."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import tempfile
from pathlib import Path

from twin.vocab.errors import NettwinError, UsageError


def known_hosts(path: Path) -> tuple[tuple[str, str], ...]:
    """(host patterns, base64 key) of each line.

    Raises:
        UsageError: the file can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8 text"
        if isinstance(problem, FileNotFoundError):
            reason = "it is not there yet; nettwin netconf enrol DEVICE begins it"
        raise UsageError(f"{path}: known hosts can't be read: {reason}") from problem
    return tuple(fields for line in text.splitlines() if (fields := _fields(line)))


def _fields(line: str) -> tuple[str, str] | None:
    words = line.split()
    plain = len(words) >= 3 and not line.startswith(("#", "@")) and _is_base64(words[2])
    return (words[0], words[2]) if plain else None


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


def names(hosts: str, address: str, port: int) -> bool:
    """Whether a line's hosts field names this address, plainly or hashed."""
    wanted = [f"[{address}]:{port}", address]
    if not hosts.startswith("|1|"):
        return any(name in wanted for name in hosts.split(","))
    try:
        _, _, salt, digest = hosts.split("|")
        key = base64.b64decode(salt)
    except ValueError:
        return False
    made = (base64.b64encode(hmac.new(key, name.encode(), hashlib.sha1).digest()).decode() for name in wanted)
    return any(hmac.compare_digest(one, digest) for one in made)


def pin(path: Path, address: str, port: int, key_type: str, key: str) -> None:
    """Make ``key`` the one pinned for this address and port; the file is replaced as a whole, mode 0600.

    Raises:
        NettwinError: the file can't be written.
    """
    try:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        kept = [line for text in old.splitlines() if (line := _without(text, address, port)) is not None]
        _replace(path.resolve(), "\n".join([*kept, f"[{address}]:{port} {key_type} {key}"]) + "\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise NettwinError(f"{path}: can't be written: {problem}") from problem


def _without(line: str, address: str, port: int) -> str | None:
    """The line without this host: other hosts on it stay; None if it named no other."""
    fields = _fields(line)
    if fields is None or not names(fields[0], address, port):
        return line
    others = [name for name in fields[0].split(",") if not names(name, address, port)]
    return " ".join([",".join(others), *line.split()[1:]]) if others else None


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".known_hosts-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
