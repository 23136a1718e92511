"""What the engines raise: errors of Delta Lake and polars, and panics of their Rust code (no ``Exception``)."""

from __future__ import annotations


def is_engine_error(problem: BaseException) -> bool:
    """Asked only once something was raised: what is loaded for it may be loaded then."""
    return isinstance(problem, engine_errors()) or type(problem).__name__ == "PanicException"


def engine_errors() -> tuple[type[Exception], ...]:
    from deltalake.exceptions import DeltaError
    from polars.exceptions import PolarsError

    return DeltaError, PolarsError, OSError
