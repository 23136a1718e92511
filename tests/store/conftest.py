"""All engines behind one fixture: a local store, one in object storage, and a real influxd that one is shipped to."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.store.s3server import object_place
from twin.store import InfluxServer, Outbox, Store, open_delta, open_shipped
from twin.store.influx_setup import set_up
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


@contextmanager
def bucket() -> Iterator[tuple[str, int]]:
    for package in ("moto", "obstore"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the Python package {package} is not installed (make setup)")
    module = [sys.executable, "-m", "tests.store.s3server"]
    with subprocess.Popen(
        module, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        started = json.loads(server.stdout.readline())
        yield started["url"], started["pid"]
        server.stdin.close()
        server.wait(30)


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[str]:
    """The URL of an S3 server with an empty bucket ``bucket``."""
    with bucket() as (url, _):
        yield url


@pytest.fixture
def own_bucket_server() -> Iterator[tuple[str, int]]:
    """(URL, process) of one that a test may tell to misbehave, or stop."""
    with bucket() as server:
        yield server


@pytest.fixture
def new_place(bucket_server: str, tmp_path: Path) -> Callable[[], Place]:
    """Makes an empty place in object storage."""
    return lambda: object_place(bucket_server, f"a store{next(_NUMBER)}", tmp_path)


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
