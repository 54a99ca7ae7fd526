"""Brings results and failures from the cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from millstream._compile import Carried
from millstream._errors import GatewayError, MillstreamError, ResultLostError
from millstream._http import Transport
from millstream._jobs import CANCELLED, GIVEN_UP, STORED, WITHOUT_RESULT, Job
from millstream._results import exception_of
from millstream._wire.columns import unpack, unpack_rows

if TYPE_CHECKING:
    from millstream._future import Future

# From here on, one exchange for all small results is cheaper than one each.
_MANY = 4
_AT_ONCE = 16
_INLINE = 2
# A result of this size that is here already is put into a job that reads it: that is cheaper than to refer to it.
_SMALL = 4096
_WAIT = "10s"
# How long a result that should be there may be missing in the index, which trails the job's end.
_INDEX_DELAY = 2.0
_INDEX_PAUSE = 0.02


class Fetcher:
    """Fetches results of jobs. Used on the background loop only."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._slots: asyncio.Semaphore | None = None

    async def raws(self, job: Job, numbers: Sequence[int]) -> dict[int, bytes] | BaseException:
        """Return stored results as they are, by number, or why one of them is not there."""
        found = {number: job.raws[number] for number in numbers if number in job.raws}
        missing = [number for number in dict.fromkeys(numbers) if number not in found]
        job.asked += len(missing)
        # Also for those who take one result after the other, once nothing more is to come.
        if len(missing) >= _MANY or (missing and job.asked >= _MANY and job.is_over and not job.is_listed):
            await self._list(job)
            found |= {number: job.raws[number] for number in missing if number in job.raws}
            missing = [number for number in missing if number not in found]
        if missing:
            fetched = await asyncio.gather(*(self._one(job, number) for number in missing))
            for number, raw in zip(missing, fetched, strict=True):
                if isinstance(raw, BaseException):
                    return raw
                found[number] = raw
        return found

    async def _list(self, job: Job) -> None:
        """Take over all small results at once."""
        job.is_listed = job.is_over
        view = await self._transport.call("GET", f"/v1/jobs/{job.id}/results")
        values, wanted = unpack_rows(view["values"]), job.wanted()
        if values and len(values) == len(wanted):
            rows = zip(wanted, view["held"], values, strict=True)
            job.raws.update({number: value for number, held, value in rows if held == _INLINE})

    async def _one(self, job: Job, number: int) -> bytes | BaseException:
        if self._slots is None:
            self._slots = asyncio.Semaphore(_AT_ONCE)
        path = f"/v1/jobs/{job.id}/results/{quote(job.key_of(number), safe='')}"
        deadline = time.monotonic() + _INDEX_DELAY
        async with self._slots:
            while True:
                try:
                    response = await self._transport.request("GET", path, params={"wait": _WAIT})
                except GatewayError as error:
                    is_stored = job.states[number] == STORED
                    if is_stored and "task_error" in error.problem and time.monotonic() < deadline:
                        # Another task's error: this one's result is about to be in the index.
                        await asyncio.sleep(_INDEX_PAUSE)
                        continue
                    return self._lost(job, number, error)
                if response.status_code == 200:
                    return response.content

    def _lost(self, job: Job, number: int, error: GatewayError) -> BaseException:
        if failure := error.problem.get("task_error"):
            return exception_of(job.key_of(number), failure)
        if error.status in (404, 410):
            return ResultLostError(f"the result of {job.key_of(number)!r} is gone: {error}")
        return error

    async def error(self, job: Job, number: int) -> BaseException:
        """Return what a task that failed raised, or why it did not run."""
        known = job.errors.get(number)
        if known is not None:
            return known
        if job.states[number] == CANCELLED:
            return job.cancelled(number)
        if job.states[number] == GIVEN_UP:
            return job.released(number)
        if job.error is not None:
            return job.error
        error = await self._failure(job, job.key_of(number))
        job.errors[number] = error
        return error

    async def _failure(self, job: Job, key: str) -> BaseException:
        """Follow a failure to its cause: a task whose input failed tells that input's."""
        seen: set[str] = set()
        while True:
            seen.add(key)
            task = await self._transport.call("GET", f"/v1/jobs/{job.id}/tasks/{quote(key, safe='')}")
            failure: dict[str, Any] = task.get("error") or {"message": "it failed"}
            attempt = task.get("attempts")
            if failure.get("kind") != "upstream_failed":
                return exception_of(key, failure, attempt)
            cause = await self._failed_input(job, task, seen)
            if cause is None:
                return exception_of(key, failure, attempt)
            key = cause

    async def _failed_input(self, job: Job, task: dict[str, Any], seen: set[str]) -> str | None:
        for dep in task.get("deps", ()):
            if dep in seen:
                continue
            view = await self._transport.call("GET", f"/v1/jobs/{job.id}/tasks/{quote(dep, safe='')}")
            if view.get("state") == "failed":
                return str(dep)
        return None

    async def carry(self, sources: Mapping[Future[Any], Future[Any]]) -> dict[Future[Any], Carried]:
        """Return the ends of tasks that are over, so that another job can use them, by what refers to them.

        Results stay on the cluster, but for small ones that are here already.
        """
        carried: dict[Future[Any], Carried] = {}
        for reference, future in sources.items():
            if future._job.states[future._number] in WITHOUT_RESULT:
                carried[reference] = Carried(error=await self.error(future._job, future._number))
            else:
                carried[reference] = _carried(future._job, future._number)
        return carried

    async def attach(self, job_id: str) -> Job:
        """Return a job that another client submitted, with all its wanted results."""
        deadline = time.monotonic() + _INDEX_DELAY
        while True:
            try:
                view = await self._transport.call("GET", f"/v1/jobs/{job_id}/results")
            except GatewayError as error:
                # One that was just accepted may not be in the journal yet.
                if error.code != "unknown_job" or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)
                continue
            keys = [key.decode() for key in unpack_rows(view["keys"])]
            if keys or time.monotonic() > deadline:
                break
            await asyncio.sleep(_INDEX_PAUSE)
        if not keys:
            raise MillstreamError(f"job {job_id} has no results that can be read")
        kinds = [view["kinds"][kind] for kind in unpack(view["kind"], 2)]
        job = Job(job_id=job_id)
        job.restore(keys, kinds, unpack(view["tasks"], 4))
        job.state = view["state"]
        job.fate.is_sent = job.fate.is_kept = job.is_accepted = True
        for number, held in enumerate(view["held"]):
            if held:
                job.settle(number, STORED)
        return job


def _carried(job: Job, number: int) -> Carried:
    raw = job.raws.get(number)
    if raw is not None and (len(raw) <= _SMALL or job.is_lasting):
        return Carried(job.kind_of(number), raw)
    return Carried(source=(job.id, job.task_of(number)))
