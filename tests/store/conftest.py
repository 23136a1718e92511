"""Both engines behind one fixture: read from the local store, and from a real influxd it is shipped to."""

from __future__ import annotations

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
from twin.store.place import LocalPlace
from twin.vocab.inventory import Secret

_NUMBER = count()
ENGINES = ["delta", pytest.param("influx", marks=pytest.mark.influx)]


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


@pytest.fixture(params=ENGINES)
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes an empty store of the engine under test."""
    with ExitStack() as opened:
        if request.param == "delta":
            yield lambda: opened.enter_context(open_delta(tmp_path / f"store{next(_NUMBER)}"))
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
