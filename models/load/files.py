"""A Forecaster as a folder: ``model.json`` (readable without torch) and ``weights.pt`` (tensors only, no code)."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from models.load.calibration import Calibration
from models.load.forecaster import Forecaster, Head, Provenance
from models.load.network import LoadNetwork, NetworkConfig
from twin.vocab.errors import NettwinError
from twin.vocab.forecast import LEVELS, SeriesKey
from twin.vocab.plain import from_plain, to_plain

SCHEMA_VERSION: Literal["1"] = "1"
_DESCRIPTION, _WEIGHTS = "model.json", "weights.pt"


class ModelFileError(NettwinError):
    """A saved model can't be read or written; the message names the file."""


@dataclass(frozen=True)
class _Description:
    schema_version: Literal["1"]
    model: str
    content_hash: str
    levels: tuple[float, ...]
    provenance: Provenance
    heads: tuple[NetworkConfig, ...]
    series: tuple[SeriesKey, ...]


def save(forecaster: Forecaster, path: Path) -> None:
    """Write the folder ``path``, whole or not at all.

    Raises:
        ModelFileError: something is there already, or it can't be written.
    """
    if path.exists():
        raise ModelFileError(f"{path}: is there already")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as problem:
        raise ModelFileError(f"{path}: can't be written: {problem.strerror}") from problem
    try:
        torch.save(dict(forecaster.tensors()), draft / _WEIGHTS)
        text = json.dumps(to_plain(_described(forecaster)), indent=1)
        (draft / _DESCRIPTION).write_text(text + "\n", encoding="utf-8")
        _flush(draft / _WEIGHTS)
        _flush(draft / _DESCRIPTION)
        draft.chmod(0o755)
        draft.rename(path)
    except OSError as problem:
        raise ModelFileError(f"{path}: can't be written: {problem.strerror}") from problem
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load(path: Path) -> Forecaster:
    """The Forecaster saved in the folder ``path``: forecasts equal to the bit.

    Raises:
        ModelFileError: no model there, damaged, or written by a newer version.
    """
    description = _read_description(path / _DESCRIPTION)
    tensors = _read_tensors(path / _WEIGHTS)
    try:
        heads = tuple(_head(config, i, tensors) for i, config in enumerate(description.heads))
        forecaster = Forecaster(heads, description.series, description.provenance)
    except (KeyError, RuntimeError, ValueError) as problem:
        raise ModelFileError(f"{path / _WEIGHTS}: damaged: does not fit {_DESCRIPTION}") from problem
    if forecaster.content_hash != description.content_hash:
        raise ModelFileError(f"{path}: damaged: content hash is not {description.content_hash[:12]}")
    return forecaster


def _described(forecaster: Forecaster) -> _Description:
    return _Description(
        schema_version=SCHEMA_VERSION,
        model=forecaster.model_id,
        content_hash=forecaster.content_hash,
        levels=LEVELS,
        provenance=forecaster.provenance,
        heads=tuple(head.network.config for head in forecaster.heads),
        series=forecaster.series,
    )


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _read_description(path: Path) -> _Description:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ModelFileError(f"{path}: no saved model: {problem.strerror}") from problem
    except ValueError as problem:
        raise ModelFileError(f"{path}: damaged: not JSON") from problem
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if version != SCHEMA_VERSION:
        raise ModelFileError(f"{path}: schema_version {version!r}: this nettwin reads {SCHEMA_VERSION!r}")
    try:
        description = from_plain(_Description, plain)
    except ValueError as problem:
        raise ModelFileError(f"{path}: damaged: {problem}") from problem
    if description.levels != LEVELS:
        raise ModelFileError(f"{path}: quantile levels {description.levels}: this nettwin uses {LEVELS}")
    return description


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError as problem:
        raise ModelFileError(f"{path}: no saved model: {problem.strerror}") from problem
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as problem:
        raise ModelFileError(f"{path}: damaged: not a file of tensors") from problem
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise ModelFileError(f"{path}: damaged: not a file of tensors")
    return tensors


def _head(config: NetworkConfig, index: int, tensors: Mapping[str, Tensor]) -> Head:
    mine = {name.removeprefix(f"{index}."): t for name, t in tensors.items() if name.startswith(f"{index}.")}
    network = LoadNetwork(config)
    network.load_state_dict({n.removeprefix("network."): t for n, t in mine.items() if n.startswith("network.")})
    factors, pooled, coverage = (mine[f"calibration.{n}"].numpy() for n in ("factors", "pooled", "coverage80"))
    return Head(network.eval(), Calibration(factors, pooled, coverage))
