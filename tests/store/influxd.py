"""A real InfluxDB of one's own on loopback, for tests: Debian's influxd 1.6 behind a small adapter.

influxd 1.6 lacks the 2.x addresses that influxdb-client writes to, so the adapter maps /api/v2/write?bucket=B to
/write?db=B and "Token user:password" to basic authentication. All else passes unchanged: bodies, status codes, errors.

    python influxd.py      starts both, prints {"url", "token", "pid"} as one line of JSON, and stops both when
                           its standard input closes or it is told to end (SIGINT, SIGTERM)
    with running() as (url, token, pid): ...            the same, for a program
    with started(folder) as (server, url, faults): ...  one that can be killed, and whose network can fail
"""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

_USER, _PASSWORD = "nettwin", "only-for-tests"
_NOT_PASSED = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "authorization"}
_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  auth-enabled = true
  log-enabled = false
[monitor]
  store-enabled = false
[logging]
  level = "error"
"""


@dataclass
class Faults:
    """What goes wrong on the way, until it is changed. ``status``: answered instead of asking influxd (429, 503 ...).

    ``slow``: seconds before each answer to a write; ``cut``: the connection breaks before influxd is asked, and
    ``cut_after``: after it has stored, before it could say so.
    """

    status: int | None = None
    slow: float = 0.0
    cut: bool = False
    cut_after: bool = False


class Influxd:
    """One influxd on a folder and ports of its own: can be killed, and started again on the same."""

    token = f"{_USER}:{_PASSWORD}"

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError where influxd is not installed."""
        program = shutil.which("influxd")
        if program is None:
            raise FileNotFoundError("influxd is not installed (Debian package influxdb)")
        self._program, self._folder = program, folder
        self.port, rpc_port = _free_ports(2)
        self._config = folder / "influxd.conf"
        self._config.write_text(_CONFIG.format(folder=folder, http=self.port, rpc=rpc_port), encoding="utf-8")
        self._log = folder / "log"
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._server = subprocess.Popen([self._program, "-config", str(self._config)], stdout=log, stderr=log)
        try:
            _await_ready(self._server, self.port, self._log)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """As kill -9."""
        if self._server is not None:
            self._server.kill()
            self._server.wait(20)
            self._server = None

    def stop(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(20)
            self._server = None


@contextmanager
def running() -> Iterator[tuple[str, str, int]]:
    """(url, token, pid of influxd). Raises FileNotFoundError where influxd is not installed."""
    with tempfile.TemporaryDirectory(prefix="influxd-") as folder, started(Path(folder)) as (server, url, _):
        yield url, server.token, server.pid


@contextmanager
def started(folder: Path) -> Iterator[tuple[Influxd, str, Faults]]:
    """(influxd in that folder, url of the adapter before it, what goes wrong there)."""
    server, faults = Influxd(folder), Faults()
    server.start()
    try:
        with _adapter(server.port, faults) as url:
            yield server, url, faults
    finally:
        server.stop()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _await_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    make_admin = f"CREATE USER {_USER} WITH PASSWORD '{_PASSWORD}' WITH ALL PRIVILEGES"
    for _ in range(200):
        if server.poll() is not None:
            break
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                connection.request("POST", "/query?" + urlencode({"q": make_admin}))
                if connection.getresponse().status in {200, 401}:  # 401: started before, it has its admin
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"influxd did not start: {log.read_text(errors='replace')[-2000:]}")


@contextmanager
def _adapter(port: int, wrong: Faults) -> Iterator[str]:
    class Adapter(_Adapter):
        upstream, faults = port, wrong

    server = ThreadingHTTPServer(("127.0.0.1", 0), Adapter)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Adapter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = 0
    faults = Faults()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/api/v2/write") and self._goes_wrong():
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=60)
        try:
            upstream.request(self.command, _address(self.path), body, self._passed_headers())
            answer = upstream.getresponse()
            if self.faults.cut_after and self.path.startswith("/api/v2/write"):
                self.close_connection = True
            else:
                self._reply(answer)
        except OSError as problem:
            self.send_error(502, str(problem))
        finally:
            upstream.close()

    def _goes_wrong(self) -> bool:
        time.sleep(self.faults.slow)
        if self.faults.cut:
            self.close_connection = True
        elif self.faults.status is not None:
            self.send_response(self.faults.status)
            self.send_header("Retry-After", "0.05")
            self.send_header("Content-Length", "0")
            self.end_headers()
        return self.faults.cut or self.faults.status is not None

    def _passed_headers(self) -> dict[str, str]:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_PASSED}
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Token":
            headers["Authorization"] = "Basic " + base64.b64encode(token.encode()).decode()
        return headers

    def _reply(self, answer: http.client.HTTPResponse) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _NOT_PASSED:
                self.send_header(name, value)
        if answer.status == 204:
            self.end_headers()
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := answer.read1(1 << 16):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = _pass  # noqa: N815 - the base class names them so


def _address(path: str) -> str:
    parts = urlsplit(path)
    if parts.path != "/api/v2/write":
        return path
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    precision = {"us": "u"}.get(asked.get("precision", "ns"), asked.get("precision", "ns"))
    return "/write?" + urlencode({"db": asked["bucket"], "precision": precision})


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with running() as (url, token, pid):
        sys.stdout.write(json.dumps({"url": url, "token": token, "pid": pid}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
