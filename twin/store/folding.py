"""Rows as polars frames -> the newest values in them. Pure."""

from __future__ import annotations

from functools import partial

import numpy as np
import polars as pl

from twin.store.frames import coded
from twin.store.newest import Measured, Newest, Rows, Texts, Times, reduced
from twin.vocab.blocks import Array
from twin.vocab.schema import KINDS


def folded(kind: str, rows: pl.DataFrame) -> Newest:
    """Rows (keys, ``at``, ``written`` and any of the kind's fields) in any order -> the newest of each series.

    In place of a document stands whether there was one.
    """
    keys = {key: _texts(rows[key]) for key in KINDS[kind].keys}
    times = Times(rows["at"].to_physical().to_numpy(), rows["written"].to_physical().to_numpy())
    fields = {name: _measured(rows[name]) for name in KINDS[kind].fields if name in rows.columns}
    return reduced(kind, keys, times, fields)


def _texts(texts: pl.Series) -> Texts:
    numbers = coded(texts)
    assert isinstance(numbers.dtype, pl.Enum)
    names = np.array(numbers.dtype.categories.to_list(), dtype=object)
    return Texts(names, numbers.to_physical().to_numpy().astype(np.int32))


def _measured(values: pl.Series) -> Measured:
    if values.dtype == pl.Boolean:
        return Measured(values.to_numpy(), _no_texts)
    return Measured(values.is_not_null().to_numpy(), partial(_gathered, values))


def _gathered(values: pl.Series, rows: Rows) -> Array:
    some = values.gather(rows)
    return np.array(some.to_list(), dtype=object) if values.dtype == pl.String else some.to_numpy()


def _no_texts(rows: Rows) -> Array:
    return np.full(len(rows), "", dtype=object)
