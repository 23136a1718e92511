"""Configuration text that another tool has fetched: a folder or git repository in Oxidized's or RANCID's layout.

Whatever lies there is untrusted: only regular files inside the folder are read, git only lists and prints objects, and
what can't be used is a line, never an error.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

Layout = Literal["oxidized", "rancid"]
MOST_OCTETS = 8 << 20
TOO_LARGE = f"is larger than {MOST_OCTETS >> 20} MiB"
MOST_FILES = 200_000
_WHERE: Mapping[Layout, str] = {"oxidized": "DEVICE or GROUP/DEVICE", "rancid": "GROUP/configs/DEVICE"}
LONGEST_LINE = 1 << 16
GIT_PATIENCE_S = 60.0


@dataclass(frozen=True)
class FolderTexts:
    """Device -> its configuration text; a line about each file or folder that could not be used."""

    texts: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    """One file by its path inside the source: on disk below ``root``, or a git object of the repository ``root``."""

    path: PurePosixPath
    root: Path
    blob: str = ""
    flaw: str = ""


class _UnusableError(Exception):
    """Why a file or a folder can't be used."""


def read_folder(path: Path, layout: Layout, devices: Mapping[str, str]) -> FolderTexts:
    """The texts of the devices in ``devices`` (name -> address).

    A file belongs to the device whose name it bears, in whatever case, with or without domain or suffix (``r1``,
    ``R1.example.net``, ``r1.cfg``), or whose address. A name that fits several files exactly alike is left out.

    A git repository, bare or not, is read at HEAD; a folder of bare repositories (Oxidized with a repository for each
    group) likewise; anything else as files.
    """
    try:
        there = list(_files(path))
    except _UnusableError as problem:
        return FolderTexts(remarks=(f"{path}: {problem}",))
    files = [file for file in there if _in_layout(file.path, layout)]
    matched = _matched(files, devices)
    if devices and not matched:
        return FolderTexts(remarks=(f"{path}: {_why_none(there, files, layout)}",))
    contents = _contents([candidates[0] for candidates in matched.values()])
    texts: dict[str, str] = {}
    remarks: list[str] = []
    for (device, candidates), content in zip(matched.items(), contents, strict=True):
        try:
            texts[device] = _text(_only(candidates, content))
        except _UnusableError as problem:
            remarks.append(f"{device}: {candidates[0].path}: {problem}")
    return FolderTexts(texts, tuple(remarks))


def _why_none(there: Sequence[_File], files: Sequence[_File], layout: Layout) -> str:
    """Why no device has a text here."""
    if not there:
        return "holds no file that any layout has"
    if files:
        return f"{len(files)} files, none named as a device of the list is (for instance {files[0].path})"
    others = [other for other in _WHERE if any(_in_layout(file.path, other) for file in there)]
    hint = f"; {others[0]} would: --layout {others[0]}" if others else ""
    return f"none of {len(there)} files lies where {layout} puts them ({_WHERE[layout]}){hint}"


def _in_layout(path: PurePosixPath, layout: Layout) -> bool:
    """Oxidized: ``device`` or ``GROUP/device``; RANCID: ``GROUP/configs/device``, or below a group's own folder."""
    parts = path.parts
    if any(part.startswith(".") for part in parts) or path.suffix in {".new", ".raw", ".lock"}:
        return False
    if layout == "oxidized":
        return len(parts) <= 2
    return len(parts) in {2, 3} and parts[-2] == "configs"


# -- whose file it is ------------------------------------------------------------------------------


def _matched(files: Sequence[_File], devices: Mapping[str, str]) -> dict[str, list[_File]]:
    """Device -> the files that fit its name best."""
    by_name: dict[str, list[_File]] = {}
    for file in files:
        for name in {file.path.name.lower(), file.path.name.lower().partition(".")[0]}:
            by_name.setdefault(name, []).append(file)
    found = {device: _candidates(device.lower(), address, by_name) for device, address in devices.items()}
    return {device: candidates for device, candidates in found.items() if candidates}


def _candidates(name: str, address: str, by_name: Mapping[str, list[_File]]) -> list[_File]:
    """The name itself, then the address, then the name with or without its domain."""
    for wanted in (name, address):
        if exact := [file for file in by_name.get(wanted, ()) if file.path.name.lower() == wanted]:
            return exact
    loose = by_name.get(name, []) or by_name.get(name.partition(".")[0], [])
    bare = "." not in name
    return [file for file in loose if bare or file.path.name.lower() == name.partition(".")[0]]


def _only(candidates: Sequence[_File], content: bytes | _UnusableError) -> bytes:
    if len(candidates) > 1:
        raise _UnusableError(f"{candidates[1].path} bears its name too: neither is taken")
    if isinstance(content, _UnusableError):
        raise content
    return content


def _text(content: bytes) -> str:
    """Lines end in a line feed; what is not UTF-8 is taken as Latin-1, as old devices write it."""
    if not content.strip():
        raise _UnusableError("is empty")
    if b"\0" in content:
        raise _UnusableError("is not text")
    if max(map(len, content.split(b"\n"))) > LONGEST_LINE:
        raise _UnusableError(f"is not text: a line of more than {LONGEST_LINE:,} octets")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n")


# -- where files come from -------------------------------------------------------------------------


