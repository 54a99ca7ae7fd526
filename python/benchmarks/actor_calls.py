"""Calls of one actor's method: many at once, and one after the other, here and with Dask distributed.

Needs ``distributed`` beside the package (`pip install distributed`); `--only millstream` does without.
"""

from __future__ import annotations

import time
from typing import Any

from contest import PROCESSES, Result, dask_cluster, run, times

_ONE_BY_ONE = 300


class Counter:
    """Counts."""

    def __init__(self) -> None:
        self.n = 0

    def add(self, by: int) -> int:
        """Count on."""
        self.n += by
        return self.n


def millstream(calls: int) -> Result:
    """Calls from the SDK to an actor of a local cluster."""
    import millstream as ms

    ms.progress_bar(False)
    with ms.LocalCluster(workers=1, slots=PROCESSES) as cluster, ms.Client(cluster) as client:
        return _measure(client, calls)


def dask(calls: int) -> Result:
    """Calls from Dask's client to an actor of its local cluster."""
    from distributed import Client

    with dask_cluster() as cluster, Client(cluster) as client:
        return _measure(client, calls)


def _measure(client: Any, calls: int) -> Result:
    counter = client.submit(Counter, actor=True).result()
    assert counter.add(0).result() == 0
    began = time.perf_counter()
    values = [future.result() for future in [counter.add(1) for _ in range(calls)]]
    seconds = time.perf_counter() - began
    # Dask's may have run in another order.
    assert sorted(values) == list(range(1, calls + 1))
    began = time.perf_counter()
    for _ in range(_ONE_BY_ONE):
        counter.add(1).result()
    single = (time.perf_counter() - began) / _ONE_BY_ONE
    return {"seconds": seconds, "rate": calls / seconds, "single": 1000 * single}


def show(runs: list[Result]) -> str:
    """Say how many calls a second a system made, and how long one takes."""
    rate, single = max(run["rate"] for run in runs), min(run["single"] for run in runs)
    return f"{times(runs)}: {rate:,.0f} calls a second at best; one that is waited for takes {single:.1f} ms at best"


if __name__ == "__main__":
    run(__doc__, {"millstream": millstream, "dask": dask}, show, size=10_000, of="calls")
