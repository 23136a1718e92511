"""Notifications as events: a file per case in cases/notifications, standard ones, vendors' and hostile ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.snmp.names import Names, read_names
from collectors.snmp.notification import LONGEST_DETAIL, LONGEST_SUBJECT, Varbinds, translate
from collectors.snmp.wire import Oid, Value
from twin.vocab.events import Event

CASES = sorted((Path(__file__).parent / "cases" / "notifications").glob("*.txt"))
NAMES = read_names(Path(__file__).parents[2] / "configs" / "objects.tsv")
AT = datetime(2026, 1, 1, tzinfo=UTC)
TRAP_OID = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
LINK_DOWN = (1, 3, 6, 1, 6, 3, 1, 1, 5, 3)


def known_index(index: int) -> str | None:
    return {3: "eth3"}.get(index)


def told(varbinds: Varbinds, names: Names = NAMES) -> Event:
    return translate("r1", varbinds, names, known_index, AT)


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_a_notification_becomes_its_event(
    case: Path, tmp_path: Path, recording: Callable[[Path], dict[Oid, Value]]
) -> None:
    lines = [line for line in case.read_text().splitlines() if not line.startswith("#")]
    expected = dict(line.partition(" ")[::2] for line in lines if "|" not in line)
    (tmp_path / "varbinds").write_text("\n".join(line for line in lines if "|" in line))
    event = told(list(recording(tmp_path / "varbinds").items()))
    assert event == Event("r1", expected["event"], expected["subject"], "snmp", expected["detail"], AT)


def test_a_notification_must_say_which_it_is() -> None:
    with pytest.raises(ValueError, match="no snmpTrapOID"):
        told([((1, 3, 6, 1, 2, 1, 2, 2, 1, 1, 3), 3)])


def test_without_any_table_of_names_the_standard_ones_about_addresses_are_still_known() -> None:
    event = told([(TRAP_OID, (1, 3, 6, 1, 2, 1, 15, 0, 2)), ((1, 3, 6, 1, 2, 1, 15, 3, 1, 2, 10, 0, 0, 9), 1)], Names())
    assert (event.event, event.subject) == ("bgpBackwardTransition", "10.0.0.9")


oids = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20).map(tuple)
known = st.sampled_from([o.oid for o in NAMES])
values = st.one_of(st.none(), st.integers(-(2**31), 2**64), st.binary(max_size=3000), oids)
suffixed = st.tuples(known, st.lists(st.integers(0, 2**32 - 1), max_size=20).map(tuple)).map(lambda p: p[0] + p[1])


@given(st.one_of(oids, known), st.lists(st.tuples(st.one_of(oids, suffixed), values), max_size=30))
def test_whatever_it_carries_the_event_is_bounded_printable_text(
    which: Oid, varbinds: list[tuple[Oid, Value | None]]
) -> None:
    event = told([(TRAP_OID, which), *varbinds])
    assert len(event.subject) <= LONGEST_SUBJECT
    assert len(event.detail) <= LONGEST_DETAIL
    assert (event.event + event.subject + event.detail).isprintable()
    (event.subject + event.detail).encode()
