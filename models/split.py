"""A split is a value: train until the cutoff, then origins with a horizon each. Inputs end where answers begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from models.data import WEEK, Floats, Panel, TooLittleHistoryError
from twin.vocab.time import FIVE_MINUTES


@dataclass(frozen=True)
class Split:
    """``cutoff``: training sees only cells that ended by then. ``origins``: starts of the first cell forecast.

    ``horizon`` in steps; ``context`` = how many steps before an origin are handed out.

    Raises:
        ValueError: no origin, or one before the cutoff, or horizon or context not positive.
    """

    cutoff: np.datetime64
    origins: tuple[np.datetime64, ...]
    horizon: int
    context: int = 2 * WEEK

    def __post_init__(self) -> None:
        if self.horizon < 1 or self.context < 1:
            raise ValueError("horizon and context are at least one step")
        if not self.origins or min(self.origins) < self.cutoff:
            raise ValueError("a split needs origins, all at or after its cutoff")

    @classmethod
    def last(cls, panel: Panel, held_out: int, horizon: int, *, every: int, context: int = 2 * WEEK) -> Self:
        """Hold out the last ``held_out`` steps; origins ``every`` so many steps, each with its whole horizon inside.

        Raises:
            TooLittleHistoryError: the panel is not longer than what is held out, or no horizon fits.
        """
        first = len(panel) - held_out
        if first < 1 or held_out < horizon:
            raise TooLittleHistoryError(
                f"{len(panel)} steps of history: holding out {held_out} for a horizon of {horizon} leaves nothing"
            )
        origins = range(first, len(panel) - horizon + 1, every)
        return cls(panel.at[first], tuple(panel.at[i] for i in origins), horizon, context)

    def training(self, panel: Panel) -> Panel:
        """What may be learnt from: a copy of everything before the cutoff."""
        return panel.before(self.cutoff)

    def pairs(self, panel: Panel) -> Iterator[tuple[Panel, Floats]]:
        """For each origin: the context [series, <= context], a copy, and the answers [series, horizon].

        Raises:
            TooLittleHistoryError: a horizon doesn't lie wholly in the panel.
        """
        for origin in self.origins:
            index = int((origin - panel.at[0]) // FIVE_MINUTES)
            if not 0 < index <= len(panel) - self.horizon:
                raise TooLittleHistoryError(f"no {self.horizon} steps of answers from {origin} on")
            context = panel.window(max(0, index - self.context), index)
            yield context, panel.values[:, index : index + self.horizon].copy()
