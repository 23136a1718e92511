"""Stored loads -> panel -> model -> stored forecasts, and back to what is forecast for one instant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models.data import Excluded, Panel, from_rates, join, usable
from models.registry import Registry
from twin.app.series import PortRates, imported_rates, polled_rates
from twin.store import Reader, Store
from twin.vocab.blocks import Block, Column
from twin.vocab.errors import NettwinError
from twin.vocab.forecast import LEVELS, Forecast, SeriesKey
from twin.vocab.schema import KINDS
from twin.vocab.snapshot import Port
from twin.vocab.time import FIVE_MINUTES, instant, to_datetime

if TYPE_CHECKING:
    from models.backtest import Row
    from models.load.forecaster import Forecaster

MODEL = "load"
MOST_BEHIND = timedelta(hours=1)
TrainProgress = Callable[[float, str], None]


class NoForecastError(NettwinError):
    """Nothing was forecast for the time asked about; the message says how far forecasts reach."""


@dataclass(frozen=True)
class ForecastAt:
    """What was last forecast for one 5-minute cell: quantiles [series, level] in bit/s."""

    at: datetime
    issued: datetime
    model: str
    series: tuple[SeriesKey, ...]
    quantiles: npt.NDArray[np.float64]

    def rates(self, level: float) -> dict[Port, PortRates]:
        """Every port's load at one quantile level, interpolated between the stored levels."""
        values = [float(np.interp(level, LEVELS, row)) for row in self.quantiles]
        loads = dict(zip(self.series, values, strict=True))
        ports = {Port(k.device, k.interface) for k in self.series}
        return {p: PortRates(_of(loads, p, "in_bps"), _of(loads, p, "out_bps"), self.at) for p in ports}


def _of(loads: Mapping[SeriesKey, float], port: Port, metric: str) -> float | None:
    return loads.get(SeriesKey(port.device, port.interface, metric))


def history_panel(store: Reader, end: datetime, history: timedelta) -> tuple[Panel, tuple[Excluded, ...]]:
    """Every interface's load on the 5-minute grid up to ``end``: polled, else imported; and what was left out.

    Raises:
        NettwinError: the store holds no load at all.
        StoreError: the engine failed.
    """
    first, last = instant(end - history), instant(end)
    parts = [from_rates(read(store, end - history, end), first, last) for read in (polled_rates, imported_rates)]
    if not any(p.mask.any() for p in parts):
        raise NettwinError("the store holds no interface load yet: run nettwin collect, or nettwin store import")
    panel = _from_first_known(join([p for p in parts if p.series]))
    return usable(panel)


def _from_first_known(panel: Panel) -> Panel:
    known = np.asarray(panel.mask.any(axis=0))
    return panel.window(int(known.argmax()), len(panel) - int(known[::-1].argmax()))


def train_model(
    panel: Panel, registry: Registry, *, seconds: float, threads: int, seed: int = 0, progress: TrainProgress
) -> Forecaster:
    """Train on the panel and publish the model as the current one.

    Raises:
        UsageError: too little history; the message names the series.
        NettwinError: the model can't be written.
    """
    from models.load.files import save
    from models.load.train import train

    forecaster = train(panel, budget_seconds=seconds, threads=threads, seed=seed, progress=progress)
    registry.publish(forecaster.model_id, partial(save, forecaster))
    return forecaster


def current_model(registry: Registry) -> Forecaster:
    """The model in use.

    Raises:
        UsageError: none was trained yet.
        NettwinError: its files can't be read.
    """
    from models.load.files import load

    return load(registry.current(MODEL))


def backtest_rows(
    panel: Panel, *, seconds: float, threads: int, held_out: int = 288, progress: TrainProgress
) -> tuple[Row, ...]:
    """Train on all but the last day and score the held-out day at 1 hour and 1 day, beside the naive models.

    Raises:
        UsageError: too little history.
    """
    from models.backtest import backtest
    from models.load.train import train
    from models.split import Split

    def ours(training: Panel) -> Any:
        return train(training, budget_seconds=seconds, threads=threads, progress=progress)

    hourly = Split.last(panel, held_out, 12, every=12)
    daily = Split.last(panel, held_out, held_out, every=held_out)
    return backtest(panel, {"nettwin": ours}, [hourly, daily])


def require_recent(panel: Panel, present: datetime) -> None:
    """Nothing, if the panel reaches the present.

    Raises:
        NettwinError: the newest load is too old to forecast from.
    """
    newest = to_datetime(panel.at[-1])
    if present - newest > MOST_BEHIND:
        raise NettwinError(
            f"the newest interface load is of {newest:%Y-%m-%d %H:%M} UTC, too old for a forecast: run nettwin collect"
        )


def store_forecast(store: Store, forecast: Forecast) -> int:
    """Write every series, step and quantile; returns the number of rows."""
    store.write([forecast_block(forecast)])
    return len(forecast.series) * len(forecast.at)


