"""What tiers keep: the same octets however they are divided, gaps as gaps, states as they were last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.store.tiers import Raw, thinned
from twin.vocab.blocks import Block
from twin.vocab.schema import KINDS, TIERS

HOUR = np.datetime64("2026-11-23T10:00:00", "us")
LATER = np.timedelta64(1, "h")


def after(seconds: float) -> np.datetime64:
    return HOUR + np.timedelta64(round(seconds * 1e6), "us")


def sample(second: float, octets: int, **more: Any) -> dict[str, Any]:
    told = {"counter_bits": 64, "speed_bps": 10**10, "uptime_cs": 10**6 + int(second * 100)}
    return {"device": "r1", "interface": "eth0", "at": after(second), "in_octets": octets, **told, **more}


def tier(rows: list[dict[str, Any]], name: str = "5m", kind: str = "interface") -> list[dict[str, Any]]:
    return thinned(Raw.of(Block.from_rows(kind, rows)), name, HOUR, HOUR + LATER).rows()


def test_a_steady_counter_is_its_rate() -> None:
    rows = tier([sample(60 * i, 6000 * i, oper_status=1) for i in range(-2, 63)])
    assert [row["at"] for row in rows] == [after(300 * i) for i in range(12)]
    kept = {"in_octets_mean": 100.0, "in_octets_min": 100.0, "in_octets_p95": 100.0, "in_octets_max": 100.0}
    for row in rows:
        assert kept.items() <= row.items()
        assert (row["in_octets_count"], row["in_octets_known_s"]) == (5, 300.0)
        assert (row["oper_status"], row["speed_bps"]) == (1, 10**10)
        assert "out_octets_count" not in row
    (hour,) = tier([sample(60 * i, 6000 * i) for i in range(-2, 63)], "1h")
    assert kept.items() <= hour.items()
    assert (hour["in_octets_count"], hour["in_octets_known_s"]) == (60, 3600.0)


def test_what_is_not_known_is_a_gap() -> None:
    """The agent restarted from zero at minute 7; nothing was read from minute 12 to 26."""
    minutes = [*range(12), *range(26, 31)]
    began = {m: 0 if m < 7 else 7 for m in minutes}
    rows = tier([sample(60 * m, 6000 * (m - b), uptime_cs=6000 * (m - b)) for m, b in began.items()])
    known = {row["at"]: (row["in_octets_count"], row["in_octets_known_s"]) for row in rows}
    assert known[after(300)] == (4, 240.0)
    assert known[after(900)] == (1, 300.0)  # a rate over the silence, which is no hour long
    assert known[after(1800)] == (0, 0.0)  # minute 30 alone: read, but no rate
    assert set(known) == {after(300 * i) for i in range(7)}


def test_states_are_as_they_were_last_and_gauges_have_statistics() -> None:
    rows = [
        {"device": "r1", "sensor": "t1", "at": after(10 * i), "value": float(i), "status": 1 + i // 25, "unit": "C"}
        for i in range(30)
    ]
    (row,) = tier(rows, kind="sensor")
    assert row == {
        "device": "r1", "sensor": "t1", "at": HOUR, "status": 2, "unit": "C",
        "value_mean": 14.5, "value_min": 0.0, "value_p95": 28.0, "value_max": 29.0, "value_count": 30,
    }  # fmt: skip


STEPS = st.lists(st.tuples(st.integers(1, 700), st.integers(0, 2**36)), min_size=1, max_size=40)


@given(steps=STEPS, late=st.randoms(use_true_random=False))
def test_no_octet_is_lost_or_made_up(steps: list[tuple[int, int]], late: Any) -> None:
    """Mean x known seconds of all buckets is what the counter counted; the order of arrival does not matter."""
    seconds, counts = np.cumsum([0, *(s for s, _ in steps)]), np.cumsum([0, *(c for _, c in steps)])
    inside = seconds < 3600
    rows = [sample(int(s), int(c), speed_bps=10**13) for s, c in zip(seconds[inside], counts[inside], strict=True)]
    block = Block.from_rows("interface", late.sample(rows, len(rows)))
    block = block.take(np.argsort(block.at, kind="stable"))
    for name in TIERS:
        found = thinned(Raw.of(block), name, HOUR, HOUR + LATER)
        mean, known = (found.fields[f"in_octets_{x}"] for x in ("mean", "known_s"))
        carried = float((mean.values * known.values)[mean.valid].sum())
        assert carried == pytest.approx(float(counts[inside][-1]), rel=1e-5)
        assert known.values.sum() == seconds[inside][-1]


def test_only_the_buckets_asked_for() -> None:
    block = Block.from_rows("interface", [sample(60 * i, i) for i in range(-60, 120)])
    found = thinned(Raw.of(block), "1h", HOUR, HOUR + LATER)
    assert found.at.tolist() == [HOUR]
    assert len(thinned(Raw.of(Block.from_rows("interface", [])), "1h", HOUR, HOUR + LATER)) == 0


def test_every_kind_that_is_thinned_can_be() -> None:
    for kind in KINDS.values():
        if any(f.thinned for f in kind.fields.values()):
            value = {"int": 5, "float": 5.0, "str": "x"}
            row = dict.fromkeys(kind.keys, "k") | {name: value[f.type] for name, f in kind.fields.items()}
            (found,) = tier([row | {"at": HOUR}], kind=kind.name)
            rest = {f"{n}_{s}" for n, f in kind.fields.items() if f.counter for s in ("mean", "min", "p95", "max")}
            assert found.keys() | rest == {*kind.keys, "at", *KINDS[f"{kind.name}_5m"].fields}
