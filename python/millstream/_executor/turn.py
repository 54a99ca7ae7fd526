"""A task that waits for other tasks lets them have its slot."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Self


class Turn:
    """While it is entered, the task that runs waits for others.

    Only the thread that runs tasks counts: others may wait while it computes.

    Parameters
    ----------
    tell : callable
        Tells the worker that the task begins to wait (true) or goes on (false).
    """

    def __init__(self, tell: Callable[[bool], None]) -> None:
        self._tell = tell
        self._owner = os.getpid(), threading.get_ident()
        self._depth = 0

    def begin(self) -> None:
        """Note that a task begins, however the last one ended."""
        self._depth = 0

    def __enter__(self) -> Self:
        if self._is_mine():
            self._depth += 1
            if self._depth == 1:
                self._tell(True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_mine():
            self._depth -= 1
            if self._depth == 0:
                self._tell(False)

    def _is_mine(self) -> bool:
        # A forked child has nobody to tell.
        return (os.getpid(), threading.get_ident()) == self._owner


# The one of this process, for the package that tasks import.
current: Turn | None = None
