"""A round: every device ends as a value, in time, and is stored as such."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from collectors.failures import Failed, PollError
from collectors.pace import Pace
from collectors.profiles import ProfileSet
from collectors.results import Polled, Round
from collectors.rounds import Limits, Poller
from collectors.snmp.wire import Oid, Tally, Value
from collectors.watch import Timing
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Device, Priority, Secret, SnmpAccess, SnmpV2c, SnmpV3
from twin.vocab.observed import LINKS_MAY_LACK

Table = dict[Oid, Value]
Canned = Callable[[Mapping[str, Any]], Any]


@pytest.fixture
def good(recording: Callable[[Path], Table]) -> Table:
    return recording(Path(__file__).parent / "cases" / "everything.snmprec")


def devices(access: SnmpAccess, *names: str) -> list[Device]:
    return [Device(name, "192.0.2.1", access) for name in names]


def polled(result: Round, name: str) -> Polled:
    (only,) = result.results[name]
    assert isinstance(only, Polled)
    return only


def test_a_round_gives_one_block_a_kind_and_a_row_for_every_device(
    profiles: ProfileSet, v2c: SnmpAccess, canned: Canned, good: Table
) -> None:
    engine = canned({"r1": good, "r2": good, "r3": "silent", "r4": "auth"})
    with Poller(profiles, engine=lambda: engine) as poller:
        result = poller.round(devices(v2c, "r1", "r2", "r3", "r4"))
    blocks = {block.kind: block for block in result.blocks()}
    assert len(blocks["interface"]) == 4
    statuses = {row["device"]: (row["status"], row["values"] > 0) for row in blocks["poll"].rows()}
    assert statuses == {"r1": ("ok", True), "r2": ("ok", True), "r3": ("silent", False), "r4": ("auth", False)}
    assert result.observed().keys() == {"r1", "r2"}
    assert {failed.device for failed in result.failures()} == {"r3", "r4"}
    assert engine.closed


def test_a_broken_device_is_an_error_and_the_others_do_not_notice(
    profiles: ProfileSet, v2c: SnmpAccess, canned: Canned, good: Table
) -> None:
    with Poller(profiles, engine=lambda: canned({"r1": ZeroDivisionError("bug"), "r2": good})) as poller:
        result = poller.round(devices(v2c, "r1", "r2"))
    assert result.failures() == [replace(result.failures()[0], status="error", reason="ZeroDivisionError: bug")]
    assert polled(result, "r2").status == "ok"


def test_a_broken_device_is_logged_without_its_variables(
    profiles: ProfileSet, v2c: SnmpAccess, canned: Canned, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = canned({"r1": ZeroDivisionError("a\nbug")})
    with structlog.testing.capture_logs() as logs, Poller(profiles, engine=lambda: broken) as poller:
        poller.round(devices(v2c, "r1"))
    (entry,) = (entry for entry in logs if entry["event"] == "poll_broke")
    assert entry["problem"] == "ZeroDivisionError: a bug"
    assert not entry.get("exc_info")
    with Poller(profiles, engine=lambda: broken) as poller:
        poller.round(devices(v2c, "r1"))
    assert "Traceback" not in "".join(capsys.readouterr())


class _Stalling:
    """An agent that tells its system group and then nothing, for ever."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.tally = Tally()

    async def get(self, oids: Sequence[Oid]) -> Table:
        return {oid: self._table[oid] for oid in oids if oid in self._table}

    async def walk(self, columns: Sequence[Oid], *, rows: int, max_rows: int, until: float) -> Any:
        await asyncio.sleep(3600)

    def close(self) -> None: ...


class _StallingEngine:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def agent(self, device: Device) -> _Stalling:
        return _Stalling(self._table)

    async def close(self) -> None: ...


def test_a_stalling_device_is_cut_off_and_what_it_gave_is_kept(
    profiles: ProfileSet, v2c: SnmpAccess, good: Table
) -> None:
    began = time.monotonic()
    with Poller(profiles, limits=Limits(snmp_deadline=0.2), engine=lambda: _StallingEngine(good)) as poller:
        result = polled(poller.round(devices(v2c, "r1")), "r1")
    assert time.monotonic() - began < 2
    assert result.status == "partial"
    tables = "interfaces, addresses, old_addresses, lldp_local, lldp_remote, lldp_addresses"
    assert f"{tables}: stopped after 0.25 s" in result.flags
    assert result.observed is not None
    assert result.observed.system_name == "core1"
    assert f"{LINKS_MAY_LACK}: {tables}: stopped after 0.25 s" in result.observed.flags
    others = next(flag for flag in result.observed.flags if flag.startswith("stack, "))
    assert "ospf_neighbors" in others
    assert others.endswith("part_states: stopped after 0.25 s")


