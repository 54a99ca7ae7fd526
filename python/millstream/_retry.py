"""Which calls are made once more when a task is retried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from millstream._compile import Group
from millstream._future import Future
from millstream._jobs import CANCELLED, FAILED, Job

if TYPE_CHECKING:
    from millstream._session import Session


def with_failed_inputs(futures: Sequence[Future[Any]]) -> list[Future[Any]]:
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
        group, at = job.group_of(number)
        for target in group.references_of(at):
            if isinstance(target, int) and job.states[target] in (FAILED, CANCELLED):
                stack.append((job, target))
            elif isinstance(target, Future) and target.status in ("error", "cancelled"):
                found[id(target)] = target
                stack.append((target._job, target._number))
    return list(found.values())[::-1]


def again(session: Session, job: Job, numbers: Sequence[int]) -> tuple[list[Group], dict[int, int]]:
    """Copy calls and what they need of the same job, to be made in another one."""
    needed: set[int] = set()
    stack = list(numbers)
    while stack:
        number = stack.pop()
        if number in needed:
            continue
        needed.add(number)
        group, at = job.group_of(number)
        stack += [
            target
            for target in group.references_of(at)
            if isinstance(target, int) and job.states[target] in (FAILED, CANCELLED)
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
            else Future(session, job, target)
            for target in group.references_of(at)
        ]
        groups.append(Group(group.op, group.options, [group.params[at]], [references], [group.key_of(at)]))
    return groups, positions
