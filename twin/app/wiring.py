"""The one place where rooms meet: settings in, ready-made parts out. Nothing else builds them."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from twin.app.settings import Settings, packaged_configs, resolve_secret
from twin.store import State, Store, open_delta, open_influx
from twin.vocab.errors import UsageError


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


def beside(settings: Settings, named: str | None, packaged: str) -> Path:
    """A file the settings name, or the packaged one."""
    return settings.at(named) if named is not None else packaged_configs() / packaged
