"""A job as its client sees it: which calls it makes, and what is known of each.

Written by the background loop, read and waited for by any thread.
"""

from __future__ import annotations

import bisect
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from millstream._compile import Group
from millstream._errors import CancelledError, ResultLostError
from millstream._holders import Holders
from millstream._uploads import Upload

# Those of the journal; what was given up is known to this client alone.
PENDING, STORED, RELEASED, FAILED, CANCELLED, GIVEN_UP = range(6)

STATUS_NAMES = {
    PENDING: "pending",
    STORED: "finished",
    RELEASED: "finished",
    FAILED: "error",
    CANCELLED: "cancelled",
    GIVEN_UP: "released",
}

# Calls that are over and have no result here.
WITHOUT_RESULT = frozenset((FAILED, CANCELLED, GIVEN_UP))

# The journal marks tasks besides: those whose results were read (0x80) or given up (0x40), and the like. Here that says
# nothing.
_MARKS = 0xF0
_PLAIN_STATES = bytes(byte & ~_MARKS for byte in range(256))

TERMINAL = frozenset(("succeeded", "failed", "cancelled"))


class Fate:
    """What is to become of a job when its client has no future of it any more; outlives the :class:`Job`."""

    def __init__(self) -> None:
        self.is_sent = False
        self.is_over = False
        self.is_kept = False
        self.is_cancelled = False


