"""Runs joblib's batches inside tasks, which need joblib.

Pickled by value, because workers need not have this package: nothing here may use any other part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def run_batch(
    functions: Sequence[Callable[..., Any]], arguments: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]
) -> list[Any]:
    """Make the calls of a batch one after the other; calls nested in them run where they are."""
    import joblib

    with joblib.parallel_config(backend="sequential"):
        return [function(*args, **kwargs) for function, (args, kwargs) in zip(functions, arguments, strict=True)]
