"""The linter: no shipped profile has a fault; a bad one (cases/profiles-bad) has just that of its first line."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors.lint import lint
from twin.app.settings import packaged_configs

PROFILES = packaged_configs() / "profiles"
BAD = sorted((Path(__file__).parent / "cases" / "profiles-bad").glob("*.yaml"))


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_profile_has_no_fault(path: Path) -> None:
    assert [str(fault) for fault in lint(PROFILES, [path])] == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_profile_has_the_fault_it_tells(path: Path) -> None:
    wanted = path.read_text().split("\n", 1)[0].removeprefix("# ").replace("PROFILES", str(PROFILES))
    (fault,) = lint(PROFILES, [path])
    told = str(fault).removeprefix(f"{path}:").strip()
    assert told.startswith(wanted)
