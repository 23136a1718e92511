"""The one place where rooms meet: settings in, ready-made parts out. Nothing else builds them."""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.pace import Policer
from collectors.profiles import ProfileSet, load_profiles
from collectors.rounds import Limits, Poller
from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.names import Names, read_names
from collectors.snmp.pysnmp_engine import PysnmpEngine
from collectors.snmp.smi import read_folders
from collectors.snmp.trap_sources import Sources
from collectors.snmp.traps import Allowance, Deliver, TrapReceiver
from collectors.snmp.wire import Engine
from models.registry import Registry
from twin.app.folderconfigs import FolderReport, import_folder
from twin.app.inventory import resolve_secret
from twin.app.settings import Settings, TrapSettings, host_and_port, packaged_configs
from twin.app.store_watch import Shipping
from twin.app.trapping import InterfaceNames, engine_identity
from twin.net.facts import LinkFactsTable
from twin.store import InfluxServer, Outbox, Reader, State, Store, open_delta, open_shipped, open_shipper
from twin.store.place import LocalPlace, Place
from twin.store.retention import retention_of
from twin.vocab.errors import UsageError
from twin.vocab.files import read_yaml
from twin.vocab.inventory import Device, Secret
from twin.whatif.policies import Policies

if TYPE_CHECKING:
    from twin.store.influx_setup import ServerSetup
    from twin.store.shipper import Shipper

NETCONF_THREADS = 16
SPARE_FILES = 512  # open beside the sockets of devices: the store, NETCONF, traps
KEY_OCTETS = 32
SYSTEM_MIBS = Path("/usr/share/snmp/mibs")


def data_of(settings: Settings) -> Path:
    """The data folder, made if it is not there, for its owner only.

    Raises:
        UsageError: these are the packaged sample settings, which have no data of their own.
    """
    if settings.path.parent == packaged_configs().resolve():
        raise UsageError(f"{settings.path} is the packaged sample: make settings of your own with nettwin init FOLDER")
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    return settings.data


def store_of(settings: Settings, *, at_hand: bool = False) -> Store:
    """The store the settings choose.

    Args:
        at_hand: nothing is ever asked of a server, whatever the settings say: for who collects, and must not wait.

    Raises:
        UsageError, MissingSecretError: the settings can't be followed.
        StoreError: the engine refuses or can't be reached.
    """
    local, server = local_store_of(settings), influx_server(settings)
    section = settings.file.store.influxdb
    if server is None or section is None:
        return local
    there = settings.file.store.engine == "influxdb" and not at_hand
    return open_shipped(local, outbox_of(settings, section.name), server, quota=section.quota, read_there=there)


def local_store_of(settings: Settings) -> Store:
    """The embedded store, whether or not its rows are shipped.

    Raises:
        UsageError: the settings can't be followed.
        StoreError: it can't be read or made.
    """
    return open_delta(place_of(settings), retention=retention_in(settings), spare_disk=settings.file.store.spare_disk)


def retention_in(settings: Settings) -> Mapping[str, timedelta]:
    """Kind -> how long the settings have its rows kept."""
    kept = settings.file.store.retention
    return retention_of(kept.raw, kept.five_minutes, kept.hours)


def place_of(settings: Settings) -> Place:
    """Where the embedded store lies; it need not be there.

    Raises:
        UsageError, MissingSecretError: the settings can't be followed.
    """
    chosen = settings.file.store
    if chosen.location is None or not chosen.in_objects:
        return LocalPlace(data_of(settings) / "store" if chosen.location is None else settings.at(chosen.location))
    from twin.store.objects import ObjectPlace

    return ObjectPlace(chosen.location, store_options(settings), data_of(settings) / "spool")


def store_options(settings: Settings) -> dict[str, Secret | str]:
    """How object storage is reached, secrets included.

    Raises:
        MissingSecretError: one is not where the settings say.
    """
    base, needed_by = settings.path.parent, f"{settings.path}: store.options"
    return {
        name: value if isinstance(value, str) else resolve_secret(value, base, needed_by=f"{needed_by}.{name}")
        for name, value in settings.file.store.options.items()
    }


def outbox_of(settings: Settings, remote: str) -> Outbox:
    """What waits in the settings' store for a remote of that name."""
    return Outbox(place_of(settings), data_of(settings) / "shipping", remote)


def influx_server(settings: Settings) -> InfluxServer | None:
    """The InfluxDB that samples are shipped to; None without that section.

    Raises:
        MissingSecretError: the token is not where the settings say.
    """
    section = settings.file.store.influxdb
    if section is None:
        return None
    needed_by = f"{settings.path}: store.influxdb.token"
    token = resolve_secret(section.token, settings.path.parent, needed_by=needed_by)
    return InfluxServer(section.url, section.database, token, section.organisation, section.timeout)


