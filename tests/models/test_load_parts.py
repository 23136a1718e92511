"""What the load model is made of: gaps, the calendar, ordered intervals, windows kept out of training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from models.data import DAY, WEEK, Panel, slot_of_week
from models.load.calibration import widened
from models.load.examples import Examples
from models.load.forecaster import Forecaster, Head
from models.load.network import LoadNetwork, NetworkConfig
from models.synthetic import synthetic_panel
from twin.vocab.forecast import LEVELS

HOUR = NetworkConfig(horizon=12, patch=1, centre="last", decay=48.0, width=16, blocks=1)


@pytest.fixture
def network() -> LoadNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LoadNetwork(HOUR).eval()


def test_what_stands_in_a_gap_does_not_matter(network: LoadNetwork) -> None:
    rng = np.random.default_rng(0)
    context = torch.tensor(rng.standard_normal((4, WEEK)), dtype=torch.float32)
    known = torch.tensor(rng.random((4, WEEK)) < 0.6)
    known[:, -3:] = False
    slot = torch.zeros(4, dtype=torch.long)
    expected = network(context, known, slot)
    torch.testing.assert_close(network(torch.where(known, context, 1e4), known, slot), expected)


def test_shifted_and_stretched_contexts_give_shifted_and_stretched_quantiles(network: LoadNetwork) -> None:
    context = torch.tensor(np.random.default_rng(1).standard_normal((4, WEEK)), dtype=torch.float32)
    known, slot = torch.ones(4, WEEK, dtype=torch.bool), torch.arange(4)
    expected = network(context, known, slot) * 8 + 3
    torch.testing.assert_close(network(context * 8 + 3, known, slot), expected, rtol=1e-3, atol=1e-3)


def test_the_first_target_is_the_slot_after_the_last_sample(forecaster: Forecaster, history: Panel) -> None:
    asked: list[int] = []

    class Listens(LoadNetwork):
        def forward(self, context: Tensor, known: Tensor, slot: Tensor) -> Tensor:
            asked.extend(slot.tolist())
            return super().forward(context, known, slot)

    heads = (Head(Listens(HOUR), forecaster.heads[0].calibration),)
    Forecaster(heads, forecaster.series, forecaster.provenance).predict(history.window(0, WEEK - 5), 12)
    assert set(asked) == {int(slot_of_week(history.at[WEEK - 5 : WEEK - 4])[0])}


@given(
    arrays(float, (2, 3, len(LEVELS)), elements=st.floats(-1e6, 1e6)),
    arrays(float, (2, len(LEVELS)), elements=st.floats(1, 4)),
)
def test_widened_quantiles_stay_ordered_around_the_same_median(unordered: np.ndarray, factors: np.ndarray) -> None:
    quantiles, middle = np.sort(unordered, axis=2), LEVELS.index(0.5)
    moved = widened(quantiles, factors)
    assert (np.diff(moved, axis=2) >= 0).all()
    np.testing.assert_array_equal(moved[..., middle], quantiles[..., middle])
    assert (moved[..., -1] >= quantiles[..., -1] - 1e-6).all()
    assert (moved[..., 0] <= quantiles[..., 0] + 1e-6).all()


@pytest.mark.parametrize("horizon", [12, DAY])
def test_training_windows_never_reach_the_days_kept_for_calibration(horizon: int) -> None:
    panel = synthetic_panel(3, 8 * DAY, seed=9)
    other = Panel(panel.series, panel.at, panel.values.copy())
    other.values[:, -2 * DAY :] = 0.0
    batches = [Examples(p, 2 * DAY, seed=0).batch(64, horizon) for p in (panel, other)]
    assert torch.equal(batches[0].context, batches[1].context)
    assert torch.equal(batches[0].target, batches[1].target)


def test_training_windows_keep_gaps_as_gaps() -> None:
    panel = synthetic_panel(3, 8 * DAY, seed=9)
    panel.values[:, 4 * DAY : 5 * DAY] = np.nan
    batch = Examples(panel, DAY, seed=0).batch(64, DAY)
    assert not batch.target_known.all()
    assert (batch.target[~batch.target_known] == 0).all()
    assert batch.known.any(dim=1).all()
