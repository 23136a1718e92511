"""The wire to one InfluxDB server, through influxdb-client's HTTP layer. Nothing else imports influxdb-client.

Its batching mode is not used: against a slow server it drops points without a word.
"""

from __future__ import annotations

import gzip
import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException

from twin.store.protocols import StoreError
from twin.store.server import InfluxServer
from twin.store.triage import Busy, Held, Verdict, verdict
from twin.vocab.errors import UsageError
from twin.vocab.time import now

_ROWS_A_CHUNK = 10_000
_LONGEST_REASON = 500
_MEANINGS = {401: "refuses the token", 403: "refuses the token", 404: "does not know the database or address"}
_FORM = "application/x-www-form-urlencoded"
_FASTEST = 1  # of gzip's levels: a third of the time of the default one, a tenth more bytes


class InfluxConnection:
    """One server, one token. May be used from several threads. Connects at the first request."""

    def __init__(self, server: InfluxServer) -> None:
        """Raises UsageError unless its url is an http(s) address without user and password."""
        _check_address(server.url)
        self.url, self.organisation = server.url, server.organisation
        self._client: Any = InfluxDBClient(  # partly untyped
            url=server.url,
            token=server.token.reveal() if server.token else "",
            org=server.organisation,
            timeout=int(server.timeout.total_seconds() * 1000),
        )
        weakref.finalize(self, self._client.close)  # left to the end of Python its __del__ prints a traceback

    def write(self, database: str, lines: Sequence[str]) -> Verdict:
        """Send lines of line protocol, times in microseconds, synchronously; what the server makes of them."""
        try:
            _, status, headers = self._client.api_client.call_api(
                "/api/v2/write",
                "POST",
                query_params=[("org", self.organisation), ("bucket", database), ("precision", "us")],
                header_params={"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"},
                body=gzip.compress("\n".join(lines).encode(), _FASTEST),
                auth_settings=[],
            )
        except ApiException as problem:
            if not problem.status:
                return Held(f"no secure connection: {reason_of(problem)}")
            reason = reason_of(problem).removeprefix(f"{problem.status} ")
            return verdict(problem.status, reason, _lower(problem.headers), now())
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            return Busy(reason_of(problem), slow=isinstance(problem, urllib3.exceptions.ReadTimeoutError))
        return verdict(status, "", _lower(headers), now())

    def ask(self, query: str, database: str, bound: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The pieces of an InfluxQL answer: {tags, columns, values}; times in microseconds.

        Raises:
            StoreError: the server can't be reached or refuses.
        """
        form = {"db": database, "q": query, "params": json.dumps(bound or {}), "epoch": "u"}
        chunks = {"chunked": "true", "chunk_size": str(_ROWS_A_CHUNK)}
        response = self._call("/query", "POST", {"Content-Type": _FORM}, post_params=form | chunks)
        try:
            for line in _text_lines(response):
                for result in json.loads(line).get("results", ()):
                    if "error" in result:
                        raise StoreError(f"InfluxDB {self.url}: {clean(str(result['error']))}")
                    yield from (part for part in result.get("series", ()) if "values" in part)
        except (urllib3.exceptions.HTTPError, ValueError, AttributeError) as problem:
            raise self._error(problem) from problem
        finally:
            response.close()

    def json(self, method: str, path: str, query: Mapping[str, str] | None = None, body: object = None) -> Any:
        """What a JSON address answers; None if it answers nothing.

        Raises:
            StoreError: the server can't be reached, refuses, or answers something else.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        response = self._call(path, method, headers, query_params=list((query or {}).items()), body=body)
        try:
            return json.loads(response.data) if response.data.strip() else None
        except (urllib3.exceptions.HTTPError, ValueError) as problem:
            raise self._error(problem) from problem
        finally:
            response.close()

    def ping(self) -> Mapping[str, str]:
        """The headers /ping answers with, by lower-case name.

        Raises:
            StoreError: the server can't be reached or refuses.
        """
        response = self._call("/ping", "GET", {})
        response.close()
        return _lower(response.headers)

    def close(self) -> None:
        self._client.close()

    def _call(self, path: str, method: str, headers: dict[str, str], **more: Any) -> Any:
        try:
            return self._client.api_client.call_api(
                path,
                method,
                header_params=headers,
                auth_settings=[],
                _preload_content=False,
                _return_http_data_only=True,
                **more,
            )
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as problem:
            raise self._error(problem) from problem

    def _error(self, problem: Exception) -> RefusedError:
        status = getattr(problem, "status", None) or 0
        meaning = _MEANINGS.get(status)
        return RefusedError(f"InfluxDB {self.url}: {meaning + ': ' if meaning else ''}{reason_of(problem)}", status)


class RefusedError(StoreError):
    """A server that can't be reached (``status`` 0) or refuses."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"InfluxDB address of {parts.hostname}: no user or password in it; give them as the token")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is no address of InfluxDB; write for example http://localhost:8086")


def reason_of(problem: Exception) -> str:
    """What the server said, or what went wrong on the way, on one line."""
    body = getattr(problem, "body", None)
    if body:
        with suppress(ValueError, AttributeError):
            said = json.loads(body)
            return clean(str(said.get("error") or said.get("message") or said))
    if isinstance(problem, ApiException):
        return clean(f"{problem.status or ''} {problem.reason}")
    return clean(str(problem)) or type(problem).__name__


def clean(text: str) -> str:
    """Text from outside on one line, printable and not too long."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:_LONGEST_REASON]


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def _text_lines(response: Any) -> Iterator[bytes]:
    rest = b""
    for piece in response.stream(1 << 16):
        *lines, rest = (rest + piece).split(b"\n")
        yield from filter(None, lines)
    if rest:
        yield rest
