"""Actors: objects that live in one task, and whose methods others call."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar

from millstream import _aio, _turn
from millstream._post import CALL, READ

if TYPE_CHECKING:
    from millstream._jobs import Job
    from millstream._session import Session

T = TypeVar("T")

# The actor whose method a thread runs.
serving = threading.local()

# Jobs of the actors that were made here, and the sessions that made them: a proxy keeps its actor alive.
_jobs: weakref.WeakValueDictionary[str, Job] = weakref.WeakValueDictionary()
_sessions: weakref.WeakValueDictionary[str, Session] = weakref.WeakValueDictionary()


class About(NamedTuple):
    """What is known of an actor wherever it is called.

    Attributes
    ----------
    id : str
        Names its queue.
    job_id, key : str
        The task that it lives in.
    name : str
        Its class.
    methods : tuple of str
        Names of what can be called; all others are read.
    """

    id: str
    job_id: str
    key: str
    name: str
    methods: tuple[str, ...]


class Actor:
    """An object that lives on one worker, as those see it who call it.

    Comes from a future of :meth:`Client.submit` or :meth:`Client.map` with ``actor=True``. A method returns an
    :class:`ActorFuture` at once; calls run one after the other, each caller's in the order in which they were made. Any
    other attribute is read when it is named (with an :class:`AsyncClient`, await it). It can be passed to tasks and to
    other actors.

    The object is gone once its client is closed, the future is cancelled, or nobody in its client's process holds the
    future or an `Actor` any more; an `Actor` inside a task or another actor does not keep it. If its process dies, its
    state is lost: it is not made again, and calls raise :class:`ActorEndedError`. Between calls it lends its slot to
    other tasks; a worker holds at most 64 actors.

    Examples
    --------
    >>> class Counter:
    ...     def __init__(self, n):
    ...         self.n = n
    ...     def add(self, by):
    ...         self.n += by
    ...         return self.n
    >>> counter = client.submit(Counter, 1, actor=True).result()
    >>> futures = [counter.add(by) for by in (1, 10, 100)]
    >>> [future.result() for future in futures], counter.n
    ([2, 12, 112], 112)
    """

    __slots__ = ("__weakref__", "_ms_about", "_ms_job", "_ms_session")

    def __init__(self, about: About, job: Job | None = None, session: Session | None = None) -> None:
        object.__setattr__(self, "_ms_about", about)
        # Not let go while this object is here.
        object.__setattr__(self, "_ms_job", job)
        object.__setattr__(self, "_ms_session", session)

    def _ms_call(self, kind: int, name: str, args: tuple[Any, ...] = (), kwargs: Any = None) -> ActorFuture[Any]:
        if self._ms_session is None:
            from millstream._client import get_client

            object.__setattr__(self, "_ms_session", get_client().session)
        future: ActorFuture[Any] = self._ms_session.actor_calls.call(self, kind, name, args, kwargs or {})
        return future

    def __getattr__(self, name: str) -> Any:
        about: About = self._ms_about
        if name in about.methods:

            def method(*args: Any, **kwargs: Any) -> ActorFuture[Any]:
                return self._ms_call(CALL, name, args, kwargs)

            method.__name__, method.__qualname__ = name, f"{about.name}.{name}"
            return method
        if name.startswith(("__", "_repr_", "_ipython_")):
            # Asked of every object by Python itself, and by notebooks.
            raise AttributeError(f"actor {about.name} has no attribute {name!r}", name=name)
        future = self._ms_call(READ, name)
        return future if self._ms_session.is_async else future.result()

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(
            f"attribute {name!r} of actor {self._ms_about.name} cannot be set from here: let a method of it do that"
        )

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._ms_about.methods})

    def __repr__(self) -> str:
        return f"<Actor: {self._ms_about.name}, key: {self._ms_about.key}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Actor) and self._ms_about.id == other._ms_about.id

    def __hash__(self) -> int:
        return hash(self._ms_about.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, tuple(self._ms_about)


def own(job: Job, session: Session) -> None:
    """Note that a job is an actor's that is made here."""
    _jobs[job.id] = job
    _sessions[job.id] = session


def rebuild(*about: Any) -> Actor:
    """Return an actor that was pickled here or in another process."""
    known = About(*about)
    return Actor(known, _jobs.get(known.job_id), _sessions.get(known.job_id))


class ActorFuture(Generic[T]):
    """The result of a call of an actor.

    Examples
    --------
    >>> class Table:
    ...     def __init__(self):
    ...         self.rows = {}
    ...     def put(self, key, row):
    ...         self.rows[key] = row
    ...         return len(self.rows)
    >>> table = client.submit(Table, actor=True).result()
    >>> future = table.put("a", [1, 2])
    >>> future.result(timeout=60), future.done()
    (1, True)
    """

    __slots__ = ("__weakref__", "_actor", "_name", "_outcome")

    def __init__(self, actor: str, name: str) -> None:
        self._actor = actor
        self._name = name
        self._outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

    def done(self) -> bool:
        """Whether there is a result, or an exception.

        Examples
        --------
        >>> counter = client.submit(list, actor=True).result()
        >>> call = counter.append(1)
        >>> call.result(), call.done()
        (None, True)
        """
        return self._outcome.done()

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result and return it.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; then `TimeoutError` is raised and the call goes on.

        Raises
        ------
        Exception
            What the method raised, with its own type; the traceback of the other side is its cause.
        ActorEndedError
            If the actor has ended, so that nobody knows whether the method ran.
        """
        self._wait(timeout)
        return self._outcome.result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the end of the call; return what it raised, or ``None``."""
        self._wait(timeout)
        return self._outcome.exception()

    def add_done_callback(self, callback: Callable[[ActorFuture[T]], Any]) -> None:
        """Call `callback` with this future when the call is over, in another thread."""
        self._outcome.add_done_callback(lambda _: callback(self))

    def _wait(self, timeout: float | None) -> None:
        if self._outcome.done():
            return
        self._check_caller()
        if _aio.is_own_thread():
            raise RuntimeError("a synchronous wait would stop what it waits for here: await the future")
        if not _turn.patiently(lambda left: not concurrent.futures.wait((self._outcome,), left).not_done, timeout):
            raise TimeoutError(f"{self._name} did not answer within {timeout} s")

    def _check_caller(self) -> None:
        if getattr(serving, "actor", None) == self._actor:
            raise RuntimeError(
                f"a method of this actor waits for {self._name}, which can only run after it: call it on `self`"
            )

    def __await__(self) -> Generator[Any, None, T]:
        return self._waited().__await__()

    async def _waited(self) -> T:
        if not self._outcome.done():
            self._check_caller()
            with _turn.waiting():
                # A waiter that is cancelled must not cancel the call for others.
                await asyncio.wait((asyncio.wrap_future(_shielded(self._outcome)),))
        return self._outcome.result()

    def __repr__(self) -> str:
        state = "pending"
        if self._outcome.done():
            state = "finished" if self._outcome.exception() is None else "error"
        return f"<ActorFuture: {state}, {self._name}>"


def _shielded(outcome: concurrent.futures.Future[Any]) -> concurrent.futures.Future[None]:
    """A future of one waiter's own, over when the other is."""
    over: concurrent.futures.Future[None] = concurrent.futures.Future()

    def finish(_: Any) -> None:
        if over.set_running_or_notify_cancel():
            over.set_result(None)

    outcome.add_done_callback(finish)
    return over
