"""What no lab can be called is refused before anything is looked at, killed or deleted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from twin.lab import teardown
from twin.lab.lab import down, labs, load
from twin.vocab.errors import UsageError

NOT_NAMES = (
    "",
    ".",
    "..",
    "*",
    "/",
    "/etc",
    "../x",
    "a/b",
    "a.b",
    "square\n",
    "Square",
    "1a",
    "a" * 15,
    "ä",
    "?",
    "[a-z]",
)
DOORS: tuple[Callable[[str], object], ...] = (load, down, teardown.traces, teardown.remove)


def _must_not(*_arguments: object, **_options: object) -> NoReturn:
    raise AssertionError


@pytest.mark.parametrize("name", NOT_NAMES)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door.__module__}.{door.__name__}")
def test_what_is_no_name_is_refused_in_one_line(
    door: Callable[[str], object], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "kill", _must_not)
    monkeypatch.setattr(shutil, "rmtree", _must_not)
    monkeypatch.setattr(teardown, "run", _must_not)
    with pytest.raises(UsageError, match="is no name of a lab") as refused:
        door(name)
    assert len(str(refused.value).splitlines()) == 1


def test_a_stranger_beside_the_labs_is_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, netns = tmp_path / "run", tmp_path / "netns"
    for made in (run / "square", run / "Not A Lab", netns / "nt.ring.r1", netns / "nt..r1", netns / "nt.*.r1"):
        made.mkdir(parents=True)
    monkeypatch.setattr(teardown, "RUN", run)
    monkeypatch.setattr(teardown, "NETNS", netns)
    assert labs() == ("ring", "square")
