"""A pytest plugin that runs Dask's own tests on Millstream, and counts what reaches it.

Dask's tests ask for schedulers by name (`assert_eq` passes ``scheduler="sync"``), so every named scheduler is replaced.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

_scheduler = None
_outcomes: dict[str, str] = {}


def pytest_configure(config: pytest.Config) -> None:
    global _scheduler
    if os.environ.get("MILLSTREAM_CONFORMANCE") != "millstream":
        return
    import dask.base

    import millstream as ms
    import millstream.dask as door

    ms.progress_bar(False)
    _scheduler = door.enable(ms.Client())
    for name in dask.base.named_schedulers:
        dask.base.named_schedulers[name] = _scheduler.get


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    failed_outside = report.when != "call" and report.outcome == "failed"
    if report.when == "call" or failed_outside or report.outcome == "skipped":
        outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
        _outcomes[report.nodeid] = outcome


def pytest_unconfigure(config: pytest.Config) -> None:
    target = os.environ.get("MILLSTREAM_CONFORMANCE_OUT")
    if target:
        calls = _scheduler.calls if _scheduler is not None else 0
        Path(target).write_text(json.dumps({"calls": calls, "outcomes": _outcomes}))
