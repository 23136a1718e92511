"""What must be on a server: 1.x on a real one; 2.x and 3.x on stand-ins that answer as their documentation says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.store.scripted import Server, serving
from twin.store import InfluxServer, StoreError
from twin.store.influx_connection import InfluxConnection
from twin.store.influx_setup import DatabaseSetup, set_up
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Secret

WEEK, YEAR = timedelta(days=7), timedelta(days=365)
KEPT = {"": WEEK, "5m": YEAR}
NAMES = ("twin", "twin_5m", "twin_1h")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as scripted:
        yield scripted


# ---- 1.x, real ----


@pytest.mark.influx
def test_1x_databases_are_made_with_their_retention_and_then_only_checked(influx_server: tuple[str, Secret]) -> None:
    url, token = influx_server
    to = InfluxServer(url, "setup", token)
    made = set_up(to, KEPT)
    assert made.version.startswith("1.6")
    assert made.databases == (
        DatabaseSetup("setup", made=True, retention=WEEK),
        DatabaseSetup("setup_5m", made=True, retention=YEAR),
        DatabaseSetup("setup_1h", made=True, retention=None),
    )
    again = set_up(to, KEPT).databases
    assert [(d.made, d.retention, d.to_mend) for d in again] == [
        (False, WEEK, ""),
        (False, YEAR, ""),
        (False, None, ""),
    ]


@pytest.mark.influx
def test_1x_another_retention_is_told_and_left_alone(influx_server: tuple[str, Secret]) -> None:
    url, token = influx_server
    list(InfluxConnection(InfluxServer(url, "", token)).ask("CREATE DATABASE other WITH DURATION 48h", ""))
    (raw, *_) = set_up(InfluxServer(url, "other", token), KEPT).databases
    assert raw.retention == timedelta(days=2)
    assert raw.to_mend == "keeps points for 2 days, 0:00:00, the settings say 7 days, 0:00:00"


# ---- 2.x ----


def bucket(name: str, seconds: int | None) -> dict[str, object]:
    rules = [] if seconds is None else [{"type": "expire", "everySeconds": seconds}]
    return {"id": f"id-{name}", "name": name, "retentionRules": rules}


@pytest.fixture
def two(server: Server) -> Server:
    """A 2.x that has an organisation and nothing else."""
    server.version = "v2.7.12"
    server.answers |= {
        "GET /api/v2/orgs?org=net": (200, {"orgs": [{"id": "o1", "name": "net"}]}),
        "GET /api/v2/orgs": (200, {"orgs": [{"id": "o1", "name": "net"}, {"id": "o2", "name": "lab"}]}),
        "POST /api/v2/buckets": (201, {"id": "new", "name": "made"}),
        "POST /api/v2/dbrps": (201, {"id": "m1"}),
    }
    for name in NAMES:
        server.answers[f"GET /api/v2/dbrps?orgID=o1&db={name}"] = (200, {"content": []})
    return server


def to(server: Server, organisation: str = "net") -> InfluxServer:
    return InfluxServer(server.url, "twin", Secret("t0ken"), organisation)


def posted(server: Server, path: str) -> list[object]:
    return [body for named, body in server.bodies if named == f"POST {path}"]


def test_2x_buckets_are_made_with_retention_and_mapping(two: Server) -> None:
    done = set_up(to(two), KEPT)
    assert (done.version, [d.to_mend for d in done.databases]) == ("2.7.12", ["", "", ""])
    assert posted(two, "/api/v2/buckets") == [
        {"orgID": "o1", "name": "twin", "retentionRules": [{"type": "expire", "everySeconds": 604800}]},
        {"orgID": "o1", "name": "twin_5m", "retentionRules": [{"type": "expire", "everySeconds": 31536000}]},
        {"orgID": "o1", "name": "twin_1h", "retentionRules": []},
    ]
    assert posted(two, "/api/v2/dbrps")[0] == {
        "orgID": "o1", "bucketID": "new", "database": "twin", "retention_policy": "autogen", "default": True
    }  # fmt: skip


def test_2x_what_is_there_is_checked(two: Server) -> None:
    for name, seconds in zip(NAMES, (604800, 3600, None), strict=True):
        two.answers[f"GET /api/v2/buckets?name={name}&orgID=o1"] = (200, {"buckets": [bucket(name, seconds)]})
        mapped = {"bucketID": f"id-{name}" if name != "twin_1h" else "stranger", "database": name}
        two.answers[f"GET /api/v2/dbrps?orgID=o1&db={name}"] = (200, {"content": [mapped]})
    raw, five, hours = set_up(to(two), KEPT).databases
    assert raw == DatabaseSetup("twin", made=False, retention=WEEK)
    assert five.to_mend == "keeps points for 1:00:00, the settings say 365 days, 0:00:00"
    assert hours.to_mend == "InfluxQL takes database twin_1h for bucket stranger: mend its DBRP mapping"
    assert posted(two, "/api/v2/buckets") == posted(two, "/api/v2/dbrps") == []


def test_2x_a_mapping_that_may_not_be_made_is_told_with_the_command(two: Server) -> None:
    two.answers["POST /api/v2/dbrps"] = (401, {"message": "unauthorized"})
    (raw, *_) = set_up(to(two), KEPT).databases
    assert "InfluxQL can't find bucket twin" in raw.to_mend
    assert "influx v1 dbrp create --db twin --rp autogen --default --bucket-id new" in raw.to_mend


@pytest.mark.parametrize(("organisation", "said"), [
    ("-", "needs store.influxdb.organisation; this token sees net, lab"), ("none", "sees no organisation none"),
])  # fmt: skip
def test_2x_needs_an_organisation(two: Server, organisation: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        set_up(to(two, organisation), KEPT)


def test_2x_a_bucket_that_may_not_be_made_is_told(two: Server) -> None:
    two.answers["POST /api/v2/buckets"] = (403, {"message": "forbidden"})
    with pytest.raises(StoreError, match="refuses the token: forbidden; make bucket twin there first"):
        set_up(to(two), KEPT)


# ---- 3.x ----


def test_3x_databases_are_made_and_listed(server: Server) -> None:
    server.version = "3.4.1"
    there = [{"iox::database": "_internal"}, {"iox::database": "twin_5m"}]
    server.answers |= {
        "GET /api/v3/configure/database?format=json": (200, there),
        "POST /api/v3/configure/database": (200, None),
    }
    raw, five, hours = set_up(to(server), KEPT).databases
    assert (raw.made, five.made, hours.made) == (True, False, True)
    assert "can't be told from here" in five.to_mend
    assert posted(server, "/api/v3/configure/database") == [
        {"db": "twin", "retention_period": "604800s"}, {"db": "twin_1h"}
    ]  # fmt: skip


# ---- all ----


@pytest.mark.parametrize("version", ["", "4.0.0", "nginx", "0.9.6"])
def test_what_is_no_influxdb_is_told(server: Server, version: str) -> None:
    server.version = version
    with pytest.raises(StoreError, match="/ping names no version of InfluxDB 1 to 3"):
        set_up(to(server), KEPT)


def test_a_retention_shorter_than_any_server_can_is_refused(server: Server) -> None:
    with pytest.raises(UsageError, match="twin_5m: InfluxDB keeps points for an hour at least, not 0:30:00"):
        set_up(to(server), {"5m": timedelta(minutes=30)})
