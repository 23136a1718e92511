"""Profiles: what to read is data, chosen by sysObjectID, refused with file and line when wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors.profiles import ProfileSet, load_profiles
from collectors.snmp.wire import parse_oid
from twin.vocab.errors import InputError, UsageError
from twin.vocab.inventory import Device
from twin.vocab.schema import KINDS

GENERIC = """
schema_version: "1"
name: generic
verified: unverified
scalars:
  memory_total_bytes: {sources: [{oid: 1.2.3.0}]}
tables:
  interfaces:
    subject: interface
    index: {index: int}
    columns: {name: {sources: [{oid: 1.2.3.4, type: text}]}}
"""
ACME = """
schema_version: "1"
name: acme
verified: unverified
extends: [generic]
system_object_ids: [1.3.6.1.4.1.99]
scalars:
  memory_total_bytes: {sources: [{oid: 1.2.99.0, scale: 1024}]}
"""
SENSORS = """
tables:
  sensors:
    subject: sensor
    index: {sensor: int}
    columns:
      type: {sources: [{text: temperature}]}
      value: {sources: [{oid: 1.2.5}]}
"""


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("object_id", "name"),
    [
        ("1.3.6.1.4.1.8072.3.2.10", "net-snmp"),
        ("1.3.6.1.4.1.9.1.516", "cisco-ios"),
        ("1.3.6.1.4.1.9.12.3.1.3.1084", "cisco-nxos"),
        ("1.3.6.1.4.1.3902.3.100.614", "zte-zxr10-access"),
        ("1.3.6.1.4.1.3902.3.100.6002.2", "zte-zxr10"),
        ("1.3.6.1.4.1.99999.1", "generic"),
        ("1.3", "generic"),
    ],
)
def test_the_longest_prefix_chooses(profiles: ProfileSet, object_id: str, name: str) -> None:
    assert profiles.choose(parse_oid(object_id)).name == name


def test_a_longer_prefix_wins_over_a_shorter(tmp_path: Path) -> None:
    longer = ACME.replace("name: acme", "name: acme-7").replace("4.1.99]", "4.1.99.7]")
    chosen = load_profiles(folder(tmp_path, g=GENERIC, a=ACME, b=longer)).choose(parse_oid("1.3.6.1.4.1.99.7.1"))
    assert chosen.name == "acme-7"


def test_the_inventory_overrules_the_sysobjectid(profiles: ProfileSet) -> None:
    assert profiles.choose(parse_oid("1.3.6.1.4.1.8072.3.2.10"), ["generic"]).name == "generic"


def test_extending_takes_over_and_replaces_by_name(tmp_path: Path) -> None:
    acme = load_profiles(folder(tmp_path, g=GENERIC, a=ACME))["acme"]
    assert acme.scalars["memory_total_bytes"].sources[0].scale == 1024
    assert acme.tables["interfaces"].columns["name"].sources[0].oid == (1, 2, 3, 4)


def test_one_prefix_may_stand_for_several_systems(tmp_path: Path) -> None:
    xr = ACME.replace("name: acme", "name: acme-xr\nsystem_description: [Acme XR, AcmeXR]")
    profiles = load_profiles(folder(tmp_path, g=GENERIC, a=ACME, x=xr))
    described = {"Acme XR 7.1": "acme-xr", "AcmeXR": "acme-xr", "Acme 3": "acme"}
    assert {d: profiles.choose((1, 3, 6, 1, 4, 1, 99, 2), (), d).name for d in described} == described


def test_what_is_inherited_may_be_left_out(tmp_path: Path) -> None:
    bare = load_profiles(folder(tmp_path, g=GENERIC, a=ACME + "without: [interfaces]\n"))["acme"]
    assert not bare.tables
    assert bare.verified == "unverified"


def test_an_extend_output_is_indexed_by_its_length_prefixed_name(profiles: ProfileSet) -> None:
    source = profiles["net-snmp"].scalars["cpu_time_us"].sources[0]
    assert source.oids[0][-10:] == (9, *b"cpuTimeUs")


def test_every_shipped_interface_column_is_a_field_or_names_the_row(profiles: ProfileSet) -> None:
    columns = set(profiles["generic"].tables["interfaces"].columns)
    assert columns - {"name", "description", "alias", "physical_address", "type"} <= set(KINDS["interface"].fields)


WRONG = {
    "circle": ({"g": GENERIC + "extends: [acme]\n", "a": ACME}, "circle"),
    "unknown parent": (
        {"g": GENERIC, "a": ACME.replace("[generic]", "[nobody]")},
        r"a.yaml:5: extends: no profile 'nobody'",
    ),
    "two of one name": ({"g": GENERIC, "h": GENERIC}, "already in"),
    "two for one prefix": ({"g": GENERIC, "a": ACME, "b": ACME.replace("name: acme", "name: b")}, "already chooses"),
    "unknown key": ({"g": GENERIC + "colour: blue\n"}, r"g.yaml:12: colour: unknown key"),
    "bad oid": ({"g": GENERIC.replace("1.2.3.4", "ifName")}, r"g.yaml:11: .*not a numeric object identifier"),
    "bad subject": ({"g": GENERIC.replace("subject: interface", "subject: teapot")}, "teapot"),
    "unverified by silence": ({"g": GENERIC.replace("verified: unverified", "")}, "verified: is missing"),
    "bad index": ({"g": GENERIC.replace("index: int", "index: name")}, r"g.yaml:10: .*'name' is no kind of index part"),
    "no such scalar": ({"g": GENERIC.replace("memory_total_bytes", "memory")}, "g.yaml:6: .*no such scalar"),
    "no such column": (
        {"g": GENERIC.replace("{name: {s", "{name: &n {s").replace("text}]}}", "text}]}, nam: *n}")},
        "g.yaml:11: .*interface has no such column",
    ),
    "needed column": ({"g": GENERIC.replace("{name: ", "{alias: ")}, "g.yaml:8: .*interface needs 'name'"),
    "neither oid nor text": ({"g": GENERIC.replace("oid: 1.2.3.4, ", "")}, "g.yaml:11: .*either an oid or a text"),
    "nothing to look at": ({"g": GENERIC.replace("1.2.3.4,", "1.2.3.4, at: [slot],")}, "looks at 'slot'"),
    "no such sensor": (
        {"g": GENERIC, "a": ACME + SENSORS.replace("temperature", "warmth")},
        "a.yaml:15: .*no sensor type 'warmth'",
    ),
    "nothing to leave out": ({"g": GENERIC, "a": ACME + "without: [fans]\n"}, "a.yaml:9: without: .*has 'fans'"),
    "old format": ({"g": GENERIC.replace('"1"', '"0"')}, "schema_version"),
}


@pytest.mark.parametrize(("files", "complaint"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, files: dict[str, str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        load_profiles(folder(tmp_path, **files))


def test_a_folder_without_generic_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no device profile named 'generic'"):
        load_profiles(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: is no folder of device profiles"):
        load_profiles(tmp_path / "nowhere")


def test_a_device_that_names_an_unknown_profile_is_named(profiles: ProfileSet) -> None:
    with pytest.raises(UsageError, match=r"device r1: no device profile 'cisco'; there are .*generic"):
        profiles.refuse_unknown(Device("r1", "192.0.2.1", profiles=("cisco",)))


def test_an_unknown_profile_name_says_which_there_are(profiles: ProfileSet) -> None:
    with pytest.raises(UsageError, match=r"'cisco'; there are .*generic, .*net-snmp"):
        profiles.choose((1, 3), ["cisco"])