def forecast_block(forecast: Forecast) -> Block:
    """A Forecast as a block of kind ``forecast``: one row a series and step."""
    steps, count = len(forecast.at), len(forecast.series)
    issued = int(instant(forecast.issued).astype(np.int64))

    def repeated(names: list[str]) -> npt.NDArray[Any]:
        return np.repeat(np.array(names, dtype=object), steps)

    quantiles = {
        f"q{round(level * 100):02d}": Column.full(forecast.quantiles[:, :, i].ravel())
        for i, level in enumerate(forecast.levels)
    }
    coverage = np.repeat(forecast.coverage80, steps)
    return Block(
        "forecast",
        {
            "device": repeated([k.device for k in forecast.series]),
            "interface": repeated([k.interface for k in forecast.series]),
            "metric": repeated([k.metric for k in forecast.series]),
            "model": repeated([forecast.model] * count),
        },
        np.tile(forecast.at, count),
        {"issued_us": Column.full(np.full(steps * count, issued)), **quantiles}
        | {"coverage80": Column(coverage, np.isfinite(coverage))},
    ).checked()


def forecast_at(store: Reader, when: datetime) -> ForecastAt:
    """The newest forecast for the 5-minute cell that holds ``when``.

    Raises:
        NoForecastError: there is none for that time; says what there is.
        StoreError: the engine failed.
    """
    start = instant(when) - (instant(when) - np.datetime64(0, "us")) % FIVE_MINUTES
    block = store.range("forecast", None, start, start + FIVE_MINUTES)
    if len(block) == 0:
        raise NoForecastError(_what_there_is(store, when))
    issued = block.fields["issued_us"].values
    newest = block.take(issued == issued.max())
    keys = zip(newest.keys["device"], newest.keys["interface"], newest.keys["metric"], strict=True)
    names = [name for name in KINDS["forecast"].fields if name.startswith("q")]
    return ForecastAt(
        to_datetime(start),
        to_datetime(np.datetime64(int(issued.max()), "us")),
        str(newest.keys["model"][0]),
        tuple(SeriesKey(*map(str, key)) for key in keys),
        np.column_stack([newest.fields[name].values for name in names]),
    )


def _what_there_is(store: Reader, when: datetime) -> str:
    newest = store.latest("forecast", None, ["issued_us"])
    asked = f"no forecast for {when:%Y-%m-%d %H:%M} UTC"
    if len(newest) == 0:
        return f"{asked}: run nettwin forecast train, then nettwin forecast run"
    return f"{asked}: the last one reaches {to_datetime(newest.at.max()):%Y-%m-%d %H:%M} UTC; run nettwin forecast run"


@dataclass(frozen=True)
class StoredForecast:
    """The newest stored forecast of one series: times and quantiles by name, bit/s."""

    series: SeriesKey
    model: str
    issued: datetime
    at: tuple[datetime, ...]
    quantiles: dict[str, tuple[float, ...]]
    coverage80: float | None

    def only(self, when: datetime) -> StoredForecast:
        """The one step that holds ``when``.

        Raises:
            NoForecastError: the forecast does not reach it.
        """
        step = timedelta(minutes=5)
        rows = [i for i, t in enumerate(self.at) if t <= when < t + step]
        if not rows:
            raise NoForecastError(f"no forecast for {when:%Y-%m-%d %H:%M} UTC: it reaches {self.at[-1]:%Y-%m-%d %H:%M}")
        picked = {name: tuple(values[i] for i in rows) for name, values in self.quantiles.items()}
        return StoredForecast(
            self.series, self.model, self.issued, tuple(self.at[i] for i in rows), picked, self.coverage80
        )

    def hourly(self, names: Sequence[str]) -> Iterator[tuple[datetime, tuple[float, ...]]]:
        """The first step and then the first of each hour, with the quantiles named."""
        for i, t in enumerate(self.at):
            if i == 0 or t.minute == 0:
                yield t, tuple(self.quantiles[name][i] for name in names)


def stored_forecast(store: Reader, series: SeriesKey, since: datetime) -> StoredForecast:
    """What was last forecast for one series from ``since`` on.

    Raises:
        NoForecastError: nothing; says what there is.
        StoreError: the engine failed.
    """
    keys = {"device": series.device, "interface": series.interface, "metric": series.metric}
    block = store.range("forecast", keys, since - timedelta(minutes=5), since + timedelta(days=400))
    if len(block) == 0:
        known = store.series("forecast")
        if known and not store.series("forecast", **keys):
            raise NoForecastError(f"{series}: never forecast; forecast are {len(known)} series of other interfaces")
        raise NoForecastError(f"{series}: {_what_there_is(store, since)}")
    issued = block.fields["issued_us"].values
    newest = block.take(issued == issued.max())
    coverage = newest.fields["coverage80"]
    names = [name for name in KINDS["forecast"].fields if name.startswith("q")]
    return StoredForecast(
        series,
        str(newest.keys["model"][0]),
        to_datetime(np.datetime64(int(issued.max()), "us")),
        tuple(to_datetime(t) for t in newest.at),
        {name: tuple(newest.fields[name].values.tolist()) for name in names},
        float(coverage.values[0]) if bool(coverage.valid.all()) else None,
    )
