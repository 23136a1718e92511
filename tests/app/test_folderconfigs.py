"""Configuration text from elsewhere in the store: versions, hashed secrets, and beside NETCONF's."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from twin.app.cli.main import main
from twin.app.folderconfigs import Background, FolderReport, import_folder
from twin.store import Store, StoreError, latest_records, open_delta
from twin.vocab.inventory import Device, NetconfAccess

KEY = b"0123456789abcdef0123456789abcdef"
DEVICES = (Device("r1", "192.0.2.1"), Device("r2", "192.0.2.2", netconf=NetconfAccess("ops", "")))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_delta(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "configs"
    place.mkdir()
    (place / "r1").write_text("hostname r1\nsnmp-server community opensesame RO\n")
    (place / "r2").write_text("hostname r2\n")
    return place


def test_texts_become_versions_without_their_secrets(store: Store, folder: Path) -> None:
    first = import_folder(folder, "oxidized", DEVICES, store, KEY)
    assert (first.read, first.changed) == (2, ("r1 config", "r2 config-text"))
    kept = latest_records(store, "config")["r1"].content
    assert "opensesame" not in kept
    assert "hostname r1" in kept
    assert import_folder(folder, "oxidized", DEVICES, store, KEY).changed == ()
    (folder / "r1").write_text("hostname r1-new\n")
    assert import_folder(folder, "oxidized", DEVICES, store, KEY).changed == ("r1 config",)


def test_a_device_asked_by_netconf_keeps_config_for_that(store: Store, folder: Path) -> None:
    import_folder(folder, "oxidized", DEVICES, store, KEY)
    assert "r2" not in latest_records(store, "config")
    assert latest_records(store, "config-text")["r2"].content == "hostname r2\n"


def test_many_devices_are_read_in_parts(store: Store, folder: Path) -> None:
    many = tuple(Device(f"d{i}", f"10.0.0.{i}") for i in range(150))
    for device in many:
        (folder / device.name).write_text(f"hostname {device.name}\n")
    assert import_folder(folder, "oxidized", many, store, KEY).read == 150


def test_in_the_background_a_remark_is_told_once() -> None:
    told: list[FolderReport] = []
    troubles: list[str] = []
    enough = threading.Event()
    outcomes: Iterator[FolderReport | StoreError] = iter(
        [
            FolderReport(1, (), ("r1: r1: is empty",)),
            StoreError("full"),
            FolderReport(1, (), ("r1: r1: is empty", "r2: r2: is not text")),
        ]
    )

    def work() -> FolderReport:
        outcome = next(outcomes, None)
        if outcome is None:
            enough.set()
            return FolderReport(0, (), ())
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    with Background(work, 0.001, told.append, troubles.append):
        assert enough.wait(10)
    assert [report.remarks for report in told[:2]] == [("r1: r1: is empty",), ("r2: r2: is not text",)]
    assert troubles == ["configuration text was not stored: full"]


@pytest.fixture
def site(tmp_path: Path, folder: Path) -> Path:
    (tmp_path / "nettwin.yaml").write_text(
        "schema_version: 1\ncollect:\n  configs: {path: configs, layout: oxidized}\n"
    )
    (tmp_path / "devices.yaml").write_text(
        "schema_version: 1\ndevices:\n  - {name: r1, address: 192.0.2.1}\n  - {name: r7, address: 192.0.2.7}\n"
    )
    return tmp_path / "nettwin.yaml"


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def test_the_command_reads_what_the_settings_name(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import-configs", "--settings", str(site)) == 0
    told = capsys.readouterr()
    assert told.out == "configuration text of 1 of 2 devices, 1 new\n"
    assert "changed: r1 config" in told.err


def test_the_command_says_when_nothing_fits(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "elsewhere").mkdir()
    words = (str(tmp_path / "elsewhere"), "--layout", "rancid", "--settings", str(site))
    assert run("import-configs", *words) == 1
    told = capsys.readouterr()
    assert "of 0 of 2 devices" in told.out
    assert "elsewhere: holds no file" in told.err


@pytest.mark.parametrize(
    "case",
    [
        (
            ["core/configs/r1"],
            "oxidized",
            "none of 1 files lies where oxidized .*; rancid would: --layout rancid",
        ),
        (
            ["core/r1"],
            "rancid",
            r"where rancid puts them \(GROUP/configs/DEVICE\); oxidized would",
        ),
        (["a/b/c/d/r1"], "rancid", "holds no file that any layout has"),
        (["other1", "other2"], "oxidized", "2 files, none named as a device of the list is"),
    ],
)
def test_the_command_says_why_nothing_fits(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: tuple[list[str], str, str]
) -> None:
    files, layout, why = case
    for name in files:
        (tmp_path / "there" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "there" / name).write_text("hostname r1\n")
    assert run("import-configs", str(tmp_path / "there"), "--layout", layout, "--settings", str(site)) == 1
    assert re.search(why, capsys.readouterr().err)


def test_collecting_once_reads_the_folder_too(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("collect", "--once", "--settings", str(site))
    assert "changed: r1 config" in capsys.readouterr().err
