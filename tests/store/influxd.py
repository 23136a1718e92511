"""A real InfluxDB of one's own on loopback, for tests: Debian's influxd 1.6 behind a small adapter.

influxd 1.6 lacks the 2.x addresses that influxdb-client writes to, so the adapter maps /api/v2/write?bucket=B to
/write?db=B and "Token user:password" to basic authentication. All else passes unchanged: bodies, status codes, errors.

    python influxd.py      starts both, prints {"url", "token", "pid"} as one line of JSON, and stops both when
                           its standard input closes or it is told to end (SIGINT, SIGTERM)
    with running() as (url, token, pid): ...     the same, for a program
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


@contextmanager
def running() -> Iterator[tuple[str, str, int]]:
    """(url, token, pid of influxd). Raises FileNotFoundError where influxd is not installed."""
    program = shutil.which("influxd")
    if program is None:
        raise FileNotFoundError("influxd is not installed (Debian package influxdb)")
    with tempfile.TemporaryDirectory(prefix="influxd-") as folder:
        http_port, rpc_port = _free_ports(2)
        config = Path(folder, "influxd.conf")
        config.write_text(_CONFIG.format(folder=folder, http=http_port, rpc=rpc_port), encoding="utf-8")
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen([program, "-config", str(config)], stdout=log, stderr=log)
        try:
            _await_ready(server, http_port, Path(folder, "log"))
            with _adapter(http_port) as url:
                yield url, f"{_USER}:{_PASSWORD}", server.pid
        finally:
            server.terminate()
            server.wait(20)


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
                if connection.getresponse().status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"influxd did not start: {log.read_text(errors='replace')[-2000:]}")


@contextmanager
def _adapter(port: int) -> Iterator[str]:
    class Adapter(_Adapter):
        upstream = port

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

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=60)
        try:
            upstream.request(self.command, _address(self.path), body, self._passed_headers())
            answer = upstream.getresponse()
            self._reply(answer)
        except OSError as problem:
            self.send_error(502, str(problem))
        finally:
            upstream.close()

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
