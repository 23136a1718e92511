"""What a table of samples (CSV, Parquet) has as columns: ``kind`` (may be missing), ``time``, keys and fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twin.vocab.errors import InputError, Place, UsageError
from twin.vocab.schema import KINDS, Kind

KIND, TIME = "kind", "time"


@dataclass(frozen=True)
class Columns:
    """A table's kind, and what each of its columns is."""

    spec: Kind
    names: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name in self.spec.fields)


def columns_of(names: Sequence[str], file: Path, *, wanted: str | None = None, told: str | None = None) -> Columns:
    """What the columns of a table are.

    Args:
        wanted: the kind, as the operator says.
        told: the kind, as the table's own column says.

    Raises:
        UsageError: no such kind.
        InputError: a column is missing, unknown or there twice; or the columns fit no kind, or several.
    """
    if double := [name for i, name in enumerate(names) if name in names[:i]]:
        raise InputError(Place(file, 1, double[0]), "this column stands twice")
    kind = wanted or told or _fitting(names, file)
    spec = KINDS.get(kind)
    if spec is None:
        raise UsageError(f"{file}: no kind {kind!r}; there are {', '.join(KINDS)}")
    allowed = {KIND, TIME, *spec.keys, *spec.fields}
    if missing := [name for name in (TIME, *spec.keys) if name not in names]:
        raise InputError(Place(file, 1), f"no column {', '.join(missing)}, which kind {kind} needs")
    if strange := [name for name in names if name not in allowed]:
        raise InputError(Place(file, 1, strange[0]), f"unknown column: kind {kind} has {', '.join(spec.fields)}")
    return Columns(spec, tuple(names))


def _fitting(names: Sequence[str], file: Path) -> str:
    given = set(names) - {KIND, TIME}
    fitting = [k for k, s in KINDS.items() if set(s.keys) <= given <= {*s.keys, *s.fields} and given - set(s.keys)]
    if len(fitting) != 1:
        what = f"fit {', '.join(fitting)}" if fitting else "fit no kind"
        raise InputError(Place(file, 1), f"its columns ({', '.join(names)}) {what}: name one with --kind")
    return fitting[0]
