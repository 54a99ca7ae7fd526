"""Runs the tests in dask's wheel under Dask's own synchronous scheduler and on Millstream, and compares.

::

    python tests/conformance/dask/run.py --quick                # a minute or two, for CI
    python tests/conformance/dask/run.py --out results.json     # everything; results are added file by file
    python tests/conformance/dask/run.py --out results.json --logs logs array/tests/test_slicing.py

The cluster is what ``MILLSTREAM_GATEWAY`` names, else one of this machine, a new one for each file. A test counts if
it passes under ``sync``, and counts as passed if it passes here, too; whatever does not is a failure, unless
``deselected.txt`` says why the test cannot apply to a cluster. Ends with 1 if fewer than 99 % pass, or if a file did not
come to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from deselection import is_deselected, read_deselected

HERE = Path(__file__).resolve().parent
WANTED = 0.99
# How long pytest may take to end by itself once it is told to.
GRACE = 30

GET_FUNCTION = "utils_test.py"
QUICK = [
    GET_FUNCTION,
    "tests/test_delayed.py",
    "tests/test_task_spec.py",
    "tests/test_threaded.py",
    "tests/test_callbacks.py",
    "bag/tests/test_bag.py",
]
ALL = [
    *QUICK,
    "tests/test_base.py",
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
    parser.add_argument("--quick", action="store_true", help="only the tests that take a minute or two")
    parser.add_argument("--out", type=Path, help="where to record the results; those of other files there are kept")
    parser.add_argument("--logs", type=Path, help="a folder for what pytest prints")
    parser.add_argument("--limit", type=float, default=3600, help="seconds for a file, %(default)s by default")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for a test, %(default)s by default")
    parser.add_argument("files", nargs="*", help="files below dask's folder; all by default")
    asked = parser.parse_args()
    results = []
    for file in asked.files or (QUICK if asked.quick else ALL):
        result = compare(file, asked)
        results.append(result)
        if asked.out:
            record(asked.out, result)
    expected, passed = sum(each["expected"] for each in results), sum(each["passed"] for each in results)
    share = passed / max(expected, 1)
    calls = sum(each["calls"] for each in results)
    print(f"all: {passed} of {expected} pass ({share:.2%}); {calls} calls of the scheduler")
    return 0 if share >= WANTED and all(each["is_whole"] for each in results) else 1


def compare(file: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Run a file both ways; return the counts and what fails."""
    own, ours = run(file, "sync", asked), run(file, "millstream", asked)
    deselected = read_deselected()
    passing = [test for test, outcome in own["outcomes"].items() if outcome == "passed"]
    counted = [test for test in passing if not is_deselected(f"{file}::{test}", deselected)]
    failing = [test for test in counted if ours["outcomes"].get(test) != "passed"]
    result = {
        "file": file,
        "passing_under_sync": len(passing),
        "deselected": len(passing) - len(counted),
        "expected": len(counted),
        "passed": len(counted) - len(failing),
        "calls": ours["calls"],
        "seconds": ours["seconds"],
        "seconds_under_sync": own["seconds"],
        "is_whole": own["is_whole"] and ours["is_whole"],
        "failing": failing,
    }
    more = "" if result["is_whole"] else ", STOPPED before its end"
    print(
        f"{file}: {result['passed']} of {result['expected']} pass, {result['deselected']} deselected, {ours['calls']} "
        f"calls, {ours['seconds']} s ({own['seconds']} s under sync){more}",
        flush=True,
    )
    for test in failing:
        print(f"    {test}: {ours['outcomes'].get(test, 'not run')}", flush=True)
    return result


def run(file: str, scheduler: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Run a file's tests with one scheduler; return their outcomes."""
    import dask

    root = Path(dask.__file__).parent
    path = HERE / "get_function.py" if file == GET_FUNCTION else root / file
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "outcomes.jsonl"
        environment = os.environ | {
            "MILLSTREAM_CONFORMANCE": scheduler,
            "MILLSTREAM_CONFORMANCE_FILE": file,
            "MILLSTREAM_CONFORMANCE_OUT": str(out),
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "plugin", "-p", "no:cacheprovider", "--tb=short"]
        command += [f"--timeout={asked.timeout}", "--durations=20", "--rootdir", str(root), str(path)]
        log = Path(folder) / "pytest.log"
        if asked.logs:
            asked.logs.mkdir(parents=True, exist_ok=True)
            log = asked.logs.resolve() / f"{file.replace('/', '_')}.{scheduler}.log"
        began = time.monotonic()
        with log.open("w") as printed:
            # From a folder of its own: neither our settings nor dask's sources' apply.
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT)
            is_in_time = wait_for(process, asked.limit)
        lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
        if not lines:
            raise SystemExit(f"{file}: pytest did not start under {scheduler}:\n{log.read_text()[-2000:]}")
    return {
        "outcomes": {line["test"]: line["outcome"] for line in lines if "test" in line},
        "calls": lines[-1]["calls"],
        "seconds": round(time.monotonic() - began, 1),
        "is_whole": is_in_time and "ended" in lines[-1],
    }


def wait_for(process: subprocess.Popen[bytes], limit: float) -> bool:
    """Wait for a process to end, and stop it after so many seconds; return whether it ended by itself."""
    import signal

    try:
        process.wait(limit)
        return True
    except subprocess.TimeoutExpired:
        # As if by the keyboard: pytest then closes its cluster.
        process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return False


def record(target: Path, result: dict[str, Any]) -> None:
    """Put a file's result among those that are recorded already."""
    known = json.loads(target.read_text()) if target.exists() else []
    others = {each["file"]: each for each in known} | {result["file"]: result}
    ordered = sorted(others.values(), key=lambda each: ALL.index(each["file"]) if each["file"] in ALL else len(ALL))
    target.write_text(json.dumps(ordered, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
