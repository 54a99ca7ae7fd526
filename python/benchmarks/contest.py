"""Runs the same work on several systems, each time in a new process, and tells the best and the median time.

On a machine that does something else besides, the processor time says more than the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

Result = dict[str, Any]
Contender = Callable[[int], Result]

PROCESSES = os.cpu_count() or 1


def dask_cluster() -> Any:
    """Start Dask's cluster of this machine: a worker process with one thread for each core."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=PROCESSES,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        worker_dashboard_address=None,
    )


def run(
    description: str | None,
    contenders: Mapping[str, Contender],
    show: Callable[[list[Result]], str],
    *,
    size: int,
    of: str,
) -> None:
    """Serve the command line of a benchmark.

    Parameters
    ----------
    description : str
        What is measured.
    contenders : mapping
        Functions of the amount of work, by the names of the systems; each returns what it measured: ``seconds`` and
        whatever else is to be compared.
    show : callable
        Says in one line what the runs of a system gave.
    size : int
        The amount of work, unless the command line says another.
    of : str
        What there is so much of.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="runs of each system, in turns [default: 5]")
    parser.add_argument("--size", type=int, default=size, help=f"{of} [default: {size}]")
    parser.add_argument("--only", choices=contenders, action="append", help="measure this system (may be repeated)")
    parser.add_argument("--once", choices=contenders, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(contenders[arguments.once](arguments.size) | {"cpu": _cpu_seconds()}))
        return
    names = arguments.only or list(contenders)
    results: dict[str, list[Result]] = {name: [] for name in names}
    # In turns: what else the machine does meets all of them alike.
    for _ in range(arguments.runs):
        for name in names:
            results[name].append(_in_a_new_process(name, arguments.size))
            # A run may take minutes.
            print(f"  {name}: {results[name][-1]}", file=sys.stderr, flush=True)
    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{arguments.size:,} {of}, {arguments.runs} runs; {machine}")
    for name, runs in results.items():
        print(f"{name:12} {show(runs)}")


def times(runs: list[Result]) -> str:
    """Say what runs took.

    Examples
    --------
    >>> times([{"seconds": 2.0, "cpu": 3.5}, {"seconds": 1.5, "cpu": 3.2}, {"seconds": 4.0, "cpu": 4.0}])
    'best 1.50 s, median 2.00 s (processor time of all processes, with their start: 3.2 s)'
    """
    seconds = [run["seconds"] for run in runs]
    cpu = min(run["cpu"] for run in runs)
    return (
        f"best {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s "
        f"(processor time of all processes, with their start: {cpu:.1f} s)"
    )


def _cpu_seconds() -> float:
    """Processor time of this process and of those that it started and that are over."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _in_a_new_process(name: str, size: int) -> Result:
    command = [sys.executable, sys.argv[0], "--once", name, "--size", str(size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result
