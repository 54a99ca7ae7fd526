"""Submits a job and follows it to its end."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from millstream._compile import Carried, JobBuilder
from millstream._errors import GatewayError, MillstreamError
from millstream._http import GRAPH, Transport
from millstream._jobs import PENDING, TERMINAL, Job
from millstream._task import Literal
from millstream._uploads import Upload

# Encoding more calls than this would keep the background loop from everything else.
_MANY_CALLS = 2_000
# How long a submission waits for the end: a small job is then one exchange.
_SHORT_WAIT = "50ms"
_LONG_WAIT = "10s"
# Pauses between looks at a job of which somebody may want single results early.
_FIRST_LOOK = 0.01
_LAST_LOOK = 0.3
_JOB_STATE = "millstream-job-state"


async def submit(
    transport: Transport, job: Job, carried: Mapping[Any, Carried], uploads: Mapping[Literal, Upload]
) -> dict[str, Any] | None:
    """Send a job; return where it stands a moment later, or None if it was cancelled before it was on its way."""
    builder = JobBuilder(job.groups, carried, uploads)
    if len(job.states) > _MANY_CALLS:
        graph = await asyncio.to_thread(builder.encode)
    else:
        graph = builder.encode()
    job.offset = builder.offset
    body = _body(job, graph)
    # Nothing may come between: who cancels later finds it sent, and tells the cluster.
    if job.fate.is_cancelled:
        return None
    job.fate.is_sent = True
    job.is_single = len(job.wanted()) <= 1
    view: dict[str, Any] = await transport.call(
        "POST",
        "/v1/jobs",
        content=body,
        content_type=GRAPH,
        params={"wait": _LONG_WAIT if job.is_single and not job.is_lasting else _SHORT_WAIT},
    )
    if view["state"] not in TERMINAL and not job.is_over:
        job.state = view["state"]
    return view


def _body(job: Job, graph: bytes) -> bytes:
    import msgpack

    name = job.name or _name_of(job)
    body: bytes = msgpack.packb({"id": job.id, "name": name, "options": job.options, "graph": graph})
    return body


def _name_of(job: Job) -> str:
    names = list(dict.fromkeys(group.op.name.rpartition(":")[2] for group in job.groups))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


async def follow(transport: Transport, reference: weakref.ref[Job], view: dict[str, Any]) -> None:
    """Follow a job until it is over or nobody holds it any more."""
    pause = _FIRST_LOOK
    while True:
        job = reference()
        if job is None or job.is_over:
            return
        try:
            if view and view["state"] in TERMINAL:
                await finish(transport, job, view)
                return
            job.counts = view.get("tasks", job.counts)
            job.state = view["state"]
            is_single, is_lasting, job_id = job.is_single, job.is_lasting, job.id
            # Not held while waiting: a job that nobody holds is to be given up.
            del job
            if is_single:
                # Many that go on for long must not take the connections of all others.
                params = {"wait": _LONG_WAIT}
                view = await transport.call("GET", f"/v1/jobs/{job_id}", params=params, patient=is_lasting)
                continue
            # The end is answered at once, so that nobody waits for it longer than it takes.
            view = await transport.call("GET", f"/v1/jobs/{job_id}", params={"wait": f"{1000 * pause:.0f}ms"})
            pause = min(1.5 * pause, _LAST_LOOK)
            if view["state"] in TERMINAL:
                continue
            _, states = await look(transport, job_id)
            job = reference()
            if job is not None:
                job.update(states)
            del job
        except MillstreamError as error:
            lost = reference()
            if lost is not None:
                lost.end("failed", error)
            return


async def look(transport: Transport, job_id: str) -> tuple[str, bytes]:
    """Return a job's state and those of its tasks, as far as the journal knows."""
    response = await transport.request("GET", f"/v1/jobs/{job_id}/states")
    return response.headers[_JOB_STATE], response.content


async def why_not_done(transport: Transport, job: Job, numbers: Sequence[int]) -> str:
    """What the scheduler says of the first of these calls that is not over, for the end of a message."""
    key = next((job.key_of(number) for number in numbers if job.states[number] == PENDING), None)
    if key is None:
        return ""
    try:
        view = await transport.call("GET", f"/v1/jobs/{job.id}/tasks/{quote(key, safe='')}", tries=1)
    except MillstreamError:
        return ""
    told = " ".join(view.get("explain") or ())
    return f". Task {key!r}: {told}" if told else ""


async def finish(transport: Transport, job: Job, view: dict[str, Any]) -> None:
    """Take over the end of a job: small results, and which calls failed."""
    job.counts = view.get("tasks", job.counts)
    keys = {result["key"]: result["raw"] for result in view.get("results", ()) if result.get("raw") is not None}
    if keys:
        for number in job.wanted()[:1000]:
            raw = keys.get(job.key_of(number))
            if raw is not None:
                job.raws[number] = bytes(raw)
    if view["state"] == "failed" or (view["state"] == "succeeded" and job.counts.get("cancelled")):
        await _settle(transport, job)
    if view["state"] == "succeeded":
        job.forget_calls()
    job.end(view["state"])


async def _settle(transport: Transport, job: Job) -> None:
    """Find out which calls of a job failed or were cancelled; the journal trails its end by a moment."""
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        try:
            _, states = await look(transport, job.id)
        except GatewayError:
            return
        job.update(states)
        if job.are_done(job.wanted()):
            return
        await asyncio.sleep(0.02)
