"""The linter: no shipped profile has a fault; a bad one (cases/profiles-bad) has just that of its first line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from collectors.lint import lint
from twin.app.settings import packaged_configs

PROFILES = packaged_configs() / "profiles"
BAD = sorted((Path(__file__).parent / "cases" / "profiles-bad").glob("*.yaml"))


def test_no_shipped_profile_has_a_fault() -> None:
    assert [str(fault) for fault in lint(PROFILES)] == []


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good profiles for bad ones to stand among."""
    folder = tmp_path_factory.mktemp("profiles")
    for name in ("generic.yaml", "net-snmp.yaml"):
        shutil.copy(PROFILES / name, folder)
    return folder


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_profile_has_the_fault_it_tells(path: Path, few: Path) -> None:
    wanted = path.read_text().split("\n", 1)[0].removeprefix("# ").replace("PROFILES", str(few))
    (fault,) = lint(few, [path])
    told = str(fault).removeprefix(f"{path}:").strip()
    assert told.startswith(wanted)


def test_a_file_stands_in_for_the_one_of_its_name(tmp_path: Path, few: Path) -> None:
    better = tmp_path / "net-snmp.yaml"
    better.write_text((few / "net-snmp.yaml").read_text() + "colour: blue\n")
    (fault,) = lint(few, [better])
    assert fault.place.file == better
    assert lint(few) == ()
