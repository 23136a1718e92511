"""MIB modules as equipment vendors write them give their names, whatever else is in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.snmp.names import Names, Object, read_names
from collectors.snmp.smi import parse_modules, read_folders, resolved
from collectors.snmp.wire import dotted, parse_oid
from twin.vocab.errors import UsageError

NAMES = read_names(Path(__file__).parents[2] / "configs" / "objects.tsv")
DEBIANS = Path("/usr/share/snmp/mibs")
ACME = """
-- a comment with ::= { enterprises 1 } in it -- acmeNot OBJECT IDENTIFIER ::= { enterprises 2 }
ACME-MIB DEFINITIONS ::= BEGIN
IMPORTS
    enterprises, MODULE-IDENTITY, OBJECT-TYPE, Counter64 FROM SNMPv2-SMI
    TEXTUAL-CONVENTION, DisplayString FROM SNMPv2-TC;

acmeMIB MODULE-IDENTITY
    LAST-UPDATED "202601010000Z" ORGANIZATION "Acme; makes ::= { everything 1 }"
    DESCRIPTION "lines; with semicolons and { braces }"
    ::= { enterprises acme(99999) 1 }

acmeObjects   OBJECT IDENTIFIER ::= { acmeMIB 1 }
acmeEvents    OBJECT IDENTIFIER ::= { acmeMIB 0 }
absolute      OBJECT IDENTIFIER ::= { iso org(3) dod(6) internet(1) private(4) enterprises(1) 99998 }
numeric       OBJECT IDENTIFIER ::= { 1 3 6 1 4 1 99997 }

AcmeState ::= TEXTUAL-CONVENTION
    STATUS current DESCRIPTION "how it is"
    SYNTAX INTEGER { fine(1), broken(2) }

acmeTable OBJECT-TYPE
    SYNTAX SEQUENCE OF AcmeEntry MAX-ACCESS not-accessible STATUS current DESCRIPTION "" ::= { acmeObjects 1 }
acmeEntry OBJECT-TYPE
    SYNTAX AcmeEntry MAX-ACCESS not-accessible STATUS current DESCRIPTION "" INDEX { acmeIndex } ::= { acmeTable 1 }
AcmeEntry ::= SEQUENCE { acmeIndex Integer32, acmeState AcmeState, acmeOctets Counter64 }
acmeIndex OBJECT-TYPE SYNTAX Integer32 (1..2147483647) MAX-ACCESS not-accessible STATUS current
    DESCRIPTION "" ::= { acmeEntry 1 }
acmeState OBJECT-TYPE SYNTAX AcmeState MAX-ACCESS read-only STATUS current DESCRIPTION "" ::= { acmeEntry 2 }
acmeOctets OBJECT-TYPE SYNTAX Counter64 UNITS "octets" MAX-ACCESS read-only STATUS current
    DESCRIPTION "" ::= { acmeEntry 3 }
acmeName OBJECT-TYPE SYNTAX OCTET STRING (SIZE (0..32)) MAX-ACCESS read-write STATUS current
    DESCRIPTION "" DEFVAL { "a" } ::= { acmeObjects 2 }
acmeOwnIf OBJECT-TYPE SYNTAX DisplayString MAX-ACCESS read-only STATUS current DESCRIPTION "" ::= { ifEntry 99 }
acmeFire NOTIFICATION-TYPE OBJECTS { acmeState } STATUS current DESCRIPTION "" ::= { acmeEvents 1 }
acmeLost OBJECT IDENTIFIER ::= { nobodyKnows 1 }
acmeLoop OBJECT IDENTIFIER ::= { acmeLoop 1 }
END

