"""The whole way: a real agent is polled by the command, its values are stored and shipped to a real InfluxDB."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.collectors.snmpd import free_port, snmpd
from tests.store.influxd import running
from twin.store import InfluxServer, StoreError, open_delta
from twin.store.influx import InfluxReader
from twin.store.influx_connection import InfluxConnection
from twin.vocab.inventory import Secret

START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "twin.app.cli", *words]


@pytest.mark.influx
def test_what_an_agent_tells_arrives_in_influxdb_whatever_happens_to_it(tmp_path: Path) -> None:
    """InfluxDB is stopped dead for a while: polling and storing go on, and all of it is there in the end."""
    if shutil.which("influxd") is None:
        pytest.skip("influxd is not installed (Debian package influxdb)")
    port = free_port()
    with running() as (url, token, pid), snmpd(tmp_path, port, "rocommunity public\n"):
        influx = {"url": url, "token": {"env": "TOKEN"}, "timeout": "1s"}
        credential = {"version": "2c", "community": {"env": "COMMUNITY"}, "port": port}
        device = {"name": "r1", "address": "127.0.0.1", "snmp": "lab"}
        inventory = {"schema_version": 1, "credentials": {"snmp": {"lab": credential}}, "devices": [device]}
        (tmp_path / "devices.yaml").write_text(json.dumps(inventory))
        collect = {"every": "1s", "spread": 0}
        chosen = {"schema_version": 1, "store": {"influxdb": influx}, "collect": collect}
        (tmp_path / "nettwin.yaml").write_text(json.dumps(chosen))
        environment = os.environ | {
            "TOKEN": token,
            "COMMUNITY": "public",
            "NETTWIN_SETTINGS": str(tmp_path / "nettwin.yaml"),
        }
        subprocess.run(command("store", "init"), env=environment, check=True, capture_output=True)
        collector = subprocess.Popen(command("collect"), env=environment, stderr=subprocess.PIPE, text=True)
        there = InfluxReader(InfluxConnection(InfluxServer(url, "nettwin", Secret(token))), "nettwin")
        try:
            wait_until(lambda: len(there.range("poll", None, START, END)) >= 2)
            os.kill(pid, signal.SIGSTOP)
            before = rows(tmp_path, "poll")
            wait_until(lambda: rows(tmp_path, "poll") >= before + 3)
            os.kill(pid, signal.SIGCONT)
            wait_until(lambda: len(there.range("poll", None, START, END)) >= before + 3)
        finally:
            os.kill(pid, signal.SIGCONT)
            began = time.monotonic()
            collector.send_signal(signal.SIGINT)
            told = collector.communicate(timeout=30)[1]
        assert time.monotonic() - began < 10
        assert collector.returncode == 0, told
        assert "Traceback" not in told
        subprocess.run(command("store", "ship", "--once"), env=environment, check=True, capture_output=True)
        for kind in ("poll", "interface", "record"):
            assert len(there.range(kind, None, START, END)) == rows(tmp_path, kind) > 0


def rows(folder: Path, kind: str) -> int:
    with open_delta(folder / "data" / "store") as store:
        return len(store.range(kind, None, START, END))


def wait_until(true: Callable[[], object]) -> None:
    """Also past errors of the server that is stopped."""
    until = time.monotonic() + 40
    while True:
        with suppress(StoreError):
            if true():
                return
        assert time.monotonic() < until
        time.sleep(0.2)
