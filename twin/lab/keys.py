"""A lab's secrets: random, one set per lab, in files only root can read."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from twin.lab.machine import run
from twin.vocab.inventory import Secret

V3_USER = "nettwin"
NETCONF_USER = "root"


@dataclass(frozen=True)
class Keys:
    """Where a lab's secrets lie. ``local_community`` may write, and only from inside a router (127.0.0.1)."""

    directory: Path

    @property
    def community(self) -> Path:
        return self.directory / "community"

    @property
    def local_community(self) -> Path:
        return self.directory / "local_community"

    @property
    def v3_auth(self) -> Path:
        return self.directory / "v3_auth"

    @property
    def v3_privacy(self) -> Path:
        return self.directory / "v3_privacy"

    @property
    def ssh_key(self) -> Path:
        return self.directory / "id_ed25519"

    @property
    def host_key(self) -> Path:
        return self.directory / "host_key"

    @property
    def host_key_base64(self) -> str:
        """The middle word of the public host key: what known_hosts holds."""
        return self.host_key.with_suffix(".pub").read_text(encoding="ascii").split()[1]


def read(file: Path) -> Secret:
    return Secret(file.read_text(encoding="ascii").strip())


def make(directory: Path) -> Keys:
    """New secrets in a new directory (mode 0700, files 0600)."""
    keys = Keys(directory)
    directory.mkdir(mode=0o700)
    for file in (keys.community, keys.local_community, keys.v3_auth, keys.v3_privacy):
        write_private(file, secrets.token_hex(16) + "\n")
    write_private(directory / "snmp.conf", f"defCommunity {read(keys.community).reveal()}\n")
    for file in (keys.ssh_key, keys.host_key):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "nettwin lab", "-f", str(file)])
    return keys


def write_private(file: Path, text: str) -> None:
    """A file only its owner can read, at no instant otherwise."""
    file.touch(mode=0o600, exist_ok=True)
    file.chmod(0o600)
    file.write_text(text, encoding="utf-8")
