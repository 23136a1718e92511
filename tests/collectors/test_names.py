"""Names of objects, both ways; the packaged table agrees with pysnmp's own MIB modules."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysnmp.smi.builder import MibBuilder

from collectors.snmp.names import Names, Object, parse_names, read_names
from collectors.snmp.wire import Oid, Value, dotted, parse_oid
from twin.vocab.errors import InputError, UsageError

TABLE = Path(__file__).parents[2] / "configs" / "objects.tsv"
NAMES = read_names(TABLE)
IF_OPER_STATUS = parse_oid("1.3.6.1.2.1.2.2.1.8")
MODULES = ["SNMPv2-MIB", "RFC1213-MIB", "SNMP-FRAMEWORK-MIB", "SNMP-MPD-MIB", "SNMP-COMMUNITY-MIB"]


@pytest.mark.parametrize(
    "text", ["ifOperStatus.3", "IF-MIB::ifOperStatus.3", "1.3.6.1.2.1.2.2.1.8.3", ".1.3.6.1.2.1.2.2.1.8.3"]
)
def test_an_object_may_be_written_as_name_or_number(text: str) -> None:
    assert NAMES.oid(text) == (*IF_OPER_STATUS, 3)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ifOperStatsu", r"no object is named 'ifOperStatsu'; did you mean ifOperStatus"),
        ("zzzzzzzzzzzz", r"no object is named 'zzzzzzzzzzzz'; a folder of MIB modules may have it"),
        ("1.x.3", r"'1\.x\.3' is neither a numeric object identifier nor a name"),
        ("", "is neither"),
    ],
)
def test_what_is_no_object_is_refused_by_name(text: str, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        NAMES.oid(text)


@given(st.sampled_from(list(NAMES)), st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple))
def test_a_label_reads_back(known: Object, instance: Oid) -> None:
    oid = known.oid + instance
    assert NAMES.oid(NAMES.label(oid)) == oid


SHOWN: list[tuple[str, Value, str]] = [
    ("ifOperStatus.1", 2, "down (2)"),
    ("ifOperStatus.1", 99, "99"),
    ("sysUpTime.0", 123456789, "14 d 6:56:07 (123456789)"),
    ("sysObjectID.0", parse_oid("1.3.6.1.2.1.1"), "system"),
    ("sysDescr.0", b"Cisco\r\nIOS\x00", "Cisco\r\nIOS"),
    ("sysDescr.0", b"\x1b[2J", "1b:5b:32:4a"),
    ("ifPhysAddress.1", b"abcdef", "61:62:63:64:65:66"),
    ("bgpPeerRemoteAddr.10.0.0.9", b"\x0a\x00\x00\x09", "10.0.0.9"),
    ("1.3.6.1.4.1.99999.1", b"\x00\x00", "00:00"),
    ("1.3.6.1.4.1.99999.1", "Grüße".encode(), "Grüße"),
    ("1.3.6.1.4.1.99999.1", "\u202eevil".encode(), "e2:80:ae:65:76:69:6c"),
]


@pytest.mark.parametrize(("name", "value", "text"), SHOWN)
def test_a_value_is_shown_as_people_write_it(name: str, value: Value, text: str) -> None:
    assert NAMES.show(NAMES.oid(name), value) == text


def test_the_type_is_the_mibs_else_the_wires() -> None:
    assert NAMES.type_of(NAMES.oid("ifHCInOctets.1"), 5) == "Counter64"
    assert NAMES.type_of(parse_oid("1.3.6.1.4.1.99999.1"), b"") == "OctetString"
    assert NAMES.type_of(parse_oid("1.3.6.1.4.1.99999.1"), (1, 3)) == "ObjectIdentifier"


@pytest.mark.parametrize("module", MODULES)
def test_the_packaged_table_agrees_with_pysnmps_modules(module: str) -> None:
    builder = MibBuilder()
    builder.load_modules(module)
    theirs = {n: tuple(s.getName()) for n, s in builder.mibSymbols[module].items() if hasattr(s, "getName")}
    ours = {one.name: one.oid for one in NAMES}
    shared = theirs.keys() & ours.keys()
    assert shared
    assert {n: dotted(theirs[n]) for n in shared} == {n: dotted(ours[n]) for n in shared}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1.3.6\ta\n1.3.6\tb", r"table:2: 1\.3\.6 stands twice \(first on line 1\)"),
        ("1.3.6\ta\n1.3.7\ta", r"table:2: a stands twice \(first on line 1\)"),
        ("# only\n1.3.6", "table:2: not an object"),
        ("1.3.6\ta\tInteger32\tup", "table:1: not an object"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(text: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        parse_names(text, "table")


def test_of_two_objects_of_one_name_the_first_is_kept() -> None:
    first, second = NAMES.by_name["ifIndex"], NAMES.by_name["ifDescr"]
    assert Names.of([first, second, first]).by_name == {"ifIndex": first, "ifDescr": second}
