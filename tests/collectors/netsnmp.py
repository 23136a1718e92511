"""What net-snmp's ``snmpbulkwalk`` makes of an agent, as plain values."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence

from collectors.snmp.wire import Oid, Value, parse_oid
from twin.vocab.inventory import Device, SnmpV2c, SnmpV3

_PLAIN = ("-m", "", "-On", "-Oe", "-Ot", "-OU", "-Ox", "-Cr25", "-t5", "-r5")  # numbers as numbers, text as octets
_START = re.compile(r"^(\.[0-9.]+) = ", re.MULTILINE)
_MISSING = ("No Such", "No more variables")


def _octets(text: str) -> bytes:
    return bytes.fromhex(text)


_READ: Mapping[str, Callable[[str], Value]] = {
    "INTEGER": int,
    "Counter32": int,
    "Counter64": int,
    "Gauge32": int,
    "Hex-STRING": _octets,
    "OPAQUE": _octets,
    "IpAddress": lambda text: bytes(map(int, text.split("."))),
    "OID": parse_oid,
}


def options(credentials: SnmpV2c | SnmpV3) -> list[str]:
    if isinstance(credentials, SnmpV2c):
        return ["-v2c", "-c", credentials.community.reveal()]
    words, level = ["-v3", "-u", credentials.user], "noAuthNoPriv"
    if credentials.auth_passphrase:
        words, level = [*words, "-a", credentials.auth, "-A", credentials.auth_passphrase.reveal()], "authNoPriv"
    if credentials.privacy_passphrase:
        privacy = credentials.privacy.replace("AES-128", "AES")
        words, level = [*words, "-x", privacy, "-X", credentials.privacy_passphrase.reveal()], "authPriv"
    return [*words, "-l", level]


def bulkwalk(device: Device, roots: Sequence[Oid]) -> dict[Oid, Value]:
    """Everything below the roots."""
    assert device.snmp is not None
    credentials = device.snmp.credentials
    assert isinstance(credentials, (SnmpV2c, SnmpV3))
    target = f"{device.address}:{device.snmp.port}"
    found: dict[Oid, Value] = {}
    for root in roots:
        argv = ["snmpbulkwalk", *options(credentials), *_PLAIN, target, "." + ".".join(map(str, root))]
        done = subprocess.run(argv, capture_output=True, check=True)
        found |= dict(_objects(done.stdout.decode("ascii")))
    return found


def _objects(text: str) -> Iterator[tuple[Oid, Value]]:
    """A value may run over several lines: it ends where the next object begins."""
    parts = _START.split(text)[1:]
    for oid, value in zip(parts[::2], parts[1::2], strict=True):
        if not value.startswith(_MISSING):
            yield parse_oid(oid), _value(value.strip())


def _value(text: str) -> Value:
    if text == '""':
        return b""
    if text.isdigit():
        return int(text)  # Timeticks
    kind, _, value = text.partition(": ")
    return _READ[kind.rstrip(":")](value)
