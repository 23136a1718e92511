"""Reading from InfluxDB: strange answers, addresses and tokens; a server that is away; the real one's refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
import pytest

from tests.store.scripted import Server, serving
from twin.store import InfluxServer, Outbox, Store, StoreError, open_delta, open_shipped
from twin.store.influx_setup import set_up
from twin.store.place import LocalPlace
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Secret

T0 = np.datetime64("2026-11-23T12:00:00", "us")
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as scripted:
        yield scripted


def connect(folder: Path, url: str, token: Secret | None = None, database: str = "twin") -> Store:
    there = InfluxServer(url, database, token, timeout=timedelta(seconds=2))
    outbox = Outbox(LocalPlace(folder), folder.parent / "shipping", "there")
    return open_shipped(open_delta(folder), outbox, there, quota=10**9, read_there=True)


def samples(count: int) -> Block:
    at = T0 + np.timedelta64(1, "s") * np.arange(count)
    return Block.from_rows("route_summary", [{"device": "r1", "protocol": "ospf", "at": t, "routes": 1} for t in at])


def test_a_server_that_is_away_takes_no_part_in_writing(tmp_path: Path) -> None:
    with connect(tmp_path / "store", NOWHERE) as store:
        store.write([samples(3)])
    with open_delta(tmp_path / "store") as local:
        assert len(local.latest("route_summary")) == 1


def test_a_server_that_is_away_is_named_when_reading(tmp_path: Path) -> None:
    with connect(tmp_path / "store", NOWHERE) as store, pytest.raises(StoreError, match=f"InfluxDB {NOWHERE}: "):
        store.latest("poll")


def test_documents_are_read_without_the_server(tmp_path: Path) -> None:
    document = {"device": "r1", "record": "config", "content": "hostname r1", "at": T0}
    with connect(tmp_path / "store", NOWHERE) as store:
        store.write([Block.from_rows("record", [document])])
        assert store.latest("record", {"device": "r1"}).rows()[0]["content"] == "hostname r1"


@pytest.mark.parametrize("answer", [
    (200, b"<html>"), (200, b'{"results": [{"error": "no"}]}'), (502, b"Bad Gateway"), (401, b"{}"),
    (200, b'{"results": [{"error": "two\\nlines\\u001b[31m"}]}'), (200, b"[1]"),
])  # fmt: skip
def test_a_strange_answer_is_one_clear_line(server: Server, tmp_path: Path, answer: tuple[int, bytes]) -> None:
    server.query = answer
    named = pytest.raises(StoreError, match=f"^InfluxDB {server.url}: ")
    with connect(tmp_path / "store", server.url) as store, named as complaint:
        store.latest("poll")
    assert str(complaint.value).isprintable()


def test_without_a_token_none_is_sent(server: Server, tmp_path: Path) -> None:
    server.query = (200, json.dumps({"results": [{}]}).encode())
    with connect(tmp_path / "store", server.url) as store:
        store.latest("poll")
    assert server.authorization == {None}


@pytest.mark.parametrize("url", ["localhost:8086", "ftp://host", "", "http://"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        connect(tmp_path / "store", url)


def test_a_password_in_the_address_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="as the token") as complaint:
        connect(tmp_path / "store", "http://admin:hunter2@localhost:8086")
    assert "hunter2" not in str(complaint.value)


# ---- the real server ----


@pytest.mark.influx
def test_a_wrong_token_is_named_and_not_shown(influx_server: tuple[str, Secret], tmp_path: Path) -> None:
    url, _ = influx_server
    named = pytest.raises(StoreError, match="refuses the token")
    with connect(tmp_path / "store", url, Secret("nettwin:hunter2")) as store, named as complaint:
        store.latest("poll")
    assert "hunter2" not in str(complaint.value)


@pytest.mark.influx
def test_a_user_who_may_not_make_the_database_is_told_so(influx_server: tuple[str, Secret]) -> None:
    url, token = influx_server
    make_user = urlencode({"q": "CREATE USER guest WITH PASSWORD 'g'"}).encode()
    urlopen(Request(f"{url}/query", make_user, {"Authorization": f"Token {token.reveal()}"})).close()
    with pytest.raises(StoreError, match="make database private there first"):
        set_up(InfluxServer(url, "private", Secret("guest:g")), {})


@pytest.mark.influx
def test_a_database_that_is_not_there_is_an_error_that_says_what_to_do(
    influx_server: tuple[str, Secret], tmp_path: Path
) -> None:
    url, token = influx_server
    named = pytest.raises(StoreError, match="database not found: nobody_made_it; make it with nettwin store init")
    with connect(tmp_path / "store", url, token, "nobody_made_it") as store, named:
        store.latest("poll")


@pytest.mark.influx
@pytest.mark.parametrize("name", ["with space", 'with "quotes"', "ünï"])
def test_a_database_may_have_an_unusual_name(influx_server: tuple[str, Secret], tmp_path: Path, name: str) -> None:
    url, token = influx_server
    set_up(InfluxServer(url, name, token), {})
    with connect(tmp_path / "store", url, token, name) as store:
        store.write([samples(2)])
        assert len(store.latest("route_summary")) == 1
