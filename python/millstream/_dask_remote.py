"""Runs nodes of Dask graphs inside tasks, which need dask.

Pickled by value, because workers need not have this package: nothing here may use any other part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def run_node(node: Any, inputs: Mapping[Any, Any]) -> Any:
    """Evaluate one node of a graph.

    Parameters
    ----------
    node : dask.Task
        A node of Dask's task specification.
    inputs : mapping
        The values of what it depends on, by Dask's keys.
    """
    return node(inputs)
