"""Ctrl-C ends training at once, in a process of its own with a real signal, and leaves nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE_S = 3.0
TRAIN = """
import sys
from functools import partial
from pathlib import Path

import polars  # takes SIGINT over: what waits for a lock is not woken any more

from models.data import DAY
from models.load.files import save
from models.load.train import train
from models.registry import Registry
from models.synthetic import synthetic_panel

def tell(share, text):
    print(text, flush=True)

model = train(synthetic_panel(60, 10 * DAY, seed=7), budget_seconds=300, threads=int(sys.argv[2]), progress=tell)
Registry(Path(sys.argv[1])).publish(model.model_id, partial(save, model))
"""
BACKTEST = """
import sys
import polars  # as above

from models.backtest import backtest
from models.data import DAY
from models.load.train import train
from models.split import Split
from models.synthetic import synthetic_panel

def tell(share, text):
    print(text, flush=True)

def ours(panel):
    return train(panel, budget_seconds=300, threads=int(sys.argv[2]), progress=tell)

panel = synthetic_panel(60, 10 * DAY, seed=7)
backtest(panel, {"ours": ours}, [Split.last(panel, DAY, 12, every=12)])
"""


@pytest.mark.parametrize(("work", "threads"), [(TRAIN, 2), (TRAIN, 1), (BACKTEST, 2)], ids=["2", "1", "backtest"])
def test_ctrl_c_ends_training_at_once(work: str, threads: int, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [sys.executable, "-c", work, str(tmp_path), str(threads)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("training")
            process.send_signal(signal.SIGINT)
            asked = time.monotonic()
            _, complaints = process.communicate(timeout=30)
            took = time.monotonic() - asked
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert complaints.rstrip().endswith("KeyboardInterrupt")
    assert took < PATIENCE_S
    assert list(tmp_path.iterdir()) == []
