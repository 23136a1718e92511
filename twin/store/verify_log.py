"""A table's log held against itself: entries whole and without gaps, checkpoints that agree with them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import polars as pl

from twin.store.commits import LAST_CHECKPOINT, LOG, checkpoint_name, entry_name
from twin.store.delta_log import CHECKSUM
from twin.store.engine import is_engine_error
from twin.store.folder import TABLE_PROPERTIES
from twin.store.place import Place
from twin.store.replay import (
    Action,
    DataFile,
    LogError,
    TableState,
    checkpoint_state,
    data_file,
    differences,
    parse_entry,
    replayed,
)
from twin.vocab.schema import KINDS

_ENTRY = re.compile(rf"{LOG}/(\d{{20}})\.json$")
_CHECKPOINT = re.compile(rf"{LOG}/(\d{{20}})\.checkpoint\.parquet$")
_SHOWN = 3
PROTOCOLS = frozenset({(1, 2), (1, 4)})
"""(reader, writer) versions of tables: without and with a change data feed."""
_DATE, _WRITTEN = "date", "written"
_TYPES = {"int": "long", "float": "double", "str": "string"}


@dataclass(frozen=True)
class LogProblem:
    """What is wrong with a file of the log (its name relative to the table)."""

    file: str
    problem: str


@dataclass(frozen=True)
class LogCheck:
    """A table as its log tells it, and what is wrong with the log.

    ``former``: files that were in it and may still be on disk; ``whole``: no file of the table is unknown for a
    damaged log; ``other``: files in the log's folder that are none of it.
    """

    state: TableState
    problems: tuple[LogProblem, ...]
    former: Mapping[str, DataFile]
    whole: bool
    other: tuple[str, ...]


def check_log(place: Place, kind: str, names: Sequence[str]) -> LogCheck:
    """Read the log of a table.

    Args:
        names: the files in it, relative to the table.

    Raises:
        OSError: the place can't be read.
    """
    log = _Log(place, kind, names)
    state = log.walk()
    log.check_pointer()
    former = {path: file for path, file in log.named.items() if path not in state.live}
    return LogCheck(state, tuple(log.problems), former, log.whole, log.other)


class _Log:
    def __init__(self, place: Place, kind: str, names: Sequence[str]) -> None:
        self._place, self._kind = place, kind
        self._versions = sorted(_numbers(names, _ENTRY))
        self._checkpoints = sorted(_numbers(names, _CHECKPOINT))
        self._names = frozenset(names)
        self._last = self._read_pointer() if LAST_CHECKPOINT in names else {}
        self._sizes: dict[int, tuple[int, int]] = {}
        known = (
            {entry_name(v) for v in self._versions}
            | {checkpoint_name(v) for v in self._checkpoints}
            | {LAST_CHECKPOINT}
        )
        self.other = tuple(sorted(set(names) - known))
        self.problems: list[LogProblem] = []
        self.named: dict[str, DataFile] = {}
        self.whole = True

    def _read_pointer(self) -> dict[str, Any]:
        try:
            told = json.loads(self._place.read(f"{self._kind}/{LAST_CHECKPOINT}"))
        except (ValueError, FileNotFoundError):
            return {}
        return told if isinstance(told, dict) else {}

    def walk(self) -> TableState:
        """From the beginning, or the oldest checkpoint with all that came after it, to the newest entry."""
        if not self._versions:
            self._wrong(LOG, "holds no entry")
            return TableState()
        state = self._begin()
        for version in (v for v in self._versions if v <= state.version):
            self._actions(version)
        for upto in sorted({v for v in self._checkpoints if v > state.version} | {self._versions[-1]}):
            state, missing = self._forward(state, upto)
            self.whole = self.whole and not missing
            if upto in self._checkpoints:
                state = self._compared(state, upto)
        return state

    def check_pointer(self) -> None:
        """``_last_checkpoint`` names the newest checkpoint, and how large it is."""
        told = self._last
        if LAST_CHECKPOINT not in self._names:
            if self._checkpoints:
                self._wrong(LAST_CHECKPOINT, "is not there, but a checkpoint is")
        elif not isinstance(told.get("version"), int):
            self._wrong(LAST_CHECKPOINT, "can't be read")
        elif told["version"] not in self._checkpoints:
            self._wrong(LAST_CHECKPOINT, f"names checkpoint {told['version']}, which is not there")
        elif told["version"] != self._checkpoints[-1]:
            self._wrong(LAST_CHECKPOINT, f"names checkpoint {told['version']}, but there is a newer one")
        elif (sizes := self._sizes.get(told["version"])) is not None:
            octets, rows = sizes
            if told.get("sizeInBytes", octets) != octets or told.get("size", rows) != rows:
                self._wrong(LAST_CHECKPOINT, f"gives another size to checkpoint {told['version']}")

    def _begin(self) -> TableState:
        first = self._versions[0]
        if first == 0:
            return TableState()
        for version in (v for v in self._checkpoints if v >= first - 1):
            if (told := self._told(version)) is not None:
                return told
        self._wrong(entry_name(first - 1), "is not there, nor a checkpoint in its place")
        self.whole = False
        return TableState(version=first - 1)

    def _forward(self, state: TableState, upto: int) -> tuple[TableState, bool]:
        """The state at ``upto``, and whether an entry on the way is missing or can't be read."""
        found = {version: self._actions(version) for version in range(state.version + 1, upto + 1)}
        entries = [(version, actions) for version, actions in found.items() if actions is not None]
        state, wrong = replayed(state, entries)
        missing = len(entries) < len(found)
        if self.whole and not missing:
            self.problems += [LogProblem(entry_name(w.version), w.problem) for w in wrong]
        return state, missing

    def _compared(self, state: TableState, version: int) -> TableState:
        """The state to go on from: a checkpoint stands in for entries that are missing."""
        if (told := self._told(version)) is None:
            return state
        if not self.whole:
            self.whole = True
            return told
        if wrong := differences(told, state):
            more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
            self._wrong(checkpoint_name(version), "; ".join(wrong[:_SHOWN]) + more)
        return state

    def _actions(self, version: int) -> list[Action] | None:
        name = entry_name(version)
        try:
            actions = parse_entry(self._place.read(f"{self._kind}/{name}"))
            added = [data_file(values) for what, values in actions if what == "add"]
            _check_table(self._kind, actions)
        except LogError as problem:
            self._wrong(name, f"{problem}")
            return None
        except FileNotFoundError:
            self._wrong(name, "is not there, but later ones are")
            return None
        self.named |= {file.path: file for file in added}
        return actions

    def _told(self, version: int) -> TableState | None:
        """What a checkpoint tells; None where it can't be trusted."""
        name = checkpoint_name(version)
        content = self._place.read(f"{self._kind}/{name}")
        if version == self._last.get("version") and _checksum(self._last) not in {None, sha256(content).hexdigest()}:
            self._wrong(name, f"does not match its hash in {LAST_CHECKPOINT}")
            self._wrong(LAST_CHECKPOINT, f"does not match checkpoint {version}")
            return None
        try:
            rows = _rows(content)
            told = checkpoint_state(version, rows)
            _check_table(self._kind, [("metaData", told.metadata), ("protocol", told.protocol)])
        except LogError as problem:
            self._wrong(name, str(problem))
            return None
        self._sizes[version] = len(content), len(rows)
        self.named |= told.live
        return told

    def _wrong(self, name: str, problem: str) -> None:
        self.problems.append(LogProblem(name, problem))


