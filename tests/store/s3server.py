"""An S3-compatible object storage of one's own on loopback, for tests: moto's server, in memory; any key will do.

    python s3server.py      starts it with an empty bucket "bucket", prints {"url", "pid"} as one line of JSON,
                            ends when its standard input closes

It misbehaves when told so: ``POST /faults`` with {"careless": true} ignores If-None-Match from then on, with
{"lose": "NAME"} the next PUT of an object whose name holds NAME is done, but answered by 503.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

from twin.store.objects import ObjectPlace
from twin.vocab.inventory import Secret

Environ = dict[str, Any]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


def object_place(server: str, name: str, spool: Path, **options: str | Secret) -> ObjectPlace:
    """A place in the bucket of the server at this URL."""
    keys: dict[str, str | Secret] = {"access_key_id": Secret("someone"), "secret_access_key": Secret("hunter2")}
    plain = {"endpoint": server, "region": "us-east-1", "allow_http": "true"}
    return ObjectPlace(f"s3://bucket/{name}", keys | plain | options, spool)


def told(server: str, **faults: object) -> None:
    """Let the server misbehave."""
    urlopen(Request(f"{server}/faults", json.dumps(faults).encode()), timeout=30).close()


class Misbehaving:
    """A WSGI application around the server's own."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._faults: dict[str, Any] = {}

    def __call__(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/faults":
            self._faults |= json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            start("200 OK", [("Content-Length", "0")])
            return [b""]
        if self._faults.get("careless"):
            environ.pop("HTTP_IF_NONE_MATCH", None)
        lost = self._faults.get("lose")
        if lost and environ["REQUEST_METHOD"] == "PUT" and lost in environ["PATH_INFO"]:
            del self._faults["lose"]
            b"".join(self._app(environ, lambda *_: None))
            start("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        return self._app(environ, start)


def main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Misbehaving(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    urlopen(Request(f"{url}/bucket", method="PUT"), timeout=30).close()
    sys.stdout.write(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
