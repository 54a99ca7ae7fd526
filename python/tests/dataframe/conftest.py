"""Tests of frames need a cluster with an engine."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _needs_a_real_cluster(is_real: bool) -> None:
    if not is_real:
        pytest.skip("the fake cluster has no engine for queries")
