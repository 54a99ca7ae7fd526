"""100,000 calls of ``lambda x: x + 1``: all submitted, all results gathered, here and with Dask distributed.

Both have as many processes as there are cores, and are warm: one call was answered before the clock starts. Needs
``distributed`` beside the package (`pip install distributed`); `--only millstream` does without.
"""

from __future__ import annotations

import time
from typing import Any

from contest import PROCESSES, Result, dask_cluster, run, times


def millstream(calls: int) -> Result:
    """Calls from the SDK to a local cluster: one worker, a Python process for each core."""
    import millstream as ms

    ms.progress_bar(False)
    with ms.LocalCluster(workers=1, slots=PROCESSES) as cluster, ms.Client(cluster) as client:
        return _measure(client, calls)


def dask(calls: int) -> Result:
    """Calls from Dask's client to its local cluster: a worker process with one thread for each core."""
    from distributed import Client

    with dask_cluster() as cluster, Client(cluster) as client:
        return _measure(client, calls)


def _measure(client: Any, calls: int) -> Result:
    assert client.gather(client.map(lambda x: x, range(PROCESSES), pure=False)) == list(range(PROCESSES))
    began = time.perf_counter()
    # Not pure for both, or Dask would hash every argument.
    values = client.gather(client.map(lambda x: x + 1, range(calls), pure=False))
    seconds = time.perf_counter() - began
    assert values == list(range(1, calls + 1))
    return {"seconds": seconds, "rate": calls / seconds}


def show(runs: list[Result]) -> str:
    """Say how many calls a second a system made."""
    return f"{times(runs)}: {max(run['rate'] for run in runs):,.0f} calls a second at best"


if __name__ == "__main__":
    run(__doc__, {"millstream": millstream, "dask": dask}, show, size=100_000, of="calls")
