"""Which calls are made once more when a task is retried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from millstream._compile import Group
from millstream._future import Future, another, by_job
from millstream._jobs import WITHOUT_RESULT, Job

if TYPE_CHECKING:
    from millstream._session import Session


def retry(session: Session, futures: Sequence[Future[Any]]) -> None:
    """Submit the calls of futures that failed once more, with what they need; the futures then stand for these."""
    failed = _with_failed_inputs([future for future in futures if future.status in ("error", "cancelled")])
    for future in failed:
        # What it was given may be gone with its workers.
        session.uploads.forget(future._job.uploads)
    for job, numbers in by_job(failed).items():
        groups, positions = _again(session, job, numbers)
        new, firsts = session._place(groups)
        base = firsts[0]
        for future in failed:
            if future._job is job:
                future._job, future._number = new, base + positions[future._number]
    session.flush()


def _with_failed_inputs(futures: Sequence[Future[Any]]) -> list[Future[Any]]:
    """Futures that failed, and those of other jobs that failed before them, inputs first."""
    found: dict[int, Future[Any]] = {}
    stack: list[tuple[Job, int]] = []
    seen: set[tuple[Job, int]] = set()
    for future in futures:
        found[id(future)] = future
        stack.append((future._job, future._number))
    while stack:
        job, number = place = stack.pop()
        if place in seen or job.kinds is not None:
            continue
        seen.add(place)
        for target in _references(job, number):
            if isinstance(target, int) and job.states[target] in WITHOUT_RESULT:
                stack.append((job, target))
            elif isinstance(target, Future) and target.status in ("error", "cancelled"):
                found[id(target)] = target
                stack.append((target._job, target._number))
    return list(found.values())[::-1]


def _again(session: Session, job: Job, numbers: Sequence[int]) -> tuple[list[Group], dict[int, int]]:
    """Copy calls, and what they need of the same job and is not there, to be made in another one."""
    needed: set[int] = set()
    stack = list(numbers)
    while stack:
        number = stack.pop()
        if number in needed:
            continue
        needed.add(number)
        stack += [
            target
            for target in _references(job, number)
            if isinstance(target, int) and job.states[target] in WITHOUT_RESULT
        ]
    positions = {number: position for position, number in enumerate(sorted(needed))}
    groups = []
    for number in positions:
        group, at = job.group_of(number)
        references = [
            target
            if not isinstance(target, int)
            else positions[target]
            if target in positions
            else another(session, job, target)
            for target in _references(job, number)
        ]
        # What nobody asked for is let go after its readers.
        wanted = number in numbers
        groups.append(Group(group.op, group.options, [group.params[at]], [references], [group.key_of(at)], wanted))
    return groups, positions


def _references(job: Job, number: int) -> list[Any]:
    """What a call refers to, where futures that the user has released are replaced by the job's own."""
    group, at = job.group_of(number)
    return [job.source_of(target) if isinstance(target, Future) else target for target in group.references_of(at)]
