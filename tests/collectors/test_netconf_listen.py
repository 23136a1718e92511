"""Notifications become events, and whatever a device does the listening ends when asked."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from collectors.failures import PollError
from collectors.netconf.listen import Listeners
from collectors.netconf.models import NOTIFICATION
from collectors.netconf.notifications import ENVELOPE, WORTH_A_POLL, event_of
from collectors.pace import Policer
from tests.collectors.netconf_server import BASE_1_0, Server, new_key, serving
from twin.app.trapping import worth_a_poll
from twin.vocab.events import Event
from twin.vocab.inventory import Device, NetconfAccess

if TYPE_CHECKING:
    from twin.lab.lab import Lab

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
RFC_6470 = "urn:ietf:params:xml:ns:yang:ietf-netconf-notifications"
CHANGE = (
    f'<netconf-config-change xmlns="{RFC_6470}"><changed-by><username>jo</username><session-id>7</session-id>'
    "<source-host>192.0.2.9</source-host></changed-by><datastore>running</datastore>"
    "<edit><target>/if:interfaces</target><operation>merge</operation></edit></netconf-config-change>"
)
DOWN = '<link-down xmlns="http://yuma123.org/ns/interfaces-notifications"><if-name>eth1</if-name></link-down>'
SESSION = f'<netconf-session-start xmlns="{RFC_6470}"><username>{{}}</username></netconf-session-start>'
ALARM = (
    '<alarm-notification xmlns="urn:ietf:params:xml:ns:yang:ietf-alarms"><resource>/slot1</resource>'
    "<alarm-text>hot\n  as can be</alarm-text></alarm-notification>"
)
TOLD = {
    "a changed configuration": (
        CHANGE,
        ("configChange", "running"),
        "username=jo, session-id=7, source-host=192.0.2.9, datastore=running, target=/if:interfaces, operation=merge",
    ),
    "a link down": (DOWN, ("linkDown", "eth1"), "if-name=eth1"),
    "a link up, as a trap was translated (RFC 6643)": (
        '<linkUp xmlns="urn:ietf:params:xml:ns:yang:smiv2:IF-MIB"><object-1><ifName>Gi1</ifName></object-1></linkUp>',
        ("linkUp", "Gi1"),
        "ifName=Gi1",
    ),
    "a confirmed commit": (
        f'<netconf-confirmed-commit xmlns="{RFC_6470}"><confirm-event>start</confirm-event></netconf-confirmed-commit>',
        ("confirmedCommit", "start"),
        "confirm-event=start",
    ),
    "another's session": (SESSION.format("jo"), ("sessionStart", "jo"), "username=jo"),
    "an alarm (RFC 8632)": (
        ALARM,
        ("alarm-notification", "/slot1"),
        "resource=/slot1, alarm-text=hot as can be",
    ),
}


def unheard_of(event: Event) -> None:
    pytest.fail(f"{event} was told")


def envelope(inner: str) -> str:
    return (
        f'<n:notification xmlns:n="{ENVELOPE}"><n:eventTime>2026-11-25T11:59:59Z</n:eventTime>{inner}</n:notification>'
    )


@pytest.mark.parametrize(("inner", "named", "detail"), TOLD.values(), ids=TOLD.keys())
def test_a_notification_is_an_event(inner: str, named: tuple[str, str], detail: str) -> None:
    assert event_of("r1", "ops", envelope(inner), AT) == Event("r1", *named, "netconf", detail, AT)


NOTHING = {
    "a session of our own": SESSION.format("ops"),
    "the end of a replay": f'<n:replayComplete xmlns:n="{ENVELOPE}"/>',
    "an empty envelope": "",
}


@pytest.mark.parametrize("inner", NOTHING.values(), ids=NOTHING.keys())
def test_what_tells_nothing_is_no_event(inner: str) -> None:
    assert event_of("r1", "ops", envelope(inner), AT) is None


def test_a_hostile_notification_is_refused() -> None:
    with pytest.raises(PollError, match="document type"):
        event_of("r1", "ops", "<!DOCTYPE x>" + envelope(CHANGE), AT)


def test_what_our_own_visits_may_cause_asks_for_no_poll() -> None:
    seen = {name: worth_a_poll(Event("r1", name, "", "netconf", "", AT)) for name in ("sessionStart", "login", "x")}
    assert not any(seen.values())
    assert all(worth_a_poll(Event("r1", name, "", "netconf", "", AT)) for name in WORTH_A_POLL)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(new_key()) as state:
        state.capabilities = (BASE_1_0, NOTIFICATION)
        yield state


def eventually(holds: Callable[[], object], patience_s: float = 10.0) -> None:
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.01)


def listening(server: Server, heard: queue.Queue[Event], **options: Policer) -> Listeners:
    return Listeners([server.device], heard.put, retry=(0.05, 0.2), **options)


def test_events_are_told_as_they_come_and_the_end_is_clean(server: Server) -> None:
    heard: queue.Queue[Event] = queue.Queue()
    before = set(threading.enumerate())
    with listening(server, heard):
        eventually(lambda: server.subscribers)
        server.notify(CHANGE, DOWN)
        told = [heard.get(timeout=10) for _ in range(2)]
    assert [(event.device, event.event) for event in told] == [("r1", "configChange"), ("r1", "linkDown")]
    eventually(lambda: not [t for t in set(threading.enumerate()) - before if "notifications" in t.name])


def test_a_session_that_ends_is_opened_anew(server: Server) -> None:
    heard: queue.Queue[Event] = queue.Queue()
    with listening(server, heard):
        eventually(lambda: server.subscribers)
        server.subscribers.pop().close()
        eventually(lambda: server.subscribers)
        server.notify(DOWN)
        assert heard.get(timeout=10).event == "linkDown"


def test_a_flood_is_bounded_and_told(server: Server) -> None:
    heard: queue.Queue[Event] = queue.Queue()
    with listening(server, heard, policer=Policer(per_second=1.0, burst=3)):
        eventually(lambda: server.subscribers)
        server.notify(*[DOWN] * 200)
        told: list[Event] = []
        while not told or told[-1].event != "notificationsLost":
            told.append(heard.get(timeout=10))
    assert len(told) < 10
    assert int(told[-1].detail.split()[0]) + len(told) - 1 == 200


def test_a_notification_without_end_ends_the_session_only(server: Server) -> None:
    heard: queue.Queue[Event] = queue.Queue()
    with listening(server, heard):
        eventually(lambda: server.subscribers)
        first = server.subscribers.pop()
        with suppress(OSError, EOFError):
            for _ in range(200):
                first.sendall(b"x" * 65536)
        eventually(lambda: server.subscribers)
        server.notify(DOWN)
        assert heard.get(timeout=10).event == "linkDown"


def test_a_hostile_notification_ends_the_session_only(server: Server) -> None:
    heard: queue.Queue[Event] = queue.Queue()
    with listening(server, heard):
        eventually(lambda: server.subscribers)
        server.subscribers.pop().sendall(b"<!DOCTYPE x>" + envelope(CHANGE).encode() + b"]]>]]>")
        eventually(lambda: server.subscribers)
        server.notify(DOWN)
        assert heard.get(timeout=10).event == "linkDown"


@pytest.mark.parametrize("why", ["not offered", "wrong key", "refused"])
def test_who_cannot_be_listened_to_is_left_alone_and_stops_nothing(server: Server, why: str) -> None:
    device = server.device
    if why == "not offered":
        server.capabilities = (BASE_1_0,)
    elif why == "wrong key":
        assert device.netconf is not None
        device = replace(device, netconf=replace(device.netconf, host_key=new_key().get_base64()))
    else:
        server.answer = lambda _rpc: "<rpc-error><error-tag>access-denied</error-tag></rpc-error>"
    began = time.monotonic()
    with Listeners([device], unheard_of, retry=(0.05, 60.0)):
        time.sleep(1.0)
    assert time.monotonic() - began < 10
    assert server.subscribers == []
    if why == "not offered":
        assert len([rpc for rpc in server.received if "close-session" in rpc]) == 1


def test_only_so_many_devices_are_listened_to() -> None:
    access = NetconfAccess("ops", "AAAA")
    many = [Device(f"d{i}", "192.0.2.1", netconf=access) for i in range(70)]
    without = [Device("bare", "192.0.2.2"), Device("unpinned", "192.0.2.3", netconf=NetconfAccess("ops", ""))]
    assert Listeners([*without, *many], unheard_of).left_out == tuple(f"d{i}" for i in range(64, 70))


@pytest.mark.lab
def test_a_real_server_tells_that_its_configuration_changed(lab: Lab) -> None:
    from twin.vocab.change import Change, SetCost
    from twin.vocab.snapshot import Port

    heard: queue.Queue[Event] = queue.Queue()
    with Listeners([lab.devices()["west"]], heard.put):
        time.sleep(2.0)
        lab.apply(Change((SetCost(Port("west", "eth1"), 56),)))
        try:
            told = heard.get(timeout=20)
            while told.event != "configChange":
                told = heard.get(timeout=20)
        finally:
            lab.apply(Change((SetCost(Port("west", "eth1"), 10),)))
    assert (told.device, told.subject, told.source) == ("west", "running", "netconf")
    assert "username=" in told.detail
