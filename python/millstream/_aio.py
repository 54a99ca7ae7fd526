"""One event loop in a thread of its own, so that synchronous calls also work inside a running loop, as in Jupyter."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from millstream import _turn

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_owner_pid = 0


def loop() -> asyncio.AbstractEventLoop:
    """Return the background loop of this process, started at first use (and anew after a fork)."""
    global _loop, _owner_pid
    with _lock:
        if _loop is None or _owner_pid != os.getpid():
            _owner_pid = os.getpid()
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_run, args=(_loop,), name="millstream-io", daemon=True).start()
        return _loop


def _run(own: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(own)
    own.run_forever()


def spawn(work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Start `work` on the background loop."""
    return asyncio.run_coroutine_threadsafe(work, loop())


def soon(callback: Callable[[], object]) -> None:
    """Call `callback` on the background loop if there is one; takes no lock, so that collected objects may do it."""
    own = _loop
    if own is None or _owner_pid != os.getpid() or sys.is_finalizing():
        return
    with contextlib.suppress(RuntimeError):
        own.call_soon_threadsafe(callback)


def wait(work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
    """Run `work` on the background loop and wait for its end; an interrupt or timeout cancels it."""
    if is_own_thread():
        work.close()
        raise RuntimeError("a synchronous call would wait for itself here: use AsyncClient inside callbacks")
    running = spawn(work)
    try:
        _turn.patiently(lambda left: not concurrent.futures.wait((running,), left).not_done, timeout)
        return running.result(0 if timeout is not None else None)
    except concurrent.futures.TimeoutError:
        if running.done():
            raise
        running.cancel()
        raise TimeoutError(f"no answer within {timeout} s") from None
    except BaseException:
        running.cancel()
        raise


def is_own_thread() -> bool:
    """Whether the caller runs on the background loop."""
    try:
        return asyncio.get_running_loop() is _loop
    except RuntimeError:
        return False
