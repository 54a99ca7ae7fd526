"""Cells, queues and semaphores of the gateway, and values that may hold futures.

Everything here but :func:`pack` runs on the background loop.
"""

from __future__ import annotations

import asyncio
import io
import math
import pickle
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import cloudpickle

from millstream._errors import GatewayError, SerializationError

if TYPE_CHECKING:
    from millstream._future import Future
    from millstream._session import Session

# A request that waits holds a connection; the next one goes on waiting.
_LONGEST_WAIT = 10.0
# Items of one look at a queue.
_PAGE = 100


class Packed:
    """A value for the gateway to keep: its pickle, in which futures are numbered, and the futures."""

    __slots__ = ("content", "futures")

    def __init__(self, content: bytes, futures: list[Future[Any]]) -> None:
        self.content = content
        self.futures = futures


def pack(value: Any) -> Packed:
    """Pickle a value whose futures, at any depth, become references to their tasks."""
    content = io.BytesIO()
    pickler = _Pickler(content)
    try:
        pickler.dump(value)
    except Exception as error:
        raise SerializationError(f"the value, a {type(value).__name__}, cannot be shared: {error}") from error
    return Packed(content.getvalue(), pickler.futures)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, content: io.BytesIO) -> None:
        super().__init__(content, protocol=5)
        self.futures: list[Future[Any]] = []

    def persistent_id(self, value: Any) -> int | None:
        from millstream._future import Future, refuse_released

        if not isinstance(value, Future):
            return None
        if value._job.is_lasting:
            raise TypeError(f"future {value.key!r} is an actor's: share the actor, which is its result")
        refuse_released([value])
        self.futures.append(value)
        return len(self.futures) - 1

    def reducer_override(self, value: Any) -> Any:
        if not hasattr(type(value), "__millstream_outputs__"):
            return super().reducer_override(value)
        # A lazy collection: the like of it over the same results.
        from millstream._delayed import Delayed
        from millstream._future import Future

        outputs = list(value.__millstream_outputs__())
        if not all(isinstance(output, Future) for output in outputs):
            raise TypeError(f"{value!r} is not computed: persist it first")
        return (Delayed, (outputs[0],)) if isinstance(value, Delayed) else (type(value), (outputs, value.name))


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: bytes, futures: list[Future[Any]]) -> None:
        super().__init__(io.BytesIO(content))
        self._futures = futures

    def persistent_load(self, pid: Any) -> Any:
        return self._futures[pid]


async def to_wire(session: Session, packed: Packed) -> dict[str, Any]:
    """Return what the gateway keeps of a value; jobs of its futures then outlive this client if they can."""
    if packed.futures:
        if session.presence is None:
            session.keep(packed.futures)
        for future in packed.futures:
            # Whoever finds the value wants it, whatever becomes of this one.
            future._job.holders.add(future._number)
        session.flush()
        for future in packed.futures:
            await _reaches_the_cluster(future)
    return {"v": packed.content, "f": [[future.job_id, future.key] for future in packed.futures]}


async def from_wire(session: Session, wire: Mapping[str, Any]) -> Any:
    """Rebuild a value that :func:`to_wire` made, here or in another process."""
    from millstream._attached import find_future

    futures = [await find_future(session, job_id, key) for job_id, key in wire["f"]]
    return _Unpickler(wire["v"], futures).load()


async def _reaches_the_cluster(future: Future[Any]) -> None:
    while future._job.state in ("draft", "sealed"):
        await asyncio.sleep(0.005)
    if future._job.error is not None:
        raise future._job.error


# ---- requests


def path_of(kind: str, name: str, *rest: str) -> str:
    """Return the path of something shared."""
    return "/".join(("/v1", kind, quote(name, safe=""), *rest))


