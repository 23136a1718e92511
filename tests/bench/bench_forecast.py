"""Load forecasts on real demands: ours beside the naive models; table on screen, figures in build/bench/forecast.json.

Data: Abilene origin-destination demands, 2004-03-01 to 03-14 (configs/labs/abilene-demands.md), benchmark only.
Training sees all but the last three days; forecasts start at origins within those, each from the history before it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import mean

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from models.backtest import Row, backtest
from models.data import DAY, WEEK, Panel
from models.load.forecaster import Forecaster
from models.load.train import train
from models.split import Split
from twin.vocab.forecast import LEVELS, SeriesKey

ROOT = Path(__file__).parents[2]
DATA = ROOT / "configs" / "labs" / "abilene-demands.parquet"
RESULT = ROOT / "build" / "bench" / "forecast.json"
OURS = "ours"
HORIZONS = {"h1": 12, "d1": DAY}
DEFINITIONS = {
    "protocol": "train on 2004-03-01..11, origins in 03-12..14: every 67 steps (1 hour), every 103 steps (1 day)",
    "series": "origin-destination demands that are zero in less than 1 % of the 5-minute samples",
    "*_mase": "mean over series of mean |y - q50| / mean |y_t - y_(t-1 day)| in training",
    "*_relmase, *_relsql": "geometric mean over series of MASE, SQL (2 x pinball, 9 quantiles) over naive day's",
    "*_coverage": "share of values inside [q10, q90], mean over series; 0.8 is right",
    "ratio_*": "that model's relsql / ours; above 1 ours is better",
    "train_seconds": "wall time of one training, 2 threads",
    "cpu_s_10k_series": "process CPU seconds, warm, one thread: 10,000 series x 288 steps x 11 quantiles (from 1,000)",
}


def read_panel() -> Panel:
    """The demands that are there at nearly every sample, in bit/s or whatever unit the file has (scores have none)."""
    table = pl.read_parquet(DATA)
    at = table["time"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    values = table.drop("time").to_numpy().T.astype(np.float64)
    there = (values == 0).mean(axis=1) < 0.01
    names = [
        SeriesKey(name.partition(">")[0], name.partition(">")[2], "demand") for name in table.columns if name != "time"
    ]
    return Panel(tuple(names), at, np.ascontiguousarray(values)).select(there)


def scored(panel: Panel, seconds: float, seed: int) -> tuple[Forecaster, tuple[Row, ...], float]:
    splits = [
        Split.last(panel, 3 * DAY, HORIZONS["h1"], every=67),
        Split.last(panel, 3 * DAY, HORIZONS["d1"], every=103),
    ]
    began = time.perf_counter()
    forecaster = train(splits[0].training(panel), budget_seconds=seconds, seed=seed)
    taken = time.perf_counter() - began
    return forecaster, backtest(panel, {OURS: lambda _training: forecaster}, splits), taken


def cpu_of_10k_series(forecaster: Forecaster, panel: Panel) -> float:
    """Forecasts of 1,000 copies, twice; the second counts, times ten."""
    rows = np.arange(1000) % len(panel.series)
    names = tuple(SeriesKey(f"copy{i}", "eth0", "demand") for i in range(1000))
    many = Panel(names, panel.at[-WEEK:], panel.values[rows, -WEEK:])
    forecaster.predict(many, DAY, LEVELS)
    began = time.process_time()
    forecaster.predict(many, DAY, LEVELS)
    return 10 * (time.process_time() - began)


def figures(repeats: list[tuple[Row, ...]]) -> dict[str, float]:
    """Means over seeds of ours and of each peer."""
    result: dict[str, float] = {}
    for name, horizon in HORIZONS.items():
        mine = [r for rows in repeats for r in rows if (r.model, r.horizon) == (OURS, horizon)]
        result[f"{name}_mase"], result[f"{name}_relmase"] = mean(r.mase for r in mine), mean(r.rel_mase for r in mine)
        result[f"{name}_relsql"] = mean(r.rel_sql for r in mine)
        result[f"{name}_coverage"] = mean(r.coverage80 for r in mine)
        for peer in (r for r in repeats[0] if r.horizon == horizon and r.model != OURS):
            key = peer.model.replace(" ", "_")
            result[f"{name}_relsql_{key}"] = peer.rel_sql
            result[f"ratio_{name}_{key}"] = peer.rel_sql / result[f"{name}_relsql"]
    return result


def show(repeats: list[tuple[Row, ...]]) -> None:
    table = Table("model", "steps", "MASE", "SQL", "relMASE", "relSQL", "cov80", "relSQL / ours", title="forecast")
    ours = {
        h: mean(r.rel_sql for rows in repeats for r in rows if (r.model, r.horizon) == (OURS, h)) for h in (12, DAY)
    }
    for row in [*(r for rows in repeats for r in rows if r.model == OURS), *(r for r in repeats[0] if r.model != OURS)]:
        scores = (row.mase, row.sql, row.rel_mase, row.rel_sql, row.coverage80, row.rel_sql / ours[row.horizon])
        table.add_row(row.model, str(row.horizon), *(f"{x:.3f}" for x in scores))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=90.0, help="wall time for each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    panel = read_panel()
    runs = [scored(panel, options.seconds, seed) for seed in options.seeds]
    repeats = [rows for _, rows, _ in runs]
    result = {
        **figures(repeats),
        "train_seconds": max(taken for _, _, taken in runs),
        "cpu_s_10k_series": cpu_of_10k_series(runs[0][0], panel),
        "series": len(panel.series),
    }
    raw = [{"seed": s, "rows": [vars(r) for r in rows]} for s, rows in zip(options.seeds, repeats, strict=True)]
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    written = {**result, "seed": options.seeds, "definitions": DEFINITIONS, "repeats": raw}
    RESULT.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    show(repeats)
    Console().print({k: round(v, 3) for k, v in result.items()})


if __name__ == "__main__":
    main()
