"""Tests of frames need a cluster with an engine."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _needs_a_cluster_that_takes_trees(takes_trees: bool) -> None:
    if not takes_trees:
        pytest.skip("the cluster takes no expression trees")