async def read_cell(
    session: Session, name: str, after: int | None = None, wait: float = 0.0
) -> tuple[int, dict[str, Any]] | None:
    """Return a cell's version and value; ``None`` if it is not there, or still has the version `after`."""
    params = waiting(wait) | ({} if after is None else {"after": str(after)})
    view = await session.transport.call("GET", path_of("cells", name), params=params, patient=wait > 0)
    return None if view is None else (view["version"], view["value"])


async def write_cell(
    session: Session, name: str, value: Any, *, version: int | None = None, absent: bool = False, ttl: str | None = None
) -> bool:
    """Write a cell, if asked only one of this version or one that is not there; whether it was written."""
    import msgpack

    headers = {"if-match": f'"{version}"'} if version is not None else {"if-none-match": "*"} if absent else {}
    body = msgpack.packb({"value": value} | ({"ttl": ttl} if ttl else {}))
    try:
        await session.transport.request("PUT", path_of("cells", name), content=body, headers=headers)
    except GatewayError as error:
        if error.code == "version_conflict":
            return False
        raise
    return True


async def remove_cell(session: Session, name: str) -> bool:
    """Remove a cell; whether it was there."""
    view = await session.transport.call("DELETE", path_of("cells", name))
    return bool(view["removed"])


async def names(session: Session, kind: str, prefix: str) -> list[str]:
    """Return the names of cells or queues behind a prefix."""
    page = await session.transport.call("GET", f"/v1/{kind}", params={"prefix": quote(prefix, safe="")})
    return [unquote(name).removeprefix(prefix) for name in page[kind]]


async def push(
    session: Session,
    name: str,
    item: Any,
    *,
    limit: int | None = None,
    drop_oldest: bool = False,
    timeout: float | None = 0.0,
) -> bool:
    """Add an item to a queue; false if it has had no room for `timeout` seconds."""
    import msgpack

    body = {"items": [item], "id": str(uuid.uuid4()), "limit": limit, "drop_oldest": drop_oldest}
    content = msgpack.packb(body)

    async def attempt(wait: float) -> bool:
        try:
            await session.transport.request(
                "POST", path_of("queues", name), params=waiting(wait), content=content, patient=wait > 0
            )
        except GatewayError as error:
            if error.code == "queue_full":
                return False
            raise
        return True

    return bool(await until(attempt, timeout))


async def take(session: Session, name: str, count: int = 1, *, timeout: float | None = 0.0) -> list[Any]:
    """Take up to `count` items of a queue; none if it has been empty for `timeout` seconds."""
    import msgpack

    content = msgpack.packb({"count": count, "id": str(uuid.uuid4())})

    async def attempt(wait: float) -> list[Any]:
        path = path_of("queues", name, "take")
        page = await session.transport.call("POST", path, params=waiting(wait), content=content, patient=wait > 0)
        items: list[Any] = page["items"]
        return items

    found: list[Any] = await until(attempt, timeout)
    return found


async def look(session: Session, name: str) -> list[Any]:
    """Return all items of a queue without taking them."""
    items: list[Any] = []
    while True:
        params = {"from": str(len(items)), "limit": str(_PAGE)}
        page = await session.transport.call("GET", path_of("queues", name), params=params)
        items += page["items"]
        if not page["items"] or len(items) >= page["length"]:
            return items


async def length(session: Session, name: str) -> int:
    """Return how many items a queue holds."""
    view = await session.transport.call("GET", path_of("queues", name), params={"limit": "0"})
    count: int = view["length"]
    return count


async def until(attempt: Callable[[float], Awaitable[Any]], timeout: float | None) -> Any:
    """Repeat a request that waits on the gateway until its answer is true or the time is over."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        left = max(0.0, deadline - time.monotonic())
        answer = await attempt(min(left, _LONGEST_WAIT))
        if answer or left <= _LONGEST_WAIT:
            return answer


def waiting(wait: float) -> dict[str, str]:
    """Return the parameters of a request that waits so many seconds."""
    return {"wait": f"{math.ceil(wait * 1000)}ms"} if wait > 0 else {}
