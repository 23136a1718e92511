"""nettwin snmp on real net-snmp: what the commands show, write and refuse."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from collectors.snmp.wire import parse_oid
from twin.app.cli.main import main
from twin.app.settings import packaged_configs


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Nettwin = Callable[..., Done]


@pytest.fixture
def nettwin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nettwin:
    """The command in this process."""

    def run(*words: str, settings: Path | None = None) -> Done:
        if settings is not None:
            monkeypatch.setenv("NETTWIN_SETTINGS", str(settings))
        with pytest.raises(SystemExit) as ended:
            main(words)
        told = capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    return run


@pytest.fixture
def site(tmp_path: Path, snmpd_port: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in; its settings know the agent on loopback as box (v2c) and safe (v3), and one that is gone."""
    monkeypatch.chdir(tmp_path)
    for name, secret in {"COMMUNITY": "public", "AUTH": "authpass123", "PRIVACY": "privpass123"}.items():
        monkeypatch.setenv(f"TEST_{name}", secret)
    (tmp_path / "nettwin.yaml").write_text("schema_version: 1\ndata: data\n")
    (tmp_path / "devices.yaml").write_text(f"""
schema_version: 1
credentials:
  snmp:
    old: {{version: 2c, community: {{env: TEST_COMMUNITY}}, port: {snmpd_port}, timeout: 1s, retries: 0}}
    new:
      version: 3
      user: twin
      auth_passphrase: {{env: TEST_AUTH}}
      privacy_passphrase: {{env: TEST_PRIVACY}}
      port: {snmpd_port}
    dead: {{version: 2c, community: {{env: TEST_COMMUNITY}}, port: 9, timeout: 100ms, retries: 0}}
devices:
  - {{name: box, address: 127.0.0.1, snmp: old}}
  - {{name: safe, address: 127.0.0.1, snmp: new}}
  - {{name: odd, address: 127.0.0.1, snmp: old, profiles: [generic, mikrotik-routeros]}}
  - {{name: gone, address: 127.0.0.1, snmp: dead}}
""")
    return tmp_path / "nettwin.yaml"


def snmprec(path: Path) -> dict[str, tuple[str, str]]:
    """OID -> tag and text."""
    lines = (line.split("|", 2) for line in path.read_text().splitlines())
    return {oid: (tag, text) for oid, tag, text in lines}


@pytest.mark.parametrize("device", ["box", "safe"])
def test_a_recording_holds_what_the_agent_tells(nettwin: Nettwin, site: Path, device: str) -> None:
    output = site.parent / "box.snmprec"
    done = nettwin("snmp", "record", device, "--output", str(output), settings=site)
    assert done.returncode == 0, done.stderr
    told = snmprec(output)
    assert told["1.3.6.1.2.1.1.5.0"] == ("4", "box")
    assert told["1.3.6.1.2.1.1.2.0"] == ("6", "1.3.6.1.4.1.8072.3.2.10")
    assert told["1.3.6.1.2.1.2.2.1.2.1"] == ("4", "lo")
    assert told["1.3.6.1.2.1.4.20.1.1.127.0.0.1"] == ("64", "127.0.0.1")
    tags = {"1.3.6.1.2.1.1.3.0": "67", "1.3.6.1.2.1.2.2.1.5.1": "66", "1.3.6.1.2.1.2.2.1.10.1": "65"}
    assert {oid: told[oid][0] for oid in tags} == tags
    assert told["1.3.6.1.2.1.31.1.1.1.6.1"][0] == "70"
    assert list(told) == sorted(told, key=parse_oid)


def test_users_views_and_communities_are_withheld(nettwin: Nettwin, site: Path) -> None:
    """net-snmp shows VACM and its users to whoever may see everything."""
    output = site.parent / "box.snmprec"
    done = nettwin("snmp", "record", "box", "-o", str(output), "--subtree", "1.3.6.1.6", settings=site)
    assert done.returncode == 0, done.stderr
    assert re.search(r"[1-9]\d* withheld as secret", done.stderr)
    groups = {oid.split(".")[6] for oid in snmprec(output) if oid.startswith("1.3.6.1.6.3.")}
    assert groups == {"1", "10", "11"}
    assert "twin" not in output.read_text()


