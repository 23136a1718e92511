"""configs/nettwin.yaml and configs/devices.yaml: the only place that reads files and environment for settings.

Relative paths in a file are relative to that file. Secrets are only referred to: ``{env: NAME}`` or ``{file: PATH}``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from twin.vocab.files import STRICT, Duration, Size, read_yaml
from twin.vocab.inventory import Priority

SHORTEST_RETENTION = timedelta(days=2)
SETTINGS_VARIABLE = "NETTWIN_SETTINGS"
DATABASE_NAME = r"^[^/\x00-\x1f\x7f-\x9f]+$"
REMOTE_NAME = r"^[a-z0-9][a-z0-9-]{0,63}$"
SECRET_OPTION = re.compile(
    r"access_key|secret|account_key|master_key|token$|password|sas_|service_account_key|customer_key"
)
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
DEVICE_NAME = r"^[^:\x00-\x1f\x7f-\x9f]+$"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("not a time zone; write for example Europe/Berlin or UTC") from None
    return name


def _server_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user or password in an address: refer to them as the token")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("no address of a server; write for example https://influx.example.net:8086")
    return url


def listen_address(text: str) -> str:
    """Itself. Raises ValueError unless it is ADDRESS:PORT."""
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 65536):
        raise ValueError("write ADDRESS:PORT, for example 127.0.0.1:9469")
    return text


ListenAddress = Annotated[str, AfterValidator(listen_address)]


def host_and_port(listen: str) -> tuple[str, int]:
    """A ``ListenAddress`` in its two parts; IPv6 addresses stand in brackets."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


ZoneName = Annotated[str, AfterValidator(_zone)]


