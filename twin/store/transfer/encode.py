"""Blocks -> the text or table that ``nettwin store import`` reads back exactly. Pure.

Times are ISO 8601 in UTC with microseconds (line protocol: microseconds since 1970); an unmeasured value is an empty
cell, null, or absent; counters are unsigned. CSV is data: what a spreadsheet would take for a formula stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from twin.store.frames import to_frame
from twin.store.lines import to_lines
from twin.store.transfer.sources import OWN_HEADER, Format
from twin.store.transfer.tables import KIND, TIME
from twin.vocab.blocks import Block
from twin.vocab.schema import KINDS


def table(block: Block, fields: Sequence[str]) -> pl.DataFrame:
    """``kind``, ``time``, the keys and the fields as columns."""
    spec = KINDS[block.kind]
    frame = to_frame(block)
    counters = [name for name in fields if spec.fields[name].counter]
    return frame.select(
        pl.lit(block.kind).alias(KIND),
        pl.col("at").alias(TIME),
        *spec.keys,
        *(pl.col(name).reinterpret(signed=False) if name in counters else pl.col(name) for name in fields),
    )


def head(form: Format, kind: str, fields: Sequence[str]) -> bytes:
    """What stands at the top of a file."""
    if form == "line":
        return OWN_HEADER
    return (",".join((KIND, TIME, *KINDS[kind].keys, *fields)) + "\n").encode()


def body(form: Format, block: Block, fields: Sequence[str]) -> bytes:
    """The rows as lines."""
    if form == "line":
        return "".join(f"{line}\n" for line in to_lines(block)).encode()
    frame = table(block, fields)
    at = pl.col(TIME).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String and name != KIND]
    quoted = [pl.format('"{}"', pl.col(name).str.replace_all('"', '""', literal=True)).alias(name) for name in texts]
    written = frame.with_columns(at, *quoted).write_csv(include_header=False, quote_style="never")
    return written.encode()