OLD-ACME-MIB DEFINITIONS ::= BEGIN
acmeOld OBJECT IDENTIFIER ::= { acmeMIB 9 }
acmeTrap TRAP-TYPE ENTERPRISE acmeOld VARIABLES { acmeState } DESCRIPTION "" ::= 5
ignored TRAP-TYPE ENTERPRISE snmp DESCRIPTION "" ::= 0
END
"""
BASE = "1.3.6.1.4.1.99999.1"
STATES = {1: "fine", 2: "broken"}
EXPECTED = {
    "acmeMIB": (BASE, "", {}),
    "acmeObjects": (f"{BASE}.1", "", {}),
    "acmeEvents": (f"{BASE}.0", "", {}),
    "absolute": ("1.3.6.1.4.1.99998", "", {}),
    "numeric": ("1.3.6.1.4.1.99997", "", {}),
    "acmeTable": (f"{BASE}.1.1", "", {}),
    "acmeEntry": (f"{BASE}.1.1.1", "", {}),
    "acmeIndex": (f"{BASE}.1.1.1.1", "Integer32", {}),
    "acmeState": (f"{BASE}.1.1.1.2", "AcmeState", STATES),
    "acmeOctets": (f"{BASE}.1.1.1.3", "Counter64", {}),
    "acmeName": (f"{BASE}.1.2", "OctetString", {}),
    "acmeFire": (f"{BASE}.0.1", "notification", {}),
    "acmeOld": (f"{BASE}.9", "", {}),
    "acmeTrap": (f"{BASE}.9.0.5", "notification", {}),
}


@pytest.fixture(scope="module")
def acme() -> Names:
    return resolved(parse_modules(ACME), Names.of([Object(parse_oid("1.3.6.1.2.1.2.2.1"), "ifEntry")]))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_definition_gives_name_type_and_enumeration(acme: Names, name: str) -> None:
    one = acme.by_name[name]
    assert (dotted(one.oid), one.type, dict(one.values)) == EXPECTED[name]


def test_a_parent_may_be_one_of_the_names_known_before(acme: Names) -> None:
    assert dotted(acme.by_name["acmeOwnIf"].oid) == "1.3.6.1.2.1.2.2.1.99"


def test_nothing_else_is_read_and_what_hangs_on_nothing_is_left_out(acme: Names) -> None:
    assert acme.by_name.keys() == {*EXPECTED, "acmeOwnIf", "ifEntry"}


def test_a_name_defined_in_two_modules_hangs_where_its_own_module_says() -> None:
    both = "".join(
        f"{m} DEFINITIONS ::= BEGIN\nroot OBJECT IDENTIFIER ::= {{ enterprises {n} }}\n"
        f"leaf{n} OBJECT IDENTIFIER ::= {{ root 1 }}\nEND\n"
        for m, n in (("A-MIB", 1), ("B-MIB", 2))
    )
    names = resolved(parse_modules(both), Names())
    assert [dotted(names.by_name[n].oid) for n in ("leaf1", "leaf2")] == ["1.3.6.1.4.1.1.1", "1.3.6.1.4.1.2.1"]


words = st.sampled_from([*ACME.split(), "{", "}", '"', "--", "::=", ";", "(", ")"])


@given(st.one_of(st.text(max_size=300), st.lists(words, max_size=200).map(" ".join)))
def test_whatever_a_file_holds_it_is_read_without_complaint(text: str) -> None:
    resolved(parse_modules(f"X DEFINITIONS ::= BEGIN\n{text}"), NAMES)


def test_files_of_other_kinds_and_other_encodings_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "ACME-MIB").write_bytes(ACME.replace("Acme", "Acm\xe9").encode("latin-1"))
    (tmp_path / "picture.png").write_bytes(b"\x89PNG" + ACME.encode())
    (tmp_path / "noise.txt").write_bytes(bytes(range(256)) * 100)
    assert "acmeFire" in read_folders([tmp_path], NAMES).by_name


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: is no folder of MIB modules"):
        read_folders([tmp_path / "nowhere"], NAMES)


@pytest.mark.skipif(not DEBIANS.is_dir(), reason="net-snmp's own MIB modules are not installed")
def test_net_snmps_modules_read_as_the_packaged_table_says() -> None:
    theirs = read_folders([DEBIANS], Names.of([NAMES.by_name["ucdavis"]]))
    shared = {one.name for one in theirs if one.oid[:7] == (1, 3, 6, 1, 4, 1, 2021)} & {one.name for one in NAMES}
    assert len(shared) > 80
    assert {n: theirs.by_name[n].oid for n in shared} == {n: NAMES.by_name[n].oid for n in shared}
