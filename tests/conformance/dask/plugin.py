"""A pytest plugin that runs Dask's own tests on Millstream, and counts what reaches it.

Dask's tests ask for schedulers by name (`assert_eq` passes ``scheduler="sync"``), or import them: all are replaced.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from deselection import is_deselected, read_deselected

_scheduler = None

# Dask's own schedulers, where its tests import them from.
_OWN = [
    ("dask", "get"),
    ("dask.local", "get_sync"),
    ("dask.multiprocessing", "get"),
    ("dask.threaded", "get"),
]


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what is to run in the background so that interrupts are ignored, which tests of them wait for.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("MILLSTREAM_CONFORMANCE") == "millstream":
        _use_millstream()


def _use_millstream() -> None:
    global _scheduler
    from importlib import import_module

    import dask.base

    import millstream as ms
    import millstream.dask as door

    ms.progress_bar(False)
    _scheduler = door.enable(ms.Client())
    for name in dask.base.named_schedulers:
        dask.base.named_schedulers[name] = _scheduler.get
    for module, name in _OWN:
        setattr(import_module(module), name, _scheduler.get)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _scheduler is None:
        return
    deselected = read_deselected()
    file = os.environ["MILLSTREAM_CONFORMANCE_FILE"]
    names = [f"{file}::{item.nodeid.partition('::')[2]}" for item in items]
    chosen = [is_deselected(name, deselected) for name in names]
    config.hook.pytest_deselected(items=[item for item, out in zip(items, chosen, strict=True) if out])
    items[:] = [item for item, out in zip(items, chosen, strict=True) if not out]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    failed_outside = report.when != "call" and report.outcome == "failed"
    if report.when == "call" or failed_outside or report.outcome == "skipped":
        outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
        _record({"test": report.nodeid.partition("::")[2], "outcome": outcome, "seconds": round(report.duration, 3)})


def pytest_sessionfinish(session: pytest.Session) -> None:
    _record({"ended": True})


def _record(line: dict[str, Any]) -> None:
    """Write at once: what was run counts even if the process is stopped."""
    target = os.environ.get("MILLSTREAM_CONFORMANCE_OUT")
    if target:
        calls = _scheduler.calls if _scheduler is not None else 0
        with Path(target).open("a") as out:
            out.write(json.dumps({**line, "calls": calls}) + "\n")
