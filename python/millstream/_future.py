"""Futures: results that are being made on the cluster."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from millstream._jobs import GIVEN_UP, PENDING, STATUS_NAMES, Job, released_job
from millstream._options import Duration
from millstream._task import Reference

if TYPE_CHECKING:
    from millstream._session import Session

T = TypeVar("T")


class Future(Reference, Generic[T]):
    """A result that is being made on the cluster.

    Comes from :meth:`Client.submit` and its like. Wait for it with :meth:`result`, with ``await``, or together with
    others by :func:`~millstream.wait` and :func:`~millstream.as_completed`; pass it to other tasks in place of its
    value. A result that no future is left of is let go, and a task that nothing needs then is not run; so are all
    results of a job with its last future.

    Examples
    --------
    >>> future = client.submit(pow, 2, 10)
    >>> future.result()
    1024
    >>> client.submit(pow, future, 2).result()
    1048576
    """

    __slots__ = ("__weakref__", "_job", "_number", "_session")

    def __init__(self, session: Session, job: Job, number: int) -> None:
        self._session = session
        self._job = job
        self._number = number

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # In any thread, and whatever locks are held: a note is all that is left here.
        holders = self._job.holders
        holders.notes.append(self._number)
        if not holders.is_noted and not is_finalizing():
            self._session.given_up.note(self._job)

    def twin(self) -> Future[T]:
        """Return another future of the same call, which stays whatever becomes of this one."""
        return another(self._session, self._job, self._number)

    @property
    def key(self) -> str:
        """The task's key.

        Examples
        --------
        >>> client.submit(abs, -1, key="one").key
        'one'
        """
        return self._job.key_of(self._number)

    @property
    def job_id(self) -> str:
        """The id of the task's job, which another client can attach to.

        Examples
        --------
        >>> future = client.submit(abs, -1)
        >>> client.attach(future.job_id).gather()
        [1]
        """
        return self._job.id

    @property
    def status(self) -> str:
        """One of ``"pending"``, ``"finished"``, ``"error"``, ``"cancelled"`` and ``"released"``.

        Examples
        --------
        >>> future = client.submit(abs, -1)
        >>> _ = client.wait(future)
        >>> future.status
        'finished'
        """
        return STATUS_NAMES[self._job.states[self._number]]

    def done(self) -> bool:
        """Whether the task is over, however it ended.

        Examples
        --------
        >>> future = client.submit(abs, -1)
        >>> future.result(), future.done(), future.status
        (1, True, 'finished')
        """
        return self._job.states[self._number] != PENDING

    def cancelled(self) -> bool:
        """Whether the task was cancelled.

        Examples
        --------
        >>> import time
        >>> future = client.submit(time.sleep, 600)
        >>> future.cancel(), future.cancelled()
        (True, True)
        """
        return self.status == "cancelled"

    def running(self) -> bool:
        """Whether the task is not over.

        Examples
        --------
        >>> import time
        >>> future = client.submit(time.sleep, 600)
        >>> future.running(), future.cancel(), future.running()
        (True, True, False)
        """
        return not self.done()

    def result(self, timeout: Duration | None = None) -> T:
        """Wait for the value and return it.

        Parameters
        ----------
        timeout : float or str, optional
            Seconds to wait at most, or a text such as ``"5s"``; then `TimeoutError` is raised and the task goes on.

        Raises
        ------
        Exception
            What the task raised, with its own type; the traceback of the other side is its cause.
        CancelledError
            If the task was cancelled.
        ResultLostError
            If the result was released.
        KeyboardInterrupt
            If it is interrupted, as by Ctrl-C or a notebook's stop button; the task is cancelled then, for all who
            wait for it. `wait` with a timeout leaves it alone.

        Examples
        --------
        >>> client.submit(pow, 2, 3).result(timeout="30s")
        8
        """
        try:
            self._session.wait_for([self], timeout)
        except KeyboardInterrupt:
            self._session.cancel([self])
            raise
        value: T = self._session.gather([self])[0]
        return value

    def exception(self, timeout: Duration | None = None) -> BaseException | None:
        """Wait for the end; return what the task raised, or ``None``.

        Examples
        --------
        >>> client.submit(int, "x").exception()
        ValueError("invalid literal for int() with base 10: 'x'")
        """
        self._session.wait_for([self], timeout)
        return self._session.exception_of(self)

    def traceback(self, timeout: Duration | None = None) -> str | None:
        """Wait for the end; return the traceback of the other side as text, or ``None``.

        Examples
        --------
        >>> "ValueError" in client.submit(int, "x").traceback()
        True
        """
        error = self.exception(timeout)
        return None if error is None else str(error.__cause__ or error)

    def cancel(self) -> bool:
        """Stop the task, with those of its job that read it; whether it was still going on.

        Examples
        --------
        >>> import time
        >>> future = client.submit(time.sleep, 1)
        >>> future.cancel(), future.status
        (True, 'cancelled')
        """
        was_running = not self.done()
        self._session.cancel([self])
        return was_running

    def retry(self) -> None:
        """Run a task that failed again."""
        self._session.retry([self])

    def release(self) -> None:
        """Give up the result: it is let go once no other future of it is left and no other task needs it.

        A task that nothing needs then is not run. Futures that are no more referred to are released by themselves.

        Examples
        --------
        >>> future = client.submit(abs, -1)
        >>> future.release()
        >>> future.status
        'released'
        """
        job, number = self._job, self._number
        if job.states[number] == GIVEN_UP:
            return
        self._job, self._number = released_job(job.id, job.key_of(number)), 0
        job.holders.notes.append(number)
        if not job.holders.is_noted:
            self._session.given_up.note(job)

    def add_done_callback(self, callback: Callable[[Future[T]], Any]) -> None:
        """Call `callback` with this future when it is over, in another thread.

        Examples
        --------
        >>> import queue
        >>> ended = queue.Queue()
        >>> future = client.submit(abs, -1)
        >>> future.add_done_callback(lambda done: ended.put(done.result()))
        >>> ended.get(timeout=30)
        1
        """
        self._job.when_done(self._number, lambda: self._session.call_back(callback, self))

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait_and_gather().__await__()

    async def _wait_and_gather(self) -> T:
        await self._session.done_async([self])
        values: list[T] = await self._session.gather_async([self])
        return values[0]

    def __repr__(self) -> str:
        return f"<Future: {self.status}, key: {self.key}>"

    def _repr_html_(self) -> str:
        from millstream._repr import future_html

        return future_html(self)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            f"future {self.key!r} can be passed as an argument of tasks at any depth, but not be pickled by itself: "
            "pass it as an argument where a function uses it, and return its result() or its key where a task made it"
        )


def another(session: Session, job: Job, number: int) -> Future[Any]:
    """Return one more future of a call that has, or had, one."""
    job.holders.add(number)
    return Future(session, job, number)


def by_job(futures: Sequence[Future[Any]]) -> dict[Job, list[int]]:
    """Return the numbers of futures' calls by job."""
    jobs: dict[Job, list[int]] = {}
    for future in futures:
        jobs.setdefault(future._job, []).append(future._number)
    return jobs


def refuse_lasting(futures: Iterable[Future[Any]], why: str) -> None:
    """Refuse what cannot be done with actors."""
    for future in futures:
        if future._job.is_lasting:
            raise ValueError(f"{future.key!r} is an actor's task, which {why}")


def refuse_others(futures: Iterable[Any]) -> None:
    """Refuse what is waited for in another way, such as calls of actors."""
    for future in futures:
        if not isinstance(future, Future):
            raise TypeError(f"futures of tasks are expected, got a {type(future).__name__}")


def refuse_released(futures: Iterable[Future[Any]]) -> None:
    """Refuse what needs a result that was given up."""
    for future in futures:
        if future._job.states[future._number] == GIVEN_UP:
            raise ValueError(f"future {future.key!r} was released: submit its call again, or do not release it before")


async def wait_in_loop(register: Callable[[Callable[[], None]], None]) -> None:
    """Wait, in the running loop, until a callback registered by `register` is called from any thread."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    def from_any_thread() -> None:
        # The waiter's loop may have ended meanwhile; then nobody waits.
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish)

    register(from_any_thread)
    await done
