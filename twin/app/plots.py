"""Plots for terminals."""

from __future__ import annotations

from datetime import tzinfo

import plotext
from rich.text import Text

from twin.app.forecasts import StoredForecast

MEGA = 1e6


def fan(found: StoredForecast, zone: tzinfo, *, width: int = 100, height: int = 18) -> Text:
    """Median and 80 % band of a forecast over time, Mbit/s."""
    plotext.clear_figure()
    plotext.plotsize(width, height)
    plotext.theme("clear")
    x = list(range(len(found.at)))
    for name, label in (("q90", "90 %"), ("q50", "median"), ("q10", "10 %")):
        plotext.plot(x, [v / MEGA for v in found.quantiles[name]], label=label)
    ticks = [i for i, t in enumerate(found.at) if t.minute == 0 and t.astimezone(zone).hour % 3 == 0]
    plotext.xticks(ticks, [found.at[i].astimezone(zone).strftime("%H:%M") for i in ticks])
    plotext.ylabel("Mbit/s")
    plotext.title(str(found.series))
    return Text.from_ansi(plotext.build())