def _checksum(pointer: Mapping[str, Any]) -> str | None:
    tags = pointer.get("tags")
    return tags.get(CHECKSUM) if isinstance(tags, dict) else None


def _check_table(kind: str, actions: Sequence[Action]) -> None:
    """Raises LogError for a schema, properties or a protocol that are not those of the kind's table."""
    for what, values in actions:
        if what == "protocol" and (values["minReaderVersion"], values["minWriterVersion"]) not in PROTOCOLS:
            raise LogError("asks for another protocol than a store does")
        if what == "metaData":
            try:
                _check_metadata(kind, values)
            except (ValueError, KeyError, TypeError, AttributeError) as problem:
                raise LogError(f"describes the table in a way that can't be read ({problem})") from problem


def _check_metadata(kind: str, values: Mapping[str, Any]) -> None:
    schema = json.loads(values["schemaString"])
    types = {_DATE: "date", _WRITTEN: "timestamp", "at": "timestamp"} | dict.fromkeys(KINDS[kind].keys, "string")
    types |= {name: _TYPES[spec.type] for name, spec in KINDS[kind].fields.items()}
    for column in schema["fields"]:
        name = column["name"]
        if column != {"name": name, "type": types.get(name), "nullable": True, "metadata": {}}:
            raise LogError(f"has a column {name!r} of type {column.get('type')!r}, unknown to {kind}")
    properties = TABLE_PROPERTIES | {"delta.dataSkippingStatsColumns": ",".join((*KINDS[kind].keys, "at"))}
    if strange := values["configuration"].items() - properties.items():
        raise LogError(f"sets the property {min(strange)[0]} to what it never is")
    form = (values.get("name"), schema["type"], values["partitionColumns"], values["format"])
    if form != (kind, "struct", [_DATE], {"provider": "parquet", "options": {}}):
        raise LogError("describes another kind of table")


def _rows(content: bytes) -> list[dict[str, Any]]:
    """The rows of a checkpoint. Raises LogError where it can't be read."""
    try:
        return pl.read_parquet(io.BytesIO(content)).to_dicts()
    except (pl.exceptions.PolarsError, OSError, ValueError) as problem:
        raise LogError(f"can't be read: {' '.join(str(problem).split())[:200]}") from problem
    except BaseException as problem:
        if not is_engine_error(problem):
            raise
        raise LogError("can't be read: the reader gave up on it") from problem


def _numbers(names: Sequence[str], shape: re.Pattern[str]) -> Iterator[int]:
    return (int(found[1]) for name in names if (found := shape.fullmatch(name)))
