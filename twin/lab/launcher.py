"""Enters namespaces and starts what lives in them: ``launcher.py PLAN.json``, a program of its own (standard library).

For each namespace one child joins its control groups, enters the network namespace, gets mounts and a host name of its
own, writes its sysctls and runs its stages: programs of a stage side by side, one stage after the other.
Prints one line per namespace that failed; exit status 1 if any did.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x00020000, 0x04000000, 0x40000000
MS_BIND, MS_REC, MS_SLAVE = 4096, 16384, 1 << 19
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
STEP_TIMEOUT_S = 60
_libc = ctypes.CDLL(None, use_errno=True)


def main(plan_file: str) -> int:
    """Start everything the plan names; all namespaces side by side."""
    _die_with_parent()
    children = {}
    for namespace in json.loads(Path(plan_file).read_text(encoding="utf-8")):
        pid = os.fork()
        if pid == 0:
            os._exit(_in_child(namespace))
        children[pid] = namespace["name"]
    failed = [children[pid] for pid, status in (os.waitpid(p, 0) for p in children) if status]
    return 1 if failed else 0


def _in_child(namespace: dict[str, Any]) -> int:
    try:
        _die_with_parent()
        for group in namespace["groups"]:
            Path(group, "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        if namespace["namespace"]:
            _enter(namespace)
        for stage in namespace["stages"]:
            _run_stage(stage)
    except (OSError, RuntimeError, subprocess.SubprocessError) as problem:
        os.write(2, f"{namespace['name']}: {problem}\n".encode())
        return 1
    return 0


def _enter(namespace: dict[str, Any]) -> None:
    with Path("/run/netns", namespace["namespace"]).open("rb") as handle:
        _call("setns", handle.fileno(), CLONE_NEWNET)
    _call("unshare", CLONE_NEWNS | CLONE_NEWUTS)
    _mount("", "/", "none", MS_SLAVE | MS_REC)
    for source, target in namespace["binds"]:
        Path(target).mkdir(parents=True, exist_ok=True)
        _mount(source, target, "none", MS_BIND)
    _call("umount2", b"/sys", MNT_DETACH)
    _mount("sysfs", "/sys", "sysfs", 0)
    socket.sethostname(namespace["hostname"])
    for pattern, value in namespace["sysctls"].items():
        _write_sysctl(pattern, value)


def _write_sysctl(pattern: str, value: str) -> None:
    """A sysctl the kernel does not have is left out (the lab's status says which)."""
    for file in Path("/proc/sys").glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            file.write_text(value, encoding="ascii")


def _run_stage(stage: list[dict[str, Any]]) -> None:
    started = [(step, _start(step)) for step in stage]
    for step, process in started:
        if step["wait"] and process.wait(timeout=STEP_TIMEOUT_S):
            raise RuntimeError(f"{step['argv'][0]}: {_complaint(step['log']) or f'status {process.returncode}'}")


def _start(step: dict[str, Any]) -> subprocess.Popen[bytes]:
    """A program with its output in a log; one that is not waited for gets a session of its own."""
    with Path(step["log"]).open("ab") as log, Path(step["input"] or os.devnull).open("rb") as given:
        process = subprocess.Popen(
            step["argv"],
            stdin=given,
            stdout=log,
            stderr=log,
            env=step["env"],
            cwd=step["cwd"],
            start_new_session=not step["wait"],
        )
    if step["pid_file"]:
        Path(step["pid_file"]).write_text(str(process.pid), encoding="ascii")
    return process


def _complaint(log: str) -> str:
    """The line of a log that says what went wrong, as far as one can tell."""
    lines = Path(log).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return next((line for line in lines if "rror" in line), lines[-1] if lines else "")


def _die_with_parent() -> None:
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    _call("mount", source.encode(), target.encode(), kind.encode(), flags, None)


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
