"""The command line teaches, refuses in one clear line, and ends with the promised exit codes."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main

from twin import __version__
from twin.app.cli.main import app, main
from twin.app.settings import packaged_configs


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Nettwin = Callable[..., Done]


@pytest.fixture
def nettwin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nettwin:
    """The command in this process: words and settings in, exit code and texts out."""

    def run(*words: str, settings: Path | None = None) -> Done:
        monkeypatch.delenv("NETTWIN_SETTINGS", raising=False)
        if settings is not None:
            monkeypatch.setenv("NETTWIN_SETTINGS", str(settings))
        with pytest.raises(SystemExit) as ended:
            main(words)
        told = capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    return run


def commands(group: Any, path: str = "nettwin") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, command in group.commands.items():
        whole = f"{path} {name}"
        found += commands(command, whole) if hasattr(command, "commands") else [(whole, command)]
    return found


ALL = commands(typer.main.get_command(app))


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_every_command_and_option_explains_itself(name: str, command: Any) -> None:
    assert command.help
    for parameter in command.params:
        explained = getattr(parameter, "help", None)
        assert explained or parameter.name == "help", f"{name} {parameter.name}"
        assert "[" not in (explained or ""), f"{name} {parameter.name}: brackets are markup, and never shown"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "nettwin.yaml").write_text("schema_version: 1\ndata: data\n")
    (tmp_path / "devices.yaml").write_text("schema_version: 1\ndevices:\n  - {name: r1, address: 192.0.2.1}\n")
    return tmp_path / "nettwin.yaml"


CASES = [
    (["whatif", "--disable", "r1:eth1"], 1, "nothing|no device yet.*nettwin collect"),
    (["whatif"], 2, "change file or --disable"),
    (["whatif", "--disable", "r1"], 2, "--disable 'r1' is not device:interface"),
    (["whatif", "--cost", "r1:eth1=x"], 2, "is not device:interface=cost"),
    (["whatif", "--disable", "r1:eth1", "--at", "soon"], 2, "'soon' is not a time"),
    (["whatif", "--disable", "r1:eth1", "--at", "2001-01-01 10:00"], 2, "in the past"),
    (["whatif", "none.yaml"], 2, "none.yaml: can't be read"),
    (["collect", "--once", "--device", "r9"], 2, "no device named r9"),
    (["collect", "--every", "often"], 2, "'often' is not a duration"),
    (["store", "import", "none.csv"], 2, "none.csv: can't be read"),
    (["forecast", "train"], 1, "no interface load yet"),
    (["forecast", "run"], 2, "train one first"),
    (["forecast", "show", "r1:eth1"], 1, "no forecast for .*forecast train"),
    (["forecast", "show", "r1"], 2, "'r1' is not device:interface"),
    (["ledger", "7"], 2, "no answer 7"),
    (["lab", "status", "nowhere"], 2, "no lab 'nowhere' is up"),
    (["lab", "up", "none.yaml"], 2, "none.yaml: can't be read"),
    (["discover", "192.0.2.1", "--snmp", "v3"], 2, "no prefix is allowed"),
    (["discover", "192.0.2.1", "--snmp", "v3", "--allow", "192.0.2.0/24"], 2, "credentials.snmp has no 'v3'"),
    (["discover", "192.0.2.1", "--snmp", "v3", "--allow", "x"], 2, "--allow x"),
]


@pytest.mark.parametrize(("words", "code", "complaint"), CASES, ids=[" ".join(c[0]) for c in CASES])
def test_bad_input_is_one_clear_line(
    nettwin: Nettwin, empty: Path, words: list[str], code: int, complaint: str
) -> None:
    done = nettwin(*words, settings=empty)
    lines = [line for line in done.stderr.splitlines() if line.startswith("nettwin: ")]
    assert done.returncode == code, done.stderr
    assert len(lines) == 1, done.stderr
    assert re.search(complaint, lines[0]), lines[0]
    assert "Traceback" not in done.stderr


def test_the_packaged_settings_hold(nettwin: Nettwin) -> None:
    done = nettwin("check", settings=packaged_configs() / "nettwin.yaml")
    assert done.returncode == 0, done.stderr
    assert "all files hold" in done.stdout


def test_help_names_the_exit_codes_and_version_the_version(nettwin: Nettwin) -> None:
    assert "INCONCLUSIVE" in nettwin("--help").stdout
    assert nettwin("--version").stdout == f"nettwin {__version__}\n"


@pytest.mark.parametrize("word", ["nonsense", "--colour"])
def test_unknown_words_are_usage_errors(nettwin: Nettwin, word: str) -> None:
    assert nettwin(word).returncode == 2


def test_an_installed_command_runs_in_a_process_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twin.app.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"nettwin {__version__}\n"
