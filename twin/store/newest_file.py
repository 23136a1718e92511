"""The newest values in one file beside their table, so that a fresh process needs no rows to answer ``latest``.

A cache, never trusted: what is torn, of another form or about another table
than the one beside it reads as nothing, and the rows are folded again.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.store.newest import Cells, Newest, Texts, Times
from twin.vocab.blocks import Array
from twin.vocab.schema import KINDS

_MAGIC = b"nettwin newest 1\n"
_TYPES = {"int": "<i8", "float": "<f8"}


@dataclass(frozen=True)
class Mark:
    """How far a table's log was read: the version of its last entry and the hash of that entry's bytes."""

    version: int
    entry: str


def packed(newest: Newest, mark: Mark) -> bytes:
    """The file's content."""
    blobs: list[bytes] = []
    numbered: dict[bytes, int] = {}

    def put(blob: bytes) -> int:
        if blob not in numbered:
            numbered[blob] = len(blobs)
            blobs.append(blob)
        return numbered[blob]

    head = _head(newest, mark, put)
    head["blobs"] = [[len(blob), zlib.crc32(blob)] for blob in blobs]
    text = json.dumps(head).encode()
    return b"".join([_MAGIC, np.array([len(text), zlib.crc32(text)], "<u4").tobytes(), text, *blobs])


def _head(newest: Newest, mark: Mark, put: Callable[[bytes], int]) -> dict[str, Any]:
    types = KINDS[newest.kind].fields
    keys = {key: _put_texts(texts, put) for key, texts in newest.keys.items()}
    fields = {}
    for name, cells in newest.fields.items():
        times = [put(cells.times.at.tobytes()), put(cells.times.written.tobytes())]
        if types[name].type == "str":
            fields[name] = [*times, *_put_texts(_texts(cells.values), put)]
        else:
            fields[name] = [*times, put(cells.values.astype(_TYPES[types[name].type]).tobytes())]
    head = _form(newest.kind) | {"version": mark.version, "entry": mark.entry, "rows": len(newest)}
    return head | {"keys": keys, "fields": fields}


def _form(kind: str) -> dict[str, Any]:
    """What must agree for a file to be used at all."""
    return {"kind": kind, "schema": {name: field.type for name, field in KINDS[kind].fields.items()}}


def _texts(values: Array) -> Texts:
    names = sorted(set(values.tolist()))
    number = {name: i for i, name in enumerate(names)}
    codes = np.fromiter((number[v] for v in values.tolist()), np.int32, len(values))
    return Texts(np.array(names, dtype=object), codes)


def _put_texts(texts: Texts, put: Callable[[bytes], int]) -> list[int]:
    return [put(json.dumps(texts.names.tolist()).encode()), put(texts.codes.astype("<i4").tobytes())]


def parsed(content: bytes, kind: str) -> tuple[Newest, Mark] | None:
    """What a file holds; None if it can't be used."""
    try:
        return _parsed(content, kind)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def _parsed(content: bytes, kind: str) -> tuple[Newest, Mark]:
    start = len(_MAGIC) + 8
    length, crc = np.frombuffer(content[len(_MAGIC) : start], "<u4").tolist()
    text = content[start : start + length]
    if not content.startswith(_MAGIC) or zlib.crc32(text) != crc:
        raise ValueError("not this program's, or torn")
    head = json.loads(text)
    if head | _form(kind) != head:
        raise ValueError("of another kind or schema")
    return _Body(memoryview(content)[start + length :], head).newest(), Mark(head["version"], head["entry"])


class _Body:
    """The arrays of a file, each made once and checked."""

    def __init__(self, content: memoryview, head: dict[str, Any]) -> None:
        self._head = head
        ends = np.cumsum([length for length, _ in head["blobs"]]).tolist()
        self._blobs = [content[end - length : end] for end, (length, _) in zip(ends, head["blobs"], strict=True)]
        for blob, (length, crc) in zip(self._blobs, head["blobs"], strict=True):
            if len(blob) != length or zlib.crc32(blob) != crc:
                raise ValueError("torn")
        self._times: dict[tuple[int, int], Times] = {}

    def newest(self) -> Newest:
        kind = self._head["kind"]
        keys = {key: self._texts(*self._head["keys"][key]) for key in KINDS[kind].keys}
        fields = {name: self._cells(kind, name, *blobs) for name, blobs in self._head["fields"].items()}
        return Newest(kind, keys, fields)

    def _cells(self, kind: str, name: str, at: int, written: int, *values: int) -> Cells:
        times, type_ = self._shared_times(at, written), KINDS[kind].fields[name].type
        if type_ == "str":
            names, codes = values
            return Cells(times, self._texts(names, codes).strings())
        (numbers,) = values
        return Cells(times, self._array(numbers, _TYPES[type_]))

    def _shared_times(self, at: int, written: int) -> Times:
        if (at, written) not in self._times:
            self._times[at, written] = Times(self._array(at, "<i8"), self._array(written, "<i8"))
        return self._times[at, written]

    def _array(self, number: int, dtype: str) -> Array:
        values = np.frombuffer(self._blobs[number], dtype)
        if len(values) != self._head["rows"]:
            raise ValueError("of another length")
        return values

    def _texts(self, names: int, codes: int) -> Texts:
        distinct = np.array(json.loads(bytes(self._blobs[names])), dtype=object)
        rows = self._array(codes, "<i4")
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(distinct):
            raise ValueError("a text that is none")
        return Texts(distinct, rows)
