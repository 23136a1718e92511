"""All engines behind one fixture: a local store, one in object storage, and a real influxd that one is shipped to."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from twin.store import InfluxServer, Outbox, Store, open_delta, open_shipped
from twin.store.influx_setup import set_up
from twin.store.objects import ObjectPlace
from twin.store.place import LocalPlace, Place
from twin.vocab.inventory import Secret

_NUMBER = count()
ENGINES = ["delta", "objects", pytest.param("influx", marks=pytest.mark.influx)]


@pytest.fixture(scope="session")
def influx_server() -> Iterator[tuple[str, Secret]]:
    """(url, token) of a real InfluxDB."""
    if shutil.which("influxd") is None:
        pytest.skip("influxd is not installed (Debian package influxdb)")
    script = str(Path(__file__).with_name("influxd.py"))
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        started = json.loads(server.stdout.readline())
        yield started["url"], Secret(started["token"])
        server.stdin.close()
        server.wait(30)


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[str]:
    """The URL of an S3 server with an empty bucket ``bucket``."""
    for package in ("moto", "obstore"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the Python package {package} is not installed (make setup)")
    script = str(Path(__file__).with_name("s3server.py"))
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.stdin.close()
        server.wait(30)


@pytest.fixture
def new_place(bucket_server: str, tmp_path: Path) -> Callable[[], Place]:
    """Makes an empty place in object storage."""
    return lambda: object_place(bucket_server, f"s3://bucket/a store{next(_NUMBER)}", tmp_path)


def object_place(server: str, url: str, spool: Path) -> ObjectPlace:
    """A place in the bucket of a test's server."""
    options: dict[str, str | Secret] = {"endpoint": server, "region": "us-east-1", "allow_http": "true"}
    options |= {"access_key_id": Secret("someone"), "secret_access_key": Secret("hunter2")}
    return ObjectPlace(url, options, spool)


@pytest.fixture(params=ENGINES)
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes an empty store of the engine under test."""
    with ExitStack() as opened:
        if request.param == "delta":
            yield lambda: opened.enter_context(open_delta(tmp_path / f"store{next(_NUMBER)}"))
        elif request.param == "objects":
            make = request.getfixturevalue("new_place")
            yield lambda: opened.enter_context(open_delta(make()))
        else:
            url, token = request.getfixturevalue("influx_server")

            def read_there() -> Store:
                server = InfluxServer(url, f"test{next(_NUMBER)}", token)
                set_up(server, {})
                outbox = Outbox(LocalPlace(tmp_path / server.database), tmp_path / "shipping", server.database)
                return opened.enter_context(
                    open_shipped(open_delta(outbox.place), outbox, server, quota=10**9, read_there=True)
                )

            yield read_there


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    """One empty store."""
    return new_store()
