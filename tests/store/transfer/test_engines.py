"""Both engines take imports and give exports, and what one gives the other takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from twin.store import Store, open_delta
from twin.store.transfer import ExportPlan, Format, ImportPlan, export, import_file, output_of
from twin.vocab.blocks import Block

PRESENT = datetime(2026, 11, 25, 12, tzinfo=UTC)
SPAN = datetime(2026, 11, 1, tzinfo=UTC), PRESENT


def silent(_done: float, _total: float, _what: str) -> None:
    """No progress."""


@pytest.mark.parametrize("form", ["line", "csv", "parquet"])
def test_from_one_store_to_another(new_store: Callable[[], Store], tmp_path: Path, form: Format) -> None:
    at = np.datetime64("2026-11-20T12:00:00.000001")
    rows = [{"device": f"r{i % 3}", "interface": f"e, {i}", "in_octets": 2**63 + i, "at": at} for i in range(9)]
    rows[4] |= {"speed_bps": 10**11}
    made, other = new_store(), new_store()
    made.write([Block.from_rows("interface", rows)])
    with open_delta(tmp_path / "between") as between:
        for source, target, name in ((made, between, "a"), (between, other, "b")):
            plan = ExportPlan(("interface",), form)
            file = tmp_path / f"{name}.{form}"
            assert export(source, plan, output_of(plan, file, folder=False), PRESENT, silent).rows == 9
            assert import_file(target, file, ImportPlan(tmp_path / "marks"), PRESENT, silent).rows == 9
            assert target.range("interface", None, *SPAN).rows() == made.range("interface", None, *SPAN).rows()
