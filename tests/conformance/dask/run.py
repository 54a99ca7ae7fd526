"""Runs the tests in dask's wheel under Dask's own synchronous scheduler and on Millstream, and compares.

::

    python tests/conformance/dask/run.py --quick            # a minute, for CI
    python tests/conformance/dask/run.py --out results.json # everything

The cluster is what ``MILLSTREAM_GATEWAY`` names, else one of this machine. Ends with 1 if fewer than 99 % of the tests
that pass under ``sync`` pass on Millstream, tests in ``deselected.txt`` left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WANTED = 0.99

QUICK = [
    "tests/test_delayed.py",
    "tests/test_task_spec.py",
    "tests/test_callbacks.py",
    "bag/tests/test_bag.py",
]
ALL = [
    *QUICK,
    "tests/test_base.py",
    "tests/test_threaded.py",
    "tests/test_graph_manipulation.py",
    "array/tests/test_array_core.py",
    "array/tests/test_routines.py",
    "array/tests/test_rechunk.py",
    "array/tests/test_slicing.py",
    "array/tests/test_reductions.py",
    "array/tests/test_overlap.py",
    "array/tests/test_linalg.py",
    "dataframe/dask_expr/tests/test_collection.py",
    "dataframe/dask_expr/tests/test_groupby.py",
    "dataframe/dask_expr/tests/test_shuffle.py",
    "dataframe/dask_expr/tests/test_merge.py",
    "dataframe/io/tests/test_parquet.py",
    "dataframe/io/tests/test_csv.py",
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only the tests that take a minute")
    parser.add_argument("--out", type=Path, help="where to record the results")
    parser.add_argument("files", nargs="*", help="files below dask's folder; all by default")
    asked = parser.parse_args()
    files = asked.files or (QUICK if asked.quick else ALL)
    deselected = read_deselected()
    results = [compare(file, deselected) for file in files]
    if asked.out:
        asked.out.write_text(json.dumps(results, indent=1) + "\n")
    expected = sum(result["expected"] for result in results)
    passed = sum(result["passed"] for result in results)
    share = passed / max(expected, 1)
    print(f"all: {passed} of {expected} pass ({share:.2%}); {sum(r['calls'] for r in results)} calls of the scheduler")
    return 0 if share >= WANTED else 1


def read_deselected() -> dict[str, str]:
    """Read lines of ``test id # reason``; an id may name a whole function."""
    lines = (HERE / "deselected.txt").read_text().splitlines()
    pairs = (line.split(" # ", 1) for line in lines if line.strip() and not line.startswith("#"))
    return {test.strip(): reason.strip() for test, reason in pairs}


def compare(file: str, deselected: dict[str, str]) -> dict[str, Any]:
    own, ours = run(file, "sync"), run(file, "millstream")
    passing = [test for test, outcome in own["outcomes"].items() if outcome == "passed"]
    # pytest names files from the root folder that it was given.
    counted = [test for test in passing if not is_deselected(f"{file}::{test.partition('::')[2]}", deselected)]
    failing = [test for test in counted if ours["outcomes"].get(test) not in ("passed", "skipped", "xfailed")]
    result = {
        "file": file,
        "passing_under_sync": len(passing),
        "deselected": len(passing) - len(counted),
        "expected": len(counted),
        "passed": len(counted) - len(failing),
        "calls": ours["calls"],
        "failing": failing,
    }
    print(f"{file}: {result['passed']} of {result['expected']} pass, {result['calls']} calls", flush=True)
    for test in failing:
        print(f"    {test}")
    return result


def is_deselected(test: str, deselected: dict[str, str]) -> bool:
    return any(test == name or test.split("[")[0] == name for name in deselected)


def run(file: str, scheduler: str) -> dict[str, Any]:
    import dask

    path = Path(dask.__file__).parent / file
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "outcomes.json"
        environment = os.environ | {
            "MILLSTREAM_CONFORMANCE": scheduler,
            "MILLSTREAM_CONFORMANCE_OUT": str(out),
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "plugin", "-p", "no:cacheprovider", "--timeout=120"]
        # From a folder of its own: neither our settings nor dask's sources' apply.
        subprocess.run(
            [*command, "--rootdir", str(path.parents[1]), str(path)],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if not out.exists():
            raise SystemExit(f"{file}: pytest did not come to its end under {scheduler}")
        return dict(json.loads(out.read_text()))


if __name__ == "__main__":
    sys.exit(main())
