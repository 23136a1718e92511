"""What a power cut leaves behind: entries and checkpoints whose names are there without their content."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from twin.store import StoreError, open_delta
from twin.store.place import LocalPlace
from twin.store.settling import is_cut_off
from twin.store.verify import verify
from twin.vocab.blocks import Block

T0 = np.datetime64("2026-11-23T12:00:00", "us")


def write(path: Path, *numbers: int) -> None:
    with open_delta(path) as store:
        for number in numbers:
            rows = [{"device": f"r{number}", "protocol": "snmp", "at": T0, "status": "ok"}]
            store.write([Block.from_rows("poll", rows)])


def devices(path: Path) -> list[str]:
    with open_delta(path) as store:
        found = store.range("poll", None, T0, T0 + np.timedelta64(1, "s"))
    return [str(name) for name in found.keys["device"]]


def entry(path: Path, version: int) -> Path:
    return path / "poll" / "_delta_log" / f"{version:020}.json"


def empty(file: Path) -> None:
    file.write_bytes(b"")


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def blank(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


@pytest.mark.parametrize("tear", [empty, halve, blank])
def test_a_torn_last_entry_is_moved_aside(tmp_path: Path, tear: Callable[[Path], None]) -> None:
    write(tmp_path / "s", 0, 1, 2)
    tear(entry(tmp_path / "s", 3))
    assert devices(tmp_path / "s") == ["r0", "r1"]
    assert entry(tmp_path / "s", 3).with_suffix(".json.torn").exists()
    write(tmp_path / "s", 5)
    assert devices(tmp_path / "s") == ["r0", "r1", "r5"]


def test_whatever_is_above_a_torn_entry_was_not_acknowledged_either(tmp_path: Path) -> None:
    write(tmp_path / "s", 0, 1, 2, 3)
    halve(entry(tmp_path / "s", 3))
    empty(entry(tmp_path / "s", 4))
    assert devices(tmp_path / "s") == ["r0", "r1"]
    write(tmp_path / "s", 7)
    assert devices(tmp_path / "s") == ["r0", "r1", "r7"]


@pytest.mark.parametrize("tear", [empty, halve, blank])
def test_a_torn_checkpoint_is_moved_aside(tmp_path: Path, tear: Callable[[Path], None]) -> None:
    write(tmp_path / "s", 0, 1)
    DeltaTable(tmp_path / "s" / "poll").create_checkpoint()
    write(tmp_path / "s", 2)
    (checkpoint,) = (tmp_path / "s" / "poll" / "_delta_log").glob("*.checkpoint.parquet")
    tear(checkpoint)
    assert devices(tmp_path / "s") == ["r0", "r1", "r2"]
    assert not checkpoint.exists()


def test_a_torn_pointer_to_a_checkpoint_is_moved_aside(tmp_path: Path) -> None:
    write(tmp_path / "s", 0, 1)
    DeltaTable(tmp_path / "s" / "poll").create_checkpoint()
    empty(tmp_path / "s" / "poll" / "_delta_log" / "_last_checkpoint")
    assert devices(tmp_path / "s") == ["r0", "r1"]


@pytest.mark.parametrize("tear", [empty, halve, blank])
def test_an_entry_cut_short_below_many_whole_ones_is_left_for_verify(
    tmp_path: Path, tear: Callable[[Path], None]
) -> None:
    """Those above were acknowledged, so it was on disk once: opening the store drops none of them."""
    write(tmp_path / "s", *range(8))
    tear(entry(tmp_path / "s", 3))
    with suppress(StoreError):
        devices(tmp_path / "s")
    assert not list((tmp_path / "s").rglob("*.torn"))
    assert not verify(LocalPlace(tmp_path / "s")).whole


@pytest.mark.parametrize(
    "damage",
    [lambda content: content.replace(b'"add":', b'"add";', 1), lambda _: b"garbage\n", lambda c: b"x" + c[1:40]],
)
def test_an_entry_damaged_otherwise_is_left_for_verify(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """It may have been acknowledged: it is not for us to drop it."""
    write(tmp_path / "s", 0, 1)
    content = entry(tmp_path / "s", 2).read_bytes()
    entry(tmp_path / "s", 2).write_bytes(damage(content))
    with pytest.raises(StoreError, match=r"poll: .*; if files are damaged, nettwin store verify names them") as told:
        devices(tmp_path / "s")
    assert "0: " not in str(told.value), "where in the engine's code it was"
    assert entry(tmp_path / "s", 2).exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An entry."""
    path = tmp_path_factory.mktemp("s") / "s"
    write(path, 0)
    return entry(path, 1).read_bytes().rstrip(b"\n")


def test_every_beginning_of_an_entry_is_known_as_cut_off(whole: bytes) -> None:
    lines = {0, *(i for i, octet in enumerate(whole) if octet == ord("\n"))}
    cuts = [cut for cut in range(len(whole)) if cut not in lines and cut - 1 not in lines]
    assert [cut for cut in cuts if not is_cut_off(whole[:cut])] == []
    assert not is_cut_off(whole)


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_no_cut(whole: bytes, place: float, bit: int) -> None:
    at = int(place * len(whole))
    assert not is_cut_off(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
