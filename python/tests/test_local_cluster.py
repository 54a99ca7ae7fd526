"""Clusters of this machine: what they are asked for, who leaves them, and what a script needs for one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

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
