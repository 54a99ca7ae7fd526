"""Queues, variables and events: how clients and tasks hand each other values while they run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from millstream import _shared
from millstream._coordination import Coordinated
from millstream._options import Duration, patience

if TYPE_CHECKING:
    from millstream._async_client import AsyncClient
    from millstream._client import Client
    from millstream._session import Session


class Queue(Coordinated):
    """Values in order, put and taken by any clients and tasks.

    Futures in the values stay futures: whoever takes them can wait for their results, and their jobs then outlive
    their client. Other values are copied, and may have up to 64 KiB: scatter larger ones and put their futures.

    Parameters
    ----------
    name : str, optional
        What others find it by; one of its own by default.
    client : Client or AsyncClient, optional
        The current client by default. With an `AsyncClient` methods return awaitables.
    maxsize : int
        Most values in it; 0 for as many as the cluster keeps for one queue.

    Examples
    --------
    >>> queue = ms.Queue("work")
    >>> queue.put({"part": 1})
    >>> queue.put(client.submit(sum, [1, 2]))
    >>> queue.qsize()
    2
    >>> queue.get(), queue.get().result()
    ({'part': 1}, 3)
    """

    kind = "queue"

    def __init__(self, name: str | None = None, client: Client | AsyncClient | None = None, maxsize: int = 0) -> None:
        super().__init__(name, client)
        self.maxsize = maxsize

    def put(self, value: Any, timeout: Duration | None = None) -> Any:
        """Add a value, after waiting for room for ever or so many seconds.

        Raises
        ------
        TimeoutError
            If there was no room in time.

        Examples
        --------
        >>> steps = ms.Queue("steps to put")
        >>> steps.put("first", timeout="5s")
        >>> steps.get()
        'first'
        >>> steps.close()
        """
        return self._run(self._put(self._session, _shared.pack(value), patience(timeout)))

    def get(self, timeout: Duration | None = None, batch: bool | int = False) -> Any:
        """Take the oldest value, after waiting for it for ever or so many seconds.

        Parameters
        ----------
        timeout : float or str, optional
            How long to wait.
        batch : bool or int
            ``True`` takes all that are there, without waiting, and a number waits for so many; both give a list.

        Raises
        ------
        TimeoutError
            If there were too few in time; those of an unfinished batch are put back at the end.

        Examples
        --------
        >>> steps = ms.Queue("steps to get")
        >>> steps.put("first")
        >>> steps.put("second")
        >>> steps.get(batch=True)
        ['first', 'second']
        >>> steps.close()
        """
        return self._run(self._get(self._session, patience(timeout), batch))

    def qsize(self) -> Any:
        """Return how many values there are.

        Examples
        --------
        >>> steps = ms.Queue("steps to count")
        >>> steps.put("first")
        >>> steps.qsize()
        1
        >>> steps.close()
        """
        return self._run(_shared.length(self._session, self._path))

    def close(self) -> Any:
        """Remove the queue and what is in it.

        Examples
        --------
        >>> steps = ms.Queue("steps to close")
        >>> steps.put("first")
        >>> steps.close()
        >>> ms.Queue("steps to close").qsize()
        0
        """
        return self._run(self._close(self._session))

    async def _put(self, session: Session, packed: _shared.Packed, timeout: float | None) -> None:
        item = await _shared.to_wire(session, packed)
        if not await _shared.push(session, self._path, item, limit=self.maxsize or None, timeout=timeout):
            raise TimeoutError(f"queue {self.name!r} had no room within {timeout} s")

    async def _get(self, session: Session, timeout: float | None, batch: bool | int) -> Any:
        if batch is True:
            return await self._all(session)
        deadline = None if timeout is None else time.monotonic() + timeout
        wanted = int(batch) or 1
        items: list[Any] = []
        while len(items) < wanted:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            found = await _shared.take(session, self._path, wanted - len(items), timeout=left)
            items += found
            if not found:
                for item in items:
                    await _shared.push(session, self._path, item)
                raise TimeoutError(f"queue {self.name!r} had {len(items)} of {wanted} value(s) within {timeout} s")
        values = [await _shared.from_wire(session, item) for item in items]
        return values if batch else values[0]

    async def _all(self, session: Session) -> list[Any]:
        values: list[Any] = []
        while found := await _shared.take(session, self._path, 1000):
            values += [await _shared.from_wire(session, item) for item in found]
        return values

    async def _close(self, session: Session) -> None:
        await session.transport.request("DELETE", _shared.path_of("queues", self._path))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, None, self.maxsize)


class Variable(Coordinated):
    """A value that any clients and tasks set and read.

    Futures in it stay futures, as in a :class:`Queue`; other values may have up to 64 KiB.

    Parameters
    ----------
    name : str, optional
        What others find it by; one of its own by default.
    client : Client or AsyncClient, optional
        The current client by default. With an `AsyncClient` methods return awaitables.

    Examples
    --------
    >>> epoch = ms.Variable("epoch")
    >>> epoch.set(3)
    >>> epoch.get()
    3
    >>> epoch.delete()
    """

    kind = "variable"

    def __init__(self, name: str | None = None, client: Client | AsyncClient | None = None) -> None:
        super().__init__(name, client)

    def set(self, value: Any) -> Any:
        """Set the value; the last one counts.

        Examples
        --------
        >>> best = ms.Variable("best so far")
        >>> best.set(client.submit(max, [1, 7]))
        >>> best.get().result()
        7
        >>> best.delete()
        """
        return self._run(self._set(self._session, _shared.pack(value)))

    def get(self, timeout: Duration | None = None) -> Any:
        """Return the value, after waiting for it to be set for ever or so many seconds.

        Raises
        ------
        TimeoutError
            If it was not set in time.

        Examples
        --------
        >>> rate = ms.Variable("learning rate")
        >>> rate.set(0.1)
        >>> ms.Variable("learning rate").get(timeout="5s")
        0.1
        >>> rate.delete()
        """
        return self._run(self._get(self._session, patience(timeout)))

    def delete(self) -> Any:
        """Forget the value.

        Examples
        --------
        >>> rate = ms.Variable("a rate to delete")
        >>> rate.set(0.1)
        >>> rate.delete()
        """
        return self._run(self._delete(self._session))

    async def _set(self, session: Session, packed: _shared.Packed) -> None:
        await _shared.write_cell(session, self._path, await _shared.to_wire(session, packed))

    async def _get(self, session: Session, timeout: float | None) -> Any:
        found = await _shared.until(lambda wait: _shared.read_cell(session, self._path, wait=wait), timeout)
        if found is None:
            raise TimeoutError(f"variable {self.name!r} was not set within {timeout} s")
        return await _shared.from_wire(session, found[1])

    async def _delete(self, session: Session) -> None:
        await _shared.remove_cell(session, self._path)


class Event(Coordinated):
    """A flag that any clients and tasks set, clear and wait for.

    Parameters
    ----------
    name : str, optional
        What others find it by; one of its own by default.
    client : Client or AsyncClient, optional
        The current client by default. With an `AsyncClient` methods return awaitables.

    Examples
    --------
    >>> ready = ms.Event("ready")
    >>> ready.wait(timeout=0.01)
    False
    >>> ready.set()
    >>> ready.wait(), ready.is_set()
    (True, True)
    >>> ready.clear()
    """

    kind = "event"

    def __init__(self, name: str | None = None, client: Client | AsyncClient | None = None) -> None:
        super().__init__(name, client)

    def set(self) -> Any:
        """Let go on all that wait, and those that come later.

        Examples
        --------
        >>> loaded = ms.Event("loaded")
        >>> loaded.set()
        >>> loaded.is_set()
        True
        >>> loaded.clear()
        """
        return self._run(self._set(self._session))

    def clear(self) -> Any:
        """Let those that come later wait.

        Examples
        --------
        >>> loaded = ms.Event("loaded and cleared")
        >>> loaded.set()
        >>> loaded.clear()
        >>> loaded.is_set()
        False
        """
        return self._run(self._clear(self._session))

    def is_set(self) -> Any:
        """Return whether it is set.

        Examples
        --------
        >>> ms.Event("never set").is_set()
        False
        """
        return self._run(self._is_set(self._session))

    def wait(self, timeout: Duration | None = None) -> Any:
        """Wait until it is set, for ever or so many seconds; return whether it is.

        Examples
        --------
        >>> ms.Event("waited for in vain").wait(timeout="10ms")
        False
        """
        return self._run(self._wait(self._session, patience(timeout)))

    async def _set(self, session: Session) -> None:
        await _shared.write_cell(session, self._path, True)

    async def _clear(self, session: Session) -> None:
        await _shared.remove_cell(session, self._path)

    async def _is_set(self, session: Session) -> bool:
        return await _shared.read_cell(session, self._path) is not None

    async def _wait(self, session: Session, timeout: float | None) -> bool:
        found = await _shared.until(lambda wait: _shared.read_cell(session, self._path, wait=wait), timeout)
        return found is not None
