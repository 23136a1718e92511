"""The one place where torch's thread count is set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Within, torch computes with so many threads (at least one); afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)
