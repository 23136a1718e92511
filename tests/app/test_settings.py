"""Settings and inventory are refused early and by name; secrets are only referred to."""

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from twin.app.inventory import load_devices
from twin.app.settings import load_settings, packaged_configs, settings_path
from twin.vocab.errors import InputError, MissingSecretError, UsageError
from twin.vocab.inventory import SnmpV2c, SnmpV3

HOST_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIEexampleAA="
DEVICES = """\
schema_version: 1
credentials:
  snmp:
    v3: {version: 3, user: twin, auth_passphrase: {env: AUTH}, privacy_passphrase: {file: privacy.txt}}
    v2: {version: 2c, community: {env: COMMUNITY}}
  netconf:
    ssh: {user: admin, key_file: id, known_hosts: known_hosts}
devices:
  - name: r1
    address: 192.0.2.1
    snmp: v3
    netconf: ssh
  - name: r2
    address: 192.0.2.2
    snmp: v2
"""
ENVIRONMENT = {"AUTH": "authauth", "COMMUNITY": "opensesame"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "devices.yaml").write_text(DEVICES)
    (tmp_path / "privacy.txt").write_text("privpriv\n")
    (tmp_path / "id").write_text("a key\n")
    (tmp_path / "known_hosts").write_text(f"# lab\n[192.0.2.1]:830 ssh-ed25519 {HOST_KEY}\n")
    return tmp_path


def test_devices_come_with_their_secrets_resolved(folder: Path) -> None:
    r1, r2 = load_devices(folder / "devices.yaml", ENVIRONMENT)
    assert r1.snmp is not None
    assert isinstance(r1.snmp.credentials, SnmpV3)
    assert r1.snmp.credentials.privacy_passphrase is not None
    assert r1.snmp.credentials.privacy_passphrase.reveal() == "privpriv"
    assert r1.netconf is not None
    assert r1.netconf.host_key == HOST_KEY
    assert r2.snmp is not None
    assert isinstance(r2.snmp.credentials, SnmpV2c)


def test_no_secret_is_ever_printed(folder: Path) -> None:
    shown = repr(load_devices(folder / "devices.yaml", ENVIRONMENT))
    assert not any(secret in shown for secret in ("authauth", "privpriv", "opensesame"))


def test_one_device_needs_only_its_own_secrets(folder: Path) -> None:
    (only,) = load_devices(folder / "devices.yaml", {"COMMUNITY": "x"}, names=frozenset({"r2"}))
    assert only.name == "r2"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("address: 192.0.2.1", "adress: 192.0.2.1", r"devices\.yaml:10: devices.0.adress: unknown key"),
        ("name: r2", "name: r1", r"devices\.yaml:13: devices.1.name: 'r1' names two devices"),
        ("snmp: v2", "snmp: v9", r"devices.r2.snmp: credentials.snmp has no 'v9'"),
        ("{env: COMMUNITY}", "{env: COMMUNITY, file: x}", r"devices\.yaml:5: .*one of them"),
        ("{version: 2c, community: {env: COMMUNITY}}", "{version: 2c}", "version 2c needs community"),
        ("auth_passphrase: {env: AUTH}, ", "", "auth_passphrase is missing"),
        (
            "address: 192.0.2.2",
            "address: 192.0.2.2\n    tags: x",
            r"devices\.1\.tags: Input should be a list, not text",
        ),
        ("community: {env: COMMUNITY}", "community: opensesame", r"devices\.yaml:5: credentials.snmp.v2.community"),
    ],
)
def test_bad_inventories_are_refused_by_line_and_key(folder: Path, old: str, new: str, complaint: str) -> None:
    (folder / "devices.yaml").write_text(DEVICES.replace(old, new))
    with pytest.raises(InputError, match=complaint):
        load_devices(folder / "devices.yaml", ENVIRONMENT)


@pytest.mark.parametrize(
    ("environment", "gone", "complaint"),
    [
        ({}, None, r"credentials.snmp.v3.auth_passphrase: environment variable AUTH is not set"),
        (
            ENVIRONMENT,
            "privacy.txt",
            r"credentials.snmp.v3.privacy_passphrase: secret file .*privacy.txt: No such file",
        ),
    ],
)
def test_a_missing_secret_is_named(folder: Path, environment: dict[str, str], gone: str | None, complaint: str) -> None:
    if gone:
        (folder / gone).unlink()
    with pytest.raises(MissingSecretError, match=complaint):
        load_devices(folder / "devices.yaml", environment)


