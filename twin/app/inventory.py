"""The devices file resolved: which devices there are, with their secrets and pinned host keys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

from twin.app.knownhosts import known_hosts, names
from twin.app.settings import Credentials, DeviceEntry, DevicesFile, NetconfCredential, SecretReference
from twin.vocab.errors import InputError, MissingSecretError, Place, UsageError
from twin.vocab.files import line_of, read_yaml
from twin.vocab.inventory import Device, NetconfAccess, Secret, SnmpAccess, SnmpV1, SnmpV2c, SnmpV3

T = TypeVar("T")
SHORTEST_PASSPHRASE = 8


def load_devices(
    path: Path, environment: Mapping[str, str] = os.environ, *, names: frozenset[str] | None = None
) -> tuple[Device, ...]:
    """devices.yaml -> devices with their secrets resolved (only of the devices ``names``, all if None).

    Raises:
        InputError: bad file, duplicate device, or a credential that is not defined.
        MissingSecretError: a secret is not where the file says.
        UsageError: a name that the file does not have.
    """
    file = read_entries(path)
    if names is not None and (strange := names - {d.name for d in file.devices}):
        raise UsageError(f"{path}: no device named {', '.join(sorted(strange))}")
    resolver = _Resolver(path, file.credentials, environment)
    return tuple(resolver.device(d) for d in file.devices if names is None or d.name in names)


def read_entries(path: Path) -> DevicesFile:
    """devices.yaml as written, no secret looked up.

    Raises:
        InputError: bad file, or a device that stands twice.
    """
    file = read_yaml(path, DevicesFile)
    _refuse_duplicates(file, path)
    return file


def _refuse_duplicates(file: DevicesFile, path: Path) -> None:
    seen: dict[str, int] = {}
    for position, device in enumerate(file.devices):
        if device.name in seen:
            first = seen[device.name]
            raise InputError(
                Place(path, line_of(path, "devices", position, "name"), f"devices.{position}.name"),
                f"{device.name!r} names two devices (the other is number {first + 1} in the list)",
            )
        seen[device.name] = position


def resolve_secret(
    reference: SecretReference, base: Path, environment: Mapping[str, str] = os.environ, *, needed_by: str
) -> Secret:
    """The secret a reference points to; ``base`` is the folder of the file it stands in.

    Raises:
        MissingSecretError: no such variable or file, or it is empty.
    """
    if reference.env is not None:
        value = environment.get(reference.env)
        if not value:
            raise MissingSecretError(f"{needed_by}: environment variable {reference.env} is not set")
        return Secret(value)
    path = base / str(reference.file)
    try:
        value = path.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except OSError as problem:
        raise MissingSecretError(f"{needed_by}: secret file {path}: {problem.strerror}") from problem
    if not value:
        raise MissingSecretError(f"{needed_by}: secret file {path} is empty")
    return Secret(value)


def load_snmp_access(path: Path, credential: str, environment: Mapping[str, str] = os.environ) -> SnmpAccess:
    """One SNMP credential of a devices file, with its secrets.

    Raises:
        InputError: bad file.
        UsageError: no such credential.
        MissingSecretError: a secret is not where the file says.
    """
    file = read_entries(path)
    if credential not in file.credentials.snmp:
        there = ", ".join(file.credentials.snmp) or "none"
        raise UsageError(f"{path}: credentials.snmp has no {credential!r}; there is {there}")
    return _Resolver(path, file.credentials, environment).snmp(credential)


class _Resolver:
    """Device entries -> devices: looks up credentials, secrets and host keys, each file once."""

    def __init__(self, path: Path, credentials: Credentials, environment: Mapping[str, str]) -> None:
        self.path = path
        self.credentials = credentials
        self.environment = environment
        self._known_hosts = cache(known_hosts)

    def device(self, entry: DeviceEntry) -> Device:
        return Device(
            name=entry.name,
            address=entry.address,
            snmp=self._snmp(entry),
            netconf=self._netconf(entry),
            profiles=entry.profiles,
            tags=entry.tags,
            priority=entry.priority,
        )

    def _named(self, table: dict[str, T], name: str, entry: DeviceEntry, kind: str) -> T:
        if name not in table:
            raise InputError(
                Place(self.path, None, f"devices.{entry.name}.{kind}"), f"credentials.{kind} has no {name!r}"
            )
        return table[name]

    def _secret(self, reference: SecretReference | None, who: str) -> Secret | None:
        if reference is None:
            return None
        return resolve_secret(reference, self.path.parent, self.environment, needed_by=f"{self.path}: {who}")

    def _passphrase(self, reference: SecretReference | None, who: str) -> Secret | None:
        found = self._secret(reference, who)
        if found is not None and len(found.reveal()) < SHORTEST_PASSPHRASE:
            raise UsageError(
                f"{self.path}: {who}: a passphrase has {SHORTEST_PASSPHRASE} characters or more (RFC 3414)"
            )
        return found

    def _snmp(self, entry: DeviceEntry) -> SnmpAccess | None:
        if entry.snmp is None:
            return None
        self._named(self.credentials.snmp, entry.snmp, entry, "snmp")
        return self.snmp(entry.snmp)

    def snmp(self, name: str) -> SnmpAccess:
        """The credential ``name`` with its secrets."""
        c = self.credentials.snmp[name]
        who = f"credentials.snmp.{name}"
        access: SnmpV1 | SnmpV2c | SnmpV3
        if c.version != "3":
            community = self._secret(c.community, f"{who}.community") or Secret("")
            access = SnmpV1(community) if c.version == "1" else SnmpV2c(community)
        else:
            access = SnmpV3(
                user=str(c.user),
                auth=c.auth,
                auth_passphrase=self._passphrase(c.auth_passphrase, f"{who}.auth_passphrase"),
                privacy=c.privacy,
                privacy_passphrase=self._passphrase(c.privacy_passphrase, f"{who}.privacy_passphrase"),
                key_extension=c.key_extension,
            )
        return SnmpAccess(
            access,
            port=c.port,
            timeout=c.timeout.total_seconds(),
            retries=c.retries,
            repetitions=c.repetitions,
            max_rows=c.max_rows,
            unconnected=c.unconnected,
            requests_per_second=c.requests_per_second,
        )

    def _netconf(self, entry: DeviceEntry) -> NetconfAccess | None:
        if entry.netconf is None:
            return None
        c = self._named(self.credentials.netconf, entry.netconf, entry, "netconf")
        key_file = None if c.key_file is None else self.path.parent / c.key_file
        if key_file is not None and not key_file.is_file():
            raise UsageError(f"{self.path}: credentials.netconf.{entry.netconf}.key_file: there is no file {key_file}")
        return NetconfAccess(
            user=c.user,
            host_key=self._host_key(c, entry.address),
            key_file=None if key_file is None else str(key_file),
            password=self._secret(c.password, f"credentials.netconf.{entry.netconf}.password"),
            port=c.port,
            timeout=c.timeout.total_seconds(),
            handler=c.handler,
        )

    def _host_key(self, credential: NetconfCredential, address: str) -> str:
        """The pinned key, or nothing: then the device is refused when it is asked, and no other device suffers."""
        lines = self._known_hosts(self.path.parent / credential.known_hosts)
        return next((key for hosts, key in lines if names(hosts, address, credential.port)), "")
