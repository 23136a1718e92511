"""configs/nettwin.yaml and configs/devices.yaml: the only place that reads files and environment for settings.

Relative paths in a file are relative to that file. Secrets are only referred to: ``{env: NAME}`` or ``{file: PATH}``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from twin.vocab.errors import InputError, MissingSecretError, Place, UsageError
from twin.vocab.files import STRICT, line_of, read_yaml
from twin.vocab.inventory import Device, NetconfAccess, Secret, SnmpAccess, SnmpV2c, SnmpV3
from twin.vocab.time import parse_duration

T = TypeVar("T")
SETTINGS_VARIABLE = "NETTWIN_SETTINGS"


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        return parse_duration(str(value))
    except UsageError as problem:
        raise ValueError(str(problem)) from problem


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("not a time zone; write for example Europe/Berlin or UTC") from None
    return name


Duration = Annotated[timedelta, BeforeValidator(_duration)]
ZoneName = Annotated[str, AfterValidator(_zone)]


@dataclass(frozen=True, config=STRICT)
class SecretReference:
    """Where a secret is: exactly one of an environment variable or a file (first line)."""

    env: str | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretReference:
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret is referred to by env: or by file:, one of them")
        return self


@dataclass(frozen=True, config=STRICT)
class Site:
    """Who and where: a time without zone means ``time_zone``."""

    name: str = "site"
    time_zone: ZoneName = "UTC"


@dataclass(frozen=True, config=STRICT)
class InfluxSettings:
    """An InfluxDB server; for 1.x the token is ``user:password``."""

    url: str
    token: SecretReference
    database: str = "nettwin"


@dataclass(frozen=True, config=STRICT)
class StoreSettings:
    """Where samples go: ``delta`` (embedded, in the data folder) or ``influxdb``."""

    engine: Literal["delta", "influxdb"] = "delta"
    influxdb: InfluxSettings | None = None

    @model_validator(mode="after")
    def _server_named(self) -> StoreSettings:
        if self.engine == "influxdb" and self.influxdb is None:
            raise ValueError("engine influxdb needs the section influxdb: url, token, database")
        return self


@dataclass(frozen=True, config=STRICT)
class CollectSettings:
    """How often devices are asked. ``full_every``: topology and configuration; ``every``: counters."""

    every: Duration = timedelta(seconds=60)
    full_every: Duration = timedelta(minutes=10)
    concurrency: int = Field(default=20, ge=1, le=200)
    deadline: Duration = timedelta(seconds=30)


@dataclass(frozen=True, config=STRICT)
class DiscoverSettings:
    """LLDP neighbours are contacted only inside these prefixes."""

    allow: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True, config=STRICT)
class ForecastSettings:
    """Training budget and threads of the load model."""

    train_for: Duration = timedelta(seconds=90)
    threads: int = Field(default=2, ge=1, le=64)
    history: Duration = timedelta(days=28)


@dataclass(frozen=True, config=STRICT)
class SettingsFile:
    """configs/nettwin.yaml."""

    schema_version: Literal["1"]
    site: Site = field(default_factory=Site)
    data: str = "../build/data"
    store: StoreSettings = field(default_factory=StoreSettings)
    devices: str = "devices.yaml"
    links: str | None = None
    policies: str | None = None
    profiles: str | None = None
    collect: CollectSettings = field(default_factory=CollectSettings)
    discover: DiscoverSettings = field(default_factory=DiscoverSettings)
    forecast: ForecastSettings = field(default_factory=ForecastSettings)


@dataclass(frozen=True, config=STRICT)
class SnmpCredential:
    """One way to ask by SNMP: version 2c with a community, or 3 with a user."""

    version: Literal["2c", "3"]
    community: SecretReference | None = None
    user: str | None = None
    auth: Literal["MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512"] = "SHA-256"
    auth_passphrase: SecretReference | None = None
    privacy: Literal["AES-128", "AES-192", "AES-256", "DES"] = "AES-128"
    privacy_passphrase: SecretReference | None = None
    port: int = Field(default=161, ge=1, le=65535)
    timeout: Duration = timedelta(seconds=2)
    retries: int = Field(default=2, ge=0, le=10)

    @model_validator(mode="after")
    def _complete(self) -> SnmpCredential:
        if self.version == "2c" and self.community is None:
            raise ValueError("version 2c needs community")
        if self.version == "3" and self.user is None:
            raise ValueError("version 3 needs user")
        if self.privacy_passphrase and not self.auth_passphrase:
            raise ValueError("privacy without authentication does not exist (RFC 3414): auth_passphrase is missing")
        return self


@dataclass(frozen=True, config=STRICT)
class NetconfCredential:
    """One way to ask by NETCONF over SSH. Host keys are taken from ``known_hosts`` only, never learnt."""

    user: str
    known_hosts: str
    key_file: str | None = None
    password: SecretReference | None = None
    port: int = Field(default=830, ge=1, le=65535)
    timeout: Duration = timedelta(seconds=30)
    handler: str = "default"


@dataclass(frozen=True, config=STRICT)
class Credentials:
    """Named credentials."""

    snmp: dict[str, SnmpCredential] = field(default_factory=dict)
    netconf: dict[str, NetconfCredential] = field(default_factory=dict)


@dataclass(frozen=True, config=STRICT)
class DeviceEntry:
    """One device: name, address, and the names of the credentials to use."""

    name: str = Field(min_length=1)
    address: str = Field(min_length=1)
    snmp: str | None = None
    netconf: str | None = None
    profiles: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, config=STRICT)
class DevicesFile:
    """configs/devices.yaml."""

    schema_version: Literal["1"]
    credentials: Credentials = field(default_factory=Credentials)
    devices: tuple[DeviceEntry, ...] = ()


@dataclass(frozen=True)
class Settings:
    """The settings file with its place; ``at`` resolves its relative paths."""

    path: Path
    file: SettingsFile

    def at(self, name: str) -> Path:
        return (self.path.parent / name).resolve()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.file.site.time_zone)

    @property
    def data(self) -> Path:
        return self.at(self.file.data)


def packaged_configs() -> Path:
    """configs/ of the checkout, or of the installed wheel."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def settings_path(option: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The option, else $NETTWIN_SETTINGS, else ./configs/nettwin.yaml, else the packaged sample."""
    if option is not None:
        return option
    if named := environment.get(SETTINGS_VARIABLE):
        return Path(named)
    local = Path("configs/nettwin.yaml")
    return local if local.is_file() else packaged_configs() / "nettwin.yaml"


