"""The one place where rooms meet: settings in, ready-made parts out. Nothing else builds them."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from collectors.profiles import ProfileSet, load_profiles
from collectors.rounds import Limits, Poller
from models.registry import Registry
from twin.app.settings import Settings, packaged_configs, resolve_secret
from twin.net.facts import LinkFactsTable
from twin.store import State, Store, open_delta, open_influx
from twin.vocab.errors import UsageError
from twin.vocab.files import read_yaml
from twin.whatif.policies import Policies

NETCONF_THREADS = 16


def store_of(settings: Settings) -> Store:
    """The store the settings choose.

    Raises:
        UsageError, MissingSecretError: the settings can't be followed.
        StoreError: the engine refuses or can't be reached.
    """
    chosen = settings.file.store
    if chosen.engine == "delta":
        return open_delta(settings.data / "store")
    if chosen.influxdb is None:
        raise UsageError(f"{settings.path}: engine influxdb without its section")
    token = resolve_secret(
        chosen.influxdb.token, settings.path.parent, needed_by=f"{settings.path}: store.influxdb.token"
    )
    return open_influx(chosen.influxdb.url, chosen.influxdb.database, token)


def state_of(settings: Settings) -> State:
    """The small transactional state: ledger and jobs."""
    settings.data.mkdir(parents=True, exist_ok=True)
    return State(settings.data / "state.sqlite")


def hashing_key(settings: Settings) -> bytes:
    """The site's own key for hashing secrets in configurations; made at first use, readable by its owner only."""
    path = settings.data / "hashing.key"
    if not path.exists():
        settings.data.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=settings.data) as draft:
            draft.write(secrets.token_bytes(32))
            draft.flush()
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
    return path.read_bytes()


def policies_of(settings: Settings) -> Policies:
    """What is acceptable here."""
    return read_yaml(_named(settings, settings.file.policies, "policies.yaml"), Policies)


def link_facts_of(settings: Settings) -> LinkFactsTable:
    """What devices can't tell about links."""
    return read_yaml(_named(settings, settings.file.links, "links.yaml"), LinkFactsTable)


def profiles_of(settings: Settings) -> ProfileSet:
    """What to read from which device."""
    return load_profiles(_named(settings, settings.file.profiles, "profiles"))


def poller_of(settings: Settings) -> Poller:
    """A poller with the settings' limits; close it."""
    collect = settings.file.collect
    deadline = collect.deadline.total_seconds()
    limits = Limits(collect.concurrency, min(collect.concurrency, NETCONF_THREADS), deadline, deadline)
    return Poller(profiles_of(settings), limits=limits)


def registry_of(settings: Settings) -> Registry:
    """Where trained models lie."""
    return Registry(settings.data / "models")


def _named(settings: Settings, named: str | None, packaged: str) -> Path:
    """A file the settings name, or the packaged one."""
    return settings.at(named) if named is not None else packaged_configs() / packaged
