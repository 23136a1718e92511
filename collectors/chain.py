"""The steps every block passes between decoding and the store. Pure; each says what it took out.

A step is a function from a block to the block that may go on and a remark ("" if it took nothing out).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from twin.vocab.blocks import Block

Step = Callable[[Block], tuple[Block, str]]
CLOCK_TOLERANCE = np.timedelta64(5, "s")


def drop_unnamed(block: Block) -> tuple[Block, str]:
    """A sample without a name belongs to no series."""
    if not any("" in values.tolist() for values in block.keys.values()):
        return block, ""
    named = np.ones(len(block), dtype=bool)
    for values in block.keys.values():
        named &= values != ""
    return _keep(block, named, "without a name")


def refuse_future(present: np.datetime64) -> Step:
    """A sample from the future would hide all that come before it."""

    latest = present + CLOCK_TOLERANCE

    def step(block: Block) -> tuple[Block, str]:
        return _keep(block, block.at <= latest, "from the future")

    return step


def drop_repeated(block: Block) -> tuple[Block, str]:
    """Two samples of one series at one time contradict each other: neither is kept."""
    keys = list(
        zip(*(values.tolist() for values in block.keys.values()), block.at.view(np.int64).tolist(), strict=True)
    )
    if len(set(keys)) == len(keys):
        return block, ""
    tally = Counter(keys)
    return _keep(block, np.array([tally[key] == 1 for key in keys], dtype=bool), "given twice")


def run(block: Block, steps: Sequence[Step]) -> tuple[Block, tuple[str, ...]]:
    """All steps in order; the remarks of those that took something out."""
    remarks: list[str] = []
    for step in steps:
        block, remark = step(block)
        remarks += [remark] if remark else []
    return block, tuple(remarks)


def run_all(blocks: Iterable[Block], steps: Sequence[Step]) -> tuple[tuple[Block, ...], tuple[str, ...]]:
    """The same for many blocks; blocks that end up empty are left out."""
    done = [run(block, steps) for block in blocks]
    return tuple(b for b, _ in done if len(b)), tuple(remark for _, remarks in done for remark in remarks)


def _keep(block: Block, rows: np.ndarray[tuple[int], np.dtype[np.bool_]], why: str) -> tuple[Block, str]:
    if rows.all():
        return block, ""
    return block.take(rows), f"{block.kind}: {np.count_nonzero(~rows)} {why}: left out"
