"""Durable cursors: how far each consumer (a remote's shipper) has read each kind's journal.

One small JSON file a consumer in the store's folder ``consumers``, replaced as a whole; on disk when a change returns.
A cursor only moves forward. What lies after the slowest cursor is kept by the store's upkeep (``held``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from twin.store.place import Place
from twin.store.protocols import StoreError
from twin.store.sealed import from_sealed, to_sealed

FOLDER = "consumers"
NOTHING = -1
"""The cursor of a kind of which nothing was read yet."""
_SUFFIX = ".json"


def consumers(store: Place) -> tuple[str, ...]:
    """Who reads this store's journal.

    Raises:
        StoreError: the place can't be read.
    """
    try:
        names = [entry.name.removeprefix(f"{FOLDER}/") for entry in store.entries(FOLDER)]
    except OSError as problem:
        raise StoreError(f"store {store.address}: {store.reason(problem)}") from problem
    return tuple(sorted(n.removesuffix(_SUFFIX) for n in names if n.endswith(_SUFFIX) and not n.startswith(".")))


def positions(store: Place, name: str) -> dict[str, int] | None:
    """Kind -> last version that ``name`` has done with; None if there is no such consumer.

    Raises:
        StoreError: the file can't be read or is damaged.
    """
    try:
        versions = from_sealed(store.read(_file(name)))["versions"]
        return {str(kind): int(version) for kind, version in versions.items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise StoreError(f"{store.address}/{_file(name)}: is no cursor: {store.reason(problem)}") from problem


def register(store: Place, name: str, versions: Mapping[str, int]) -> bool:
    """Let ``name`` begin after these versions (kinds not named: from their beginning), unless it has begun.

    Returns whether it is new.
    """
    with _locked(store, name):
        if positions(store, name) is not None:
            return False
        _replace(store, name, versions)
        return True


def advance(store: Place, name: str, versions: Mapping[str, int]) -> None:
    """Move the cursor forward; on disk on return. Never moves it back."""
    with _locked(store, name):
        known = positions(store, name) or {}
        moved = {kind: max(version, known.get(kind, NOTHING)) for kind, version in versions.items()}
        if known | moved != known:
            _replace(store, name, known | moved)


def restart(store: Place, name: str, versions: Mapping[str, int]) -> None:
    """Put the cursor at these versions, also backwards: after a table was restored from a backup."""
    with _locked(store, name):
        _replace(store, name, (positions(store, name) or {}) | dict(versions))


def forget(store: Place, name: str) -> None:
    """Hold nothing any more for ``name``."""
    with _locked(store, name):
        store.delete(_file(name))


def held(store: Place, kind: str) -> int | None:
    """The slowest cursor of a kind: what came after this version must be kept. None: nobody reads it.

    Raises:
        StoreError: a cursor can't be read; then nothing may be deleted.
    """
    known = [positions(store, name) for name in consumers(store)]
    return min((versions.get(kind, NOTHING) for versions in known if versions is not None), default=None)


def _file(name: str) -> str:
    return f"{FOLDER}/{name}{_SUFFIX}"


def _replace(store: Place, name: str, versions: Mapping[str, int]) -> None:
    store.replace(_file(name), to_sealed({"versions": dict(versions)}))


@contextmanager
def _locked(store: Place, name: str) -> Iterator[None]:
    """For the instant of a change; who may ship at all is another lock's matter."""
    try:
        with store.lock(f"{FOLDER}/{name}.lock"):
            yield
    except OSError as problem:
        raise StoreError(f"{store.address}/{_file(name)}: {store.reason(problem)}") from problem
