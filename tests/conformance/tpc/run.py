"""Runs TPC-H and TPC-DS on a cluster of processes on RabbitMQ and Redis, and compares with DuckDB's answers.

::

    xtask with-servers python tests/conformance/tpc/run.py --quick
    xtask with-servers python tests/conformance/tpc/run.py --suite tpch --sf 1 --workers 1 3 --partitions 1 2 7
    xtask with-servers python tests/conformance/tpc/run.py --suite tpcds --sf 1 --queries 14 23 --out results

``MILLSTREAM_BIN`` names the program, ``PYTHONPATH`` the package; ``requirements.txt`` lists all else. Data and answers
are made once and kept in the user's cache folder. ``--out results`` writes ``results.json`` and ``results.md``; runs of
other kinds that are in there are kept, and DuckDB's times are taken beside ours.

A result is right if its types, its rows and their order are those of DuckDB; numbers that DuckDB has as floats may be
off by a millionth or by one in the last place of a decimal. Ends with 1 if a result is not right, or if fewer than half
of a run's queries had several tasks on workers that fetched from each other (where there are two, and two partitions).
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path
from typing import Any

import data
import queries
import record
from answers import Oracle
from cluster import Cluster
from compare import difference

QUICK = [("tpch", 0.1), ("tpcds", 0.1)]

# Share of the queries that must have tasks on several workers: small ones are a single task.
SPREAD = 0.5


def main() -> int:
    """Run what is asked; return how the process shall end."""
    asked = arguments()
    suites = QUICK if asked.quick else [(asked.suite, asked.sf)]
    runs = []
    for suite, scale in suites:
        folder = data.make(suite, scale, asked.cache)
        oracle = Oracle(suite, folder)
        for workers, partitions, broadcast in itertools.product(asked.workers, asked.partitions, asked.broadcast):
            options = {"partitions": partitions, "broadcast": broadcast}
            run = run_suite(suite, scale, oracle, folder, workers, options, asked)
            runs.append(run)
            if asked.out:
                record.add(asked.out, run)
            print(record.line(run), flush=True)
    return 0 if all(run["passed"] == len(run["queries"]) and run["is_distributed"] for run in runs) else 1


def arguments() -> argparse.Namespace:
    """What is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="both suites on little data, for CI")
    parser.add_argument("--suite", choices=data.SUITES, default="tpch", help="%(default)s by default")
    parser.add_argument("--sf", type=float, default=1, help="scale factor, %(default)s by default")
    parser.add_argument("--queries", type=int, nargs="+", help="numbers of queries; all by default")
    parser.add_argument("--workers", type=int, nargs="+", default=[2], help="counts of workers, 2 by default")
    parser.add_argument("--slots", type=int, default=2, help="tasks that each runs at once, %(default)s by default")
    parser.add_argument("--memory", default="4GiB", help="memory of each worker, %(default)s by default")
    parser.add_argument(
        "--partitions", type=int, nargs="+", default=[None], help="tasks of a stage; one for each slot by default"
    )
    parser.add_argument(
        "--broadcast", nargs="+", choices=["never", "always"], default=[None], help="by sizes if not given"
    )
    parser.add_argument("--out", type=Path, help="where to record results, without an extension")
    parser.add_argument("--cache", type=Path, default=data.cache_folder(), help="where data and answers are kept")
    return parser.parse_args()


def run_suite(
    suite: str,
    scale: float,
    oracle: Oracle,
    folder: Path,
    workers: int,
    options: dict[str, Any],
    asked: argparse.Namespace,
) -> dict[str, Any]:
    """Run the queries on a cluster of its own; return what came of each."""
    wanted = [query for query in queries.read(suite) if not asked.queries or query.number in asked.queries]
    chosen = {name: value for name, value in options.items() if value is not None}
    results = []
    with Cluster(folder, workers, asked.slots, asked.memory) as cluster:
        # A cluster's first query opens connections, which is none of the query's time.
        cluster.rows("SELECT 1", {}, {})
        for query in wanted:
            result = run_query(cluster, oracle, query, data.tables(folder), chosen)
            if asked.out:
                # Beside ours, so that both have the same machine to themselves.
                result["duckdb_seconds"] = round(oracle.seconds(query), 3)
            results.append(result)
            print(record.query_line(suite, result), flush=True)
        moved = cluster.fetched_bytes()
    spread = [each for each in results if each["stage_tasks"] > 1 and len(each["tasks"]) > 1 and each["fetches"]]
    is_single = workers == 1 or options["partitions"] == 1
    return {
        "suite": suite,
        "scale": scale,
        "workers": workers,
        "slots": asked.slots,
        **options,
        "chosen": asked.queries,
        "conditions": record.conditions(),
        "passed": sum(each["problem"] is None for each in results),
        "seconds": round(sum(each["seconds"] for each in results), 2),
        "duckdb_seconds": round(sum(each.get("duckdb_seconds", 0) for each in results), 2),
        "moved_bytes": moved,
        "distributed": len(spread),
        # One worker has no other, and with one partition a query may be a single task.
        "is_distributed": is_single or (len(spread) >= len(results) * SPREAD and moved > 0),
        "queries": results,
    }


def run_query(
    cluster: Cluster, oracle: Oracle, query: queries.Query, tables: dict[str, str], options: dict[str, Any]
) -> dict[str, Any]:
    """Run one query and compare its result."""
    answer = oracle.answer(query)
    before, began = cluster.done(), time.monotonic()
    problem, rows = None, None
    try:
        rows = cluster.rows(query.adapted, tables, options)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - began
    done = cluster.done().since(before)
    if rows is not None:
        is_ordered = answer.ranks is not None and rows.num_columns == answer.rows.num_columns
        ranks = oracle.ranks_of(rows, query, answer.rows.column_names) if is_ordered else None
        problem = difference(rows, answer, ranks)
    return {
        "query": query.number,
        "problem": problem,
        "rows": None if rows is None else rows.num_rows,
        "compared": "in order" if answer.ranks is not None else "in any order",
        "seconds": round(seconds, 3),
        "tasks": {name: count for name, count in done.tasks.items() if count},
        "stage_tasks": sum(done.tasks.values()) - cluster.tasks_besides(options),
        "fetches": sum(done.fetches.values()),
    }


if __name__ == "__main__":
    sys.exit(main())
