"""Splits hand out the past as inputs and the future as answers, and can't be told otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data import Panel, TooLittleHistoryError
from models.split import Split
from twin.vocab.forecast import SeriesKey
from twin.vocab.time import FIVE_MINUTES


def numbered(steps: int) -> Panel:
    """Each value is its own step, so that a leak shows."""
    at = (np.datetime64("2026-01-05", "us") + np.arange(steps) * FIVE_MINUTES).astype("datetime64[us]")
    return Panel((SeriesKey("r1", "eth0", "in_bps"),), at, np.arange(steps, dtype=float)[None])


@given(st.data())
def test_inputs_end_where_answers_begin_and_training_ends_before_both(data: st.DataObject) -> None:
    steps = data.draw(st.integers(3, 400))
    held_out = data.draw(st.integers(1, steps - 1))
    horizon = data.draw(st.integers(1, held_out))
    every, context = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 500))
    panel = numbered(steps)
    split = Split.last(panel, held_out, horizon, every=every, context=context)
    trained = split.training(panel)
    assert trained.values.max() == steps - held_out - 1
    pairs = list(split.pairs(panel))
    assert len(pairs) == (held_out - horizon) // every + 1
    for inputs, answers in pairs:
        assert len(inputs) <= context
        assert inputs.values[0, -1] + 1 == answers[0, 0] > trained.values.max()
        assert answers.shape == (1, horizon)


def test_what_is_handed_out_is_a_copy() -> None:
    panel = numbered(20)
    split = Split.last(panel, 5, 5, every=1)
    ((inputs, answers),) = split.pairs(panel)
    inputs.values[:], answers[:], split.training(panel).values[:] = -1, -1, -1
    assert panel.values.min() == 0


def test_an_origin_before_the_cutoff_is_refused() -> None:
    at = numbered(10).at
    with pytest.raises(ValueError, match="at or after its cutoff"):
        Split(at[5], (at[6], at[4]), horizon=2)


@pytest.mark.parametrize(("held_out", "horizon"), [(10, 1), (12, 1), (3, 4)])
def test_holding_out_more_than_there_is_is_refused(held_out: int, horizon: int) -> None:
    with pytest.raises(TooLittleHistoryError, match="leaves nothing"):
        Split.last(numbered(10), held_out, horizon, every=1)


def test_a_horizon_beyond_the_panel_is_refused() -> None:
    panel = numbered(10)
    with pytest.raises(TooLittleHistoryError, match="no 3 steps of answers"):
        list(Split(panel.at[5], (panel.at[8],), horizon=3).pairs(panel))
