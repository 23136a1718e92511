"""Hostile datagrams: each is read or refused by the one declared exception, at once, and none harms a live engine.

``make test`` takes 20,000 of them, ``make soak`` a million (tests/soak/test_soak_snmp.py).
"""

from __future__ import annotations

import asyncio
from itertools import islice

import pytest

from collectors.failures import PollError
from collectors.snmp.ber import MalformedError
from tests.collectors.flood import flooded
from tests.collectors.fuzzed import DOORS, Door, around, by_user, sealed

SEED, SLICE, LONGEST = 20261125, 20_000, 0.5  # datagrams; seconds that one may take


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_hostile_datagrams_are_read_or_refused(door: Door) -> None:
    told = door.through(SEED, SLICE // len(DOORS))
    assert told.crashed == []
    assert told.slowest_s < LONGEST
    assert told.outcomes["refused"] > told.outcomes["read"] > 0


def test_a_v3_message_changed_anywhere_is_never_read() -> None:
    honest = set(sealed())
    for datagram in islice(around(SEED + 1), 3000):
        if datagram not in honest:
            with pytest.raises((MalformedError, PollError)):
                by_user(datagram)


def test_a_live_engine_reads_the_truth_amid_hostile_datagrams() -> None:
    told = asyncio.run(flooded(DOORS["v2c"].hostile(SEED), 2000))
    assert told.wrong == 0
    assert told.walks > 10
