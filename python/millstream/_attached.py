"""Jobs that another client, or an earlier process, submitted."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from millstream import _aio
from millstream._errors import ResultLostError
from millstream._follow import follow
from millstream._future import Future, another
from millstream._jobs import GIVEN_UP, Job

if TYPE_CHECKING:
    from millstream._session import Session


class AttachedJob:
    """A job of another client; made by :meth:`Client.attach`.

    Attributes
    ----------
    id : str
        The job's id.
    futures : dict of str to Future
        Its wanted results by key.
    """

    def __init__(self, session: Session, job: Job) -> None:
        self._session = session
        self._job = job
        self.id = job.id
        self.futures: dict[str, Future[Any]] = {
            key: Future(session, job, number) for number, key in enumerate(job.keys)
        }

    @property
    def status(self) -> str:
        """The job's state, such as ``"running"`` or ``"succeeded"``.

        Examples
        --------
        >>> future = client.submit(abs, -5)
        >>> _ = client.wait(future)
        >>> client.attach(future.job_id).status in ('running', 'succeeded')
        True
        """
        return self._job.state

    def gather(self, errors: str = "raise") -> list[Any]:
        """Wait for all results and return them, in the order in which they were submitted.

        Examples
        --------
        >>> futures = client.map(abs, [-1, -2])
        >>> _ = client.wait(futures)
        >>> client.attach(futures[0].job_id).gather()
        [1, 2]
        """
        futures = list(self.futures.values())
        self._session.wait_for(futures)
        return self._session.gather(futures, errors)

    def cancel(self) -> None:
        """Stop the job.

        Examples
        --------
        >>> import time
        >>> future = client.submit(time.sleep, 600)
        >>> client.attach(future.job_id).cancel()
        """
        _aio.wait(self._session.given_up.cancel_job(self._job))

    def release(self) -> None:
        """Give the results up: they are let go once no client holds their futures."""
        self._job.fate.is_kept = False

    def __repr__(self) -> str:
        return f"<AttachedJob {self.id} {self.status}, {len(self.futures)} results>"


def attach(session: Session, job_id: str) -> AttachedJob:
    """Attach to a job."""
    return AttachedJob(session, _aio.wait(_attach(session, job_id)))


async def _attach(session: Session, job_id: str) -> Job:
    job = await session.fetcher.attach(job_id)
    view = {"state": job.state}
    job.state = "running"
    weakref.finalize(job, session.given_up.abandoned, job.id, job.fate)
    session.adopt(job)
    _aio.spawn(follow(session.transport, weakref.ref(job), view))
    return job


async def find_future(session: Session, job_id: str, key: str) -> Future[Any]:
    """Return the future of a task, of this client's own job or of another's. Used on the background loop only."""
    own = next((job for job in session.jobs() if job.id == job_id), None)
    job = own or await _attach(session, job_id)
    for number in range(len(job.states)):
        if job.key_of(number) == key:
            if job.states[number] == GIVEN_UP:
                raise job.released(number)
            return another(session, job, number)
    raise ResultLostError(f"job {job_id} has no result {key!r}")