def test_a_device_whose_host_key_is_unknown_has_none_and_the_others_keep_theirs(folder: Path) -> None:
    (folder / "known_hosts").write_text("192.0.2.9 ssh-ed25519 AAAA\n")
    r1, _ = load_devices(folder / "devices.yaml", ENVIRONMENT)
    assert r1.netconf is not None
    assert r1.netconf.host_key == ""


def test_known_hosts_that_are_not_there_yet_are_begun_by_enrolling(folder: Path) -> None:
    (folder / "known_hosts").unlink()
    with pytest.raises(UsageError, match=r"known_hosts: .*not there yet; nettwin netconf enrol DEVICE begins it"):
        load_devices(folder / "devices.yaml", ENVIRONMENT)


def test_hashed_known_hosts_are_understood(folder: Path) -> None:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, b"[192.0.2.1]:830", hashlib.sha1).digest()
    name = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    (folder / "known_hosts").write_text(f"|1|broken ssh-rsa AAAA\n{name} ssh-ed25519 {HOST_KEY}\n")
    r1, _ = load_devices(folder / "devices.yaml", ENVIRONMENT)
    assert r1.netconf is not None
    assert r1.netconf.host_key == HOST_KEY


def test_a_passphrase_too_short_for_snmpv3_is_refused_without_telling_it(folder: Path) -> None:
    with pytest.raises(UsageError, match="8 characters") as refused:
        load_devices(folder / "devices.yaml", ENVIRONMENT | {"AUTH": "hush7"})
    assert "hush7" not in str(refused.value)


def test_a_secret_that_stands_in_the_file_is_refused_without_repeating_it(folder: Path) -> None:
    (folder / "devices.yaml").write_text(DEVICES.replace("{env: COMMUNITY}", "opensesame"))
    with pytest.raises(InputError, match="a secret never stands in a file") as refused:
        load_devices(folder / "devices.yaml", ENVIRONMENT)
    assert "opensesame" not in str(refused.value)


def test_a_key_file_that_is_not_there_is_named(folder: Path) -> None:
    (folder / "id").unlink()
    with pytest.raises(UsageError, match=r"credentials\.netconf\.ssh\.key_file: there is no file"):
        load_devices(folder / "devices.yaml", ENVIRONMENT)


def test_an_unknown_device_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match="no device named r9"):
        load_devices(folder / "devices.yaml", ENVIRONMENT, names=frozenset({"r9"}))


def test_the_packaged_samples_hold() -> None:
    settings = load_settings(packaged_configs() / "nettwin.yaml")
    assert load_devices(settings.at(settings.file.devices)) == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("site: {time_zone: Mars/Base}", "nettwin.yaml:2: site.time_zone: not a time zone"),
        ("collect: {every: soon}", "nettwin.yaml:2: collect.every: 'soon' is not a duration"),
        ("store: {spare_disk: some}", "nettwin.yaml:2: store.spare_disk: 'some' is not a size"),
        ("store: {retention: {raw: 1d}}", "nettwin.yaml:2: store.retention: raw: keep samples for 2d"),
        ("store: {retention: {5m: 30d}}", "nettwin.yaml:2: store.retention: the thinner, the longer"),
        ("store: {retention: {5m: soon}}", "nettwin.yaml:2: store.retention.5m: 'soon' is not a duration"),
        ("store: {location: 's3:/bucket/p'}", "nettwin.yaml:2: store: location: 's3:/bucket/p' is no folder"),
        ("store: {options: {region: eu}}", "nettwin.yaml:2: store: options: belong to object storage"),
        (
            "store: {location: 's3://b/p', options: {secret_access_key: hush}}",
            "nettwin.yaml:2: store: options.secret_access_key: a secret never stands in a file",
        ),
        ("store: {engine: influxdb}", "nettwin.yaml:2: store: engine influxdb needs the section"),
        ("discover: {allow: [10.0.0.1/8]}", "nettwin.yaml:2: discover.allow.0"),
        ("colour: red", "nettwin.yaml:2: colour: unknown key"),
    ],
)
def test_bad_settings_are_refused_by_line_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "nettwin.yaml"
    path.write_text(f"schema_version: 1\n{text}\n")
    with pytest.raises(InputError, match=complaint):
        load_settings(path)


def test_where_settings_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings_path(Path("a.yaml"), {"NETTWIN_SETTINGS": "b.yaml"}) == Path("a.yaml")
    assert settings_path(None, {"NETTWIN_SETTINGS": "b.yaml"}) == Path("b.yaml")
    assert settings_path(None, {}) == packaged_configs() / "nettwin.yaml"
