"""Clusters for the tests: one inside this process by default, a real one with ``--cluster=local``, ``services`` or an
address."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_cluster import FakeCluster
from services import ServicesCluster

import millstream as ms
from millstream._access import GATEWAY_VARIABLE, TOKEN_VARIABLE
from millstream._binary import find_binary
from millstream._errors import BinaryNotFoundError


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        default="fake",
        help="`fake`, `local` (one millstream process), `services` (processes on RabbitMQ and Redis), or an address",
    )


@pytest.fixture(scope="session")
def is_real(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--cluster") != "fake")


@pytest.fixture(scope="session")
def gateway(request: pytest.FixtureRequest) -> Iterator[tuple[str, str | None]]:
    """The address and token of the cluster that the tests use."""
    asked = request.config.getoption("--cluster")
    if asked == "fake":
        fake = FakeCluster()
        yield fake.url, fake.token
        fake.close()
    elif asked == "local":
        with ms.LocalCluster(workers=1, slots=2) as cluster:
            yield cluster.url, cluster.access.token
    elif asked == "services":
        services = ServicesCluster()
        _services.append(services)
        yield services.url, services.token
        services.close()
    else:
        yield asked, None


_services: list[ServicesCluster] = []


@pytest.fixture
def shared_path(gateway: tuple[str, str | None], tmp_path: Path) -> Path:
    """A folder of the test's own whose files the cluster reads."""
    if not _services:
        return tmp_path
    folder = _services[0].data / tmp_path.name
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def takes_trees(is_real: bool, gateway: tuple[str, str | None]) -> bool:
    """Whether the cluster takes expression trees, which methods of frames become."""
    if not is_real:
        return False
    from millstream.dataframe import TreesNotTakenError

    url, token = gateway
    with ms.Client(url, token=token) as client:
        try:
            client.sql("SELECT 1 AS n").n.sum().compute()
        except TreesNotTakenError:
            return False
    return True


@pytest.fixture
def client(gateway: tuple[str, str | None]) -> Iterator[ms.Client]:
    url, token = gateway
    with ms.Client(url, token=token) as client:
        yield client


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    """A cluster inside this process whose jobs can be looked at."""
    fake = FakeCluster()
    yield fake
    fake.close()


@pytest.fixture
def fake_client(fake: FakeCluster) -> Iterator[ms.Client]:
    with ms.Client(fake.url, token=fake.token) as client:
        yield client


def is_binary_there() -> bool:
    try:
        find_binary()
    except BinaryNotFoundError:
        return False
    return True


# Examples of what only workers can tell or do.
_OF_WORKERS = ("call_stack", "get_versions", "has_what", "logs", "performance_report", "upload_file")


def _is_of_workers(example: str) -> bool:
    return ".ClusterCalls." in example and example.rpartition(".")[2] in _OF_WORKERS


def _is_of_local_clusters(example: str) -> bool:
    return ".LocalCluster" in example or example.endswith((".ClusterCalls.retire_workers", ".ClusterCalls.restart"))


def _is_of_queries(example: str) -> bool:
    return example.startswith("millstream.dataframe") or example.rpartition(".")[2] == "sql"


@pytest.fixture(autouse=True)
def _doctest_names(
    request: pytest.FixtureRequest, doctest_namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examples find `ms`, `client`, and, by the environment, the cluster of the tests."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    if _is_of_local_clusters(request.node.name) and not is_binary_there():
        pytest.skip("no millstream program is there for a local cluster")
    if _is_of_queries(request.node.name) and not request.getfixturevalue("is_real"):
        pytest.skip("the fake cluster has no engine for queries")
    if _is_of_workers(request.node.name) and not request.getfixturevalue("is_real"):
        pytest.skip("the fake cluster has no workers")
    if request.node.name.startswith("millstream.dataframe") and not request.getfixturevalue("takes_trees"):
        pytest.skip("the cluster takes no expression trees")
    if request.node.name.startswith("millstream.dataframe"):
        # Files of examples lie where the cluster may read and write.
        shared = str(request.getfixturevalue("shared_path"))
        monkeypatch.setattr(tempfile, "tempdir", shared)
        monkeypatch.setenv("MILLSTREAM_SCRATCH", shared)
    url, token = request.getfixturevalue("gateway")
    monkeypatch.setenv(GATEWAY_VARIABLE, url)
    if token:
        monkeypatch.setenv(TOKEN_VARIABLE, token)
    ms.progress_bar(False)
    doctest_namespace["ms"] = ms
    doctest_namespace["client"] = request.getfixturevalue("client")
