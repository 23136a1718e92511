"""Change files: what they say and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from twin.vocab.change import Change, SetCost, SetEnabled
from twin.vocab.errors import InputError
from twin.vocab.snapshot import Port
from twin.whatif.change_file import read_change

PORT = Port("r1", "eth1")


def written(folder: Path, text: str) -> Path:
    path = folder / "change.yaml"
    path.write_text(text)
    return path


def test_steps_are_read_in_order(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "schema_version: 1\nname: drain\nsteps:\n"
        "  - cost: {port: r1:eth1, value: 65535}\n  - disable: r1:eth1\n  - enable: r2:ge-0/0/1.0\n",
    )
    change = read_change(path)
    assert change == Change(
        (SetCost(PORT, 65535), SetEnabled(PORT, False), SetEnabled(Port("r2", "ge-0/0/1.0"), True)), "drain"
    )


BAD = {
    "exactly one of": "steps: [{disable: r1:eth1, enable: r1:eth1}]",
    "is not device:interface": "steps: [{disable: r1}]",
    "unknown key": "steps: [{reboot: r1}]",
    "less than or equal to 65535": "steps: [{cost: {port: r1:eth1, value: 70000}}]",
    "greater than or equal to 1": "steps: [{cost: {port: r1:eth1, value: 0}}]",
    "valid integer": "steps: [{cost: {port: r1:eth1, value: cheap}}]",
    "at least 1 item": "steps: []",
    "is missing": "name: nothing",
}


@pytest.mark.parametrize(("words", "text"), BAD.items(), ids=BAD)
def test_bad_change_files_are_refused_by_name(words: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as refused:
        read_change(written(tmp_path, f"schema_version: 1\n{text}\n"))
    assert "change.yaml" in str(refused.value)
