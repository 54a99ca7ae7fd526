"""The conversation with one cluster: gathers calls into jobs, submits them, follows them, brings results back.

Calls are added from any thread. What is added within a few milliseconds goes out as one job; as soon as somebody waits
for a result, at once. Everything else happens on the background loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from millstream import _aio, _remote, _turn
from millstream._access import Access
from millstream._companions import Luggage
from millstream._compile import Functions, Group, make_group
from millstream._errors import ResultLostError
from millstream._fetch import Fetcher
from millstream._follow import follow, submit, why_not_done
from millstream._future import Future, by_job, refuse_lasting, refuse_released, wait_in_loop
from millstream._give_up import GivenUp
from millstream._graph import with_inputs
from millstream._http import Transport
from millstream._jobs import PENDING, WITHOUT_RESULT, Job
from millstream._options import PLAIN, Duration, TaskOptions, patience
from millstream._presence import Presence
from millstream._results import decode_result
from millstream._retry import retry
from millstream._task import Literal, Literals, given_names
from millstream._uploads import LARGE_UPLOAD, UPLOAD_OP, Uploads, size_of

if TYPE_CHECKING:
    from millstream._actor_calls import ActorCalls

# How long a draft waits for company while nobody waits for it, and at most while calls keep coming.
_PAUSE = 0.003
_LONGEST_PAUSE = 0.1


class Place(Protocol):
    """Something that is held on the cluster until it is given up."""

    async def leave(self) -> None:
        """Give it up."""


class Session:
    """One client's conversation with its cluster."""

    def __init__(
        self, access: Access, *, name: str = "", serializer: str = "cloudpickle", attached: bool = False
    ) -> None:
        self.access = access
        self.name = name
        self.serializer = serializer
        self.luggage = Luggage()
        self.transport: Transport = _aio.wait(_make_transport(access))
        self.fetcher = Fetcher(self.transport)
        self.uploads = Uploads(self.transport)
        self.given_up = GivenUp(self.transport)
        self.presence = Presence(self.transport) if attached else None
        # What keeps the tables and views that statements make.
        self.names = self.presence or Presence(self.transport)
        self.is_closed = False
        self._lock = threading.RLock()
        self._draft: Job | None = None
        self._blocked: Job | None = None
        self._drafts: list[Job] = []
        self._building = 0
        self._added_at = 0.0
        self._is_flush_due = False
        # Futures of what goes on although nobody holds it.
        self._pinned: dict[Job, list[Future[Any]]] = {}
        self._jobs: weakref.WeakSet[Job] = weakref.WeakSet()
        self._callers: ThreadPoolExecutor | None = None
        # Whether its user awaits what takes time.
        self.is_async = False
        self._actor_calls: ActorCalls | None = None
        # What is held of locks and semaphores, to be given up at the end.
        self.places: set[Place] = set()

    # ---- adding calls

    def functions(self, env: Any = None) -> Functions:
        """Return what makes this client's operations; those that are given no environment have `env`."""
        return Functions(self.serializer, self.luggage, env)

    def call(
        self,
        function: Any,
        calls: Sequence[tuple[tuple[Any, ...], dict[str, Any]]],
        keys: list[str] | str,
        *,
        options: TaskOptions = PLAIN,
        pure: bool = False,
    ) -> list[Future[Any]]:
        """Add calls of one function; return their futures."""
        with self.building():
            group = make_group(
                function, calls, keys, functions=self.functions(), literals=Literals(), options=options, pure=pure
            )
            # Lazy values among the arguments are made where the call is made.
            job, firsts = self._place(with_inputs(group, self.functions(options.env)))
        first = firsts[-1]
        return [Future(self, job, first + number) for number in range(len(group))]

    def call_groups(self, groups: Sequence[Group]) -> list[Future[Any]]:
        """Add groups whose calls refer to each other by position; return the futures of the wanted ones.

        In `references` an integer is the number of a call counted from the first of `groups`.
        """
        with self.building():
            job, firsts = self._place(groups)
        return [
            Future(self, job, first + number)
            for first, group in zip(firsts, groups, strict=True)
            if group.wanted
            for number in range(len(group))
        ]

    @property
    def actor_calls(self) -> ActorCalls:
        """What calls actors."""
        with self._lock:
            if self._actor_calls is None:
                from millstream._actor_calls import ActorCalls

                self._actor_calls = ActorCalls(self)
            return self._actor_calls

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Hold back what is not sent yet while more is being made that may belong to it."""
        self._check_open()
        with self._lock:
            self._building += 1
        try:
            yield
        finally:
            with self._lock:
                self._building -= 1
                self._added_at = time.monotonic()
                if not self._is_flush_due and (self._draft or self._blocked):
                    self._is_flush_due = True
                    _aio.spawn(self._flush_later())

    def scatter(self, values: Sequence[Any], keys: list[str]) -> list[Future[Any]]:
        """Add values as results; large ones go to the workers ahead of the job, pickled once."""
        large = [size_of(value) > LARGE_UPLOAD for value in values]
        futures: dict[int, Future[Any]] = {}
        for kind in (False, True):
            chosen = [number for number, is_large in enumerate(large) if is_large is kind]
            if not chosen:
                continue
            named = [keys[number] for number in chosen]
            if kind:
                references: list[Sequence[Any]] = [[Literal(values[number])] for number in chosen]
                group = Group(UPLOAD_OP, PLAIN, [b""] * len(chosen), references, named)
                made = self.call_groups([group])
            else:
                calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((values[number],), {}) for number in chosen]
                made = self.call(_remote.identity, calls, named, pure=True)
            futures.update(zip(chosen, made, strict=True))
        self.flush()
        return [futures[number] for number in range(len(values))]

    def _place(self, groups: Sequence[Group], job: Job | None = None) -> tuple[Job, list[int]]:
        """Put groups into a job that has not been sent: the one given, or one that suits what they refer to."""
        targets = {
            target
            for group in groups
            for references in group.references or ()
            for target in references
            if isinstance(target, Future)
        }
        for target in targets:
            if target._session is not self:
                raise ValueError(f"future {target.key!r} belongs to another client: pass its result instead")
        refuse_released(targets)
        with self._lock:
            job = job or self._job_for(targets)
            names = set().union(*(given_names(group.keys) for group in groups))
            if not names.isdisjoint(job.names):
                # Keys are unique within a job only: what has them goes ahead.
                self.flush()
                job = self._job_for(targets)
            job.names |= names
            base = len(job.states)
            for group in groups:
                if group.references:
                    group.references = [
                        [_local(target, job, base) for target in references] for references in group.references
                    ]
            firsts = [job.add(group) for group in groups]
            elsewhere = (target for target in targets if target._job is not job and target not in job.sources)
            job.sources |= {target: target.twin() for target in elsewhere}
            return job, firsts

    def _job_for(self, targets: set[Future[Any]]) -> Job:
        unsent = {target._job for target in targets if target._job.state == "draft"}
        must_wait = any(not target.done() and target._job.state != "draft" for target in targets)
        if not must_wait and len(unsent) == 1:
            return unsent.pop()
        if must_wait or unsent:
            if self._blocked is None:
                self._blocked = self._new_draft()
            return self._blocked
        if self._draft is None:
            self._draft = self._new_draft()
        return self._draft

    def _new_draft(self) -> Job:
        job = Job(self.name)
        self._drafts.append(job)
        self._jobs.add(job)
        return job

    # ---- sending

    async def _flush_later(self) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(_PAUSE)
            with self._lock:
                now = time.monotonic()
                is_quiet = not self._building and now - self._added_at >= _PAUSE
                if is_quiet or (not self._building and now - began >= _LONGEST_PAUSE):
                    self._is_flush_due = False
                    self.flush()
                    return

    def flush(self) -> None:
        """Send everything that was added."""
        with self._lock:
            drafts, self._drafts = self._drafts, []
            self._draft = self._blocked = None
            for job in drafts:
                job.state = "sealed"
        for job in drafts:
            weakref.finalize(job, self.given_up.abandoned, job.id, job.fate)
            _aio.spawn(self._send(job))

    async def _send(self, job: Job) -> None:
        try:
            await _all_over(job.sources.values())
            carried = await self.fetcher.carry(job.sources)
            if job.fate.is_cancelled:
                return
            if (presence := self.actor_calls.presence if job.is_lasting else self.presence) is not None:
                job.options["attached_to"] = await presence.id()
            placed = await self.uploads.place(job.groups)
            job.uploads.update(placed.values())
            for source in {source._job for source in job.sources.values()}:
                job.uploads |= source.uploads
            view = await submit(self.transport, job, carried, placed)
            if view is None:
                return
            del placed, carried
            await self.given_up.accepted(job)
        except Exception as error:
            # Whoever waits for one of its futures is told.
            job.end("failed", error)
            return
        reference = weakref.ref(job)
        del job
        await follow(self.transport, reference, view)

    # ---- waiting and gathering

    def wait_for(self, futures: Sequence[Future[Any]], timeout: Duration | None = None) -> None:
        """Wait until all are over."""
        if _aio.is_own_thread():
            raise RuntimeError("a synchronous wait would stop what it waits for here: await the future")
        self.flush()
        timeout = patience(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        for job, numbers in by_job(futures).items():
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not _turn.patiently(partial(job.wait, numbers), left):
                # Who only polls must not wait for the reason, too.
                reason = _aio.wait(why_not_done(self.transport, job, numbers)) if (timeout or 0) >= 1 else ""
                raise TimeoutError(f"{len(numbers)} task(s) of job {job.id} not done within {timeout} s{reason}")

    async def done_async(self, futures: Sequence[Future[Any]]) -> None:
        """Wait, in any loop, until all are over."""
        self.flush()
        for future in futures:
            if not future.done():
                with _turn.waiting():
                    await wait_in_loop(lambda done, it=future: it._job.when_done(it._number, done))  # type: ignore[misc]

    def gather(self, futures: Sequence[Future[Any]], errors: str = "raise") -> list[Any]:
        """Return the values of futures that are over; raise the first exception, or skip failures."""
        return self._values(futures, _aio.wait(self._fetch(futures, errors)), errors)

    async def gather_async(self, futures: Sequence[Future[Any]], errors: str = "raise") -> list[Any]:
        """Like :meth:`gather`, in any loop."""
        raws = await asyncio.wrap_future(_aio.spawn(self._fetch(futures, errors)))
        return self._values(futures, raws, errors)

    async def _fetch(self, futures: Sequence[Future[Any]], errors: str) -> dict[Job, dict[int, bytes]] | BaseException:
        """Return stored results, or what the first task that failed raised."""
        failed = [future for future in futures if future._job.states[future._number] in WITHOUT_RESULT]
        if failed and errors == "raise":
            first = failed[0]
            # Returned, because a task may raise what ends the loop that raises it: `SystemExit`, `KeyboardInterrupt`.
            return await self.fetcher.error(first._job, first._number)
        jobs = by_job([future for future in futures if future not in set(failed)] if failed else futures)
        raws: dict[Job, dict[int, bytes]] = {}
        for job, numbers in jobs.items():
            found = await self.fetcher.raws(job, numbers)
            if isinstance(found, BaseException):
                return found
            raws[job] = found
        return raws

    def _values(
        self, futures: Sequence[Future[Any]], raws: dict[Job, dict[int, bytes]] | BaseException, errors: str
    ) -> list[Any]:
        if isinstance(raws, BaseException):
            raise raws
        values = []
        for future in futures:
            raw = raws.get(future._job, {}).get(future._number)
            if raw is None:
                if errors == "skip":
                    continue
                raise ResultLostError(f"the result of {future.key!r} is gone")
            # A value for each, though equal in bytes: they may be changed.
            values.append(decode_result(future._job.kind_of(future._number), raw))
        return values

    def exception_of(self, future: Future[Any]) -> BaseException | None:
        """Return what a task that is over raised."""
        if future._job.states[future._number] not in WITHOUT_RESULT:
            return None
        return _aio.wait(self.fetcher.error(future._job, future._number))

    def call_back(self, callback: Callable[[Any], Any], future: Future[Any]) -> None:
        """Call a user's callback in a thread where it may wait for other futures."""
        with self._lock:
            if self._callers is None:
                self._callers = ThreadPoolExecutor(4, thread_name_prefix="millstream-callback")
        self._callers.submit(callback, future)

    # ---- stopping

    def cancel(self, futures: Sequence[Future[Any]]) -> None:
        """Stop tasks and what reads them; a job of which nothing else is wanted is stopped as a whole."""
        self.flush()
        for job, numbers in by_job(futures).items():
            # An actor's future is over as soon as the actor is there.
            if job.is_lasting or any(job.states[number] == PENDING for number in numbers):
                _aio.wait(self.given_up.cancel(job, numbers))

    def retry(self, futures: Sequence[Future[Any]]) -> None:
        """Run tasks that failed again; their futures then stand for the new runs."""
        refuse_lasting(futures, "is not made again: submit another actor")
        refuse_released(futures)
        retry(self, futures)

    def keep(self, futures: Sequence[Future[Any]]) -> list[str]:
        """Let jobs and their results outlive this client; return their ids."""
        if self.presence is not None:
            raise ValueError("the client was opened with attached=True: its jobs end with it")
        refuse_lasting(futures, "ends with its client")
        refuse_released(futures)
        self.flush()
        jobs = list(by_job(futures))
        for job in jobs:
            job.fate.is_kept = True
            for upload in job.uploads:
                upload.life.is_kept = True
        return [job.id for job in jobs]

    def pin(self, futures: Sequence[Future[Any]]) -> None:
        """Let tasks go on to their end although nobody holds their futures."""
        self.flush()
        for future in futures:
            self._pinned.setdefault(future._job, []).append(future.twin())
        for job in by_job(futures):
            job.when_over(partial(self._pinned.pop, job, None))

    def adopt(self, job: Job) -> None:
        """Count a job of another client among those that this one holds futures of."""
        self._jobs.add(job)

    def jobs(self) -> list[Job]:
        """The jobs that this client holds futures of."""
        return list(self._jobs)

    def close(self) -> None:
        """Cancel what goes on and was not kept, and end the conversation."""
        if self.is_closed:
            return
        self.is_closed = self.given_up.is_closed = True
        running = [job for job in self._jobs if not job.is_over and not job.fate.is_kept]
        with contextlib.suppress(Exception):
            _aio.wait(self._close([job for job in running if job not in self._pinned]), timeout=10)
        if self._callers is not None:
            self._callers.shutdown(wait=False)

    async def _close(self, running: Sequence[Job]) -> None:
        for job in running:
            with contextlib.suppress(Exception):
                if job.fate.is_sent:
                    await self.transport.request("DELETE", f"/v1/jobs/{job.id}", tries=1)
            job.end("cancelled")
        if self._actor_calls is not None:
            await self._actor_calls.close()
        await self.uploads.close()
        for place in list(self.places):
            with contextlib.suppress(Exception):
                await place.leave()
        with contextlib.suppress(Exception):
            await self.names.end()
        await self.transport.close()

    def _check_open(self) -> None:
        if self.is_closed:
            raise RuntimeError("the client is closed")


async def _make_transport(access: Access) -> Transport:
    return Transport(access)


async def _all_over(futures: Iterable[Future[Any]]) -> None:
    for future in futures:
        await wait_in_loop(partial(future._job.when_done, future._number))


def _local(target: Any, job: Job, base: int) -> Any:
    """A reference within a job by number: futures of it, and calls counted from the first that is being added."""
    if isinstance(target, int):
        return base + target
    if isinstance(target, Future) and target._job is job:
        return target._number
    return target