class Job:
    """One submission.

    Its calls are numbered from 0 in the order in which they were added; their tasks in the job's graph follow
    `offset` helper tasks.

    Attributes
    ----------
    id : str
        The job's id, made here.
    state : str
        ``"draft"`` until it is sent, then the cluster's word: ``"accepted"``, ``"running"``, ``"succeeded"``, ….
    groups : list of Group
        What it calls.
    """

    def __init__(self, name: str = "", options: dict[str, Any] | None = None, *, job_id: str | None = None) -> None:
        self.id = job_id or str(uuid.uuid4())
        self.name = name
        self.options = options or {}
        self.state = "draft"
        self.groups: list[Group] = []
        # Keys that the user chose, each of which a job may have once.
        self.names: set[str] = set()
        self.offset = 0
        self.counts: dict[str, int] = {}
        self.fate = Fate()
        # An actor's goes on until it is stopped; its result is there long before.
        self.is_lasting = False
        # With one wanted result there is nothing to look for before the end.
        self.is_single = False
        self.began = time.monotonic()
        self.ended: float | None = None
        # Futures of other jobs that it reads, and futures of its own for the same calls: the user may release theirs.
        self.sources: dict[Any, Any] = {}
        self.holders = Holders()
        # Whether the cluster has it, and of which calls it is to be told: those given up, those cancelled.
        self.is_accepted = False
        self.given_up: list[int] = []
        self.called_off: list[int] = []
        # What its tasks, or those of jobs that it reads from, may read again.
        self.uploads: set[Upload] = set()
        self.states = bytearray()
        self.raws: dict[int, bytes] = {}
        # How many results were asked for, and whether all small ones were taken over since the end.
        self.asked = 0
        self.is_listed = False
        self.kinds: list[str] | None = None
        self.errors: dict[int, BaseException] = {}
        self.error: BaseException | None = None
        self.keys: list[str] = []
        self.tasks: Sequence[int] = ()
        self._starts: list[int] = []
        self._pending = 0
        self._changed = threading.Condition()
        self._callbacks: dict[int, list[Callable[[], None]]] = {}
        self._end_callbacks: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.state}, {len(self.states)} tasks>"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in TERMINAL

    def add(self, group: Group) -> int:
        """Add calls; return the number of the first."""
        first = len(self.states)
        self._starts.append(first)
        self.groups.append(group)
        self.states.extend(bytes(len(group)))
        self._pending += len(group)
        return first

    def restore(self, keys: Sequence[str], kinds: list[str], tasks: Sequence[int] = ()) -> None:
        """Take over the outputs of a job that another client submitted; `tasks` are their numbers in its graph."""
        self.kinds = kinds
        self.keys = list(keys)
        self.tasks = tasks
        self.states = bytearray(len(keys))
        self._pending = len(keys)

    def group_of(self, number: int) -> tuple[Group, int]:
        """Return the group that holds a call, and the call's number in it."""
        position = bisect.bisect_right(self._starts, number) - 1
        return self.groups[position], number - self._starts[position]

    def key_of(self, number: int) -> str:
        """Return the key of a call."""
        if self.kinds is not None:
            return self.keys[number]
        group, position = self.group_of(number)
        return group.key_of(position)

    def task_of(self, number: int) -> int:
        """Return the number of a call's task in the job's graph."""
        return int(self.tasks[number]) if self.tasks else self.offset + number

    def kind_of(self, number: int) -> str:
        """Return the kind of a call's operation."""
        if self.kinds is not None:
            return self.kinds[number]
        return self.group_of(number)[0].op.kind

    def wanted(self) -> list[int]:
        """Return the numbers of the calls whose results are kept, in the order of the job's outputs."""
        if self.kinds is not None:
            return list(range(len(self.states)))
        return [
            number
            for start, group in zip(self._starts, self.groups, strict=True)
            if group.wanted
            for number in range(start, start + len(group))
        ]

    def source_of(self, target: Any) -> Any:
        """Return what stands for a future of another job among the references of the calls."""
        return self.sources.get(target, target) if target.status == "released" else target

    def with_readers(self, numbers: Iterable[int]) -> list[int]:
        """Return calls and all of this job that read them, directly or not."""
        found = set(numbers)
        if not found:
            return []
        # What is referred to comes before what refers to it.
        for start, group in zip(self._starts, self.groups, strict=True):
            for number, references in enumerate(group.references or (), start):
                if any(isinstance(target, int) and target in found for target in references):
                    found.add(number)
        return sorted(found)

    def forget_calls(self) -> None:
        """Let the arguments go, unless a call may be made again."""
        if CANCELLED not in self.states or all(self.states[number] != CANCELLED for number in self.wanted()):
            for group in self.groups:
                group.forget()
            self.sources = {}

    def update(self, graph_states: bytes) -> None:
        """Take over the states of the graph's tasks, as far as they are known."""
        if self.tasks:
            known = len(graph_states)
            states = bytes(graph_states[task] if task < known else PENDING for task in self.tasks)
        else:
            states = graph_states[self.offset : self.offset + len(self.states)]
        states = states.translate(_PLAIN_STATES)
        if bytes(self.states[: len(states)]) == states:
            return
        with self._changed:
            fresh = [
                number
                for number, (old, new) in enumerate(zip(self.states, states, strict=False))
                if new != PENDING and old == PENDING
            ]
            for number in fresh:
                self.states[number] = states[number]
            self._pending -= len(fresh)
            callbacks = self._take_callbacks(fresh)
            self._changed.notify_all()
        _call(callbacks)

    def settle(self, number: int, state: int, error: BaseException | None = None) -> None:
        """Decide one call."""
        with self._changed:
            if self.states[number] != PENDING:
                return
            if error is not None:
                self.errors[number] = error
            self.states[number] = state
            self._pending -= 1
            callbacks = self._take_callbacks([number])
            self._changed.notify_all()
        _call(callbacks)

    def give_up(self, numbers: Sequence[int]) -> None:
        """Forget the results of calls that nobody here holds any more; the cluster is to be told."""
        with self._changed:
            given_up = [number for number in numbers if self.states[number] not in WITHOUT_RESULT]
            self._pending -= sum(self.states[number] == PENDING for number in given_up)
            for number in given_up:
                self.states[number] = GIVEN_UP
                self.raws.pop(number, None)
            self.given_up += given_up
            callbacks = self._take_callbacks(given_up)
            self._changed.notify_all()
        _call(callbacks)

    def end(self, state: str, error: BaseException | None = None) -> None:
        """Record the job's end; calls that are undecided end with it."""
        with self._changed:
            self.error = error
            self.state = state
            self.fate.is_over = True
            self.ended = time.monotonic()
            rest = STORED if state == "succeeded" else CANCELLED if state == "cancelled" else FAILED
            fresh = [number for number, old in enumerate(self.states) if old == PENDING]
            for number in fresh:
                self.states[number] = rest
            self._pending = 0
            callbacks = [*self._take_callbacks(fresh), *self._end_callbacks]
            self._end_callbacks = []
            self._changed.notify_all()
        _call(callbacks)

    def _take_callbacks(self, numbers: Sequence[int]) -> list[Callable[[], None]]:
        if not self._callbacks:
            return []
        return [callback for number in numbers for callback in self._callbacks.pop(number, ())]

    def when_done(self, number: int, callback: Callable[[], None]) -> None:
        """Call `callback` once the call is decided: at once if it is."""
        with self._changed:
            if self.states[number] == PENDING:
                self._callbacks.setdefault(number, []).append(callback)
                return
        callback()

    def when_over(self, callback: Callable[[], object]) -> None:
        """Call `callback` at the job's end: at once if it is over."""
        with self._changed:
            if not self.is_over:
                self._end_callbacks.append(callback)
                return
        callback()

    def wait(self, numbers: Sequence[int], timeout: float | None = None) -> bool:
        """Wait until all these calls are decided; whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: self.are_done(numbers), timeout)

    def are_done(self, numbers: Sequence[int]) -> bool:
        """Whether all these calls are decided."""
        if not self._pending:
            return True
        states = self.states
        return all(states[number] != PENDING for number in numbers)

    def cancelled(self, number: int) -> CancelledError:
        """The exception of a call that was cancelled."""
        return CancelledError(f"task {self.key_of(number)!r} of job {self.id} was cancelled")

    def released(self, number: int) -> ResultLostError:
        """The exception of a call whose result was given up."""
        return ResultLostError(f"the result of {self.key_of(number)!r} was released: submit the call again to have it")


def _call(callbacks: Sequence[Callable[[], object]]) -> None:
    for callback in callbacks:
        callback()


def released_job(job_id: str, key: str) -> Job:
    """Return what a future that was given up belongs to: it still tells its names."""
    job = Job(job_id=job_id)
    job.holders.ignore()
    job.restore([key], ["native"])
    job.give_up([0])
    job.end("cancelled")
    return job