BAD = Path(__file__).parent / "cases" / "profiles-bad"


def test_lint_finds_no_fault_in_what_is_shipped(nettwin: Nettwin, site: Path) -> None:
    done = nettwin("snmp", "lint", settings=site)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\d+ profiles, no fault\n", done.stdout)


def test_lint_tells_all_faults_of_all_files(nettwin: Nettwin, site: Path) -> None:
    files = [str(BAD / "unit-misfits.yaml"), str(BAD / "verified-missing.yaml")]
    done = nettwin("snmp", "lint", *files, settings=site)
    assert done.returncode == 3
    assert [line.split(":")[1] for line in done.stdout.splitlines()] == ["13", "2"]
    told = json.loads(nettwin("snmp", "lint", "--json", *files, settings=site).stdout)
    assert [fault["key"] for fault in told] == ["tables.optics.columns.value.sources.0", "verified"]


def test_check_refuses_a_profile_with_a_fault(nettwin: Nettwin, site: Path) -> None:
    folder = site.parent / "profiles"
    shutil.copytree(packaged_configs() / "profiles", folder)
    site.write_text(site.read_text() + "profiles: profiles\n")
    assert nettwin("check", settings=site).returncode == 0
    shutil.copy(BAD / "unless-unknown.yaml", folder)
    done = nettwin("check", settings=site)
    assert done.returncode == 2
    assert "unless-unknown.yaml:12: tables.processors.unless: there is no scalar or table 'cpu'" in done.stderr


def test_profile_asks_the_device_what_it_is(nettwin: Nettwin, site: Path) -> None:
    done = nettwin("snmp", "profile", "box", settings=site)
    assert done.returncode == 0, done.stderr
    assert "net-snmp: sysObjectID 1.3.6.1.4.1.8072.3.2.10 begins with 1.3.6.1.4.1.8072" in done.stdout
    assert re.search(r"generic +│ generic.yaml", done.stdout)


def test_profile_tells_where_each_table_comes_from(nettwin: Nettwin, site: Path) -> None:
    words = ["--object-id", "1.3.6.1.4.1.9.1.1017", "--description", "Cisco IOS XR Software, Version 7.1"]
    told = json.loads(nettwin("snmp", "profile", *words, "--json", settings=site).stdout)
    assert told["profile"] == "cisco-iosxr"
    assert "sysDescr holds 'IOS XR'" in told["why"]
    assert [link["profile"] for link in told["chain"]] == ["generic", "cisco-common", "cisco-iosxr"]
    tables = {table["name"]: table for table in told["tables"]}
    assert tables["interfaces"]["profile"] == "generic"
    assert tables["bgp_peers"]["file"].endswith("cisco-common.yaml")
    assert "memory_pools" not in tables
    isis = {column["name"]: column["sources"] for column in tables["isis_neighbors"]["columns"]}
    assert isis["interface"] == ["1.3.6.1.4.1.9.10.118.1.3.2.1.2 at [circuit]"]


def test_profile_alone_lists_what_there_is_and_by_what_it_was_verified(nettwin: Nettwin, site: Path) -> None:
    told = {p["profile"]: p for p in json.loads(nettwin("snmp", "profile", "--json", settings=site).stdout)}
    assert set(told) == {path.stem for path in (packaged_configs() / "profiles").glob("*.yaml")}
    assert told["nokia-sros"]["verified"] == "unverified"
    assert told["cisco-iosxr"]["system_description"] == ["IOS XR"]
    assert re.search(r"mikrotik-routeros +│ 1.3.6.1.4.1.14988.1 ", nettwin("snmp", "profile", settings=site).stdout)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["odd"], "the inventory names generic, mikrotik-routeros"),
        (["--object-id", "1.3.6.1.4.1.99999.1"], "no profile has a prefix of 1.3.6.1.4.1.99999.1: generic serves"),
        (["--object-id", "1.3.6.1.4.1.14988.1"], "sysObjectID 1.3.6.1.4.1.14988.1 begins with 1.3.6.1.4.1.14988.1"),
    ],
)
def test_profile_says_why(nettwin: Nettwin, site: Path, words: list[str], why: str) -> None:
    assert json.loads(nettwin("snmp", "profile", *words, "--json", settings=site).stdout)["why"] == why


