"""Saved models: equal to the bit when read again; damage and newer versions are said so; the registry points to one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data import Panel
from models.load.files import ModelFileError, load, save
from models.load.forecaster import Forecaster
from models.registry import Registry
from twin.vocab.errors import UsageError

OLD, NEW = "load-20260105-0123456789ab", "load-20260106-ba9876543210"


@pytest.fixture
def saved(forecaster: Forecaster, tmp_path: Path) -> Path:
    save(forecaster, tmp_path / "model")
    return tmp_path / "model"


def test_a_model_read_again_forecasts_the_same_to_the_bit(saved: Path, forecaster: Forecaster, history: Panel) -> None:
    again = load(saved)
    np.testing.assert_array_equal(again.predict(history, 288), forecaster.predict(history, 288))
    np.testing.assert_array_equal(again.forecast(history).coverage80, forecaster.forecast(history).coverage80)
    assert (again.model_id, again.provenance, again.series) == (
        forecaster.model_id,
        forecaster.provenance,
        forecaster.series,
    )
    assert sorted(p.name for p in saved.iterdir()) == ["model.json", "weights.pt"]


def edit(**changes: object) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        plain = json.loads((path / "model.json").read_text())
        (path / "model.json").write_text(json.dumps({**plain, **changes}))

    return spoil


def scale_a_weight(path: Path) -> None:
    tensors = torch.load(path / "weights.pt", weights_only=True)
    tensors["0.network.out.bias"] *= 1.001
    torch.save(tensors, path / "weights.pt")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing there": (lambda p: (p / "model.json").unlink(), "no saved model"),
    "no weights": (lambda p: (p / "weights.pt").unlink(), "no saved model"),
    "cut short": (lambda p: (p / "weights.pt").write_bytes((p / "weights.pt").read_bytes()[:5000]), "not a file of"),
    "empty": (lambda p: (p / "weights.pt").write_bytes(b""), "not a file of tensors"),
    "not JSON": (lambda p: (p / "model.json").write_text("{"), "not JSON"),
    "a list": (lambda p: (p / "model.json").write_text("[]"), "schema_version None"),
    "newer": (edit(schema_version="2"), r"model\.json: schema_version '2': this nettwin reads '1'"),
    "other levels": (edit(levels=[0.5]), "quantile levels"),
    "unknown key": (edit(colour="red"), "unknown"),
    "head without weights": (lambda p: edit(heads=json.loads((p / "model.json").read_text())["heads"] * 2)(p), "fit"),
    "other weights": (scale_a_weight, "content hash"),
    "other series": (edit(series=[]), "damaged"),
    "code for weights": (lambda p: torch.save({"0": print}, p / "weights.pt"), "not a file of tensors"),
}


@pytest.mark.parametrize("case", sorted(DAMAGE))
def test_a_damaged_or_newer_model_is_one_clear_line(saved: Path, case: str) -> None:
    spoil, complaint = DAMAGE[case]
    spoil(saved)
    with pytest.raises(ModelFileError, match=complaint) as raised:
        load(saved)
    assert "\n" not in str(raised.value)
    assert str(saved) in str(raised.value)


def test_an_interrupted_save_leaves_nothing(
    forecaster: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(forecaster, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_not_overwritten(saved: Path, forecaster: Forecaster) -> None:
    with pytest.raises(ModelFileError, match="is there already"):
        save(forecaster, saved)


def test_the_registry_keeps_versions_and_points_to_one(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    assert registry.list("load") == ()
    with pytest.raises(UsageError, match=r"no load model in .*: train one first"):
        registry.current("load")
    for model_id in (OLD, NEW):
        registry.publish(
            model_id, Path.mkdir if (tmp_path / "models/load").exists() else lambda p: p.mkdir(parents=True)
        )
    assert registry.list("load") == (OLD, NEW)
    assert registry.current("load").name == NEW
    registry.point(OLD)
    assert registry.current("load") == tmp_path / "models" / "load" / OLD
    with pytest.raises(UsageError, match="no model load-20260101"):
        registry.point("load-20260101-000000000000")


def test_publishing_the_same_model_again_writes_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    written: list[Path] = []

    def write(path: Path) -> None:
        path.mkdir(parents=True)
        written.append(path)

    registry.publish(OLD, write)
    registry.publish(OLD, write)
    assert len(written) == 1


@pytest.mark.parametrize("name", ["../../etc-20260105-0123456789ab", "load", "load-2026-0123456789ab", "load/x"])
def test_what_is_no_model_id_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a model id"):
        Registry(tmp_path).publish(name, Path.mkdir)


@pytest.mark.parametrize("text", ["load-20260101-000000000000\n", "../../x", ""])
def test_a_pointer_that_leads_nowhere_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "load").mkdir()
    (tmp_path / "load" / "current").write_text(text)
    with pytest.raises(UsageError, match="current: names"):
        Registry(tmp_path).current("load")


@pytest.mark.parametrize(
    ("folder", "pointer", "said"),
    [(False, None, "Not a directory"), (True, None, "Is a directory"), (True, b"\xff", "not text")],
    ids=["the folder is a file", "the pointer is a folder", "the pointer is no text"],
)
def test_what_lies_in_the_registrys_way_is_one_clear_line(
    tmp_path: Path, folder: bool, pointer: bytes | None, said: str
) -> None:
    where = tmp_path / "load"
    if not folder:
        where.write_text("mine")
    elif pointer is None:
        (where / "current").mkdir(parents=True)
    else:
        where.mkdir()
        (where / "current").write_bytes(pointer)
    with pytest.raises(UsageError, match=f"load/current: can't be read: {said}$"):
        Registry(tmp_path).current("load")


def test_a_file_in_the_models_place_is_named_when_one_is_saved(forecaster: Forecaster, tmp_path: Path) -> None:
    (tmp_path / "load").write_text("mine")
    with pytest.raises(ModelFileError, match=r"can't be written: (File exists|Not a directory)$"):
        Registry(tmp_path).publish(forecaster.model_id, lambda path: save(forecaster, path))
    assert (tmp_path / "load").read_text() == "mine"


def test_a_real_model_goes_through_the_registry(forecaster: Forecaster, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.publish(forecaster.model_id, lambda path: save(forecaster, path))
    assert load(registry.current("load")).content_hash == forecaster.content_hash
