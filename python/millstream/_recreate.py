"""Calls tasks that failed in the client's own process."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Any

from millstream import _aio
from millstream._executor.inputs import arguments
from millstream._executor.ops import Op
from millstream._jobs import FAILED, STORED, Job
from millstream._results import decode_result
from millstream._task import Literal

if TYPE_CHECKING:
    from millstream._future import Future
    from millstream._session import Session


class _Given:
    """An input whose value is known."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def value(self) -> Any:
        return self._value


def recreate(session: Session, future: Future[Any]) -> None:
    """Call what failed, which raises here what it raised there."""
    session.wait_for([future])
    if future._job.states[future._number] != FAILED:
        raise ValueError(f"task {future.key!r} did not fail: it is {future.status}")
    job, number = _culprit(future._job, future._number)
    _call(session, job, number)


def _culprit(job: Job, number: int) -> tuple[Job, int]:
    """The failed task that is the cause: none of its inputs failed."""
    while True:
        if job.kinds is not None:
            raise ValueError(f"job {job.id} was submitted elsewhere: only its own client knows the arguments")
        for target in _references(job, number):
            source = (job, target) if isinstance(target, int) else None
            if not isinstance(target, int | Literal):
                target = job.source_of(target)
                source = (target._job, target._number)
            if source is not None and source[0].states[source[1]] == FAILED:
                job, number = source
                break
        else:
            return job, number


def _references(job: Job, number: int) -> Any:
    group, at = job.group_of(number)
    return group.references_of(at)


def _call(session: Session, job: Job, number: int) -> Any:
    group, at = job.group_of(number)
    if group.op.kind != "python":
        raise ValueError(f"task {job.key_of(number)!r} runs {group.op.name}, which is no Python function")
    inputs = [_Given(_value(session, job, target)) for target in group.references_of(at)]
    args, kwargs = arguments(group.params[at], inputs, -1)
    return Op(group.op.name, group.op.params).function()(*args, **kwargs)


def _value(session: Session, job: Job, target: Any) -> Any:
    if isinstance(target, Literal):
        return target.value
    if not isinstance(target, int):
        return job.source_of(target).result()
    if job.states[target] == STORED and target in set(job.wanted()):
        try:
            raws = _aio.wait(session.fetcher.raws(job, [target]))
        except (OSError, concurrent.futures.CancelledError):
            raws = {}
        if isinstance(raws, dict) and target in raws:
            return decode_result(job.kind_of(target), raws[target])
    # Let go after its readers: made again, here.
    return _call(session, job, target)
