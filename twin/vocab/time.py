"""Time: stored in UTC, asked in the site's time zone. A naive time means the site's zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from twin.vocab.errors import UsageError

__all__ = ["FIVE_MINUTES", "Instants", "instant", "now", "parse_at", "parse_duration", "to_datetime"]

Instants: TypeAlias = "npt.NDArray[np.datetime64]"
FIVE_MINUTES = np.timedelta64(300, "s")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|s|m|h|d|w)")


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


def instant(when: datetime) -> np.datetime64:
    """An aware datetime -> numpy UTC microseconds.

    Raises:
        ValueError: the datetime is naive.
    """
    if when.tzinfo is None:
        raise ValueError(f"naive time {when}: a time needs its zone")
    return np.datetime64(when.astimezone(UTC).replace(tzinfo=None), "us")


def to_datetime(at: np.datetime64) -> datetime:
    """numpy UTC time -> aware datetime."""
    micros = int(at.astype("datetime64[us]").astype(np.int64))
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def parse_duration(text: str) -> timedelta:
    """``10s``, ``5m``, ``1h30m``, ``7d`` -> timedelta.

    Raises:
        UsageError: not a duration, or not positive.
    """
    compact = text.strip()
    parts = _DURATION.findall(compact)
    if not parts or "".join(n + u for n, u in parts) != re.sub(r"\s+", "", compact):
        raise UsageError(f"{text!r} is not a duration; write for example 10s, 5m, 1h30m or 7d")
    seconds = sum(float(n) * _UNITS[u] for n, u in parts)
    if seconds <= 0:
        raise UsageError(f"{text!r}: a duration must be longer than nothing")
    return timedelta(seconds=seconds)


def parse_at(text: str, zone: tzinfo, *, present: datetime) -> datetime:
    """When an operator says when: ``20:00`` (the next one), ``tomorrow 20:00``, ``+2h``, or ISO 8601.

    Without an offset of its own the text means the site's ``zone``.

    Raises:
        UsageError: the text is no time, or a local time that the zone skips.
    """
    word = text.strip()
    if word == "now":
        return present
    if word.startswith("+"):
        return present + parse_duration(word[1:])
    local = present.astimezone(zone)
    if clock := re.fullmatch(r"(today|tomorrow)?\s*(\d{1,2}):(\d{2})", word):
        return _clock_time(clock, local, word)
    try:
        when = datetime.fromisoformat(word)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a time; write for example 20:00, 'tomorrow 20:00', +2h or 2026-11-24T20:00"
        ) from None
    return _existing(when.replace(tzinfo=zone) if when.tzinfo is None else when, text)


def _clock_time(clock: re.Match[str], local: datetime, text: str) -> datetime:
    day, hour, minute = clock[1], int(clock[2]), int(clock[3])
    if hour > 23 or minute > 59:
        raise UsageError(f"{text!r} is not a time of day")
    when = local.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    if day == "tomorrow" or (day is None and when <= local):
        when = (when.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=local.tzinfo)
    return _existing(when, text)


def _existing(when: datetime, text: str) -> datetime:
    utc = when.astimezone(UTC)
    if utc.astimezone(when.tzinfo).replace(tzinfo=None) != when.replace(tzinfo=None):
        raise UsageError(f"{text!r} does not exist in {when.tzinfo}: the clock is put forward there")
    return utc
