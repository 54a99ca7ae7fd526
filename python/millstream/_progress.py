"""A progress bar for terminals and notebooks, shown when waiting takes a while."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream._future import Future

# What is over sooner needs no bar.
_DELAY = 0.7
_INTERVAL = 0.2
_WIDTH = 40

_is_on: bool | None = None


def progress_bar(on: bool | None = True) -> None:
    """Say whether waiting shows a progress bar; ``None`` shows it where somebody watches (the default).

    Examples
    --------
    >>> import millstream as ms
    >>> ms.progress_bar(False)
    """
    global _is_on
    _is_on = on


@contextlib.contextmanager
def shown(futures: Sequence[Future[Any]], asked: bool | None = None) -> Iterator[None]:
    """Show a progress bar over `futures` for as long as the block lasts."""
    wanted = asked if asked is not None else _is_on
    if wanted is None:
        wanted = _in_notebook() or sys.stderr.isatty()
    if not wanted or not futures:
        yield
        return
    stop = threading.Event()
    painter = threading.Thread(target=_paint, args=(list(futures), stop), daemon=True)
    painter.start()
    try:
        yield
    finally:
        stop.set()
        painter.join()


def _paint(futures: list[Future[Any]], stop: threading.Event) -> None:
    began = time.monotonic()
    if stop.wait(_DELAY):
        return
    display = _NotebookBar() if _in_notebook() else _TerminalBar()
    while True:
        is_last = stop.is_set()
        done, total = counts(futures)
        display.show(done, total, time.monotonic() - began)
        if is_last:
            display.end()
            return
        stop.wait(_INTERVAL)


def counts(futures: Sequence[Future[Any]]) -> tuple[int, int]:
    """Return how many tasks of the futures' jobs are done, and how many there are."""
    jobs = {future._job for future in futures}
    done = total = 0
    for job in jobs:
        known = job.counts
        if known and known.get("total"):
            done += sum(known.get(state, 0) for state in ("stored", "released", "failed", "cancelled"))
            total += known["total"]
        else:
            done += sum(map(bool, job.states))
            total += len(job.states)
    return done, total


class _TerminalBar:
    def show(self, done: int, total: int, elapsed: float) -> None:
        filled = _WIDTH * done // max(total, 1)
        bar = "#" * filled + " " * (_WIDTH - filled)
        sys.stderr.write(f"\r[{bar}] {done:,} of {total:,} | {elapsed:.1f} s")
        sys.stderr.flush()

    def end(self) -> None:
        sys.stderr.write("\n")
        sys.stderr.flush()


class _NotebookBar:
    def __init__(self) -> None:
        from IPython.display import display

        self._handle = display(_Html(bar_html(0, 1, 0.0)), display_id=True)

    def show(self, done: int, total: int, elapsed: float) -> None:
        if self._handle is not None:
            self._handle.update(_Html(bar_html(done, total, elapsed)))

    def end(self) -> None:
        """Leave the bar as it is."""


class _Html:
    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return ""


def bar_html(done: int, total: int, elapsed: float) -> str:
    """Return a progress bar for notebooks.

    Examples
    --------
    >>> "2 of 4" in bar_html(2, 4, 1.0)
    True
    """
    return (
        f'<div><progress value="{done}" max="{max(total, 1)}" style="width:20em"></progress> '
        f"{done:,} of {total:,} | {elapsed:.1f} s</div>"
    )


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return False
    shell = ipython.get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"