def _files(path: Path) -> Iterator[_File]:
    if not path.is_dir():
        raise _UnusableError("there is no such folder")
    if (path / ".git").exists() or _is_bare(path):
        yield from _git_files(path, PurePosixPath())
        return
    repositories = [entry for entry in sorted(path.iterdir()) if entry.suffix == ".git" and _is_bare(entry)]
    for repository in repositories:
        yield from _git_files(repository, PurePosixPath(repository.stem))
    yield from _folder_files(path)


def _is_bare(path: Path) -> bool:
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def _folder_files(root: Path) -> Iterator[_File]:
    """Three levels are all that any layout has; links between folders are not followed."""
    count = 0
    for folder, folders, names in os.walk(root, followlinks=False, onerror=_refuse):
        depth = len(Path(folder).relative_to(root).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not f.endswith(".git")) if depth < 2 else []
        for name in sorted(names):
            count += 1
            if count > MOST_FILES:
                raise _UnusableError(f"holds more than {MOST_FILES:,} files")
            inside = (Path(folder) / name).relative_to(root)
            yield _File(PurePosixPath(inside.as_posix()), root)


def _refuse(problem: OSError) -> None:
    raise _UnusableError(f"can't be listed: {problem.strerror}")


def _contents(files: Sequence[_File]) -> list[bytes | _UnusableError]:
    """What each holds, or why that can't be told."""
    blobs: dict[tuple[Path, str], bytes | _UnusableError] = {}
    for root in {file.root for file in files if file.blob and not file.flaw}:
        wanted = list(dict.fromkeys(f.blob for f in files if f.root == root and f.blob and not f.flaw))
        blobs |= {(root, blob): content for blob, content in _blobs(root, wanted).items()}
    return [_content(file, blobs) for file in files]


def _content(file: _File, blobs: Mapping[tuple[Path, str], bytes | _UnusableError]) -> bytes | _UnusableError:
    if file.flaw:
        return _UnusableError(file.flaw)
    try:
        return blobs[file.root, file.blob] if file.blob else _on_disk(file)
    except _UnusableError as problem:
        return problem
    except (OSError, RuntimeError) as problem:
        return _UnusableError(f"can't be read: {getattr(problem, 'strerror', problem)}")


def _on_disk(file: _File) -> bytes:
    inside = (file.root / file.path).resolve(strict=True)
    if not inside.is_relative_to(file.root.resolve()):
        raise _UnusableError("leads out of the folder")
    return _regular(inside)


def _regular(path: Path) -> bytes:
    """Neither a device nor a pipe, which would block, nor a link put there meanwhile."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _UnusableError("is not a file")
        content = file.read(MOST_OCTETS + 1)
    if len(content) > MOST_OCTETS:
        raise _UnusableError(TOO_LARGE)
    return content


# -- git -------------------------------------------------------------------------------------------


def _git_files(repository: Path, group: PurePosixPath) -> Iterator[_File]:
    """The files at HEAD."""
    entries = _git(repository, "ls-tree", "-r", "-l", "-z", "--full-tree", "HEAD", "--").split(b"\0")[:-1]
    if len(entries) > MOST_FILES:
        raise _UnusableError(f"holds more than {MOST_FILES:,} files")
    for entry in entries:
        described, _, name = entry.partition(b"\t")
        mode, _kind, identity, size = described.split()
        flaw = "is not a file" if not mode.startswith(b"100") else TOO_LARGE if int(size) > MOST_OCTETS else ""
        yield _File(group / PurePosixPath(name.decode("utf-8", "replace")), repository, identity.decode("ascii"), flaw)


def _blobs(repository: Path, wanted: Sequence[str]) -> dict[str, bytes | _UnusableError]:
    """Objects by one ``cat-file --batch``: for each a line ``ID blob SIZE``, its content and a line feed."""
    try:
        told = _git(repository, "cat-file", "--batch", given="".join(f"{blob}\n" for blob in wanted))
    except _UnusableError as problem:
        return dict.fromkeys(wanted, problem)
    found: dict[str, bytes | _UnusableError] = {}
    at = 0
    for blob in wanted:
        end = told.find(b"\n", at)
        words = told[at:end].split()
        if end < 0 or len(words) != 3 or words[1] != b"blob":
            return found | dict.fromkeys(wanted[len(found) :], _UnusableError("git has lost it"))
        size = int(words[2])
        found[blob] = told[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
    return found


def _git(repository: Path, *words: str, given: str = "") -> bytes:
    """Output of a git command that only reads objects: no hooks, filters, network or settings of the user's.

    Repositories that belong to another user (Oxidized's own) are read too: the operator named this one.
    """
    settings = ("safe.directory=*", "core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.allow=never")
    options = [word for setting in settings for word in ("-c", setting)]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_CEILING_DIRECTORIES": str(repository.resolve().parent),
    }
    argv = ["git", "--no-pager", *options, "-C", str(repository), *words]
    try:
        done = subprocess.run(
            argv, env=environment, input=given.encode(), capture_output=True, timeout=GIT_PATIENCE_S, check=False
        )
    except FileNotFoundError:
        raise _UnusableError("the program git is not installed") from None
    except subprocess.TimeoutExpired:
        raise _UnusableError("git was not done in time") from None
    if done.returncode != 0:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _UnusableError(f"git: {told[0][:200] if told else f'exit code {done.returncode}'}")
    return done.stdout
