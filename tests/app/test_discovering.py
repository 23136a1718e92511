"""What was found goes into the devices file; what an operator wrote there stays."""

from pathlib import Path

import pytest

from twin.app.discovering import Found, FoundDevice, write_found
from twin.app.settings import read_entries
from twin.vocab.errors import UsageError

FILE = """\
# mine
schema_version: 1
credentials: {snmp: {}, netconf: {}}
devices:   # the core
  - name: r1   # keep me
    address: 192.0.2.1
"""


def found(*pairs: tuple[str, str]) -> Found:
    return Found(tuple(FoundDevice(name, address, "") for name, address in pairs), ())


@pytest.mark.parametrize(
    "text", [FILE, FILE[: FILE.index("devices:")], FILE.split("  - name", maxsplit=1)[0].replace(":   #", ": []   #")]
)
def test_new_devices_are_added_once_and_comments_stay(tmp_path: Path, text: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(text)
    news = found(("r1", "192.0.2.1"), ("r2", "192.0.2.2"))
    known = len(read_entries(path).devices)
    assert write_found(path, news, "v3", "ssh") == 2 - known
    assert write_found(path, news, "v3", "ssh") == 0
    assert {d.name for d in read_entries(path).devices} == {"r1", "r2"}
    assert "# mine" in path.read_text()
    assert ("# keep me" in path.read_text()) == ("# keep me" in text)


@pytest.mark.parametrize("name", ["r2\n  - name: evil", "x: y", "- z", "#", "'q'", "{a: b}", "null", "ünïcode"])
def test_a_name_a_device_chose_is_only_a_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(FILE)
    write_found(path, found((name, "192.0.2.2")), "v3", None)
    entries = read_entries(path).devices
    assert len(entries) == 2
    assert entries[0].name == name.replace("\n", "")


def test_a_file_that_can_not_be_read_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(FILE + "colour: red\n")
    with pytest.raises(UsageError, match="colour"):
        write_found(path, found(("r2", "192.0.2.2")), "v3", None)
    assert path.read_text() == FILE + "colour: red\n"
