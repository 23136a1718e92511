"""Where soaks leave their figures, and how long they run: SOAK_SHARE=0.1 make soak does a tenth of what is counted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "build" / "soak"


def share_of(amount: int) -> int:
    """So much of it as is asked for, at least one."""
    return max(1, round(amount * float(os.environ.get("SOAK_SHARE", "1"))))


def noted(file: str, name: str, figures: dict[str, Any]) -> None:
    """Adds the figures of one soak to build/soak/FILE.json."""
    report = FOLDER / f"{file}.json"
    known = json.loads(report.read_text()) if report.exists() else {}
    FOLDER.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(known | {name: figures}, indent=1) + "\n")
