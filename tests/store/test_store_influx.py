"""InfluxDB going wrong: a server that is busy, away, refuses or answers nonsense; and the real one's refusals."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
import pytest

from twin.store import Store, StoreError, open_influx
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Secret

T0 = np.datetime64("2026-11-23T12:00:00", "us")
DATABASES = {"results": [{"series": [{"columns": ["name"], "values": [["twin"]]}]}]}
HANG, CUT = 1, 2


@dataclass
class Server:
    """Answers writes by a script (then 204) and keeps what it took."""

    url: str = ""
    script: list[int] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    requests: int = 0
    authorization: set[str | None] = field(default_factory=set)
    query: tuple[int, bytes] = (200, json.dumps(DATABASES).encode())


@pytest.fixture
def server() -> Iterator[Server]:
    scripted = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            scripted.authorization.add(self.headers.get("Authorization"))
            if self.path.startswith("/query"):
                self.reply(*scripted.query)
                return
            scripted.requests += 1
            status = scripted.script.pop(0) if scripted.script else 204
            if status == HANG:
                time.sleep(0.5)
            elif status == 204:
                text = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                scripted.lines += text.decode().splitlines()
            if status not in (HANG, CUT):
                self.reply(status, b"" if status == 204 else b'{"error": "because I say so"}')

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Retry-After", "0.2")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scripted.url = f"http://127.0.0.1:{http.server_port}"
    Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield scripted
    http.shutdown()
    http.server_close()


def connect(server: Server, deadline: float = 1.0) -> Store:
    timeout = timedelta(seconds=0.3)
    return open_influx(server.url, "twin", Secret("n:p"), timeout=timeout, deadline=timedelta(seconds=deadline))


def samples(count: int) -> Block:
    at = T0 + np.timedelta64(1, "s") * np.arange(count)
    return Block.from_rows("route_summary", [{"device": "r1", "protocol": "ospf", "at": t, "routes": 1} for t in at])


@pytest.mark.parametrize("script", [[429], [503, 500], [HANG], [CUT], [408, CUT, 429]])
def test_a_busy_server_is_asked_again(server: Server, script: list[int]) -> None:
    server.script = list(script)
    with connect(server, deadline=5) as store:
        store.write([samples(3)])
    assert (len(server.lines), server.requests) == (3, len(script) + 1)


def test_the_pause_the_server_asks_for_is_kept(server: Server) -> None:
    server.script = [429]
    with connect(server) as store:
        begin = time.monotonic()
        store.write([samples(1)])
    assert time.monotonic() - begin >= 0.2


def test_after_the_deadline_the_error_names_what_was_not_written(server: Server) -> None:
    server.script = [204, *[503] * 100]
    with connect(server) as store, pytest.raises(StoreError) as complaint:
        store.write([samples(12_000)])
    assert len(server.lines) == 5000
    assert server.requests < 10
    assert str(complaint.value) == (
        f"InfluxDB {server.url}: because I say so; not written: 7000 of route_summary"
        " (2026-11-23T13:23:20.000000 to 2026-11-23T15:19:59.000000 UTC)"
    )


@pytest.mark.parametrize(("status", "said"), [
    (400, "because I say so"), (401, "refuses the token"), (403, "refuses the token"), (404, "does not know"),
])  # fmt: skip
def test_a_refusal_is_not_tried_again(server: Server, status: int, said: str) -> None:
    server.script = [status]
    with connect(server) as store, pytest.raises(StoreError, match=f"{said}.*not written: 1 of route_summary"):
        store.write([samples(1)])
    assert server.requests == 1


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(StoreError, match=r"InfluxDB http://127\.0\.0\.1:9: "):
        open_influx("http://127.0.0.1:9", "twin", timeout=timedelta(seconds=0.5))


@pytest.mark.parametrize("answer", [
    (200, b"<html>"), (200, b'{"results": [{"error": "no"}]}'), (502, b"Bad Gateway"), (401, b"{}"),
])  # fmt: skip
def test_a_strange_answer_is_one_clear_line(server: Server, answer: tuple[int, bytes]) -> None:
    with connect(server) as store:
        server.query = answer
        with pytest.raises(StoreError, match=f"^InfluxDB {server.url}: ") as complaint:
            store.latest("poll")
    assert "\n" not in str(complaint.value)


def test_without_a_token_none_is_sent(server: Server) -> None:
    open_influx(server.url, "twin").close()
    assert server.authorization == {None}


@pytest.mark.parametrize("url", ["localhost:8086", "ftp://host", "", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        open_influx(url, "twin")


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError, match="as the token") as complaint:
        open_influx("http://admin:hunter2@localhost:8086", "twin")
    assert "hunter2" not in str(complaint.value)


# ---- the real server ----


@pytest.mark.influx
def test_a_wrong_token_is_named_and_not_shown(influx_server: tuple[str, Secret]) -> None:
    url, _ = influx_server
    with pytest.raises(StoreError, match="refuses the token") as complaint:
        open_influx(url, "wrong", Secret("nettwin:hunter2"))
    assert "hunter2" not in str(complaint.value)


@pytest.mark.influx
def test_a_user_who_may_not_make_the_database_is_told_so(influx_server: tuple[str, Secret]) -> None:
    url, token = influx_server
    make_user = urlencode({"q": "CREATE USER guest WITH PASSWORD 'g'"}).encode()
    urlopen(Request(f"{url}/query", make_user, {"Authorization": f"Token {token.reveal()}"})).close()
    with pytest.raises(StoreError, match="make database private there first"):
        open_influx(url, "private", Secret("guest:g"))


@pytest.mark.influx
@pytest.mark.parametrize("name", ["with space", 'with "quotes"', "ünï"])
def test_a_database_may_have_an_unusual_name(influx_server: tuple[str, Secret], name: str) -> None:
    url, token = influx_server
    with open_influx(url, name, token) as store:
        store.write([samples(2)])
        assert len(store.latest("route_summary")) == 1
