"""Which kinds are kept how long."""

from __future__ import annotations

from datetime import timedelta

from twin.store.retention import retention_of
from twin.vocab.schema import KINDS

RAW, FINE, COARSE = timedelta(days=35), timedelta(days=400), timedelta(days=1830)


def test_what_is_thinned_goes_sooner_than_its_tiers_and_documents_stay() -> None:
    kept = retention_of(RAW, FINE, COARSE)
    assert (kept["interface"], kept["interface_5m"], kept["interface_1h"]) == (RAW, FINE, COARSE)
    assert KINDS.keys() - kept.keys() == {"event", "record"}
    for kind in KINDS.values():
        if kind.thins and kind.name in kept:
            assert kept[kind.name] >= kept[kind.thins]
