"""Clusters of this machine: what they are asked for, who leaves them, and what a script needs for one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import millstream as ms
from millstream._access import GATEWAY_VARIABLE, TOKEN_VARIABLE

# Only a limit: the machine may be busy.
_PATIENCE = 60.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")


@pytest.fixture(autouse=True)
def _needs_a_real_cluster(is_real: bool) -> None:
    if not is_real:
        pytest.skip("needs the millstream program: --cluster=local")


def test_the_dashboards_link_signs_a_browser_in() -> None:
    with ms.LocalCluster(workers=1, slots=1) as cluster:
        link = cluster.dashboard_link
        assert f'href="{cluster.url}/?code=' in cluster._repr_html_()
        with httpx.Client() as browser:
            assert browser.get(f"{cluster.url}/v1/jobs").status_code == 401
            browser.get(link)
            assert browser.get(f"{cluster.url}/v1/jobs").status_code == 200


def test_dasks_names_are_understood() -> None:
    with (
        ms.LocalCluster(n_workers=2, threads_per_worker=3, memory_limit="1GiB") as cluster,
        ms.Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=_PATIENCE)
        workers = client.workers()
        assert [worker["slots"] for worker in workers] == [3, 3]
        assert {worker["memory_limit"] for worker in workers} == {1 << 30}
        with pytest.raises(TimeoutError, match="fewer than 3 workers"):
            client.wait_for_workers(3, timeout=0.3)
    assert cluster.status == "closed"


def test_a_worker_that_retires_hands_its_results_over() -> None:
    with ms.LocalCluster(workers=2, slots=1) as cluster, ms.Client(cluster) as client:
        client.wait_for_workers(2, timeout=_PATIENCE)
        leaving, staying = sorted(client.ncores())
        future = client.submit(lambda: b"x" * 100_000, workers=[leaving])
        ms.wait(future, timeout=_PATIENCE)
        client.retire_workers(leaving)
        deadline = time.monotonic() + _PATIENCE
        while any(worker["name"] == leaving and worker["state"] != "gone" for worker in client.workers()):
            assert time.monotonic() < deadline, client.workers()
            time.sleep(0.05)
        assert client.who_has(future)[future.key] == [staying]
        assert client.submit(len, future).result(_PATIENCE) == 100_000


def test_libraries_use_as_many_threads_as_a_task_has_cores(client: ms.Client) -> None:
    def threads() -> list[str | None]:
        return [os.environ.get(name) for name in _THREADS]

    assert client.submit(threads).result(_PATIENCE) == ["1"] * len(_THREADS)
    assert client.submit(threads, resources={"cpu": 2}).result(_PATIENCE) == ["2"] * len(_THREADS)


def test_dill_pickles_functions_and_arguments(gateway: tuple[str, str | None]) -> None:
    pytest.importorskip("dill")
    url, token = gateway
    with ms.Client(url, token=token, serializer="dill") as client:
        double = client.submit(lambda x: 2 * x, 21)
        assert client.submit(lambda function, x: function(x), lambda x: x + 1, double).result(_PATIENCE) == 43


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os
            import millstream as ms

            print("the top level runs once")

            class Box:
                def __init__(self, value):
                    self.value = value

            def pack(value):
                return Box((value, os.getpid()))

            boxes = ms.Client().gather(ms.get_client().map(pack, range(3)))
            print([box.value[0] for box in boxes], os.getpid() in [box.value[1] for box in boxes])
            """
        )
    )
    # `Client()` alone starts a cluster, if the environment names none.
    environment = {name: value for name, value in os.environ.items() if name not in (GATEWAY_VARIABLE, TOKEN_VARIABLE)}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=2 * _PATIENCE, check=True
    )
    assert done.stdout.splitlines() == ["the top level runs once", "[0, 1, 2] False"]


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_cluster_grows_and_shrinks_without_losing_results() -> None:
    with ms.LocalCluster(workers=1, slots=1) as cluster, ms.Client(cluster) as client:
        cluster.scale(3)
        assert sorted(client.ncores()) == ["worker-0", "worker-1", "worker-2"]
        held = [client.submit(lambda n=n: n, workers=[f"worker-{n}"]) for n in range(3)]
        assert client.gather(held) == [0, 1, 2]
        cluster.scale(1)
        eventually(lambda: len(client.workers()) == 1, "two workers leave")
        assert client.submit(lambda *all: sum(all), *held).result(_PATIENCE) == 3
        cluster.scale(2)
        # A number is not given twice.
        assert max(client.ncores()) == "worker-3"
        with pytest.raises(ValueError, match="must not be negative"):
            cluster.scale(-1)


def test_an_adaptive_cluster_follows_its_tasks(tmp_path: Path) -> None:
    go = tmp_path / "go"

    def wait_for(go: Path) -> None:
        deadline = time.monotonic() + 60
        while not go.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    with ms.LocalCluster(workers=1, slots=1) as cluster, ms.Client(cluster) as client:
        adaptive = cluster.adapt(minimum=1, maximum=3, interval=0.1, wait_count=2)
        blocked = client.map(wait_for, [go] * 5)
        eventually(lambda: len(client.workers()) == 3, "it grows to its maximum")
        go.touch()
        client.gather(blocked)
        eventually(lambda: len(client.workers()) == 1, "it shrinks to its minimum")
        adaptive.stop()
        with pytest.raises(ValueError, match="minimum <= maximum"):
            cluster.adapt(minimum=3, maximum=2)
    assert cluster.status == "closed"
