"""Results as JSON, and as a table for people."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

_KIND = ("suite", "scale", "workers", "slots", "partitions", "broadcast", "chosen")
_NAMES = {"tpch": "TPC-H", "tpcds": "TPC-DS"}


def conditions() -> dict[str, Any]:
    """What the times depend on besides the program."""
    load, _, _ = os.getloadavg()
    return {"cores": os.cpu_count(), "machine": platform.machine(), "load_at_end": round(load, 1)}


def query_line(suite: str, result: dict[str, Any]) -> str:
    """What came of one query."""
    tasks = "+".join(str(count) for count in result["tasks"].values())
    work = f"tasks {tasks or 0}, {result['fetches']} fetches"
    return f"{suite} {result['query']:>2}: {result['seconds']:6.2f} s, {work}: {result['problem'] or 'equal'}"


def line(run: dict[str, Any]) -> str:
    """What came of one run."""
    equal = f"{run['passed']} of {len(run['queries'])} equal DuckDB's"
    times = f"{run['seconds']} s" + (f", DuckDB {run['duckdb_seconds']} s" if run["duckdb_seconds"] else "")
    spread = f"{run['distributed']} on several workers, {run['moved_bytes'] / 1e6:,.1f} MB between them"
    return f"{_title(run)}: {equal}; {times}; {spread}{'' if run['is_distributed'] else ', WHICH IS TOO LITTLE'}"


def add(target: Path, run: dict[str, Any]) -> None:
    """Put a run among those that are recorded already, in place of one of the same kind."""
    path = target.with_suffix(".json")
    known = json.loads(path.read_text()) if path.exists() else []
    runs = [each for each in known if _kind(each) != _kind(run)] + [run]
    runs.sort(key=lambda each: json.dumps(_kind(each)))
    path.write_text(json.dumps(runs, indent=1) + "\n")
    target.with_suffix(".md").write_text(_page(runs))


def _kind(run: dict[str, Any]) -> list[Any]:
    return [run.get(name) for name in _KIND]


def _title(run: dict[str, Any]) -> str:
    partitions = run["partitions"] or run["workers"] * run["slots"]
    joins = f", broadcast {run['broadcast']}" if run["broadcast"] else ""
    return f"{_NAMES[run['suite']]} SF {run['scale']:g}, {run['workers']} workers, {partitions} partitions{joins}"


def _page(runs: list[dict[str, Any]]) -> str:
    lines = [
        "| run | equal | seconds | DuckDB | on several workers | moved | cores | load at the end |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        moved, conditions = run["moved_bytes"] / 1e6, run["conditions"]
        lines.append(
            f"| {_title(run)} | {run['passed']} of {len(run['queries'])} | {run['seconds']} | {run['duckdb_seconds']} "
            f"| {run['distributed']} | {moved:,.0f} MB | {conditions['cores']} | {conditions['load_at_end']} |"
        )
    wrong = [(run, each) for run in runs for each in run["queries"] if each["problem"]]
    if wrong:
        lines += ["", "| run | query | problem |", "|---|---|---|"]
        lines += [f"| {_title(run)} | {each['query']} | {_cell(each['problem'])} |" for run, each in wrong]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:300]
