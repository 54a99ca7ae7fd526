"""An executor as of `concurrent.futures` whose tasks run on the cluster."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from millstream._future import Future

if TYPE_CHECKING:
    from millstream._client import Client

T = TypeVar("T")


class Executor(concurrent.futures.Executor):
    """Runs calls on the cluster; made by :meth:`Client.get_executor`.

    Its futures are those of `concurrent.futures`, for libraries that expect them.
    """

    def __init__(self, client: Client, options: dict[str, Any]) -> None:
        self._client = client
        self._options = options
        self._is_shut = False
        self._held: dict[concurrent.futures.Future[Any], Future[Any]] = {}
        self._lock = threading.Lock()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Call a function on the cluster."""
        if self._is_shut:
            raise RuntimeError("cannot submit after shutdown")
        future = self._client._call(fn, [(args, kwargs)], [_key(fn)], self._options, False)[0]
        return self._outer(future)

    def map(
        self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[T]:
        """Call a function for each item; yield the results in order."""
        if self._is_shut:
            raise RuntimeError("cannot submit after shutdown")
        deadline = None if timeout is None else time.monotonic() + timeout
        futures = self._client.map(fn, *iterables, **self._options)
        self._client.session.flush()

        def results() -> Iterator[T]:
            for future in futures:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                yield future.result(left)

        return results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; wait for those that were made, or cancel them."""
        self._is_shut = True
        with self._lock:
            held = list(self._held)
        if cancel_futures:
            for outer in held:
                outer.cancel()
        if wait:
            concurrent.futures.wait(held)

    def _outer(self, future: Future[T]) -> concurrent.futures.Future[T]:
        outer = _OuterFuture(future)
        with self._lock:
            self._held[outer] = future
        future.add_done_callback(lambda done: self._finish(outer, done))
        return outer

    def _finish(self, outer: concurrent.futures.Future[T], future: Future[T]) -> None:
        with self._lock:
            self._held.pop(outer, None)
        if not outer.set_running_or_notify_cancel():
            return
        try:
            outer.set_result(future.result())
        except BaseException as error:
            # Whatever it is, it belongs to whoever asks for the result.
            outer.set_exception(error)


class _OuterFuture(concurrent.futures.Future[T]):
    """Sends what was submitted as soon as somebody waits for it, and cancels on the cluster too."""

    def __init__(self, inner: Future[T]) -> None:
        super().__init__()
        self._inner = inner

    def result(self, timeout: float | None = None) -> T:
        self._inner._session.flush()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._inner._session.flush()
        return super().exception(timeout)

    def cancel(self) -> bool:
        was_cancelled = super().cancel()
        if was_cancelled and not self._inner.done():
            self._inner.cancel()
        return was_cancelled


def _key(function: Any) -> str:
    from millstream._functions import name_of
    from millstream._task import new_key

    return new_key(name_of(function))
