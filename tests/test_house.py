"""Rules of the house: what loads what, what the wheel holds, and that the manual names every command."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
import typer.main

from twin.app.cli.main import app

ROOT = Path(__file__).resolve().parents[1]


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "never"),
    [
        ("import twin", {"torch", "pysnmp", "ncclient", "numpy", "pydantic"}),
        (
            "import twin.vocab, twin.vocab.blocks, twin.vocab.files, twin.vocab.answer",
            {"torch", "pysnmp", "ncclient", "influxdb_client", "deltalake"},
        ),
        ("import twin.app.cli.main", {"torch", "pysnmp", "ncclient", "influxdb_client", "deltalake", "scipy"}),
        ("import models.data, models.registry", {"torch"}),
    ],
)
def test_importing_a_room_loads_nothing_heavy(statement: str, never: set[str]) -> None:
    assert not loaded_by(statement) & never


def wheel(folder: Path) -> Path:
    argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(argv, capture_output=True, check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_runs_in_an_empty_place(tmp_path: Path) -> None:
    """The wheel alone, with the packages of this environment, far from the checkout: doctor, check and the samples."""
    venv.create(tmp_path / "place", with_pip=False)
    python = tmp_path / "place" / "bin" / "python"
    (site,) = (tmp_path / "place" / "lib").glob("python*/site-packages")
    installer = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    subprocess.run([*installer, str(wheel(tmp_path))], check=True, capture_output=True)
    here = [p for p in sys.path if p.endswith("site-packages")]
    (site / "packages.pth").write_text("\n".join(here) + "\n")
    for words in (["doctor"], ["check"], ["--help"]):
        done = subprocess.run(
            [str(tmp_path / "place" / "bin" / "nettwin"), *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
    configs = site / "twin" / "configs"
    assert (configs / "nettwin.yaml").is_file()
    assert (configs / "labs" / "abilene.yaml").is_file()
    assert not list(configs.rglob("*.py"))


def command_names(group: Any, path: str = "nettwin") -> list[str]:
    found: list[str] = []
    for name, command in group.commands.items():
        found += command_names(command, f"{path} {name}") if hasattr(command, "commands") else [f"{path} {name}"]
    return found


@pytest.mark.parametrize("name", command_names(typer.main.get_command(app)))
def test_the_manual_names_every_command(name: str) -> None:
    assert f"`{name}" in (ROOT / "docs" / "manual.md").read_text(encoding="utf-8")


def test_the_manual_names_no_command_that_is_gone() -> None:
    names = command_names(typer.main.get_command(app))
    groups = {n.rsplit(" ", 1)[0] for n in names}
    for told in re.findall(
        r"`(nettwin [a-z][a-z-]*(?: [a-z][a-z-]*)?)", (ROOT / "docs" / "manual.md").read_text(encoding="utf-8")
    ):
        assert any(told.startswith(n) for n in names) or told in groups, told
