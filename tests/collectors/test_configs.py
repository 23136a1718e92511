"""Configuration text from folders and git repositories: whose it is, and what is left out."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from collectors import configs
from collectors.configs import FolderTexts, read_folder

DEVICES = {"r1": "192.0.2.1", "R2": "192.0.2.2", "r3.example.net": "192.0.2.3", "r4": "192.0.2.4"}
OXIDIZED = {"r1": "one\n", "core/r2.example.net": "two\n", "core/r3": "three\n", "192.0.2.4": "four\n", "r9": "none\n"}
RANCID = {
    "core/configs/r1": "one\n",
    "core/configs/r2.example.net": "two\n",
    "edge/configs/r3.example.net": "three\n",
    "edge/configs/r4.cfg": "four\n",
    "edge/configs/r4.new": "half\n",
    "edge/router.db": "r1;cisco;up\n",
    "core/configs/CVS/r1": "not it\n",
}
TEXTS = {"r1": "one\n", "R2": "two\n", "r3.example.net": "three\n", "r4": "four\n"}


def lay(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def git(where: Path, *words: str) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.net", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, "-C", str(where), *words], check=True, capture_output=True)


def commit(root: Path) -> Path:
    git(root, "init", "-q")
    git(root, "add", "-A", "-f")
    git(root, "commit", "-q", "-m", "configs")
    return root


def bare(root: Path, at: Path) -> Path:
    git(root.parent, "clone", "-q", "--bare", str(root), str(at))
    return at


def test_oxidized_files_belong_to_devices_by_name_or_address(tmp_path: Path) -> None:
    assert read_folder(lay(tmp_path, OXIDIZED), "oxidized", DEVICES) == FolderTexts(TEXTS)


def test_rancid_groups_have_their_configs(tmp_path: Path) -> None:
    assert read_folder(lay(tmp_path, RANCID), "rancid", DEVICES) == FolderTexts(TEXTS)


def test_one_rancid_group_can_be_named(tmp_path: Path) -> None:
    lay(tmp_path, RANCID)
    assert read_folder(tmp_path / "core", "rancid", DEVICES) == FolderTexts({"r1": "one\n", "R2": "two\n"})


@pytest.mark.parametrize("kind", ["work tree", "bare"])
def test_a_repository_is_read_as_committed(tmp_path: Path, kind: str) -> None:
    root = commit(lay(tmp_path / "work", OXIDIZED))
    (root / "r1").write_text("not committed yet\n")
    place = root if kind == "work tree" else bare(root, tmp_path / "all.git")
    assert read_folder(place, "oxidized", DEVICES) == FolderTexts(TEXTS)


def test_a_repository_for_each_group_is_read(tmp_path: Path) -> None:
    root = commit(lay(tmp_path / "work", {"r1": "one\n", "r2": "two\n"}))
    home = tmp_path / "home"
    home.mkdir()
    bare(root, home / "core.git")
    assert read_folder(home, "oxidized", DEVICES).texts == {"r1": "one\n", "R2": "two\n"}


def test_a_repository_without_a_commit_is_one_line(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    told = read_folder(tmp_path, "oxidized", DEVICES)
    assert told.texts == {}
    (remark,) = told.remarks
    assert remark.startswith(f"{tmp_path}: git: ")
    assert "\n" not in remark


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    assert read_folder(tmp_path / "no", "rancid", DEVICES).remarks == (f"{tmp_path / 'no'}: there is no such folder",)


UNUSABLE: dict[str, tuple[bytes, str]] = {
    "binary": (b"PNG\0\0", "is not text"),
    "empty": (b" \n", "is empty"),
    "too large": (b"x\n" * (5 << 20), "is larger than 8 MiB"),
    "one endless line": (b"x" * 100_000, "is not text: a line of more than 65,536 octets"),
}


@pytest.mark.parametrize("as_git", [False, True], ids=["files", "git"])
@pytest.mark.parametrize(("content", "reason"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_what_is_no_configuration_is_one_line(tmp_path: Path, content: bytes, reason: str, as_git: bool) -> None:
    lay(tmp_path, {"r1": content, "r4": "fine\n"})
    if as_git:
        commit(tmp_path)
    told = read_folder(tmp_path, "oxidized", DEVICES)
    assert told == FolderTexts({"r4": "fine\n"}, (f"r1: r1: {reason}",))


def test_links_pipes_and_folders_lead_nowhere(tmp_path: Path) -> None:
    root = lay(tmp_path / "root", {"r4": "fine\n", "real": "linked\n"})
    lay(tmp_path, {"secret": "of another\n"})
    (root / "r1").symlink_to(tmp_path / "secret")
    (root / "R2").symlink_to(root / "real")
    os.mkfifo(root / "r3.example.net")
    told = read_folder(root, "oxidized", DEVICES)
    assert told.texts == {"R2": "linked\n", "r4": "fine\n"}
    assert told.remarks == (
        "r1: r1: leads out of the folder",
        "r3.example.net: r3.example.net: is not a file",
    )


def test_a_link_in_a_repository_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "r1").symlink_to("/etc/hostname")
    assert read_folder(commit(root), "oxidized", DEVICES).remarks == ("r1: r1: is not a file",)


def test_two_files_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    lay(tmp_path, {"a/r1": "one\n", "b/r1": "other\n", "c/r4.example.net": "far\n", "c/r4": "exact\n"})
    told = read_folder(tmp_path, "oxidized", DEVICES)
    assert told.texts == {"r4": "exact\n"}
    assert told.remarks == ("r1: a/r1: b/r1 bears its name too: neither is taken",)


def test_old_encodings_and_line_ends_are_read(tmp_path: Path) -> None:
    lay(tmp_path, {"r1": b"description Z\xfcrich\r\nend\r\n"})
    assert read_folder(tmp_path, "oxidized", DEVICES).texts == {"r1": "description Zürich\nend\n"}


def test_names_in_a_repository_are_only_names(tmp_path: Path) -> None:
    lay(tmp_path, {"--upload-pack=x": "option\n", "r1": "one\n", "new\nline": "x\n"})
    devices = DEVICES | {"--upload-pack=x": "192.0.2.9"}
    told = read_folder(commit(tmp_path), "oxidized", devices)
    assert told.texts == {"r1": "one\n", "--upload-pack=x": "option\n"}


def test_a_repositorys_own_settings_start_nothing(tmp_path: Path) -> None:
    root = commit(lay(tmp_path / "work", {"r1": "one\n"}))
    trap, marker = tmp_path / "trap", tmp_path / "marker"
    trap.write_text(f"#!/bin/sh\ntouch {marker}\n")
    trap.chmod(0o755)
    (root / ".gitattributes").write_text("* diff=x filter=x\n")
    for key in ("core.fsmonitor", "diff.x.textconv", "filter.x.smudge", "core.pager", "core.sshCommand"):
        git(root, "config", key, str(trap))
    assert read_folder(root, "oxidized", DEVICES).texts == {"r1": "one\n"}
    assert not marker.exists()


def test_a_folder_of_endless_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configs, "MOST_FILES", 3)
    told = read_folder(lay(tmp_path, OXIDIZED), "oxidized", DEVICES)
    assert told.remarks == (f"{tmp_path}: holds more than 3 files",)
