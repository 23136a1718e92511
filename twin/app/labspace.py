"""Settings and inventory that point at a running lab, so that every command works on it at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from twin.app.settings import packaged_configs
from twin.lab.lab import Access, Lab
from twin.vocab.errors import UsageError

MARK = ".nettwin-lab"
SETTINGS, DEVICES, KNOWN_HOSTS = WRITTEN = ("nettwin.yaml", "devices.yaml", "known_hosts")
SNMP_V3, SNMP_V2C, NETCONF = "lab-v3", "lab-v2c", "lab"


@contextmanager
def claimed_workspace(folder: Path) -> Iterator[None]:
    """The folder, made and marked as a lab's. Nothing stays of a new one if what is done within fails.

    Raises:
        UsageError: it holds something that no lab wrote, or can't be written.
    """
    _refuse_foreign(folder)
    known = (folder / MARK).exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
    except OSError as problem:
        raise UsageError(f"--workspace {folder}: can't be written: {problem.strerror}") from problem
    try:
        yield
    except BaseException:
        if not known:
            _take_back(folder)
        raise


def _refuse_foreign(folder: Path) -> None:
    try:
        found = [p.name for p in folder.iterdir()]
    except FileNotFoundError:
        return
    except OSError as problem:
        raise UsageError(f"--workspace {folder}: can't be used: {problem.strerror}") from problem
    if found and MARK not in found:
        raise UsageError(
            f"--workspace {folder}: holds {min(found)}, which no lab wrote; choose a new or an empty folder"
        )


def _take_back(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for name in (*WRITTEN, MARK):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def write_workspace(
    lab: Lab, folder: Path, *, inventory: bool, store: dict[str, Any] | None = None, traps: bool = False
) -> Path:
    """Write nettwin.yaml, devices.yaml and known_hosts into ``folder``; secrets stay in the lab's own files.

    Args:
        inventory: list the lab's routers; otherwise the devices file holds credentials only, for ``discover``.
        store: the settings' section ``store``; the embedded store if None.
        traps: hear those of the lab's routers.

    Returns:
        the settings file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    access = lab.access()
    (folder / KNOWN_HOSTS).write_text("".join(f"[{a.address}]:830 ssh-ed25519 {a.host_key}\n" for a in access))
    _write(folder / DEVICES, _devices(access, folder, inventory))
    return write_settings(
        lab.name,
        folder,
        store or {"engine": "delta"},
        allow=[str(lab.plan.gateway.network)],
        traps=f"{lab.plan.gateway.ip}:162" if traps else None,
    )


def write_settings(
    site: str, folder: Path, store: dict[str, Any], *, allow: list[str], traps: str | None = None
) -> Path:
    """Write nettwin.yaml, and an empty devices.yaml unless there is one; returns the settings file."""
    settings = {
        "schema_version": 1,
        "site": {"name": site, "time_zone": "UTC"},
        "data": "data",
        "store": store,
        "devices": DEVICES,
        "collect": {"every": "10s", "full_every": "60s"},
        "discover": {"allow": allow},
        **({"traps": {"listen": traps}} if traps else {}),
    }
    _write(folder / SETTINGS, settings)
    if not (folder / DEVICES).exists():
        _write(folder / DEVICES, {"schema_version": 1, "devices": []})
    return folder / SETTINGS


def _devices(access: tuple[Access, ...], folder: Path, inventory: bool) -> dict[str, Any]:
    first = access[0]
    v3 = {
        "version": "3",
        "user": first.v3_user,
        "auth": "SHA-256",
        "auth_passphrase": {"file": str(first.v3_auth_file)},
        "privacy": "AES-128",
        "privacy_passphrase": {"file": str(first.v3_privacy_file)},
    }
    credentials = {
        "snmp": {SNMP_V3: v3, SNMP_V2C: {"version": "2c", "community": {"file": str(first.community_file)}}},
        "netconf": {
            NETCONF: {
                "user": first.netconf_user,
                "key_file": str(first.ssh_key_file),
                "known_hosts": str((folder / KNOWN_HOSTS).resolve()),
            }
        },
    }
    listed = [
        {"name": a.router, "address": a.address, "snmp": SNMP_V3, "netconf": NETCONF} for a in access if inventory
    ]
    return {"schema_version": 1, "credentials": credentials, "devices": listed}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def lab_file(name: str) -> Path:
    """A packaged lab file."""
    return packaged_configs() / "labs" / f"{name}.yaml"
