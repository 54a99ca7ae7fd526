"""The side of an actor that has the object: takes calls from its queue, runs them, answers."""

from __future__ import annotations

import asyncio
import difflib
import functools
import inspect
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from millstream import _aio, _serialize
from millstream._access import GATEWAY_VARIABLE, Access, find_access
from millstream._actor import serving
from millstream._errors import GatewayError
from millstream._executor import errors
from millstream._executor.inputs import arguments
from millstream._line import Line
from millstream._post import ASK, CALL, ERROR, FETCHED, MAX_CONTENT, READY, VALUE, Letter, Post, opened
from millstream._task import new_key

if TYPE_CHECKING:
    from millstream._future import Future
    from millstream._http import Transport
    from millstream._session import Session

# How long one request waits for calls.
_WAIT = 10.0
# How long an actor outlives the gateway: others may still have what only it knows.
_PATIENCE = 300.0
# A caller that does not take its answers for so long is gone.
_ANSWER_PATIENCE = 60.0
# Large answers are kept until they were fetched, or for so long.
_KEPT = 600.0
# Names of methods that are told to callers.
_MOST_METHODS = 2000


class Host:
    """Serves one object.

    Parameters
    ----------
    actor : str
        The actor's id.
    owner : str
        The queue of whoever made it.
    """

    def __init__(self, actor: str, owner: str) -> None:
        self._actor = actor
        self._owner = owner
        self._access = _access()
        self._post = Post(self._line, actor)
        self._value: Any = None
        self._name = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kept: dict[tuple[str, int], tuple[float, Future[Any]]] = {}

    def serve(self, value: Any) -> None:
        """Tell the owner that the object is there, and run calls until this task is stopped."""
        import msgpack

        self._value, self._name = value, type(value).__name__
        about = msgpack.packb([self._name, _methods(value)])
        self._post.add(self._owner, Letter([-1, READY, about, None], len(about)))
        line = self._line(_PATIENCE)
        queue = queue_of(self._actor)
        try:
            while True:
                for item in self._taken(line, queue):
                    caller, calls = opened(item)
                    for call in calls:
                        self._run(caller, call)
        finally:
            line.close()
            if self._loop is not None:
                self._loop.close()

    def _taken(self, line: Line, queue: str) -> list[bytes]:
        try:
            return line.take(queue, _WAIT)
        except GatewayError as error:
            if error.status != 429:
                raise
            # Too many wait there: it is asked again.
            return []

    def _line(self, patience: float = _ANSWER_PATIENCE) -> Line:
        return Line(self._access, _transport, patience=patience)

    # ---- one call

    def _run(self, caller: str, call: Sequence[Any]) -> None:
        number, kind, name, params, named, large = call
        if kind == FETCHED:
            self._kept.pop((caller, number), None)
            return
        if kind == ASK:
            # What its caller asked before was answered before.
            self._answer(caller, number, VALUE, self._dumped(name, None))
            return
        serving.actor = self._actor
        try:
            member = self._member(name)
            value = self._called(member, params, named, large) if kind == CALL else member
            content, status = self._dumped(name, value), VALUE
        except KeyboardInterrupt:
            # The worker stops the task.
            raise
        except BaseException as error:
            content, status = errors.describe(error, False), ERROR
        finally:
            serving.actor = None
        self._answer(caller, number, status, content)

    def _member(self, name: str) -> Any:
        try:
            return getattr(self._value, name)
        except AttributeError as error:
            if getattr(error, "obj", None) is not self._value or error.name != name:
                # Raised inside a property: that is the user's.
                raise
        near = difflib.get_close_matches(name, dir(self._value), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"actor {self._name} has no attribute {name!r}{hint}", name=name)

    def _called(self, method: Any, params: bytes, named: Sequence[Any], large: Any) -> Any:
        if large is not None:
            params = _aio.wait(fetched(_session(), *large))
        inputs = [_Named(*reference) for reference in named]
        args, kwargs = arguments(params, inputs, -1)
        value = method(*args, **kwargs)
        if inspect.isawaitable(value):
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
            value = self._loop.run_until_complete(_awaited(value))
        return value

    def _dumped(self, name: str, value: Any) -> bytes:
        try:
            return _serialize.pack(_serialize.dumps(value))
        except MemoryError:
            raise
        except Exception as error:
            raise errors.unpicklable(f"{self._name}.{name}", value, "cloudpickle", error) from None

    def _answer(self, caller: str, number: int, status: int, content: bytes) -> None:
        futures: tuple[Future[Any], ...] = ()
        large = None
        if len(content) > MAX_CONTENT:
            future = scattered(_session(), content, "actor-answer")
            self._keep(caller, number, future)
            futures, large, content = (future,), [future.job_id, future.key], b""
        deadline = time.monotonic() + _ANSWER_PATIENCE
        self._post.add(caller, Letter([number, status, content, large], len(content), futures, deadline=deadline))

    def _keep(self, caller: str, number: int, future: Future[Any]) -> None:
        now = time.monotonic()
        for each in [each for each, (until, _) in self._kept.items() if until < now]:
            del self._kept[each]
        self._kept[caller, number] = now + _KEPT, future


class _Named:
    """An argument that is the result of a task."""

    def __init__(self, job_id: str, key: str) -> None:
        self._place = job_id, key

    def value(self) -> Any:
        return _aio.wait(fetched(_session(), *self._place))


def queue_of(actor: str) -> str:
    """Return the name of the queue that an actor takes its calls from."""
    return f"actor.{actor}"


def scattered(session: Session, value: Any, name: str) -> Future[Any]:
    """Put a value that is too large for a letter onto the cluster."""
    return session.scatter([value], [new_key(name)])[0]


async def fetched(session: Session, job_id: str, key: str) -> Any:
    """Return the result of a task of any client. Used on the background loop only."""
    from millstream._attached import find_future

    future = await find_future(session, job_id, key)
    return await future


async def _awaited(value: Any) -> Any:
    return await value


def _methods(value: Any) -> list[str]:
    """Names of what can be called, found without running properties."""
    found = []
    for name in dir(value):
        member = inspect.getattr_static(value, name, None)
        is_method = callable(member) or isinstance(member, staticmethod | classmethod | functools.partialmethod)
        if is_method and not name.startswith("__"):
            found.append(name)
    return found[:_MOST_METHODS]


def _access() -> Access:
    if "millstream_runtime" in sys.modules and GATEWAY_VARIABLE in os.environ:
        # Without a client, which takes much longer to import than anything here.
        return find_access(os.environ[GATEWAY_VARIABLE])
    return _session().access


def _session() -> Session:
    from millstream._client import get_client

    return get_client().session


def _transport() -> Transport:
    return _session().transport
