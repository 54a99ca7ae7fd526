"""What a client wants no more: single calls that it cancels or lets go of, and whole jobs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections import deque
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream import _aio
from millstream._errors import GatewayError, MillstreamError
from millstream._jobs import CANCELLED, PENDING, Fate, Job

if TYPE_CHECKING:
    from millstream._http import Transport

_log = logging.getLogger(__name__)

# How long futures that are dropped are gathered for one request for each job.
_GATHERED = 0.1
# Most keys in one request.
_MOST_KEYS = 100_000
# Before another try to stop a job that is just on its way.
_PAUSE = 0.003


class GivenUp:
    """Tells the cluster what nobody here wants any more.

    A future that is dropped only leaves a note (:meth:`note`); all else happens on the background loop.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._noted: deque[weakref.ref[Job]] = deque()
        self._is_awake = False
        self._running: set[asyncio.Task[None]] = set()
        self.is_closed = False

    # ---- results that were dropped while others of their job are held

    def note(self, job: Job) -> None:
        """Look soon at which calls of a job are held; in any thread, also while memory is collected."""
        if self.is_closed:
            return
        job.holders.is_noted = True
        # Not held here: a job that nobody holds is let go as a whole.
        self._noted.append(weakref.ref(job))
        if not self._is_awake:
            self._is_awake = True
            _aio.soon(self._wake)

    def _wake(self) -> None:
        self._start(self._release_noted())

    async def _release_noted(self) -> None:
        while not self.is_closed:
            await asyncio.sleep(_GATHERED)
            for job_id, keys in self._take_noted():
                # Only advice: what is not released now goes with its job.
                with contextlib.suppress(Exception):
                    await self._tell(job_id, "release", keys)
            if self._noted:
                continue
            self._is_awake = False
            # A note of this very moment may have found it awake.
            if not self._noted:
                return

    def _take_noted(self) -> list[tuple[str, list[str]]]:
        """The keys to be released, by job."""
        taken = []
        while self._noted:
            job = self._noted.popleft()()
            # One that is not there yet is noted once it is.
            if job is None or not job.is_accepted:
                continue
            job.holders.is_noted = False
            _read_notes(job)
            numbers, job.given_up = job.given_up, []
            if numbers:
                taken.append((job.id, [job.key_of(number) for number in numbers]))
        return taken

    async def accepted(self, job: Job) -> None:
        """Tell what was given up of a job before the cluster had it."""
        job.is_accepted = True
        try:
            await self._call_off(job)
        except MillstreamError as error:
            _log.warning("tasks of job %s were not cancelled: %s", job.id, error)
        job.holders.is_noted = False
        if job.holders.notes or job.given_up:
            self.note(job)

    # ---- cancelling

    async def cancel(self, job: Job, numbers: Sequence[int]) -> None:
        """Cancel calls and what reads them; with the last one that is held and undecided, the job."""
        doomed = job.with_readers(number for number in numbers if job.states[number] == PENDING)
        for number in doomed:
            job.settle(number, CANCELLED)
        if job.is_over or not (doomed or job.is_lasting):
            return
        # Nobody waits for what was dropped.
        _read_notes(job)
        if all(job.states[number] != PENDING for number in job.wanted()):
            await self.cancel_job(job)
            return
        job.called_off += doomed
        if job.is_accepted:
            await self._call_off(job)

    async def _call_off(self, job: Job) -> None:
        numbers, job.called_off = job.called_off, []
        try:
            await self._tell(job.id, "cancel", [job.key_of(number) for number in numbers])
        except GatewayError as error:
            # It may have ended and been removed meanwhile.
            if error.code != "unknown_job":
                raise

    async def _tell(self, job_id: str, what: str, keys: Sequence[str]) -> None:
        import msgpack

        for start in range(0, len(keys), _MOST_KEYS):
            content = msgpack.packb({"keys": keys[start : start + _MOST_KEYS]})
            await self._transport.request("POST", f"/v1/jobs/{job_id}/{what}", content=content)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        # The loop itself holds tasks weakly.
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    # ---- whole jobs

    async def cancel_job(self, job: Job) -> None:
        """Stop a job, also one that is just on its way to the cluster."""
        job.fate.is_cancelled = True
        while job.fate.is_sent and not job.is_over:
            try:
                await self._transport.request("DELETE", f"/v1/jobs/{job.id}")
                break
            except GatewayError as error:
                if error.code != "unknown_job" or job.state != "sealed":
                    raise
                await asyncio.sleep(_PAUSE)
        job.end("cancelled")

    def abandoned(self, job_id: str, fate: Fate) -> None:
        """Let a job go that nobody holds a future of; in any thread, also while memory is collected."""
        if fate.is_kept or not fate.is_sent or self.is_closed:
            return
        _aio.soon(partial(self._start_letting_go, job_id, fate.is_over))

    def _start_letting_go(self, job_id: str, is_over: bool) -> None:
        self._start(self._let_go(job_id, is_over=is_over))

    async def _let_go(self, job_id: str, *, is_over: bool) -> None:
        # What cannot be let go now is let go when its time is over.
        with contextlib.suppress(Exception):
            if not is_over:
                await self._transport.request("DELETE", f"/v1/jobs/{job_id}", tries=1)
            await self._transport.request("GET", f"/v1/jobs/{job_id}", params={"wait": "10s"}, tries=1)
            await self._transport.request("DELETE", f"/v1/jobs/{job_id}", params={"remove": "true"}, tries=1)


def _read_notes(job: Job) -> None:
    """Give up the calls that nobody holds any more, unless others may want them."""
    gone = job.holders.gone()
    # An actor is held by those that call it, not by its future.
    if gone and not job.fate.is_kept and not job.is_lasting:
        job.give_up(gone)