REFUSED = [
    (["snmp", "profile", "box", "--object-id", "1.3"], 2, "name a device or give --object-id, not both"),
    (["snmp", "profile", "--object-id", "mikrotik"], 2, "--object-id: 'mikrotik' is not a numeric object identifier"),
    (["snmp", "profile", "gone"], 1, r"gone \(127.0.0.1\): silent: "),
    (["snmp", "lint", "none.yaml"], 2, "none.yaml: can't be read"),
    (["snmp", "record", "gone", "-o", "new"], 1, r"gone \(127.0.0.1\): silent: "),
    (["snmp", "record", "nobody", "-o", "new"], 2, "no device named nobody"),
    (["snmp", "record", "box", "-o", "devices.yaml"], 2, "devices.yaml: is there already"),
    (["snmp", "record", "box", "-o", "new", "--subtree", "ifTable"], 2, "'ifTable' is not a numeric object identifier"),
    (["snmp", "record", "box", "-o", "new", "--subtree", "1.3.6.1.6.3.18.1"], 2, "holds secrets and is never recorded"),
]


@pytest.mark.parametrize(("words", "code", "complaint"), REFUSED, ids=[" ".join(r[0]) for r in REFUSED])
def test_what_can_not_be_done_is_one_clear_line(
    nettwin: Nettwin, site: Path, words: list[str], code: int, complaint: str
) -> None:
    done = nettwin(*words, settings=site)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("nettwin: ")]
    assert done.returncode == code
    assert re.search(complaint, line)
    assert not Path("new").exists()


@pytest.mark.parametrize("engine", ["fast", "pysnmp"])
@pytest.mark.parametrize("device", ["box", "safe"])
def test_get_shows_name_type_and_value(nettwin: Nettwin, site: Path, device: str, engine: str) -> None:
    words = ["sysName", "1.3.6.1.2.1.2.2.1.8.1", "IF-MIB::ifType.1", "--json", "--engine", engine]
    done = nettwin("snmp", "get", device, *words, settings=site)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    name, status = rows["sysName.0"], rows["ifOperStatus.1"]
    assert (name["oid"], name["type"], name["value"], name["text"]) == (
        "1.3.6.1.2.1.1.5.0",
        "DisplayString",
        b"box".hex(),
        "box",
    )
    assert (status["type"], status["value"], status["text"]) == ("Integer32", 1, "up (1)")
    assert rows["ifType.1"]["text"] == "softwareLoopback (24)"


def test_get_says_what_the_device_does_not_have(nettwin: Nettwin, site: Path) -> None:
    done = nettwin("snmp", "get", "box", "sysName", "ifOperStatus.999999", settings=site)
    assert done.returncode == 0
    assert "box has no ifOperStatus.999999" in done.stderr
    assert nettwin("snmp", "get", "box", "ifOperStatus.999999", settings=site).returncode == 1


@pytest.mark.parametrize("engine", ["fast", "pysnmp"])
def test_walk_shows_everything_below_in_order(nettwin: Nettwin, site: Path, engine: str) -> None:
    done = nettwin("snmp", "walk", "safe", "system", "--json", "--engine", engine, settings=site)
    assert done.returncode == 0
    rows = json.loads(done.stdout)
    oids = [parse_oid(row["oid"]) for row in rows]
    assert oids == sorted(oids)
    assert len(rows) > 8
    assert {row["name"]: row["text"] for row in rows}["sysName.0"] == "box"


