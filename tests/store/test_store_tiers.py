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


@st.composite
def polls(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Of some interfaces: restarts, wraps of 32 bits, silences, steps of our clock, copies, columns that lack."""
    rows: list[dict[str, Any]] = []
    for name in draw(st.sets(st.sampled_from([("r1", "a"), ("r1", "b"), ("r2", "a")]))):
        at, count, began, bits = draw(st.integers(-4000, 3000)), draw(st.integers(0, 2**34)), -(10**5), 64
        for _ in range(draw(st.integers(0, 25))):
            at += draw(st.sampled_from([0, 7, 59, 60, 61, 300, 1500, 4000, -30]))
            count += draw(st.sampled_from([0, 0, 10**4, 10**7, 2**31]))
            if draw(st.integers(0, 9)) == 0:
                count, began = 0, at
            bits = draw(st.sampled_from([bits, bits, bits, 32, 64]))
            told = sample(at, count % 2**bits, counter_bits=bits, uptime_cs=100 * (at - began))
            more = draw(st.sampled_from([{}, {"out_octets": count // 2}, {"oper_status": at % 3}]))
            rows.append(told | dict(zip(("device", "interface"), name, strict=True)) | more)
    return rows


def in_order(rows: list[dict[str, Any]]) -> Block:
    """As a store gives them: by series and time, the newest of a time."""
    newest = {(row["device"], row["interface"], row["at"]): row for row in rows}
    return Block.from_rows("interface", [newest[key] for key in sorted(newest)])


def plainly(raw: Raw, counter: str, seconds: int) -> dict[tuple[int, int], list[tuple[float, int]]]:
    """(series, bucket) -> rates that hold there, and for how many microseconds."""
    held: dict[tuple[int, int], list[tuple[float, int]]] = {}
    for series, rates in raw.rates[counter].split():
        begins, ends = (t.astype(np.int64).tolist() for t in (rates.start, rates.end))
        for begin, end, rate in zip(begins, ends, rates.per_second.tolist(), strict=True):
            for number in range(begin // 10**6 // seconds, (end - 1) // 10**6 // seconds + 1):
                low, high = (10**6 * seconds * n for n in (number, number + 1))
                if not np.isnan(rate):
                    held.setdefault((series, number), []).append((rate, min(end, high) - max(begin, low)))
    return held


@given(rows=polls())
def test_tiers_are_what_their_plain_definition_says(rows: list[dict[str, Any]]) -> None:
    raw = Raw.of(in_order(rows))
    names = [(raw.block.keys["device"][row], raw.block.keys["interface"][row]) for row in raw.first]
    for name, seconds in TIERS.items():
        found = {
            (row["device"], row["interface"], row["at"]): row for row in thinned(raw, name, HOUR, HOUR + LATER).rows()
        }
        for counter in raw.rates:
            for (series, number), pieces in plainly(raw, counter, seconds).items():
                at = np.datetime64(number * seconds * 10**6, "us")
                if HOUR <= at < HOUR + LATER:
                    row, known = found[(*names[series], at)], sum(length for _, length in pieces)
                    mean = sum(rate * length for rate, length in pieces) / known
                    assert row[f"{counter}_known_s"] == known / 1e6
                    assert row[f"{counter}_count"] == len(pieces)
                    assert row[f"{counter}_mean"] == pytest.approx(mean, rel=1e-5)
        assert_gaps_and_states(found, rows, raw, seconds)


def assert_gaps_and_states(found: dict[Any, Any], rows: list[dict[str, Any]], raw: Raw, seconds: int) -> None:
    """Each bucket in which something was read has a row, and says so where no rate is known; states are the last."""
    known = {c: plainly(raw, c, seconds) for c in raw.rates}
    of = {(str(raw.block.keys["device"][r]), str(raw.block.keys["interface"][r])): s for s, r in enumerate(raw.first)}
    last: dict[tuple[Any, str], Any] = {}
    newest = {(row["device"], row["interface"], row["at"]): row for row in rows}
    for (device, interface, at), row in sorted(newest.items()):
        number = int(at.astype(np.int64)) // 10**6 // seconds
        bucket = (device, interface, np.datetime64(number * seconds * 10**6, "us"))
        if HOUR <= bucket[2] < HOUR + LATER:
            last |= {(bucket, name): row[name] for name in ("oper_status", "speed_bps") if name in row}
            for counter in raw.rates:
                if counter in row and (of[device, interface], number) not in known[counter]:
                    assert found[bucket][f"{counter}_count"] == found[bucket][f"{counter}_known_s"] == 0
                    assert f"{counter}_mean" not in found[bucket]
    for (bucket, name), value in last.items():
        assert found[bucket][name] == value


@given(rows=polls())
def test_devices_may_be_thinned_apart(rows: list[dict[str, Any]]) -> None:
    whole = tier(rows := sorted(in_order(rows).rows(), key=lambda r: (r["device"], r["interface"], r["at"])))
    apart = [tier([row for row in rows if row["device"] == device]) for device in ("r1", "r2")]
    assert whole == apart[0] + apart[1]


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
