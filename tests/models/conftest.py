"""A small world for the models: made-up series and one forecaster trained on them with fixed steps."""

from __future__ import annotations

import pytest

from models.data import DAY, Panel
from models.load.forecaster import Forecaster
from models.load.train import train
from models.synthetic import synthetic_panel

SEED_UNSEEN_BY_TRAINING = 77


@pytest.fixture(scope="session")
def history() -> Panel:
    """12 series of 10 days."""
    return synthetic_panel(12, 10 * DAY, seed=SEED_UNSEEN_BY_TRAINING)


@pytest.fixture(scope="session")
def forecaster(history: Panel) -> Forecaster:
    """Trained on all but the last day."""
    return train(history.window(0, 9 * DAY), steps=80, seed=1)
