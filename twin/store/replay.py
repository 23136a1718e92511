"""A Delta table's log, read by its published protocol and independently of the library that writes it. Pure.

https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, TypeAlias
from urllib.parse import unquote

Values: TypeAlias = "Mapping[str, Any]"
Action: TypeAlias = "tuple[str, Values]"
"""What an entry does (add, remove, txn ...) and the values it does it with."""

SEAL = "seal"
"""The key in a commit's information under which the hash of its actions stands."""

_NEEDED = {
    "add": "path partitionValues size modificationTime dataChange",
    "remove": "path dataChange",
    "txn": "appId version",
    "metaData": "id format schemaString partitionColumns configuration",
    "protocol": "minReaderVersion minWriterVersion",
}
_ALLOWED = {
    "add": "stats tags deletionVector baseRowId defaultRowCommitVersion clusteringProvider",
    "remove": "deletionTimestamp extendedFileMetadata partitionValues size stats tags deletionVector baseRowId "
    "defaultRowCommitVersion",
    "txn": "lastUpdated",
    "metaData": "name description createdTime",
    "protocol": "readerFeatures writerFeatures",
}
_SEALED = {
    "add": ("path", "partitionValues", "size", "dataChange", "stats", "modificationTime"),
    "remove": ("path", "dataChange", "deletionTimestamp"),
    "txn": ("appId", "version"),
}


class LogError(ValueError):
    """What is wrong with an entry of the log."""


@dataclass(frozen=True)
class DataFile:
    """A data file as the log describes it; ``path`` relative to the table, ``size`` in octets; ``made_ms``: when."""

    path: str
    size: int
    made_ms: int = 0
    partition: Values = field(default_factory=dict)
    stats: Values = field(default_factory=dict)


@dataclass(frozen=True)
class TableState:
    """A table after all entries up to ``version``: its files, those taken out of it (with their time, in
    milliseconds since 1970), the last round of each writer."""

    version: int = -1
    live: Mapping[str, DataFile] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)
    marks: Mapping[str, int] = field(default_factory=dict)
    metadata: Values = field(default_factory=dict)
    protocol: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Wrong:
    """What is wrong with the entry of a version."""

    version: int
    problem: str


def parse_entry(content: bytes) -> list[Action]:
    """The actions of an entry, the commit's information among them.

    Raises:
        LogError: it is no entry, or does not match the hash it carries.
    """
    try:
        lines = [json.loads(line) for line in content.decode().split("\n") if line]
    except ValueError as problem:
        raise LogError(f"is no JSON ({problem})") from problem
    if not lines:
        raise LogError("is empty")
    actions = [_checked(line) for line in lines]
    if seals(actions) - {seal(actions)}:
        raise LogError("does not match the hash it carries")
    return actions


def seals(actions: Sequence[Action]) -> set[str]:
    """The hash that the entry carries; none in those of older versions."""
    return {str(values[SEAL]) for name, values in actions if name == "commitInfo" and SEAL in values}


def seal(actions: Sequence[Action]) -> str:
    """The hash of what a commit does: files added and taken out, marks; in any order."""
    told = sorted(json.dumps(_essence(name, values), sort_keys=True) for name, values in actions if name in _SEALED)
    return sha256("\n".join(told).encode()).hexdigest()


def _essence(name: str, values: Values) -> list[Any]:
    chosen = {key: values.get(key) for key in _SEALED[name]}
    return [name, chosen | ({"path": unquote(str(chosen["path"]))} if "path" in chosen else {})]


def _checked(line: Any) -> Action:
    if not isinstance(line, dict) or len(line) != 1:
        raise LogError("holds a line that is no single action")
    ((name, values),) = line.items()
    if not isinstance(values, dict):
        raise LogError(f"holds {name!r} without values")
    if name == "commitInfo":
        return name, values
    if name not in _NEEDED:
        raise LogError(f"holds an unknown action {name!r}")
    needed, known = set(_NEEDED[name].split()), set(f"{_NEEDED[name]} {_ALLOWED[name]}".split())
    if wrong := (needed - values.keys()) | (values.keys() - known):
        raise LogError(f"{name}: {min(wrong)!r} is missing or unknown")
    return name, values


def replayed(state: TableState, entries: Iterable[tuple[int, Sequence[Action]]]) -> tuple[TableState, list[Wrong]]:
    """The state once these entries (version, actions) were done, and what is wrong with them coming after it."""
    fold = _Fold(state)
    wrong = [Wrong(version, problem) for version, actions in entries for problem in fold.add(version, actions)]
    return fold.state(), wrong


