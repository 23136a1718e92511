"""The session against a NETCONF server of canned replies on loopback, behind real SSH."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko  # type: ignore[import-untyped] # no stubs among our packages
import pytest

from collectors.failures import PollError
from collectors.netconf.found import WITHOUT_SNMP
from collectors.netconf.hostkey import fingerprint, key_type, offered_key
from collectors.netconf.wire import OTHER_HOST_KEY, READ_ONLY, Replies, Sessions
from collectors.profiles import ProfileSet
from collectors.rounds import Limits, Poller
from tests.collectors.netconf_server import BASE_1_0, CONFIG, DENIED, Server, canned, new_key, serving
from twin.vocab.inventory import Device, NetconfAccess, Secret, SnmpAccess, SnmpV2c
from twin.vocab.observed import LINKS_MAY_LACK

JUNOS = "http://xml.juniper.net/netconf/junos/1.0"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(new_key()) as state:
        yield state


def fetch(device: Device, *, deadline: float = 10.0, most_bytes: int = 1 << 20) -> Replies:
    return Sessions(most_bytes).fetch(device, config=True, topics=WITHOUT_SNMP, deadline=deadline)


def failure(device: Device, **limits: Any) -> PollError:
    with pytest.raises(PollError) as caught:
        fetch(device, **limits)
    return caught.value


def with_access(device: Device, **changes: Any) -> Device:
    assert device.netconf is not None
    return replace(device, netconf=replace(device.netconf, **changes))


def test_the_whole_running_configuration_and_the_interface_state_are_read(server: Server) -> None:
    replies = fetch(server.device)
    assert replies.config is not None
    assert CONFIG in replies.config
    (interface,) = replies.state.found.interfaces
    assert (interface.name, interface.values["in_octets"]) == ("eth1", 2**64 - 1)


def test_only_reading_operations_are_sent(server: Server) -> None:
    fetch(server.device)
    assert set(operations_sent(server)) == {"get-config", "get", "close-session"}


def operations_sent(server: Server) -> list[str]:
    return [re.findall(r"<(?:\w+:)?rpc[^>]*><(?:\w+:)?([\w-]+)", rpc)[0] for rpc in server.received]


def test_junos_is_asked_by_its_own_read_only_operations(server: Server) -> None:
    server.capabilities = (BASE_1_0, JUNOS)
    unit = (
        "<interface-information><physical-interface><name>ge-0</name><oper-status>up</oper-status></physical-interface>"
    )
    server.answer = lambda rpc: (
        f"{unit}</interface-information>"
        if "get-interface-information" in rpc
        else DENIED
        if "bgp" in rpc
        else canned(rpc)
    )
    replies = fetch(with_access(server.device, handler="junos"))
    assert [interface.name for interface in replies.state.found.interfaces] == ["ge-0"]
    assert set(operations_sent(server)) == {"get-config", "close-session", *READ_ONLY}


def test_state_that_is_refused_does_not_lose_the_configuration(server: Server, profiles: ProfileSet) -> None:
    server.answer = lambda rpc: DENIED if "<interfaces" in rpc else canned(rpc)
    with Poller(profiles) as poller:
        result = poller.round([server.device])
    (told,) = result.blocks()[-1].rows()
    assert (told["status"], told["reason"][:15]) == ("partial", "ietf-interfaces")
    assert "config" in result.documents()["r1"]


def test_another_host_key_than_the_pinned_one_is_not_trusted(server: Server) -> None:
    problem = failure(with_access(server.device, host_key=new_key().get_base64()))
    assert (problem.status, problem.reason) == ("auth", OTHER_HOST_KEY)
    assert server.received == []


HANDLERS = ["default", "junos", "iosxr", "iosxe", "csr", "nexus", "huaweiyang", "sros", "h3c"]


@pytest.mark.parametrize("handler", HANDLERS)
def test_no_device_handler_trusts_another_host_key(server: Server, handler: str) -> None:
    strange = with_access(server.device, host_key=new_key().get_base64(), handler=handler)
    assert failure(strange).reason == OTHER_HOST_KEY
    assert server.received == []


@pytest.mark.parametrize("handler", HANDLERS)
def test_whatever_the_device_handler_replies_keep_their_namespaces(server: Server, handler: str) -> None:
    replies = fetch(with_access(server.device, handler=handler))
    assert CONFIG in str(replies.config)


KEYS = {
    "ed25519": new_key,
    "rsa": lambda: paramiko.RSAKey.generate(2048),
    "ecdsa": paramiko.ECDSAKey.generate,
}


@pytest.mark.parametrize("kind", KEYS)
def test_host_keys_of_every_kind_can_be_pinned(kind: str) -> None:
    with serving(KEYS[kind]()) as server:
        assert fetch(server.device).config is not None
        assert offered_key("127.0.0.1", server.port, 5.0) == server.host_key
        other = with_access(server.device, host_key=KEYS[kind]().get_base64())
        assert failure(other).reason == OTHER_HOST_KEY


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("OpenSSH is not installed")
    key = new_key().get_base64()
    (tmp_path / "key.pub").write_text(f"{key_type(key)} {key}\n")
    argv = ["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert told.split()[1] == fingerprint(key)


def test_a_server_that_does_not_speak_ssh_shows_no_key() -> None:
    def greet() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 mail\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        greeter = threading.Thread(target=greet)
        greeter.start()
        with pytest.raises(PollError, match="no SSH key exchange"):
            offered_key("127.0.0.1", listener.getsockname()[1], 5.0)
        greeter.join()


def test_an_unknown_device_handler_is_named(server: Server) -> None:
    assert failure(with_access(server.device, handler="nonsense")).reason == "ncclient has no device handler 'nonsense'"


def test_a_wrong_password_is_told_as_such(server: Server) -> None:
    problem = failure(with_access(server.device, password=Secret("wrong")))
    assert problem.status == "auth"
    assert "wrong" not in problem.reason


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    problem = failure(Device("r1", "127.0.0.1", netconf=NetconfAccess("ops", "AAAA", port=port)))
    assert problem.status == "refused"


def test_denied_access_is_refused(server: Server) -> None:
    server.answer = lambda rpc: DENIED if "get-config" in rpc else canned(rpc)
    problem = failure(server.device)
    assert problem.status == "refused"
    assert "access-denied" in problem.reason


def test_a_server_that_never_replies_is_cut_at_the_deadline(server: Server) -> None:
    server.answer = lambda _rpc: None
    began = time.monotonic()
    problem = failure(server.device, deadline=1.0)
    assert (problem.status, problem.reason) == ("silent", "connected, but not done in time")
    assert time.monotonic() - began < 4


def test_a_session_that_was_cut_leaves_no_thread(server: Server) -> None:
    server.answer = lambda _rpc: None
    before = set(threading.enumerate())
    failure(server.device, deadline=0.5)
    ours = [t for t in set(threading.enumerate()) - before if not getattr(t, "server_mode", False)]
    for thread in ours:
        if "_serve" not in thread.name:
            thread.join(3)
    assert [t for t in ours if t.is_alive() and "_serve" not in t.name] == []


def test_closing_cuts_open_sessions(server: Server) -> None:
    server.answer = lambda _rpc: None
    sessions, began = Sessions(), time.monotonic()
    threading.Timer(0.5, sessions.close).start()
    with pytest.raises(PollError, match="not done in time"):
        sessions.fetch(server.device, config=True, topics=WITHOUT_SNMP, deadline=20.0)
    assert time.monotonic() - began < 4


def test_a_host_that_accepts_and_says_nothing_is_cut_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        access = NetconfAccess("ops", new_key().get_base64(), port=mute.getsockname()[1])
        began = time.monotonic()
        problem = failure(Device("r1", "127.0.0.1", netconf=access), deadline=0.5)
    assert problem.status == "silent"
    assert time.monotonic() - began < 4


def test_a_reply_without_end_stops_at_the_cap(server: Server) -> None:
    server.answer = lambda _rpc: f"<data>{'x' * (4 << 20)}</data>"
    problem = failure(server.device, most_bytes=1 << 20)
    assert (problem.status, problem.reason) == ("error", "the reply is longer than allowed")


def test_a_device_without_snmp_gives_samples_by_netconf(server: Server, profiles: ProfileSet) -> None:
    with Poller(profiles) as poller:
        result = poller.round([server.device])
    blocks = {block.kind: block for block in result.blocks()}
    (row,) = blocks["interface"].rows()
    assert (row["interface"], row["in_octets"], row["out_octets"], row["oper_status"]) == ("eth1", -1, 7, 1)
    assert "<name>eth1</name>" in result.documents()["r1"]["config"]
    assert blocks["poll"].rows()[0]["status"] == "ok"
    assert result.observed()["r1"].flags == ("neighbours: not read over NETCONF",)


def test_where_snmp_was_silent_netconf_does_not_pass_for_the_whole(server: Server, profiles: ProfileSet) -> None:
    nobody = SnmpAccess(SnmpV2c(Secret("public")), port=1, timeout=0.1, retries=0)
    with Poller(profiles) as poller:
        result = poller.round([replace(server.device, snmp=nobody)])
    assert result.observed()["r1"].flags == (f"{LINKS_MAY_LACK}: neighbours: SNMP did not tell them",)


def test_a_malicious_reply_is_that_devices_failure(server: Server, profiles: ProfileSet) -> None:
    server.answer = lambda rpc: "<data>&lol;</data>" if "get-config" in rpc else canned(rpc)
    with Poller(profiles, limits=Limits(netconf_deadline=5.0)) as poller:
        (failed,) = poller.round([server.device]).failures()
    assert failed.status == "error"


BOMB = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 30}">' for i in range(1, 12))


def test_a_hello_that_grows_without_end_is_that_devices_failure(server: Server) -> None:
    server.preamble = f'<!DOCTYPE hello [<!ENTITY e0 "ha">{BOMB}]>'
    server.capabilities = ("&e11;",)
    began = time.process_time()
    assert failure(server.device, deadline=3.0).status in {"error", "silent"}
    assert time.process_time() - began < 5


def test_a_device_without_a_pinned_host_key_is_not_even_asked() -> None:
    device = Device("r1", "192.0.2.1", netconf=NetconfAccess("ops", "", password=Secret("x")))
    assert "no host key is pinned" in failure(device).reason
