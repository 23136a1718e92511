"""A server that takes writes as a script says: busy, away, refusing, hanging; and keeps what it took."""

from __future__ import annotations

import gzip
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

DATABASES = {"results": [{"series": [{"columns": ["name"], "values": [["twin"]]}]}]}
HANG, CUT = 1, 2
HANG_S = 0.6


@dataclass
class Server:
    """Answers writes by a script (a status, ``HANG`` or ``CUT``), then by ``judge``; keeps what it took.

    ``judge``: the lines of a request -> status and reason. ``partial``: of a refused request, the lines that are good
    alone are kept all the same (as 1.x does). ``answers``: of other addresses, by method and path.
    """

    url: str = ""
    script: list[int] = field(default_factory=list)
    judge: Callable[[list[str]], tuple[int, str]] = lambda _: (204, "")
    partial: bool = False
    retry_after: str = "0.2"
    lines: list[str] = field(default_factory=list)
    databases: list[str] = field(default_factory=list)
    requests: int = 0
    authorization: set[str | None] = field(default_factory=set)
    query: tuple[int, bytes] = (200, json.dumps(DATABASES).encode())
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    version: str = "1.8.10"
    bodies: list[tuple[str, object]] = field(default_factory=list)


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Server]:
    """A server on loopback, over TLS with a certificate (and its key)."""
    server = Server()

    class Handler(_Handler):
        scripted = server

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}"
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        http.socket = tls.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
        server.url = server.url.replace("http:", "https:")
    Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    scripted: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/ping":
            self.reply(204, b"")
        else:
            self.answer(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.scripted.authorization.add(self.headers.get("Authorization"))
        if self.path.startswith("/query"):
            self.reply(*self.scripted.query)
        elif self.path.startswith("/api/v2/write"):
            text = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            self.take(text.decode().splitlines())
        else:
            self.answer(json.loads(body))

    def answer(self, body: object) -> None:
        named = f"{self.command} {self.path}"
        self.scripted.bodies.append((named, body))
        default: tuple[int, object] = (404, {"message": f"{named} not found"})
        status, said = self.scripted.answers.get(named, default)
        self.reply(status, json.dumps(said).encode())

    def take(self, lines: list[str]) -> None:
        server = self.scripted
        server.requests += 1
        server.databases.append(parse_qs(urlsplit(self.path).query)["bucket"][0])
        if server.script:
            status, reason = server.script.pop(0), "because I say so"
        else:
            status, reason = server.judge(lines)
        if status == HANG:
            time.sleep(HANG_S)
        elif status == 204:
            server.lines += lines
        elif server.partial:
            server.lines += [line for line in lines if server.judge([line])[0] == 204]
        if status not in (HANG, CUT):
            self.reply(status, b"" if status == 204 else json.dumps({"error": reason}).encode())

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Retry-After", self.scripted.retry_after)
        self.send_header("X-Influxdb-Version", self.scripted.version)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