@pytest.fixture
def good_engine(canned: Canned, good: Table) -> Any:
    return canned({"r1": good})


CUT = {
    "neighbours": ((1, 0, 8802, 1, 1, 2, 1, 4, 1), f"{LINKS_MAY_LACK}: lldp_remote: does not increase"),
    "addresses": ((1, 3, 6, 1, 2, 1, 4, 34, 1), f"{LINKS_MAY_LACK}: addresses: does not increase"),
    "interfaces": ((1, 3, 6, 1, 2, 1, 31, 1, 1, 1), f"{LINKS_MAY_LACK}: interfaces: does not increase"),
    "routes": ((1, 3, 6, 1, 2, 1, 4, 24, 4), "routes: does not increase"),
}


@pytest.mark.parametrize(("below", "flag"), CUT.values(), ids=CUT.keys())
def test_what_was_cut_is_said_of_the_device_as_observed(
    *,
    below: Oid,
    flag: str,
    profiles: ProfileSet,
    v2c: SnmpAccess,
    good_engine: Any,
    canned_agent: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = canned_agent.walk

    async def cut(agent: Any, columns: Sequence[Oid], **limits: Any) -> Any:
        walk = await whole(agent, columns, **limits)
        asked_for_it = any(column[: len(below)] == below for column in columns)
        return replace(walk, cut=("does not increase",)) if asked_for_it else walk

    monkeypatch.setattr(canned_agent, "walk", cut)
    with Poller(profiles, engine=lambda: good_engine) as poller:
        result = polled(poller.round(devices(v2c, "r1")), "r1")
    assert result.status == "partial"
    assert result.observed is not None
    assert result.observed.flags == (flag,)


def test_a_silent_table_ends_the_reading_of_that_device(
    profiles: ProfileSet, v2c: SnmpAccess, good_engine: Any, canned_agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def silent(_self: Any, oids: list[Oid], _count: int) -> Any:
        asked.append(len(oids))
        raise PollError("silent", "no answer")

    monkeypatch.setattr(canned_agent, "bulk", silent)
    with Poller(profiles, engine=lambda: good_engine) as poller:
        result = polled(poller.round(devices(v2c, "r1")), "r1")
    assert "interfaces: no answer" in result.flags
    assert len(asked) <= 3
    assert result.observed is not None
    unasked = "addresses, old_addresses, lldp_local, lldp_remote, lldp_addresses: not asked for after that"
    assert f"{LINKS_MAY_LACK}: {unasked}" in result.observed.flags


def test_two_devices_of_one_name_are_refused(profiles: ProfileSet, v2c: SnmpAccess) -> None:
    with Poller(profiles) as poller, pytest.raises(UsageError, match="'r1' stands for several"):
        poller.round(devices(v2c, "r1", "r1"))


def test_an_unknown_profile_is_refused_before_anything_is_sent(
    profiles: ProfileSet, v2c: SnmpAccess, canned: Canned
) -> None:
    engine = canned({})
    odd = replace(devices(v2c, "r1")[0], profiles=("nosuch",))
    with Poller(profiles, engine=lambda: engine) as poller, pytest.raises(UsageError, match="nosuch"):
        poller.round([odd])


def test_progress_hears_of_each_result(profiles: ProfileSet, v2c: SnmpAccess, canned: Canned, good: Table) -> None:
    heard: list[Polled | Failed] = []
    with Poller(profiles, engine=lambda: canned({"r1": good, "r2": "silent"})) as poller:
        poller.round(devices(v2c, "r1", "r2"), progress=heard.append)
    assert sorted(result.device for result in heard) == ["r1", "r2"]


def test_a_failure_is_logged_when_it_begins_and_when_it_ends(
    profiles: ProfileSet, v2c: SnmpAccess, canned: Canned, good: Table
) -> None:
    engine = canned({"r1": "silent"})
    with structlog.testing.capture_logs() as logs, Poller(profiles, engine=lambda: engine) as poller:
        poller.round(devices(v2c, "r1"))
        poller.round(devices(v2c, "r1"))
        engine.devices["r1"] = good
        poller.round(devices(v2c, "r1"))
    assert [entry["event"] for entry in logs] == ["poll_failed", "poll_recovered"]


def test_an_empty_inventory_is_an_empty_round(profiles: ProfileSet) -> None:
    with Poller(profiles) as poller:
        assert poller.round([]).blocks() == []


def test_a_real_agent_good_and_bad_in_one_round(profiles: ProfileSet, snmpd_port: int) -> None:
    def box(name: str, credentials: SnmpV2c | SnmpV3) -> Device:
        return Device(name, "127.0.0.1", SnmpAccess(credentials, port=snmpd_port, timeout=0.4, retries=0))

    secret = Secret("authpass123")
    inventory = [
        box("v2c", SnmpV2c(Secret("public"))),
        box("v3", SnmpV3("twin", auth_passphrase=secret, privacy_passphrase=Secret("privpass123"))),
        box("wrong-community", SnmpV2c(Secret("wrong"))),
        box("wrong-user", SnmpV3("nobody", auth_passphrase=secret)),
    ]
    with Poller(profiles) as poller:
        first, second = poller.round(inventory), poller.round(inventory, full=False)
    for result in (first, second):
        status = {name: results[0].status for name, results in result.results.items()}
        assert status == {"v2c": "ok", "v3": "ok", "wrong-community": "silent", "wrong-user": "auth"}
    block = next(b for b in second.blocks() if b.kind == "device")
    assert [row["cpu_time_us"] for row in block.rows()] == [123456, 123456]
    assert "authpass123" not in repr(first)


def test_a_dead_device_costs_a_quick_probe_until_it_is_back(
    profiles: ProfileSet, v2c: SnmpAccess, canned: Canned, good: Table
) -> None:
    engine = canned({"r1": "silent", "r2": good})
    v2c = replace(v2c, retries=2)
    with Poller(profiles, engine=lambda: engine) as poller:
        for _ in range(3):
            poller.round(devices(v2c, "r1", "r2"), full=False)
        dead = poller.round(devices(v2c, "r1", "r2"), full=False)
        (failed,) = dead.failures()
        assert (failed.device, failed.status) == ("r1", "silent")
        assert failed.reason == "canned silent (a quick probe after 3 silent polls)"
        assert polled(dead, "r2").status == "ok"
        assert engine.retries["r1"] == [2, 2, 2, 0]
        engine.devices["r1"] = good
        assert polled(poller.round(devices(v2c, "r1"), full=False), "r1").status == "ok"
        assert engine.retries["r1"][-2:] == [0, 2]


def test_who_turns_us_away_is_asked_in_full_rounds_only(
    profiles: ProfileSet, v2c: SnmpAccess, canned: Canned, good: Table
) -> None:
    engine = canned({"r1": "auth"})
    with Poller(profiles, engine=lambda: engine) as poller:
        statuses = [[r.status for r in poller.round(devices(v2c, "r1"), full=False).results["r1"]] for _ in range(5)]
        assert statuses == [["auth"], ["auth"], ["auth"], [], []]
        engine.devices["r1"] = good
        assert polled(poller.round(devices(v2c, "r1")), "r1").status == "ok"
        assert polled(poller.round(devices(v2c, "r1"), full=False), "r1").status == "ok"


def test_when_places_are_few_the_important_go_first(
    profiles: ProfileSet, v2c: SnmpAccess, canned: Canned, good: Table
) -> None:
    priorities: tuple[Priority, ...] = ("normal", "low", "normal", "high")
    inventory = devices(v2c, "first", "low", "normal", "high")
    ranked = [replace(device, priority=p) for device, p in zip(inventory, priorities, strict=True)]
    heard: list[str] = []
    engine = canned({d.name: good for d in ranked})
    with Poller(profiles, limits=Limits(snmp_at_once=1), engine=lambda: engine) as poller:
        poller.round(ranked, progress=lambda result: heard.append(result.device))
    assert heard == ["first", "high", "normal", "low"]


def test_devices_are_watched_until_told_to_stop(
    profiles: ProfileSet, v2c: SnmpAccess, canned: Canned, good: Table
) -> None:
    stored: list[Round] = []

    def deliver(taken: Round) -> bool:
        stored.append(taken)
        return True

    end = time.monotonic() + 0.5
    with Poller(profiles, engine=lambda: canned({"r1": good, "r2": "silent"})) as poller:
        timing = Timing(Pace(time.monotonic(), 0.1, 2), spread=0.05, hand_on=0.1)
        poller.watch(devices(v2c, "r1", "r2"), timing, deliver, stop=lambda: time.monotonic() > end)
    rows = [row for taken in stored for block in taken.blocks() if block.kind == "poll" for row in block.rows()]
    assert {row["status"] for row in rows if row["device"] == "r1"} == {"ok"}
    assert len({row["at"] for row in rows if row["device"] == "r2"}) >= 4
