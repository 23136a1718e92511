"""Proves what is stored: hashes, counts and the log of every table, without trusting the library that wrote them.

Nothing is changed, and writers, readers and upkeep may go on meanwhile.
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from twin.store.commits import LOG
from twin.store.cursors import FOLDER, NOTHING, consumers, positions
from twin.store.folder import FORMAT, MARKER
from twin.store.place import Entry, Place
from twin.store.protocols import StoreError
from twin.store.replay import DataFile
from twin.store.sealed import from_sealed
from twin.store.settling import LOCK, TORN
from twin.store.thinning import name_of
from twin.store.verify_file import FileCheck, check_file
from twin.store.verify_log import LogCheck, check_log
from twin.vocab.schema import KINDS, SCHEMA_VERSION

_JUST_WRITTEN = timedelta(hours=1)
Report = Callable[[float, float, str], None]
"""Told of progress: octets done, octets in all, what is being read."""


@dataclass(frozen=True)
class Finding:
    """Something about one file (its name relative to the store). ``affects``: which rows, in words."""

    file: str
    problem: str
    affects: str = ""
    advice: str = ""


@dataclass(frozen=True)
class KindVerified:
    """One table: its newest version, live files and their rows, files merged away that are still there."""

    kind: str
    version: int
    files: int
    rows: int
    former_files: int


@dataclass(frozen=True)
class Verified:
    """``damage``: what is wrong. ``notes``: what is worth knowing but harms nothing.

    ``octets``: read and held against a hash or the log; ``unhashed``: files of a store of version 1, whose names
    carry no hash (they were read in full instead).
    """

    where: str
    version: int | None
    kinds: tuple[KindVerified, ...]
    damage: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    octets: int
    unhashed: int
    seconds: float

    @property
    def whole(self) -> bool:
        return not self.damage


@dataclass(frozen=True)
class _Table:
    kind: str
    log: LogCheck
    sizes: Mapping[str, Entry]

    def wanted(self) -> list[DataFile]:
        """Live files, and those merged away that are still there: readers and consumers may need them."""
        kept = [file for path, file in self.log.former.items() if path in self.sizes]
        return [*self.log.state.live.values(), *kept]


def verify(place: Place, report: Report = lambda _d, _t, _w: None, *, workers: int = 2) -> Verified:
    """Check every file of the store.

    Args:
        workers: files read at once; each takes memory for a piece of a file and a row group's keys.

    Raises:
        StoreError: there is no store, or it can't be read.
    """
    began = time.monotonic()
    try:
        entries = list(place.entries())
        version, damage = _check_marker(place)
        cursors = _cursors(place)  # before the logs, which may grow, and be read on, meanwhile
        tables = [_table(place, kind, entries) for kind in _kinds(entries)]
        checks = _check_files(place, tables, report, workers)
        for table in tables:
            damage += _log_findings(table) + _file_findings(place, table, checks[table.kind])
        damage += _check_thinning(place, entries)
        damage += _check_cursors(cursors, {table.kind: table.log.state.version for table in tables})
    except OSError as problem:
        raise StoreError(f"store {place.address}: {' '.join(str(problem).split())}") from problem
    done = [check for found in checks.values() for check in found.values()]
    return Verified(
        place.address,
        version,
        tuple(_counted(table, checks[table.kind]) for table in tables),
        tuple(damage),
        tuple(_notes(tables)),
        sum(check.octets for check in done),
        sum(not check.hashed for check in done if check.octets),
        time.monotonic() - began,
    )


def _check_marker(place: Place) -> tuple[int | None, list[Finding]]:
    advice = (
        f'write it anew: {{"format": "{FORMAT}", "schema_version": {SCHEMA_VERSION}}} if this nettwin wrote it last'
    )
    try:
        told = json.loads(place.read(MARKER))
        version = told["schema_version"]
    except FileNotFoundError:
        raise StoreError(f"{place.address}: holds no store ({MARKER} is not there)") from None
    except (ValueError, KeyError, TypeError) as problem:
        return None, [Finding(MARKER, f"can't be read ({problem})", "the whole store", advice)]
    if told.get("format") != FORMAT or not isinstance(version, int) or not 0 < version <= SCHEMA_VERSION:
        return None, [
            Finding(MARKER, f"does not describe a store up to version {SCHEMA_VERSION}", "the whole store", advice)
        ]
    return version, []


def _kinds(entries: Sequence[Entry]) -> list[str]:
    """Kinds of which there is a folder with a log or with data."""
    found = {entry.name.partition("/")[0] for entry in entries if re.match(rf"[^/]+/({LOG}|date=)", entry.name)}
    return [kind for kind in KINDS if kind in found]


def _table(place: Place, kind: str, entries: Sequence[Entry]) -> _Table:
    """What is wrong with its log is believed once it stays so: upkeep may have gone on while it was read."""
    for last_try in (False, False, True):
        sizes = {e.name.removeprefix(f"{kind}/"): e for e in entries if e.name.startswith(f"{kind}/")}
        try:
            log = check_log(place, kind, [name for name in sizes if name.startswith(LOG)])
        except FileNotFoundError:
            if last_try:
                raise
        else:
            if last_try or not log.problems:
                break
        entries = list(place.entries(kind))
    return _Table(kind, log, sizes)


def _check_files(
    place: Place, tables: Sequence[_Table], report: Report, workers: int
) -> dict[str, dict[str, FileCheck]]:
    """Kind -> path -> what was found."""
    jobs = [(table.kind, file) for table in tables for file in table.wanted()]
    total, octets = max(1, sum(file.size for _, file in jobs)), 0
    found: dict[str, dict[str, FileCheck]] = {table.kind: {} for table in tables}
    pool = ThreadPoolExecutor(workers)
    try:
        checks = pool.map(lambda job: check_file(place, *job), jobs)
        for (kind, file), check in zip(jobs, checks, strict=True):
            octets += file.size
            found[kind][file.path] = check
            report(octets, total, kind)
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def _cursors(place: Place) -> dict[str, dict[str, int] | str]:
    """Consumer of the journal -> how far it is, or what is wrong with its cursor."""
    found: dict[str, dict[str, int] | str] = {}
    for name in consumers(place):
        try:
            found[name] = positions(place, name) or {}
        except StoreError as damaged:
            found[name] = str(damaged)
    return found


def _check_cursors(cursors: Mapping[str, dict[str, int] | str], newest: Mapping[str, int]) -> list[Finding]:
    """Nobody has read further than the journal reaches."""
    findings = []
    for name, told in cursors.items():
        problem = told if isinstance(told, str) else ""
        if not isinstance(told, str):
            ahead = [kind for kind, version in told.items() if not NOTHING <= version <= newest.get(kind, NOTHING)]
            problem = f"says that {name} has read of {', '.join(ahead)} what is not there" if ahead else ""
        if problem:
            advice = "put it back from a backup, or let that consumer begin anew"
            findings.append(Finding(f"{FOLDER}/{name}.json", problem, f"what {name} has yet to read", advice))
    return findings


def _check_thinning(place: Place, entries: Sequence[Entry]) -> list[Finding]:
    """How far each kind is thinned stands in a file that carries its hash."""
    names, findings = {entry.name for entry in entries}, []
    for kind in KINDS:
        if name_of(kind) in names:
            try:
                from_sealed(place.read(name_of(kind)))
            except ValueError as problem:
                advice = "remove it, and all is thinned anew from the samples there are"
                findings.append(Finding(name_of(kind), str(problem), f"tiers of {kind}", advice))
    return findings


def _log_findings(table: _Table) -> list[Finding]:
    lost = [f"{table.kind}/{path}" for path in _unnamed(table)]
    affects = f"perhaps the rows of {', '.join(lost)}, which no entry names" if lost and not table.log.whole else ""
    told: defaultdict[str, list[str]] = defaultdict(list)
    for problem in table.log.problems:
        told[problem.file].append(problem.problem)
    return [Finding(f"{table.kind}/{file}", "; ".join(said), affects, _advice(file)) for file, said in told.items()]


def _advice(file: str) -> str:
    if file.endswith(".json"):
        return "put it back from a backup before anything is written; a last entry that can't be read is moved aside"
    return "where the entries before it are whole it is not needed: move it away, the next upkeep makes a new one"


def _file_findings(place: Place, table: _Table, checks: Mapping[str, FileCheck]) -> list[Finding]:
    bad = {path: check for path, check in checks.items() if check.problems}
    if any("is not there" in check.problems for check in bad.values()):
        now = _table(place, table.kind, list(place.entries(table.kind)))
        bad = {path: check for path, check in bad.items() if path in {f.path for f in now.wanted()}}
    live = table.log.state.live
    return [
        Finding(
            f"{table.kind}/{path}",
            "; ".join(check.problems),
            _affected(live[path]) if path in live else "nothing readable now: it was merged into newer files",
            _FILE_ADVICE if path in live else "it goes by itself at the next upkeep",
        )
        for path, check in bad.items()
    ]


_FILE_ADVICE = "put it back from a backup: a file of that name never changes; without one these rows are lost"


def _affected(file: DataFile) -> str:
    """Which rows, from what the log says of the file."""
    least, most = (file.stats.get(group, {}) for group in ("minValues", "maxValues"))
    said = [f"{file.stats.get('numRecords', 'unknown')} rows"]
    said += [f"{name} {_span(least[name], most.get(name))}" for name in least if name != "at"]
    if "at" in least:
        said.append(_span(least["at"], most.get("at")))
    return ", ".join(said)


def _span(first: Any, last: Any) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _counted(table: _Table, checks: Mapping[str, FileCheck]) -> KindVerified:
    state = table.log.state
    rows = sum(checks[path].rows for path in state.live if path in checks)
    return KindVerified(table.kind, state.version, len(state.live), rows, len(table.wanted()) - len(state.live))


def _unnamed(table: _Table) -> list[str]:
    """Data files that the log does not know, leaving out those that may be about to be committed."""
    log = table.log
    known = log.state.live.keys() | log.former.keys() | log.state.removed.keys()
    latest = datetime.now(UTC) - (_JUST_WRITTEN if log.whole else timedelta(0))
    data = (e for path, e in table.sizes.items() if path.endswith(".parquet") and not path.startswith("_"))
    return sorted(name for e in data if e.modified < latest and (name := e.name.partition("/")[2]) not in known)


def _notes(tables: Sequence[_Table]) -> list[Finding]:
    notes = []
    for table in tables:
        unnamed = "no entry of the log names it", "", "the next upkeep deletes it"
        notes += [Finding(f"{table.kind}/{path}", *unnamed) for path in _unnamed(table)]
        notes += [_beside_log(table.kind, name) for name in table.log.other if name != LOCK]
    return notes


def _beside_log(kind: str, name: str) -> Finding:
    if name.endswith(TORN):
        problem = "was torn when the store was opened (a power cut?), and is no part of the log any more"
        return Finding(
            f"{kind}/{name}", problem, "", "what a power cut tears was never acknowledged; keep it otherwise"
        )
    return Finding(f"{kind}/{name}", "is no part of the log")
