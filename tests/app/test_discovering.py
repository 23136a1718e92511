"""What was found goes into the devices file; what an operator wrote there stays."""

from pathlib import Path

import pytest

from twin.app.cli.main import main
from twin.app.discovering import Found, FoundDevice, write_found
from twin.app.inventory import read_entries
from twin.vocab.errors import UsageError

FILE = """\
# mine
schema_version: 1
credentials:
  snmp: {v3: {version: 3, user: twin}}
  netconf: {ssh: {user: twin, known_hosts: known_hosts}}
devices:   # the core
  - name: r1   # keep me
    address: 192.0.2.1
"""


def found(*pairs: tuple[str, str]) -> Found:
    return Found(tuple(FoundDevice(name, address, "", "v3") for name, address in pairs), ())


@pytest.mark.parametrize(
    "text", [FILE, FILE[: FILE.index("devices:")], FILE.split("  - name", maxsplit=1)[0].replace(":   #", ": []   #")]
)
def test_new_devices_are_added_once_and_comments_stay(tmp_path: Path, text: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(text)
    news = found(("r1", "192.0.2.1"), ("r2", "192.0.2.2"))
    known = len(read_entries(path).devices)
    assert write_found(path, news, "ssh") == 2 - known
    assert write_found(path, news, "ssh") == 0
    assert {d.name for d in read_entries(path).devices} == {"r1", "r2"}
    assert "# mine" in path.read_text()
    assert ("# keep me" in path.read_text()) == ("# keep me" in text)


@pytest.mark.parametrize("name", ["core switch 1", "- z", "#", "'q'", "[a, b]", "null", "ünïcode", "true", "*a", "22"])
def test_a_name_a_device_chose_is_only_a_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(FILE)
    assert write_found(path, found((name, "192.0.2.2")), None) == 1
    assert [d.name for d in read_entries(path).devices] == [name, "r1"]


@pytest.mark.parametrize("name", ["r2\n  - name: evil", "x: y", "a:b", "\x1b[2J", ""])
def test_what_can_not_be_a_name_is_left_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(FILE)
    assert write_found(path, found((name, "192.0.2.2"), ("r3", "192.0.2.3")), None) == 1
    assert [d.name for d in read_entries(path).devices] == ["r3", "r1"]


def test_a_credential_that_is_not_defined_is_refused_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nettwin.yaml").write_text("schema_version: 1\n")
    (tmp_path / "devices.yaml").write_text(FILE)
    with pytest.raises(SystemExit) as ended:
        main(["discover", "192.0.2.1", "--netconf", "nowhere", "--settings", str(tmp_path / "nettwin.yaml")])
    assert ended.value.code == 2
    assert "credentials.netconf has no 'nowhere'; there is ssh" in capsys.readouterr().err


def test_a_file_that_can_not_be_read_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(FILE + "colour: red\n")
    with pytest.raises(UsageError, match="colour"):
        write_found(path, found(("r2", "192.0.2.2")), None)
    assert path.read_text() == FILE + "colour: red\n"
