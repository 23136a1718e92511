"""What a power cut may leave torn at the end of a table's log is moved aside before the table is opened.

deltalake renames entries and checkpoints into place without having synced them: after a power cut their names may be
there without their content. Whoever commits syncs the entries just below its own, too, so an entry that is torn was
never acknowledged, nor was any above it. Checkpoints repeat what entries say, which are kept until those are on disk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

import structlog

from twin.store.commits import LAST_CHECKPOINT, LOG
from twin.store.place import Place
from twin.store.replay import LogError, parse_entry, seals

LOCK = f"{LOG}/.settling"
UNSYNCED_AT_MOST = 20
"""So many commits of other writers may lie unsynced below one that is being made."""
IN_FLIGHT_AT_MOST = 4
"""More whole entries than that above a torn one were acknowledged: it was damaged later, and is left for verify."""
TORN = ".torn"
_PARQUET_MARK = b"PAR1"

_log = structlog.get_logger(__name__)


def settle(table: Place) -> tuple[str, ...]:
    """Move torn entries and checkpoints of the table at this place aside.

    Returns:
        The names, relative to the table, that are no longer there (``NAME.torn`` holds what they held).

    Raises:
        OSError: the place can't be read, or what is torn can't be moved.
    """
    if not _torn(table):
        return ()
    with table.lock(LOCK):
        torn = _torn(table)
        for name in torn:
            table.replace(name + TORN, table.read(name))
            table.delete(name)
        _log.warning("a power cut left torn entries, moved aside", table=table.address, entries=torn)
        return torn


def _torn(table: Place) -> tuple[str, ...]:
    """The newest first, so that a log moved aside by half has no hole; nothing that a checkpoint tells, too."""
    names = sorted((e.name for e in table.entries(LOG) if e.name.count("/") == 1), reverse=True)
    checkpoints = [n for n in names if n.endswith(".checkpoint.parquet")]
    torn = [n for n in checkpoints[:1] if not _is_parquet(table.read(n))]
    behind = max((n.partition(".")[0] for n in checkpoints if n not in torn), default="")
    entries = [n for n in names if n.endswith(".json") and n.partition(".")[0] > behind][:UNSYNCED_AT_MOST]
    cut_off = [i for i, name in enumerate(entries) if is_cut_off(table.read(name))]
    lowest = cut_off[-1] + 1 if cut_off else 0
    if lowest - len(cut_off) > IN_FLIGHT_AT_MOST:
        lowest = 0
    pointer = [LAST_CHECKPOINT] if LAST_CHECKPOINT in names else []
    broken_pointer = [n for n in pointer if torn or not _is_object(table.read(n))]
    return (*broken_pointer, *torn, *entries[:lowest])


def is_cut_off(entry: bytes) -> bool:
    """Whether an entry ends before its time, or never reached the disk; one that is damaged otherwise is not."""
    text = entry.rstrip(b"\n")
    if text[:1] not in {b"", b"{", b"\0"}:
        return False
    last = text.rpartition(b"\n")[2].decode(errors="replace")
    try:
        json.loads(last)
    except json.JSONDecodeError as problem:
        open_string = problem.msg.startswith("Unterminated string")
        if not open_string and text.endswith(b"}") and problem.pos < len(last):
            return False
        quotes = range(len(text) - len(last) + problem.pos + 1, len(text)) if open_string else ()
        return not _one_byte_is_wrong(text, [(len(text) - 1, b"}"), *((at, b'"') for at in quotes)])
    return False


def _one_byte_is_wrong(text: bytes, mends: Sequence[tuple[int, bytes]]) -> bool:
    """Whether one of these bytes in its place makes it the entry whose hash it carries."""
    for at, octet in mends:
        with suppress(LogError):
            actions = parse_entry(text[:at] + octet + text[at + 1 :])
            if seals(actions):
                return True
    return False


def _is_parquet(content: bytes) -> bool:
    return len(content) > 12 and content.startswith(_PARQUET_MARK) and content.endswith(_PARQUET_MARK)


def _is_object(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False
