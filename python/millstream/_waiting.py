"""Waiting for several futures."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from typing import Any, Literal, NamedTuple, get_args

from millstream import _turn
from millstream._future import Future, refuse_others
from millstream._options import Duration, patience

ALL_COMPLETED = "ALL_COMPLETED"
FIRST_COMPLETED = "FIRST_COMPLETED"
FIRST_EXCEPTION = "FIRST_EXCEPTION"

ReturnWhen = Literal["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]


class DoneAndNotDone(NamedTuple):
    """What :func:`wait` returns."""

    done: set[Future[Any]]
    not_done: set[Future[Any]]


def wait(
    futures: Future[Any] | Collection[Future[Any]],
    timeout: Duration | None = None,
    return_when: ReturnWhen = "ALL_COMPLETED",
) -> DoneAndNotDone:
    """Wait for futures, without fetching their results.

    Parameters
    ----------
    futures : Future or collection of Future
        What to wait for.
    timeout : float or str, optional
        Seconds to wait at most, or a text such as ``"5s"``; then `TimeoutError` is raised.
    return_when : str
        ``"ALL_COMPLETED"``, ``"FIRST_COMPLETED"`` or ``"FIRST_EXCEPTION"``.

    Examples
    --------
    >>> futures = client.map(abs, [-1, -2])
    >>> len(ms.wait(futures).done)
    2
    """
    if return_when not in get_args(ReturnWhen):
        raise ValueError(f"return_when is one of {', '.join(get_args(ReturnWhen))}; got {return_when!r}")
    awaited = [futures] if isinstance(futures, Future) else list(dict.fromkeys(futures))
    refuse_others(awaited)
    if not awaited:
        return DoneAndNotDone(set(), set())
    timeout = patience(timeout)
    if return_when == ALL_COMPLETED:
        awaited[0]._session.wait_for(awaited, timeout)
    else:
        _wait_for_some(awaited, timeout, return_when)
    done = {future for future in awaited if future.done()}
    return DoneAndNotDone(done, set(awaited) - done)


def _wait_for_some(futures: list[Future[Any]], timeout: float | None, return_when: ReturnWhen) -> None:
    deadline = None if timeout is None else time.monotonic() + timeout
    left = len(futures)
    for future in as_completed(futures, timeout=timeout):
        left -= 1
        is_enough = return_when == FIRST_COMPLETED or future.status != "finished"
        if is_enough or not left:
            return
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"{left} tasks not done within {timeout} s")


class as_completed:  # noqa: N801 - a function to its users, as in concurrent.futures
    """Yield futures as they complete, from an ordinary or an asynchronous loop.

    Parameters
    ----------
    futures : iterable of Future
        What to wait for; more can be added with :meth:`add` on the way.
    with_results : bool
        Whether to yield pairs of a future and its result.
    raise_errors : bool
        With `with_results`: whether a failure is raised, or yielded as the result.
    timeout : float or str, optional
        Seconds, or a text such as ``"5s"``, that the whole iteration may last.

    Examples
    --------
    >>> futures = client.map(abs, [-3, -4])
    >>> sorted(future.result() for future in ms.as_completed(futures))
    [3, 4]
    """

    def __init__(
        self,
        futures: Iterable[Future[Any]] = (),
        *,
        with_results: bool = False,
        raise_errors: bool = True,
        timeout: Duration | None = None,
    ) -> None:
        self._done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._taken: deque[Future[Any]] = deque()
        self._left = 0
        self._lock = threading.Lock()
        self._with_results = with_results
        self._raise_errors = raise_errors
        left = patience(timeout)
        self._deadline = None if left is None else time.monotonic() + left
        self.update(futures)

    def add(self, future: Future[Any]) -> None:
        """Wait for one more.

        Examples
        --------
        >>> total, left = 0, ms.as_completed([client.submit(abs, -3)])
        >>> for future in left:
        ...     total += future.result()
        ...     if total < 5:
        ...         left.add(client.submit(abs, -4))
        >>> total
        7
        """
        self.update([future])

    def update(self, futures: Iterable[Future[Any]]) -> None:
        """Wait for more.

        Examples
        --------
        >>> done = ms.as_completed(client.map(abs, [-1]))
        >>> done.update(client.map(abs, [-2, -3]))
        >>> sorted(future.result() for future in done)
        [1, 2, 3]
        """
        added = list(futures)
        refuse_others(added)
        with self._lock:
            self._left += len(added)
        if added:
            added[0]._session.flush()
        for future in added:
            future._job.when_done(future._number, lambda it=future: self._done.put(it))  # type: ignore[misc]

    def count(self) -> int:
        """Return how many have not been yielded.

        Examples
        --------
        >>> done = ms.as_completed(client.map(abs, [-1, -2]))
        >>> done.count()
        2
        """
        return self._left

    def is_empty(self) -> bool:
        """Whether none is done and not yielded at this moment.

        Examples
        --------
        >>> done = ms.as_completed(client.map(abs, [-1]))
        >>> _ = next(done)
        >>> done.is_empty()
        True
        """
        return self._done.empty()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._lock:
            if not self._left:
                raise StopIteration
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        if not _turn.patiently(self._take, left):
            raise TimeoutError(f"{self._left} tasks not done in time")
        future = self._taken.popleft()
        with self._lock:
            self._left -= 1
        return self._item(future)

    def _take(self, timeout: float | None) -> bool:
        try:
            self._taken.append(self._done.get(timeout=timeout))
        except queue.Empty:
            return False
        return True

    def _item(self, future: Future[Any]) -> Any:
        if not self._with_results:
            return future
        if self._raise_errors:
            return future, future.result()
        error = future.exception()
        return future, future.result() if error is None else error

    def next_batch(self, block: bool = True) -> list[Any]:
        """Return all that are done, waiting for one if `block`."""
        batch = [next(self)] if block and self._left else []
        while not self._done.empty() and self._left:
            batch.append(next(self))
        return batch

    def batches(self) -> Iterator[list[Any]]:
        """Yield all that are done, again and again.

        Examples
        --------
        >>> sum(len(batch) for batch in ms.as_completed(client.map(abs, range(5))).batches())
        5
        """
        while self._left:
            yield self.next_batch()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return await asyncio.to_thread(_next_or_end, self)
        except _EndError:
            raise StopAsyncIteration from None


class _EndError(Exception):
    """`StopIteration` cannot leave a thread."""


def _next_or_end(iterator: as_completed) -> Any:
    try:
        return next(iterator)
    except StopIteration:
        raise _EndError from None


def fire_and_forget(futures: Future[Any] | Iterable[Future[Any]]) -> None:
    """Let tasks run to their end although nobody holds their futures.

    Examples
    --------
    >>> ms.fire_and_forget(client.submit(abs, -1))
    """
    held = [futures] if isinstance(futures, Future) else list(futures)
    if held:
        held[0]._session.pin(held)


class Waiting:
    """Part of :class:`Client`: this module's functions, as methods."""

    def wait(
        self,
        futures: Future[Any] | Collection[Future[Any]],
        timeout: Duration | None = None,
        return_when: ReturnWhen = "ALL_COMPLETED",
    ) -> DoneAndNotDone:
        """Wait for futures, without fetching their results; see :func:`millstream.wait`.

        Examples
        --------
        >>> done, not_done = client.wait(client.map(abs, [-1, -2]), timeout="30s")
        >>> len(done), len(not_done)
        (2, 0)
        """
        return wait(futures, timeout, return_when)

    def as_completed(self, futures: Iterable[Future[Any]] = (), **options: Any) -> as_completed:
        """Return futures as they complete, for ``for``; see :class:`millstream.as_completed`.

        Examples
        --------
        >>> sorted(value for _, value in client.as_completed(client.map(abs, [-3, -4]), with_results=True))
        [3, 4]
        """
        return as_completed(futures, **options)

    def fire_and_forget(self, futures: Future[Any] | Iterable[Future[Any]]) -> None:
        """Let tasks run to their end although nobody holds their futures; see :func:`millstream.fire_and_forget`.

        Examples
        --------
        >>> client.fire_and_forget(client.submit(abs, -1))
        """
        fire_and_forget(futures)