@dataclass(frozen=True, config=STRICT)
class SecretReference:
    """Where a secret is: exactly one of an environment variable or a file (first line)."""

    env: str | None = None
    file: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _never_the_secret_itself(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError("a secret never stands in a file: refer to it by {env: NAME} or {file: PATH}")  # noqa: TRY004 - pydantic tells ValueErrors
        return value

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
    """An InfluxDB server that samples are shipped to; for 1.x the token is ``user:password``.

    ``database``: a bucket in 2.x; tiers go to ``<database>_5m`` and ``<database>_1h``. ``organisation``: of 2.x.
    ``name``: of its cursor and dead letters; under the same name shipping goes on where it was. ``timeout``: of one
    request. ``quota``: how much may wait to be shipped before nothing more is stored. ``dead_letters``: how large the
    file of refused lines may grow.
    """

    url: Annotated[str, AfterValidator(_server_address)]
    token: SecretReference
    database: Annotated[str, Field(pattern=DATABASE_NAME)] = "nettwin"
    organisation: str = "-"
    name: Annotated[str, Field(pattern=REMOTE_NAME)] = "influxdb"
    timeout: Duration = timedelta(seconds=30)
    quota: Size = 10_000_000_000
    dead_letters: Size = 100_000_000


@dataclass(frozen=True, config=STRICT)
class RetentionSettings:
    """How long samples are kept: ``raw`` as they came, ``5m`` and ``1h`` thinned to five minutes and to hours."""

    raw: Duration = timedelta(days=35)
    five_minutes: Annotated[Duration, Field(alias="5m")] = timedelta(days=400)
    hours: Annotated[Duration, Field(alias="1h")] = timedelta(days=1830)

    @model_validator(mode="after")
    def _long_enough(self) -> RetentionSettings:
        if self.raw < SHORTEST_RETENTION:
            raise ValueError("raw: keep samples for 2d at least: they are thinned, and late ones come, in that time")
        if not self.raw <= self.five_minutes <= self.hours:
            raise ValueError("the thinner, the longer: raw <= 5m <= 1h")
        return self


@dataclass(frozen=True, config=STRICT)
class StoreSettings:
    """Samples are stored in the data folder; with a section ``influxdb`` they are shipped there as well.

    ``location``: another folder, or object storage (s3://bucket/prefix); ``options``: how that is reached (endpoint,
    region, allow_http ...), its keys by reference; ``engine``: which of them answers reads; ``retention``: how long
    what is kept in the store; ``spare_disk``: with less free than that nothing more is stored.
    """

    location: str | None = None
    options: dict[str, SecretReference | str] = field(default_factory=dict)
    engine: Literal["delta", "influxdb"] = "delta"
    spare_disk: Size = 500_000_000
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    influxdb: InfluxSettings | None = None

    @model_validator(mode="after")
    def _server_named(self) -> StoreSettings:
        if self.engine == "influxdb" and self.influxdb is None:
            raise ValueError("engine influxdb needs the section influxdb: url, token, database")
        return self

    @model_validator(mode="after")
    def _location_is_one(self) -> StoreSettings:
        if self.location and not self.in_objects and SCHEME.match(self.location):
            raise ValueError(f"location: {self.location!r} is no folder; write s3://bucket/prefix for object storage")
        return self

    @model_validator(mode="after")
    def _options_fit(self) -> StoreSettings:
        if self.options and not self.in_objects:
            raise ValueError("options: belong to object storage, a location such as s3://bucket/prefix")
        for name, value in self.options.items():
            if isinstance(value, str) and SECRET_OPTION.search(name):
                raise ValueError(f"options.{name}: a secret never stands in a file: refer to it by {{env: NAME}}")
        return self

    @property
    def in_objects(self) -> bool:
        return self.location is not None and "://" in self.location


@dataclass(frozen=True, config=STRICT)
class ConfigsSettings:
    """Configuration text that another tool fetched: a folder or git repository, in its layout."""

    path: str
    layout: Literal["oxidized", "rancid"]


@dataclass(frozen=True, config=STRICT)
class CollectSettings:
    """How often devices are asked. ``every``: counters; ``full_every``: topology and configuration, in each round
    if that is shorter.

    ``spread``: over which share of ``every`` the devices' polls are spread; ``snmp_engine``: ``pysnmp`` is the slow
    reference; ``metrics``: ADDRESS:PORT at which the running collector tells how it is (Prometheus text); none unless
    asked for; ``configs``: where another tool puts configuration text; ``netconf_notifications``:
    whether devices that offer them are listened to.
    """

    every: Duration = timedelta(seconds=60)
    full_every: Duration = timedelta(minutes=10)
    concurrency: int = Field(default=200, ge=1, le=10_000)
    deadline: Duration = timedelta(seconds=30)
    spread: float = Field(default=0.8, ge=0, le=1)
    snmp_engine: Literal["fast", "pysnmp"] = "fast"
    metrics: ListenAddress | None = None
    configs: ConfigsSettings | None = None
    netconf_notifications: bool = False


@dataclass(frozen=True, config=STRICT)
class TrapSettings:
    """Where traps and informs are heard, and how many each device may send: a second on average, and at once."""

    listen: ListenAddress = "127.0.0.1:162"
    per_second: float = Field(default=10.0, gt=0, le=1000)
    burst: int = Field(default=50, ge=1, le=10_000)


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
    data: str = "data"
    store: StoreSettings = field(default_factory=StoreSettings)
    devices: str = "devices.yaml"
    links: str | None = None
    policies: str | None = None
    profiles: str | None = None
    mibs: tuple[str, ...] = ()
    collect: CollectSettings = field(default_factory=CollectSettings)
    traps: TrapSettings | None = None
    discover: DiscoverSettings = field(default_factory=DiscoverSettings)
    forecast: ForecastSettings = field(default_factory=ForecastSettings)


@dataclass(frozen=True, config=STRICT)
class SnmpCredential:
    """One way to ask by SNMP: version 1 or 2c with a community, or 3 with a user."""

    version: Literal["1", "2c", "3"]
    community: SecretReference | None = None
    user: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    auth: Literal["MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512"] = "SHA-256"
    auth_passphrase: SecretReference | None = None
    privacy: Literal["AES-128", "AES-192", "AES-256", "DES"] = "AES-128"
    privacy_passphrase: SecretReference | None = None
    key_extension: Literal["reeder", "blumenthal"] = "reeder"
    port: int = Field(default=161, ge=1, le=65535)
    timeout: Duration = timedelta(seconds=2)
    retries: int = Field(default=2, ge=0, le=10)
    repetitions: int = Field(default=25, ge=1, le=120)
    requests_per_second: float | None = Field(default=None, gt=0)
    unconnected: bool = False
    max_rows: int = Field(default=5000, ge=1)

    @model_validator(mode="after")
    def _complete(self) -> SnmpCredential:
        if self.version != "3" and self.community is None:
            raise ValueError(f"version {self.version} needs community")
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

    name: str = Field(pattern=DEVICE_NAME)
    address: str = Field(min_length=1)
    snmp: str | None = None
    netconf: str | None = None
    profiles: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    priority: Priority = "normal"


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
