"""Runs joblib's batches inside tasks, which need joblib.

Pickled by value, because workers need not have this package: nothing here may use any other part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any


def run_batch(
    functions: Sequence[Callable[..., Any]], arguments: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]
) -> list[Any]:
    """Make the calls of a batch one after the other.

    Calls nested in them run where they are, which is best while the cluster has enough to do, unless they ask for the
    cluster by ``joblib.parallel_config(backend="millstream")``.
    """
    import joblib

    # Imported only if some call asks for it.
    joblib.parallel.EXTERNAL_BACKENDS.setdefault("millstream", partial(import_module, "millstream.joblib"))
    with joblib.parallel_config(backend="sequential"):
        return [function(*args, **kwargs) for function, (args, kwargs) in zip(functions, arguments, strict=True)]
