"""That power loss is survived, seen in the system calls of one write: nothing is named before it is on disk."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

BEGIN, END = "/begin-of-write", "/end-of-write"
_WRITER = f"""
import os, sys
from pathlib import Path
import numpy as np
from twin.store import open_delta
from twin.vocab.blocks import Block

def block(second):
    at = np.datetime64("2026-11-23T12:00:00", "us") + np.timedelta64(second, "s")
    return Block.from_rows("poll", [{{"device": "r1", "protocol": "snmp", "status": "ok", "at": at}}])

with open_delta(Path(sys.argv[1])) as store:
    store.write([block(0)])
    os.path.exists("{BEGIN}")
    store.write([block(1)])
    os.path.exists("{END}")
"""
_CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
_WRITES = {"write", "pwrite64", "writev", "pwritev", "ftruncate"}
_NAMES = {"rename", "renameat", "renameat2", "link", "linkat"}


@dataclass(frozen=True)
class Call:
    """One system call that succeeded: its name, the file of its descriptor (or last path) if it has one."""

    name: str
    path: str


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """What one write of one row did, in order."""
    folder = tmp_path_factory.mktemp("power")
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    watched = ",".join(("fsync", "fdatasync", "sync_file_range", "stat", "newfstatat", *_WRITES, *_NAMES))
    told = folder / "calls"
    command = ["strace", "-f", "-y", "-s", "0", "-e", f"trace={watched}", "-o", str(told)]
    done = subprocess.run(
        [*command, sys.executable, "-c", _WRITER, str(folder / "s")], capture_output=True, check=False
    )
    if b"ptrace" in done.stderr.lower():
        pytest.skip("this machine does not permit tracing")
    assert done.returncode == 0, done.stderr.decode()
    lines = told.read_text().splitlines()
    first, last = (next(i for i, line in enumerate(lines) if mark in line) for mark in (BEGIN, END))
    return [call for line in lines[first:last] if (call := parsed(line))]


def parsed(line: str) -> Call | None:
    found = _CALL.match(line)
    if found is None or int(found["result"]) < 0:
        return None
    if found["name"] in _NAMES:
        return Call("name", re.findall(r'"([^"]*)"', found["arguments"])[-1])
    described = re.match(r"\d+<([^>]*)>", found["arguments"])
    return Call(found["name"], described[1]) if described else None


def places(calls: list[Call], names: set[str], path: str) -> list[int]:
    return [i for i, call in enumerate(calls) if call.name in names and call.path == path]


def test_nothing_is_named_before_it_is_on_disk(calls: list[Call]) -> None:
    (data,) = {c.path for c in calls if c.name in _WRITES and c.path.endswith(".parquet")}
    entries = [i for i, c in enumerate(calls) if c.name == "name" and re.search(r"_delta_log/\d{20}\.json$", c.path)]
    assert len(entries) == 1
    syncs = {"fsync", "fdatasync"}
    written, synced = places(calls, _WRITES, data), places(calls, syncs, data)
    folder = places(calls, syncs, str(Path(data).parent))
    assert max(written) < min(synced) < entries[0]
    assert min(folder) < entries[0]


def test_the_entry_is_on_disk_before_the_write_is_acknowledged(calls: list[Call]) -> None:
    (named,) = [i for i, c in enumerate(calls) if c.name == "name" and re.search(r"_delta_log/\d{20}\.json$", c.path)]
    entry = calls[named].path
    assert [i for i in places(calls, {"fsync"}, entry) if i > named]
    assert [i for i in places(calls, {"fsync"}, str(Path(entry).parent)) if i > named]
    assert not [i for i in places(calls, _WRITES, entry) if i > named]
