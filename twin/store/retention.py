"""How long what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from twin.vocab.schema import KINDS

FOR_EVER = ("event", "record")
"""Kinds whose old rows are still asked for: what happened, and versions of documents."""
_AS_5_MINUTES = ("interface_rate", "forecast")  # one row in five minutes as they come, and no use later than tiers


def retention_of(raw: timedelta, five_minutes: timedelta, hours: timedelta) -> Mapping[str, timedelta]:
    """Kind -> how long its rows are kept; a kind that is not named is kept for ever."""
    by_tier = {"5m": five_minutes, "1h": hours}
    kept = {name: by_tier[kind.tier] if kind.tier else raw for name, kind in KINDS.items() if name not in FOR_EVER}
    return kept | dict.fromkeys(_AS_5_MINUTES, five_minutes)
