"""Frozen values <-> plain JSON types, driven by their type annotations. For records, answers and recordings."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
import types
import typing
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from twin.vocab.inventory import Secret

T = TypeVar("T")
_TEXTUAL = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface)


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples, arrays, times and addresses -> dict, list, float, text. NaN becomes None.

    A length of time is its seconds. Infinities become None too, and a Secret shows as hidden.
    """
    if isinstance(value, Secret):
        return repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(v) for v in value]
    return _scalar(value)


def write_plain(path: Path, value: Any) -> None:
    """Replace the file by the value as JSON; readers see the old or the new one whole. Raises OSError."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        draft = Path(folder) / path.name
        draft.write_text(json.dumps(to_plain(value)), encoding="utf-8")
        draft.replace(path)


def _scalar(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [to_plain(v) for v in value.tolist()]
    if isinstance(value, np.generic):
        return to_plain(value.item())
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, _TEXTUAL) else value


def from_plain(kind: type[T], plain: Any) -> T:
    """The inverse of ``to_plain`` for dataclasses of plain types, addresses, times, tuples and mappings.

    Raises:
        ValueError: unknown or missing key, or a value of the wrong type; the message names the path.
    """
    return typing.cast("T", _build(kind, plain, kind.__name__))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _build(kind: Any, plain: Any, path: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return _build_union(typing.get_args(kind), plain, path)
    if origin is typing.Literal:
        return _expect(plain in typing.get_args(kind), plain, path, kind)
    if origin is tuple:
        return _build_tuple(typing.get_args(kind), plain, path)
    if origin in (dict, Mapping):
        value_kind = typing.get_args(kind)[1]
        _expect(isinstance(plain, dict), plain, path, kind)
        return {k: _build(value_kind, v, f"{path}.{k}") for k, v in plain.items()}
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(typing.cast("type", kind), plain, path)
    return _build_leaf(kind, plain, path)


def _build_dataclass(kind: type, plain: Any, path: str) -> Any:
    _expect(isinstance(plain, dict), plain, path, kind)
    hints = _hints(kind)
    if strange := set(plain) - set(hints):
        raise ValueError(f"{path}: unknown {sorted(strange)}")
    try:
        return kind(**{k: _build(hints[k], v, f"{path}.{k}") for k, v in plain.items()})
    except TypeError as problem:
        raise ValueError(f"{path}: {problem}") from problem


def _build_tuple(args: tuple[Any, ...], plain: Any, path: str) -> Any:
    _expect(isinstance(plain, (list, tuple)), plain, path, "a list")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_build(args[0], v, f"{path}[{i}]") for i, v in enumerate(plain))
    _expect(len(plain) == len(args), plain, path, f"{len(args)} values")
    return tuple(_build(a, v, f"{path}[{i}]") for i, (a, v) in enumerate(zip(args, plain, strict=True)))


def _build_union(options: tuple[Any, ...], plain: Any, path: str) -> Any:
    if plain is None:
        return _expect(type(None) in options, plain, path, "a value")
    problem: Exception | None = None
    for option in options:
        if option is type(None):
            continue
        try:
            return _build(option, plain, path)
        except ValueError as failed:
            problem = failed
    raise problem or ValueError(f"{path}: {plain!r}")


def _build_leaf(kind: Any, plain: Any, path: str) -> Any:
    if kind is datetime or kind in _TEXTUAL:
        try:
            return datetime.fromisoformat(plain) if kind is datetime else kind(plain)
        except (TypeError, ValueError) as problem:
            raise ValueError(f"{path}: {problem}") from problem
    if kind is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    matches = isinstance(plain, kind) and (kind is bool or not isinstance(plain, bool))
    return _expect(matches, plain, path, kind)


def _expect(condition: bool, plain: Any, path: str, kind: Any) -> Any:
    if not condition:
        raise ValueError(f"{path}: {plain!r} is not {getattr(kind, '__name__', kind)}")
    return plain
