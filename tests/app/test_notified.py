"""A running collector that hears a NETCONF notification polls the device at once and keeps the event."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from collectors.netconf.models import NOTIFICATION
from tests.collectors.netconf_server import BASE_1_0, IETF, new_key, serving
from twin.app.events import read_events
from twin.store import open_delta
from twin.vocab.time import now

CHANGE = (
    '<netconf-config-change xmlns="urn:ietf:params:xml:ns:yang:ietf-netconf-notifications">'
    "<changed-by><username>jo</username></changed-by><datastore>running</datastore></netconf-config-change>"
)
SETTINGS = "schema_version: 1\ncollect: {every: 1h, full_every: 1h, spread: 0, netconf_notifications: true}\n"


def eventually(holds: Callable[[], object], patience_s: float = 20.0) -> None:
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.05)


def test_a_changed_configuration_is_read_at_once(tmp_path: Path) -> None:
    with serving(new_key()) as server:
        server.capabilities = (BASE_1_0, IETF, NOTIFICATION)
        (tmp_path / "nettwin.yaml").write_text(SETTINGS)
        (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{server.port} ssh-ed25519 {server.host_key}\n")
        (tmp_path / "devices.yaml").write_text(
            "schema_version: 1\ncredentials:\n  netconf:\n    core: {user: ops, password: {env: SECRET}, "
            f"known_hosts: known_hosts, port: {server.port}}}\ndevices:\n"
            "  - {name: r1, address: 127.0.0.1, netconf: core}\n"
        )
        argv = [sys.executable, "-m", "twin.app.cli", "collect", "--settings", str(tmp_path / "nettwin.yaml")]
        collector = subprocess.Popen(argv, env=os.environ | {"SECRET": "right"}, stderr=subprocess.PIPE, text=True)
        try:
            eventually(lambda: server.subscribers and sum("get-config" in rpc for rpc in server.received) == 1)
            server.notify(CHANGE)
            eventually(lambda: sum("get-config" in rpc for rpc in server.received) == 2)
        finally:
            collector.send_signal(signal.SIGINT)
            _, told = collector.communicate(timeout=20)
    assert "r1: configChange running" in told
    with open_delta(tmp_path / "data" / "store") as store:
        (event,) = (e for e in read_events(store, now() - timedelta(hours=1), now()) if e.source == "netconf")
    assert (event.device, event.event, event.detail) == ("r1", "configChange", "username=jo, datastore=running")
