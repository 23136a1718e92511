"""Column blocks: many samples of one kind, as arrays. The only form in which samples travel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.vocab.schema import KINDS, Field

Mask = npt.NDArray[np.bool_]
Array = npt.NDArray[Any]

_DTYPES: dict[str, Any] = {"int": np.int64, "float": np.float64, "str": object}


@dataclass(frozen=True)
class Column:
    """Values with their mask; where ``valid`` is false the value means nothing."""

    values: Array
    valid: Mask

    @staticmethod
    def full(values: Array) -> Column:
        return Column(values, np.ones(len(values), dtype=bool))

    @staticmethod
    def of(values: Sequence[Any], field: Field) -> Column:
        """A list in which None means "not measured" -> Column in the field's type.

        Unsigned counters above 2^63-1 keep their 64 bits.

        Raises:
            TypeError, ValueError, OverflowError: a value is not of the field's type.
        """
        valid = np.array([v is not None for v in values], dtype=bool)
        if field.type == "int":
            wrapped = [0 if v is None else _int64(v) for v in values]
            return Column(np.array(wrapped, dtype=np.int64), valid)
        blank: Any = np.nan if field.type == "float" else ""
        filled = [blank if v is None else v for v in values]
        if field.type == "float":
            return Column(np.array([float(v) for v in filled], dtype=np.float64), valid)
        if not all(isinstance(v, str) for v in filled):
            raise TypeError("text field holds something that is not text")
        return Column(np.array(filled, dtype=object), valid)

    def take(self, rows: Array) -> Column:
        return Column(self.values[rows], self.valid[rows])


def _int64(value: Any) -> int:
    if isinstance(value, (bool, float)):
        raise TypeError(f"{value!r} is not a whole number")
    number = int(value)
    if not -(2**63) <= number < 2**64:
        raise OverflowError(f"{number} does not fit 64 bits")
    return number - 2**64 if number >= 2**63 else number


@dataclass(frozen=True, repr=False)
class Block:
    """Samples of one kind: key columns (text), UTC time (datetime64[us]) and measured columns, all of length n.

    A field of the kind that is absent was not measured at all.
    """

    kind: str
    keys: Mapping[str, Array]
    at: npt.NDArray[np.datetime64]
    fields: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.at)

    def __repr__(self) -> str:
        """Brief: writing out the arrays of thousands of blocks takes longer than collecting them."""
        return f"<{len(self)} rows of {self.kind}: {', '.join(self.fields)}>"

    def take(self, rows: Array) -> Block:
        """The rows named by an index or boolean array, in its order."""
        return Block(
            self.kind,
            {k: v[rows] for k, v in self.keys.items()},
            self.at[rows],
            {k: c.take(rows) for k, c in self.fields.items()},
        )

    @staticmethod
    def from_rows(kind: str, rows: Iterable[Mapping[str, Any]], at: np.datetime64 | None = None) -> Block:
        """Dictionaries (keys and fields by name; ``at`` in each unless given) -> checked block.

        Raises:
            ValueError: unknown kind, key or field, a missing key, or a value of the wrong type.
        """
        table = list(rows)
        spec = KINDS.get(kind)
        if spec is None:
            raise ValueError(f"unknown kind {kind!r}")
        named = {name for row in table for name in row} - {"at"}
        names = [f for f in spec.fields if f in named]
        if strange := named - set(spec.keys) - set(spec.fields):
            raise ValueError(f"kind {kind!r} has no {sorted(strange)}")
        try:
            keys = {k: np.array([str(row[k]) for row in table], dtype=object) for k in spec.keys}
            fields = {f: Column.of([row.get(f) for row in table], spec.fields[f]) for f in names}
            instants = [row["at"] if at is None else at for row in table]
        except (KeyError, TypeError, OverflowError) as problem:
            raise ValueError(f"kind {kind!r}: {problem}") from problem
        return Block(kind, keys, np.array(instants, dtype="datetime64[us]"), fields).checked()

    def checked(self) -> Block:
        """Itself, if it fits the schema.

        Raises:
            ValueError: unknown kind or column, wrong type or length, missing key, or a missing time.
        """
        spec = KINDS.get(self.kind)
        if spec is None:
            raise ValueError(f"unknown kind {self.kind!r}")
        if tuple(sorted(self.keys)) != tuple(sorted(spec.keys)):
            raise ValueError(f"kind {self.kind!r} is keyed by {spec.keys}, not {tuple(self.keys)}")
        if self.at.dtype != np.dtype("datetime64[us]") or np.isnat(self.at).any():
            raise ValueError(f"kind {self.kind!r}: each sample needs its time (datetime64[us])")
        for name, values in self.keys.items():
            if len(values) != len(self):
                raise ValueError(f"kind {self.kind!r}: key {name} has {len(values)} of {len(self)} rows")
        for name, column in self.fields.items():
            _check_column(self.kind, name, column, len(self))
        return self

    def rows(self) -> list[dict[str, Any]]:
        """As dictionaries, unmeasured values left out. For small blocks: tests, JSON, tables."""
        return [
            {k: v[i] for k, v in self.keys.items()}
            | {"at": self.at[i]}
            | {
                f: c.values[i].item() if hasattr(c.values[i], "item") else c.values[i]
                for f, c in self.fields.items()
                if c.valid[i]
            }
            for i in range(len(self))
        ]


def _check_column(kind: str, name: str, column: Column, length: int) -> None:
    field = KINDS[kind].fields.get(name)
    if field is None:
        raise ValueError(f"kind {kind!r} has no field {name!r}")
    if column.values.dtype != np.dtype(_DTYPES[field.type]):
        raise ValueError(f"{kind}.{name} is {field.type}, not {column.values.dtype}")
    if len(column.values) != length or len(column.valid) != length:
        raise ValueError(f"{kind}.{name} has {len(column.values)} of {length} rows")


def concat(blocks: Sequence[Block]) -> Block:
    """Blocks of one kind -> one; a field absent in some is unmeasured there.

    Raises:
        ValueError: no blocks, or blocks of several kinds.
    """
    kinds = {b.kind for b in blocks}
    if len(kinds) != 1:
        raise ValueError(f"one kind at a time, not {sorted(kinds)}")
    (kind,) = kinds
    names = [f for f in KINDS[kind].fields if any(f in b.fields for b in blocks)]
    return Block(
        kind,
        {k: np.concatenate([b.keys[k] for b in blocks]) for k in KINDS[kind].keys},
        np.concatenate([b.at for b in blocks]),
        {f: _concat_column([b.fields.get(f) or _absent(kind, f, len(b)) for b in blocks]) for f in names},
    )


def _absent(kind: str, name: str, length: int) -> Column:
    field = KINDS[kind].fields[name]
    blank: Any = {"int": 0, "float": np.nan, "str": ""}[field.type]
    return Column(np.full(length, blank, dtype=_DTYPES[field.type]), np.zeros(length, dtype=bool))


def _concat_column(columns: Sequence[Column]) -> Column:
    return Column(np.concatenate([c.values for c in columns]), np.concatenate([c.valid for c in columns]))