def test_walk_of_a_single_object_is_that_object(nettwin: Nettwin, site: Path) -> None:
    done = nettwin("snmp", "walk", "box", "sysName.0", settings=site)
    assert done.returncode == 0
    assert re.search(r"sysName\.0 .*box", done.stdout)


def test_walk_asks_an_address_with_a_credential(nettwin: Nettwin, site: Path) -> None:
    done = nettwin("snmp", "walk", "localhost", "ifName", "--credential", "old", settings=site)
    assert done.returncode == 0
    assert "ifName.1" in done.stdout


def test_walk_says_when_it_is_cut(nettwin: Nettwin, site: Path) -> None:
    done = nettwin("snmp", "walk", "box", "system", "--most", "3", "--json", settings=site)
    assert done.returncode == 0
    assert len(json.loads(done.stdout)) == 3
    assert "not all: " in done.stderr


NOT_ASKED = [
    (["walk", "box", "ifOperStatsu"], 2, "no object is named 'ifOperStatsu'; did you mean ifOperStatus"),
    (["walk", "box", "ospfNbrTable"], 1, "box: has nothing at ospfNbrTable or below it"),
    (["walk", "gone", "ifName"], 1, "gone (127.0.0.1): silent"),
    (["walk", "192.0.2.9", "ifName"], 2, "lists no device 192.0.2.9; an address needs --credential"),
    (["get", "192.0.2.9", "ifName", "-c", "none"], 2, "credentials.snmp has no 'none'"),
    (["walk", "box", "ifName", "--within", "soon"], 2, "'soon' is not a duration"),
    (["translate", "nothingLikeThis"], 2, "no object is named 'nothingLikeThis'"),
]


@pytest.mark.parametrize(("words", "code", "line"), NOT_ASKED, ids=[" ".join(r[0]) for r in NOT_ASKED])
def test_asking_is_refused_in_one_line(nettwin: Nettwin, site: Path, words: list[str], code: int, line: str) -> None:
    done = nettwin("snmp", *words, settings=site)
    assert done.returncode == code
    (told,) = [said for said in done.stderr.splitlines() if said.startswith("nettwin: ")]
    assert line in told
    assert done.stdout == ""


def test_translate_goes_both_ways_and_reads_mib_modules(nettwin: Nettwin, site: Path) -> None:
    (site.parent / "mibs").mkdir()
    (site.parent / "mibs" / "ACME-MIB.txt").write_text(
        "ACME-MIB DEFINITIONS ::= BEGIN\nIMPORTS enterprises, OBJECT-TYPE FROM SNMPv2-SMI;\n"
        "acme OBJECT IDENTIFIER ::= { enterprises 99999 }\n"
        "acmeDoor OBJECT-TYPE SYNTAX INTEGER { open(1), shut(2) } MAX-ACCESS read-only\n"
        ' STATUS current DESCRIPTION "a door" ::= { acme 4 }\nEND\n'
    )
    site.write_text("schema_version: 1\ndata: data\nmibs: [mibs]\n")
    done = nettwin(
        "snmp", "translate", "1.3.6.1.4.1.99999.4.0", "acmeDoor", "IF-MIB::linkDown", "--json", settings=site
    )
    assert done.returncode == 0
    assert json.loads(done.stdout) == [
        {"name": "acmeDoor.0", "oid": "1.3.6.1.4.1.99999.4.0", "type": "Integer32", "values": "open (1), shut (2)"},
        {"name": "acmeDoor", "oid": "1.3.6.1.4.1.99999.4", "type": "Integer32", "values": "open (1), shut (2)"},
        {"name": "linkDown", "oid": "1.3.6.1.6.3.1.1.5.3", "type": "notification", "values": ""},
    ]


def test_a_folder_of_mib_modules_must_be_there(nettwin: Nettwin, site: Path) -> None:
    site.write_text("schema_version: 1\nmibs: [nowhere]\n")
    done = nettwin("snmp", "translate", "sysName", settings=site)
    assert done.returncode == 2
    assert "nowhere: is no folder of MIB modules" in done.stderr
