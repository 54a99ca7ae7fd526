"""One local cluster for all tests, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import millstream as ms


@pytest.fixture(scope="session")
def cluster() -> Iterator[ms.LocalCluster]:
    with ms.LocalCluster(workers=1, slots=2) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: ms.LocalCluster) -> Iterator[ms.Client]:
    with ms.Client(cluster) as client:
        yield client