class _Fold:
    """A state under way."""

    def __init__(self, state: TableState) -> None:
        self._version = state.version
        self._live, self._removed, self._marks = dict(state.live), dict(state.removed), dict(state.marks)
        self._metadata, self._protocol = state.metadata, state.protocol

    def state(self) -> TableState:
        return TableState(self._version, self._live, self._removed, self._marks, self._metadata, self._protocol)

    def add(self, version: int, actions: Sequence[Action]) -> list[str]:
        self._version = version
        for values in _of(actions, "metaData"):
            self._metadata = values
        for values in _of(actions, "protocol"):
            self._protocol = values
        steps = (("remove", self._remove), ("add", self._add), ("txn", self._mark))
        return [problem for name, step in steps for values in _of(actions, name) if (problem := _tried(step, values))]

    def _remove(self, values: Values) -> str:
        path = unquote(str(values["path"]))
        known = self._live.pop(path, None)
        self._removed[path] = int(values.get("deletionTimestamp") or 0)
        return "" if known else f"takes out {path}, which was not there"

    def _add(self, values: Values) -> str:
        file = data_file(values)
        differs = self._live.get(file.path, file) != file
        self._live[file.path] = file
        self._removed.pop(file.path, None)
        return f"adds {file.path} a second time, and differently" if differs else ""

    def _mark(self, values: Values) -> str:
        writer, number = str(values["appId"]), int(values["version"])
        before = self._marks.get(writer, -1)
        self._marks[writer] = number
        return "" if number > before else f"goes back to round {number} of {writer}"


def _tried(step: Callable[[Values], str], values: Values) -> str:
    try:
        return step(values)
    except (KeyError, ValueError, TypeError) as problem:
        return f"makes no sense: {problem}"


def _of(actions: Sequence[Action], wanted: str) -> list[Values]:
    return [values for name, values in actions if name == wanted]


def data_file(values: Values) -> DataFile:
    """An add action -> the file. Raises LogError where it makes no sense."""
    path = unquote(str(values["path"]))
    try:
        stats = dict(json.loads(values.get("stats") or "{}"))
        made_ms = int(values["modificationTime"])
        return DataFile(path, int(values["size"]), made_ms, dict(values["partitionValues"]), stats)
    except (ValueError, TypeError) as problem:
        raise LogError(f"describes {path} in a way that makes no sense") from problem


def checkpoint_state(version: int, rows: Sequence[Values]) -> TableState:
    """The rows of a checkpoint -> the state it tells.

    Raises:
        LogError: they are no checkpoint.
    """
    actions = [(name, values) for row in rows for name, values in row.items() if values is not None]
    if not _of(actions, "metaData") or not _of(actions, "protocol"):
        raise LogError("is no checkpoint")
    try:
        state, wrong = replayed(TableState(), [(version, [a for a in actions if a[0] != "remove"])])
        gone = {unquote(str(v["path"])): int(v.get("deletionTimestamp") or 0) for v in _of(actions, "remove")}
    except (KeyError, ValueError, TypeError) as problem:
        raise LogError(f"is no checkpoint ({problem})") from problem
    if wrong:
        raise LogError(wrong[0].problem)
    return replace(state, removed=gone)


def differences(told: TableState, known: TableState) -> list[str]:
    """In what a checkpoint differs from the entries before it. It may have forgotten files taken out long ago."""
    found = [f"lacks {path}" for path in known.live.keys() - told.live.keys()]
    found += [f"tells of {path}, which is not in the table" for path in told.live.keys() - known.live.keys()]
    both = told.live.keys() & known.live.keys()
    found += [f"describes {path} differently than its entry" for path in both if told.live[path] != known.live[path]]
    taken = told.removed.items() - known.removed.items()
    found += [f"tells of {path} as taken out, other than its entry" for path, _ in taken]
    if dict(told.marks) != dict(known.marks):
        found.append("differs in what was the last round of a writer")
    if _plain(told.metadata) != _plain(known.metadata) or _plain(told.protocol) != _plain(known.protocol):
        found.append("differs in the table's schema or properties")
    return sorted(found)


def _plain(values: Values) -> dict[str, Any]:
    """Without what is not set."""
    return {
        key: _plain(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None and value != {}
    }
