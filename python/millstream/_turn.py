"""Inside a task, waiting for other tasks lets them have this task's slot."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

# What is there so soon is not worth telling the worker.
_GRACE = 0.005


def waiting() -> AbstractContextManager[Any]:
    """Return a context within which the task that runs here, if one does, waits for others."""
    turn = _current()
    return nullcontext() if turn is None else turn


def patiently(wait: Callable[[float | None], bool], timeout: float | None = None) -> bool:
    """Call `wait` with a timeout; inside a task first briefly, and then with the task's slot free for others.

    Parameters
    ----------
    wait : callable
        Takes seconds, or ``None`` for ever; returns whether what it waits for is there.
    timeout : float, optional
        Seconds in all.
    """
    turn = _current()
    if turn is None or (timeout is not None and timeout <= _GRACE):
        return wait(timeout)
    if wait(_GRACE):
        return True
    with turn:
        return wait(None if timeout is None else timeout - _GRACE)


def _current() -> AbstractContextManager[Any] | None:
    # The worker's own copy of the executor, which this package has no other way to reach.
    module = sys.modules.get("millstream_runtime._executor.turn")
    return getattr(module, "current", None)
