"""Submits the tasks that actors live in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream._actor_task import ActorTask
from millstream._compile import make_group
from millstream._functions import NativeFunction
from millstream._future import Future
from millstream._options import TaskOptions
from millstream._task import Literals, Task

if TYPE_CHECKING:
    from millstream._jobs import Job
    from millstream._session import Session


def make_actors(
    session: Session,
    function: Any,
    calls: Sequence[tuple[tuple[Any, ...], dict[str, Any]]],
    keys: list[str] | str,
    options: TaskOptions,
    *,
    pure: bool,
) -> list[Future[Any]]:
    """Start an actor for each call of a class, or of a function that returns the object; return their futures."""
    if isinstance(function, NativeFunction) or not callable(function):
        raise TypeError(f"an actor is an object of a Python class, got {function!r}")
    if pure:
        raise ValueError("an actor has state: it cannot be pure")
    if options.retries:
        raise ValueError("an actor's state is lost with it, so it is not made again: leave retries= out")
    task = ActorTask(function)
    options = options.merged({"rerun": "never"})
    names = keys if isinstance(keys, list) else [f"{keys}-{number}" for number in range(len(calls))]
    futures = []
    for (args, kwargs), key in zip(calls, names, strict=True):
        actor = str(uuid.uuid4())
        address = (actor, session.actor_calls.address)
        prepare = partial(session.actor_calls.expect, actor)
        futures.append(_send(session, task, ((address, *args), kwargs), key, options, prepare))
    return futures


def _send(
    session: Session,
    task: ActorTask,
    call: tuple[tuple[Any, ...], dict[str, Any]],
    key: str,
    options: TaskOptions,
    prepare: Callable[[Job], None],
) -> Future[Any]:
    """Send a task in a job of its own, so that each actor can be let go; `prepare` sees the job before."""
    with session.building(), session._lock:
        functions, literals = session.functions(), Literals()
        group = make_group(task, [call], [key], functions=functions, literals=literals, options=options)
        if any(isinstance(target, Task) for target in group.references_of(0)):
            raise TypeError(f"{key}: an argument is lazy: compute or persist it first")
        job = session._new_draft()
        job.is_lasting = True
        prepare(job)
        session._place([group], job)
    session.flush()
    return Future(session, job, 0)
