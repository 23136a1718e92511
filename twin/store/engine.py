"""What the engines raise: errors of Delta Lake and polars, and panics of their Rust code (no ``Exception``)."""

from __future__ import annotations

import re

_ASIDE = re.compile(r"\n\s*0: .*|\(set POLARS_VERBOSE=1[^)]*\)", re.DOTALL)


def is_engine_error(problem: BaseException) -> bool:
    """Asked only once something was raised: what is loaded for it may be loaded then."""
    return isinstance(problem, engine_errors()) or type(problem).__name__ == "PanicException"


def engine_errors() -> tuple[type[Exception], ...]:
    from deltalake.exceptions import DeltaError
    from polars.exceptions import PolarsError

    return DeltaError, PolarsError, OSError


def said(problem: BaseException) -> str:
    """Its text without the calls inside the engine (``0: <unknown> 1: ...``) and hints to who develops it."""
    return _ASIDE.sub("", str(problem))
