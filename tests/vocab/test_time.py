"""Operators say times in many ways; each means one instant or is refused."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from twin.vocab.errors import UsageError
from twin.vocab.time import parse_at, parse_duration

BERLIN = ZoneInfo("Europe/Berlin")
PRESENT = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", PRESENT),
        ("+2h", PRESENT + timedelta(hours=2)),
        ("20:00", datetime(2026, 11, 23, 19, 0, tzinfo=UTC)),
        ("15:30", datetime(2026, 11, 24, 14, 30, tzinfo=UTC)),
        ("tomorrow 20:00", datetime(2026, 11, 24, 19, 0, tzinfo=UTC)),
        ("2026-12-01 20:00", datetime(2026, 12, 1, 19, 0, tzinfo=UTC)),
        ("2026-12-01T20:00+00:00", datetime(2026, 12, 1, 20, 0, tzinfo=UTC)),
    ],
)
def test_a_naive_time_means_the_sites_zone(text: str, expected: datetime) -> None:
    assert parse_at(text, BERLIN, present=PRESENT) == expected


@pytest.mark.parametrize("text", ["soon", "25:00", "2026-03-29 02:30", "+0s", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_at(text, BERLIN, present=PRESENT)


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("1h30m", 5400), ("7d", 604800), ("1.5 h", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "10s!", "0s", "-5m", "1y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="duration"):
        parse_duration(text)
