"""Which devices there are and how to reach them. Secrets are values of their own type that print as hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Priority = Literal["high", "normal", "low"]


@dataclass(frozen=True)
class Secret:
    """A resolved secret; only ``reveal`` gives it away."""

    value: str

    def reveal(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


@dataclass(frozen=True)
class SnmpV1:
    """Community access of old equipment: no GETBULK, no Counter64 (RFC 1157)."""

    community: Secret


@dataclass(frozen=True)
class SnmpV2c:
    """Community access (RFC 3584)."""

    community: Secret


@dataclass(frozen=True)
class SnmpV3:
    """User-based security (RFC 3414, RFC 3826, RFC 7860). No passphrase = that service is off.

    ``key_extension``: how AES-192/256 keys are lengthened beyond the digest: ``reeder``
    (draft-reeder-snmpv3-usm-3desede, as Cisco and most others do) or ``blumenthal`` (draft-blumenthal-aes-usm-04).
    """

    user: str
    auth: Literal["MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512"] = "SHA-256"
    auth_passphrase: Secret | None = None
    privacy: Literal["AES-128", "AES-192", "AES-256", "DES"] = "AES-128"
    privacy_passphrase: Secret | None = None
    key_extension: Literal["reeder", "blumenthal"] = "reeder"


@dataclass(frozen=True)
class SnmpAccess:
    """How to ask one device by SNMP. Seconds; ``max_rows`` bounds any one table walk.

    ``unconnected``: the device answers from another address than it is asked at (some Junipers do, snmp_exporter issue
    1186); its answers are then told by request-id (and by v3's digest) alone. ``requests_per_second``: no
    more than that are sent to the device (None = as fast as it answers, one at a time).
    """

    credentials: SnmpV1 | SnmpV2c | SnmpV3
    port: int = 161
    timeout: float = 2.0
    retries: int = 2
    repetitions: int = 25
    max_rows: int = 5000
    unconnected: bool = False
    requests_per_second: float | None = None


@dataclass(frozen=True)
class NetconfAccess:
    """How to ask one device by NETCONF over SSH (RFC 6242). The host key is pinned, never learnt silently.

    ``host_key`` is the base64 part of a known_hosts line (empty: none is pinned, and the device is not asked);
    ``key_file`` the path of the private key.
    """

    user: str
    host_key: str
    key_file: str | None = None
    password: Secret | None = None
    port: int = 830
    timeout: float = 30.0
    handler: str = "default"


@dataclass(frozen=True)
class Device:
    """One device to watch. ``profiles`` empty = chosen by sysObjectID; ``priority``: who goes first if not all can."""

    name: str
    address: str
    snmp: SnmpAccess | None = None
    netconf: NetconfAccess | None = None
    profiles: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    priority: Priority = "normal"