def set_up_server(settings: Settings) -> ServerSetup | None:
    """Make or check what the settings' InfluxDB must have, to keep what is shipped as long as the local store does;
    None without that section.

    Raises:
        UsageError, MissingSecretError: the settings can't be followed.
        StoreError: the server can't be reached or refuses.
    """
    if (server := influx_server(settings)) is None:
        return None
    from twin.store.influx_setup import set_up

    kept = settings.file.store.retention
    return set_up(server, {"": kept.raw, "5m": kept.five_minutes, "1h": kept.hours})


def shipper_of(settings: Settings) -> Shipper | None:
    """What ships to the settings' InfluxDB; None without that section.

    Raises:
        UsageError, MissingSecretError: the settings can't be followed.
    """
    server, section = influx_server(settings), settings.file.store.influxdb
    if server is None or section is None:
        return None
    return open_shipper(outbox_of(settings, section.name), server, dead_letter_bytes=section.dead_letters)


def shipping_of(settings: Settings) -> Shipping | None:
    """The same with where it lies and how much may wait, for who watches it."""
    shipper, section = shipper_of(settings), settings.file.store.influxdb
    if shipper is None or section is None:
        return None
    return Shipping(outbox_of(settings, section.name), shipper, section.quota)


def state_of(settings: Settings) -> State:
    """The small transactional state: ledger and jobs."""
    return State(data_of(settings) / "state.sqlite")


def hashing_key(settings: Settings) -> bytes:
    """The site's own key for hashing secrets in configurations; made at first use, readable by its owner only."""
    folder = data_of(settings)
    path = folder / "hashing.key"
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=folder) as draft:
            draft.write(secrets.token_bytes(KEY_OCTETS))
            draft.flush()
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
    key = path.read_bytes()
    if len(key) < KEY_OCTETS:
        raise UsageError(f"{path}: is damaged: restore it, or remove it to start anew")
    return key


def policies_of(settings: Settings) -> Policies:
    """What is acceptable here."""
    return read_yaml(_named(settings, settings.file.policies, "policies.yaml"), Policies)


def link_facts_of(settings: Settings) -> LinkFactsTable:
    """What devices can't tell about links."""
    return read_yaml(_named(settings, settings.file.links, "links.yaml"), LinkFactsTable)


def profiles_of(settings: Settings) -> ProfileSet:
    """What to read from which device."""
    return load_profiles(profiles_folder(settings))


def profiles_folder(settings: Settings) -> Path:
    """Where the device profiles lie."""
    return _named(settings, settings.file.profiles, "profiles")


def engine_of(settings: Settings) -> Callable[[], Engine]:
    """How devices are asked over SNMP; make it inside the event loop that uses it, and close it."""
    return PysnmpEngine if settings.file.collect.snmp_engine == "pysnmp" else FastEngine


def poller_of(settings: Settings) -> Poller:
    """A poller with the settings' limits; close it. The process may then open that many sockets."""
    collect = settings.file.collect
    _allow_open_files(collect.concurrency + SPARE_FILES)
    deadline = collect.deadline.total_seconds()
    limits = Limits(
        collect.concurrency,
        min(collect.concurrency, NETCONF_THREADS),
        snmp_deadline=deadline,
        netconf_deadline=deadline,
    )
    return Poller(profiles_of(settings), limits=limits, engine=engine_of(settings))


def names_of(settings: Settings) -> Names:
    """What objects of SNMP are called: the packaged table, then the MIB modules in the settings' folders.

    Raises:
        UsageError: the settings name a folder that is none.
    """
    packaged = read_names(packaged_configs() / "objects.tsv")
    folders = [settings.at(folder) for folder in settings.file.mibs]
    return read_folders([*folders, *([SYSTEM_MIBS] if SYSTEM_MIBS.is_dir() else [])], packaged)


def trap_receiver_of(
    settings: Settings, chosen: TrapSettings, devices: Sequence[Device], deliver: Deliver, reader: Reader
) -> TrapReceiver:
    """Hears these devices; enter it to begin.

    Args:
        reader: knows what their interfaces are called.
    """
    return TrapReceiver(
        host_and_port(chosen.listen),
        Sources(devices),
        deliver,
        names=names_of(settings),
        identity=engine_identity(data_of(settings)),
        interface=InterfaceNames(reader),
        allowance=Allowance(Policer(chosen.per_second, chosen.burst)),
    )


def folder_of(settings: Settings, devices: Sequence[Device], store: Store) -> Callable[[], FolderReport] | None:
    """What reads configuration text into the store; None if the settings name no folder."""
    section = settings.file.collect.configs
    if section is None:
        return None
    return partial(import_folder, settings.at(section.path), section.layout, devices, store, hashing_key(settings))


def _allow_open_files(count: int) -> None:
    """Raise the process's own limit, as far as the system's permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def registry_of(settings: Settings) -> Registry:
    """Where trained models lie."""
    return Registry(data_of(settings) / "models")


def _named(settings: Settings, named: str | None, packaged: str) -> Path:
    """A file the settings name, or the packaged one."""
    return settings.at(named) if named is not None else packaged_configs() / packaged