def load_settings(path: Path) -> Settings:
    """A settings file, checked.

    Raises:
        UsageError: the file can't be read, or has an unknown key or a bad value (with line and key).
    """
    return Settings(path.resolve(), read_yaml(path, SettingsFile))


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
        self._hosts: dict[str, dict[str, str]] = {}

    def device(self, entry: DeviceEntry) -> Device:
        return Device(
            name=entry.name,
            address=entry.address,
            snmp=self._snmp(entry),
            netconf=self._netconf(entry),
            profiles=entry.profiles,
            tags=entry.tags,
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

    def _snmp(self, entry: DeviceEntry) -> SnmpAccess | None:
        if entry.snmp is None:
            return None
        self._named(self.credentials.snmp, entry.snmp, entry, "snmp")
        return self.snmp(entry.snmp)

    def snmp(self, name: str) -> SnmpAccess:
        """The credential ``name`` with its secrets."""
        c = self.credentials.snmp[name]
        who = f"credentials.snmp.{name}"
        access: SnmpV2c | SnmpV3
        if c.version == "2c":
            access = SnmpV2c(self._secret(c.community, f"{who}.community") or Secret(""))
        else:
            access = SnmpV3(
                user=str(c.user),
                auth=c.auth,
                auth_passphrase=self._secret(c.auth_passphrase, f"{who}.auth_passphrase"),
                privacy=c.privacy,
                privacy_passphrase=self._secret(c.privacy_passphrase, f"{who}.privacy_passphrase"),
            )
        return SnmpAccess(access, port=c.port, timeout=c.timeout.total_seconds(), retries=c.retries)

    def _netconf(self, entry: DeviceEntry) -> NetconfAccess | None:
        if entry.netconf is None:
            return None
        c = self._named(self.credentials.netconf, entry.netconf, entry, "netconf")
        return NetconfAccess(
            user=c.user,
            host_key=self._host_key(c, entry.address),
            key_file=None if c.key_file is None else str(self.path.parent / c.key_file),
            password=self._secret(c.password, f"credentials.netconf.{entry.netconf}.password"),
            port=c.port,
            timeout=c.timeout.total_seconds(),
            handler=c.handler,
        )

    def _host_key(self, credential: NetconfCredential, address: str) -> str:
        """The pinned key, or nothing: then the device is refused when it is asked, and no other device suffers."""
        known = self._hosts.setdefault(credential.known_hosts, _known_hosts(self.path.parent / credential.known_hosts))
        return known.get(f"[{address}]:{credential.port}") or known.get(address) or ""


def _known_hosts(path: Path) -> dict[str, str]:
    """OpenSSH known_hosts (plain, not hashed names) -> host -> base64 key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as problem:
        raise UsageError(f"{path}: known hosts can't be read: {problem.strerror}") from problem
    keys: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and not line.startswith(("#", "@")):
            keys.update(dict.fromkeys(words[0].split(","), words[2]))
    return keys
