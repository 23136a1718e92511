"""The steps between decoding and the store: what can't be kept is taken out and said."""

from __future__ import annotations

import numpy as np

from collectors import chain
from twin.vocab.blocks import Block

NOW = np.datetime64("2026-11-23T12:00:00", "us")


def block(*rows: tuple[str, int]) -> Block:
    """(interface name, seconds after NOW) rows."""
    return Block.from_rows(
        "interface",
        [{"device": "r1", "interface": n, "in_octets": i, "at": NOW + s * 10**6} for i, (n, s) in enumerate(rows)],
    )


def names(kept: Block) -> list[str]:
    return [str(name) for name in kept.keys["interface"]]


def test_a_sample_without_a_name_is_dropped() -> None:
    kept, remark = chain.drop_unnamed(block(("eth1", 0), ("", 0)))
    assert names(kept) == ["eth1"]
    assert remark == "interface: 1 without a name: left out"


def test_a_sample_from_the_future_is_refused_but_clocks_may_differ_a_little() -> None:
    kept, remark = chain.refuse_future(NOW)(block(("now", 0), ("soon", 4), ("later", 60)))
    assert names(kept) == ["now", "soon"]
    assert "from the future" in remark


def test_contradicting_samples_are_both_left_out() -> None:
    kept, _ = chain.drop_repeated(block(("eth1", 0), ("eth2", 0), ("eth1", 0), ("eth1", 1)))
    assert names(kept) == ["eth2", "eth1"]


def test_a_good_block_passes_untouched_and_an_emptied_one_is_gone() -> None:
    good, bad = block(("eth1", 0)), block(("", 0))
    kept, remarks = chain.run_all([good, bad], [chain.drop_unnamed, chain.refuse_future(NOW), chain.drop_repeated])
    assert kept == (good,)
    assert len(remarks) == 1
