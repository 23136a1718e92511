"""A store in object storage: S3 and what speaks like it, Azure (az://), Google (gs://).

What the storage acknowledged is durable, so nothing is synced. A commit is one conditional PUT, which the storage must
honour, or two writers would overwrite each other's commits: ``check`` tries it. Locks hold among the processes of this
machine only.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from twin.store.engine import said
from twin.store.place import Entry
from twin.store.protocols import StoreError
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Secret

SCHEMES = frozenset({"s3", "s3a", "az", "abfs", "abfss", "gs"})
_PIECE = 1 << 20
_CLIENT = {"allow_http": "false", "connect_timeout": "5s", "timeout": "30s"}
"""How requests are made, unless the options say otherwise."""
_CLIENT_NAMES = _CLIENT.keys() | {
    "allow_invalid_certificates",
    "pool_idle_timeout",
    "proxy_url",
    "proxy_ca_certificate",
    "proxy_excludes",
    "root_certificate",
    "user_agent",
}
_RETRIES = 3
_RETRY_FOR = timedelta(seconds=30)
_TERMINAL = re.compile(r"\x1b\[[0-9;]*m|↳")
_DEBUG = "Debug source:"


class ObjectPlace:
    """A prefix in a bucket. ``options``: as Delta Lake's ``storage_options`` (endpoint, region, access_key_id ...)."""

    def __init__(self, url: str, options: Mapping[str, str | Secret], spool: Path) -> None:
        """``spool``: a folder on this machine, for locks.

        Raises:
            UsageError: the address is none, an option is unknown or wrong, or the package obstore is missing.
        """
        self._url, self._within, self._spool = _checked(url), "", spool
        self._plain = _CLIENT | {n: v.reveal() if isinstance(v, Secret) else v for n, v in options.items()}
        self._secrets = [v.reveal() for v in options.values() if isinstance(v, Secret)]
        self._objects = self._opened()

    def _opened(self) -> Any:
        try:
            from obstore.store import from_url  # noqa: PLC0415 - an extra; only where it is used
        except ImportError:
            raise UsageError(f"store {self._url}: needs the package obstore: pip install nettwin[objects]") from None
        config = {n: v for n, v in self._plain.items() if n not in _CLIENT_NAMES}
        client = {n: v for n, v in self._plain.items() if n in _CLIENT_NAMES}
        retry = {"max_retries": _RETRIES, "retry_timeout": _RETRY_FOR}
        try:
            return from_url(self._url, config=config, client_options=client, retry_config=retry)
        except Exception as problem:
            raise UsageError(f"store {self._url}: {self.reason(problem)}") from problem

    @property
    def address(self) -> str:
        return f"{self._url}/{self._within}".rstrip("/")

    @property
    def delta_options(self) -> dict[str, str] | None:
        return self._plain | {"max_retries": str(_RETRIES), "retry_timeout": f"{_RETRY_FOR.seconds}s"}

    @property
    def scan_options(self) -> dict[str, Any] | None:
        return self._plain | {"max_retries": _RETRIES, "retry_timeout_ms": _RETRY_FOR // timedelta(milliseconds=1)}

    def below(self, name: str) -> ObjectPlace:
        inner = copy(self)
        inner._within = f"{self._within}{name}/"  # noqa: SLF001 - of its own kind
        return inner

    def entries(self, below: str = "") -> Iterator[Entry]:
        import obstore  # noqa: PLC0415 - as above

        with self._asked():
            for chunk in obstore.list(self._objects, prefix=f"{self._within}{below}" or None):
                for found in chunk:
                    name = found["path"].removeprefix(self._within)
                    yield Entry(name, found["size"], found["last_modified"])

    def read(self, name: str) -> bytes:
        import obstore  # noqa: PLC0415 - as above

        with self._asked():
            return bytes(obstore.get(self._objects, self._within + name).bytes())

    def pieces(self, name: str) -> Iterator[bytes]:
        import obstore  # noqa: PLC0415 - as above

        with self._asked():
            for piece in obstore.get(self._objects, self._within + name).stream(min_chunk_size=_PIECE):
                yield bytes(piece)

    def create(self, name: str, content: bytes | memoryview) -> None:
        self._put(name, content, "create")

    def replace(self, name: str, content: bytes | memoryview) -> None:
        self._put(name, content, "overwrite")

    def _put(self, name: str, content: bytes | memoryview, mode: str) -> None:
        import obstore  # noqa: PLC0415 - as above
        from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415

        with self._asked():
            try:
                obstore.put(self._objects, self._within + name, content, mode=mode, use_multipart=False)
            except AlreadyExistsError:
                raise FileExistsError(f"{self.address}/{name} is there already") from None

    def delete(self, name: str) -> None:
        import obstore  # noqa: PLC0415 - as above

        with self._asked(), suppress(FileNotFoundError):
            obstore.delete(self._objects, self._within + name)

    def settle(self, names: Iterable[str]) -> None:
        """Nothing: what was acknowledged is durable."""

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        self._spool.mkdir(parents=True, exist_ok=True)
        with (self._spool / f"{sha256(f'{self.address}/{name}'.encode()).hexdigest()[:16]}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def spare(self) -> int | None:
        return None

    def reason(self, problem: BaseException) -> str:
        text = " ".join(_TERMINAL.sub(" ", said(problem).partition(_DEBUG)[0]).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def check(self) -> None:
        name = f".nettwin-probe-{uuid4()}"
        self.create(name, b"first")
        try:
            self.create(name, b"second")
        except FileExistsError:
            return
        finally:
            self.delete(name)
        raise StoreError(
            f"store {self.address}: this storage ignores conditional writes (If-None-Match), so two writers would "
            "overwrite each other's commits; use one that honours them"
        )

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Errors of the client as OSError, in one line without secrets."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - as above

        try:
            yield
        except FileNotFoundError as problem:
            raise FileNotFoundError(self.reason(problem)) from None
        except BaseError as problem:
            raise OSError(self.reason(problem)) from None


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"store {parts.scheme}://...: write s3://BUCKET/PREFIX (or az://, gs://); no key stands in it")
    return url.rstrip("/")
