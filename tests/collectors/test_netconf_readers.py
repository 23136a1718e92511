"""A case is a folder: capabilities and replies in, what is asked for and what was read in expected.json."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lxml import etree

from collectors.failures import PollError
from collectors.netconf import decode
from collectors.netconf.ask import Asked, RefusedError, ask
from collectors.netconf.found import (
    BGP_STATES,
    OSPF_STATES,
    WITHOUT_SNMP,
    Found,
    FoundInterface,
    blocks_of,
    bounded,
    merge,
    state_number,
)
from collectors.netconf.models import Model, Request, library_namespaces, namespaces, needs_library, offered, wrapped
from collectors.netconf.readers import MODELS, ietf, iosxe, iosxr, openconfig, read_configured
from collectors.netconf.xml import data_of, parse
from twin.vocab.inventory import Device
from twin.vocab.plain import to_plain

CASES = sorted(path for path in (Path(__file__).parent / "cases" / "netconf").iterdir() if path.is_dir())
AT = np.datetime64("2026-11-25T12:00:00", "us")
EMPTY = '<data xmlns="urn:ietf:params:xml:ns:netconf:base:1.0"/>'


def outcome(case: Path) -> dict[str, Any]:
    """What is asked of the device of a case, and what comes of its replies."""
    there = namespaces((case / "capabilities.txt").read_text().splitlines())
    if needs_library(MODELS, there):
        there |= library_namespaces((case / "library.xml").read_text())
    asked: list[str] = []

    def send(request: Request) -> str:
        if request.operation:
            asked.append(request.operation)
            reply = case / f"{request.operation}.xml"
            if not reply.exists():
                raise RefusedError("rpc-error operation-not-supported: unknown command")
            return reply.read_text()
        asked.append(" ".join(model.name for model in request.models))
        parse(wrapped(request.filter))
        state = case / "state.xml"
        return state.read_text() if state.exists() else EMPTY

    told = ask(offered(MODELS, there), there, WITHOUT_SNMP, send)
    config = (case / "config.xml").read_text()
    device = Device("r1", "192.0.2.1")
    rows = {block.kind: [_plain(row) for row in block.rows()] for block in blocks_of("r1", told.found, AT)}
    observed = decode.observed(device, told.found, decode.configured(config))
    return {"asked": asked, "flags": list(told.flags), "rows": rows, "observed": _told(to_plain(observed))}


def _told(plain: Any) -> Any:
    """Without what is empty or unknown."""
    if isinstance(plain, dict):
        return {k: told for k, v in plain.items() if (told := _told(v)) not in (None, "", [], {})}
    return [_told(v) for v in plain] if isinstance(plain, list) else plain


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in {"at", "device"}}


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_a_device_is_asked_and_read_as_its_folder_says(case: Path) -> None:
    assert outcome(case) == json.loads((case / "expected.json").read_text())


def send_nothing(_request: Request) -> str:
    return EMPTY


def asked_of(*capabilities: str, send: Any = send_nothing) -> tuple[list[tuple[str, ...]], Asked]:
    """The models of each request, and what came of them."""
    there, sent = namespaces(capabilities), []

    def noted(request: Request) -> str:
        sent.append(tuple(model.name for model in request.models))
        return str(send(request))

    return sent, ask(offered(MODELS, there), there, ("interfaces", "hardware"), noted)


OPENCONFIG = (
    "http://openconfig.net/yang/interfaces?module=openconfig-interfaces",
    "http://openconfig.net/yang/platform",
)
IETF = "urn:ietf:params:xml:ns:yang:ietf-interfaces?module=ietf-interfaces"


def test_a_source_that_has_nothing_gives_way_to_the_next() -> None:
    sent, told = asked_of(*OPENCONFIG, IETF)
    assert sent == [("openconfig-interfaces", "openconfig-platform"), ("ietf-interfaces",)]
    assert (told.found.topics, told.flags) == (frozenset(), ())


def test_a_filter_that_is_refused_is_asked_for_a_model_at_a_time() -> None:
    def send(request: Request) -> str:
        if "components" in request.filter:
            raise RefusedError("rpc-error unknown-namespace: components")
        return EMPTY

    sent, told = asked_of(*OPENCONFIG, send=send)
    assert sent == [
        ("openconfig-interfaces", "openconfig-platform"),
        ("openconfig-interfaces",),
        ("openconfig-platform",),
    ]
    assert told.flags == ("openconfig-platform: rpc-error unknown-namespace: components",)


def test_a_hostile_state_reply_is_a_line_of_its_own() -> None:
    _, told = asked_of(IETF, send=lambda _request: "<!DOCTYPE x [<!ENTITY a 'ha'>]><data>&a;</data>")
    assert told.flags == ("ietf-interfaces: the reply carries a document type declaration: refused",)


def test_capabilities_that_only_resemble_a_model_ask_for_nothing() -> None:
    sent, _ = asked_of("urn:example:ietf-interfaces", "http://openconfig.net/yang/interfaces-of-mine")
    assert sent == []


def test_a_failed_session_ends_the_asking() -> None:
    def send(_request: Request) -> str:
        raise PollError("silent", "not done in time")

    with pytest.raises(PollError):
        asked_of(IETF, send=send)


STATES = [
    ("Established", BGP_STATES, 6),
    ("fsm-established", BGP_STATES, 6),
    ("open-sent", BGP_STATES, 4),
    ("oc-bgp-types:OPENCONFIRM", BGP_STATES, 5),
    ("oc-ospf-types:TWO_WAY", OSPF_STATES, 4),
    ("2-way", OSPF_STATES, 4),
    ("ospf-nbr-exchange-start", OSPF_STATES, 5),
    ("a state of the future", OSPF_STATES, None),
    ("", OSPF_STATES, None),
]


@pytest.mark.parametrize(("text", "table", "number"), STATES)
def test_states_have_the_numbers_of_their_mibs(text: str, table: dict[str, int], number: int | None) -> None:
    assert state_number(text, table) == number


def test_every_reader_says_by_what_it_was_verified() -> None:
    assert all(model.verified for model in MODELS)


def test_a_huge_but_legal_reply_is_read(tmp_path: Path) -> None:
    entry = "<interface><name>ge-{}</name><oper-status>up</oper-status><description>{}</description></interface>"
    many = "".join(entry.format(number, "x" * 2000) for number in range(5000))
    namespace = 'xmlns="urn:ietf:params:xml:ns:yang:ietf-interfaces"'
    reply = EMPTY.replace("/>", f"><interfaces {namespace}>{many}</interfaces></data>")
    _, told = asked_of(IETF, send=lambda _request: reply)
    assert len(reply) > 10_000_000
    assert len(told.found.interfaces) == 5000


# -- real configurations: 12 routers of a lab, IOS XR and NX-OS ------------------------------------

RECORDED = Path(__file__).parents[3] / "shared/data/cisco_telemetry/S-200202_2155_evtmix-1/running_configs.tar.xz"


@pytest.fixture(scope="module")
def recorded() -> dict[str, str]:
    if not RECORDED.exists():
        pytest.skip("the recorded configurations are not beside this checkout")
    with tarfile.open(RECORDED) as archive:
        names = [m.name for m in archive if "running_config" in m.name and "_after" not in m.name]
        return {name: archive.extractfile(name).read().decode() for name in names}  # type: ignore[union-attr]


# addresses counted by hand with a regular expression over each text
ADDRESSES = {
    "dr01": 46,
    "dr02": 44,
    "dr03": 28,
    "leaf4": 52,
    "leaf5": 46,
    "leaf7": 48,
    "leaf8": 50,
    "spine1": 66,
    "spine2": 66,
    "spine3": 66,
    "spine4-3464": 36,
    "spine5": 17,
}


def test_real_configurations_tell_names_and_addresses(recorded: dict[str, str]) -> None:
    told = [decode.configured(text) for text in recorded.values()]
    assert {found.system_name: sum(len(i.addresses) for i in found.interfaces) for found in told} == ADDRESSES


def test_descriptions_of_real_routers_name_the_other_end(recorded: dict[str, str]) -> None:
    (leaf,) = (decode.configured(text) for name, text in recorded.items() if name.endswith("leaf4.xml"))
    (port,) = (i for i in leaf.interfaces if i.name == "HundredGigE0/0/0/0")
    assert port.alias == "connects to dr01 port HundredGigE0/0/0/6"
    assert [str(a) for a in port.addresses] == ["172.31.24.0/31", "2001:420:289:2000:0:1ab:fab0:2400/127"]


def test_three_models_of_one_real_ios_xe_switch_agree(recorded: dict[str, str]) -> None:
    (text,) = (text for name, text in recorded.items() if "spine5" in name)
    told = [
        {i.name: set(i.addresses) for i in read(data_of(text)).interfaces if i.addresses}
        for read in (iosxe.read_configured, openconfig.read_interfaces, ietf.read_interfaces)
    ]
    assert told[0] == told[1] == told[2]
    assert sum(len(addresses) for addresses in told[0].values()) == 17


def test_native_and_unified_models_of_real_routers_agree(recorded: dict[str, str]) -> None:
    for name, text in recorded.items():
        data = data_of(text)
        native = {i.name: i for i in iosxr.read_configured(data).interfaces}
        unified = {i.name: i for i in iosxr.read_unified(data).interfaces}
        both = native.keys() & unified.keys()
        assert all(set(native[i].addresses) == set(unified[i].addresses) for i in both), name
        assert all(native[i].alias.strip() == unified[i].alias.strip() for i in both), name


# -- devices tell what they like -------------------------------------------------------------------

GARBAGE = (
    "",
    "18446744073709551615",
    "-1",
    "9" * 400,
    "1e999",
    "nan",
    "SPEED_999999999999GB",
    "999999999999G",
    "x" * 300,
)
KNOWN = [case for case in CASES if case.name not in {"nothing-known", "yang-library"}]
REPLIES = sorted(path for case in KNOWN for path in case.glob("*.xml"))


def read_by(models: Sequence[Model], root: etree._Element) -> None:
    inner = root if root.find("{*}data") is None else root.find("{*}data")
    assert inner is not None
    found, _ = bounded(merge([*(model.read(inner) for model in models), read_configured(inner)]))
    blocks_of("r1", found, AT)
    decode.observed(Device("r1", "192.0.2.1"), found, found)


@pytest.mark.parametrize("reply", REPLIES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_whatever_a_leaf_holds_readers_never_fail(reply: Path) -> None:
    """Each name of a leaf in turn, with each kind of garbage, and left out."""
    root = parse(reply.read_text())
    models = offered(MODELS, namespaces((reply.parent / "capabilities.txt").read_text().splitlines()))
    for tag in sorted({str(e.tag) for e in root.iter(etree.Element) if len(e) == 0}):
        leaves = [e for e in root.iter(tag) if len(e) == 0]
        texts = [leaf.text for leaf in leaves]
        for garbage in GARBAGE:
            for leaf in leaves:
                leaf.text = garbage
            read_by(models, root)
        for leaf, text in zip(leaves, texts, strict=True):
            leaf.text, leaf.tag = text, "{urn:gone}gone"
        read_by(models, root)
        for leaf in leaves:
            leaf.tag = tag


def test_a_device_that_tells_too_much_is_cut_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.netconf.found.MOST_ROWS", 3)
    many = tuple(FoundInterface(f"eth{number}", {"oper_status": 1}) for number in range(5))
    found, flags = bounded(Found(interfaces=(FoundInterface("x" * 256), *many)))
    assert [interface.name for interface in found.interfaces] == ["eth0", "eth1", "eth2"]
    assert flags == ("interfaces: the device tells 6: more than 3",)
