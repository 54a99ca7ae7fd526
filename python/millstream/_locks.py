"""Locks and semaphores, in the order of arrival; whoever dies holding one loses it after a while."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from millstream import _aio, _shared
from millstream._coordination import Coordinated
from millstream._errors import MillstreamError
from millstream._options import Duration, patience, seconds

if TYPE_CHECKING:
    from millstream._async_client import AsyncClient
    from millstream._client import Client
    from millstream._session import Session

_log = logging.getLogger(__name__)

# What is not renewed for so long is lost. Gateways take nothing below three seconds.
LEASE = 30.0
# Renewals in that time: some may fail.
_RENEWALS = 3
# How long to keep away from locks that could not be had together.
_BACK_OFF = 0.05

# Places that are being given up, kept from being collected.
_leaving: set[asyncio.Task[None]] = set()


class _Place:
    """A place in the line for a semaphore: one ticket, renewed while it is held."""

    def __init__(self, session: Session, path: str, limit: int, lease: float) -> None:
        import msgpack

        self._session = session
        self._path = _shared.path_of("semaphores", path, uuid.uuid4().hex)
        self._body = msgpack.packb({"limit": limit, "ttl": lease})
        self._pause = lease / _RENEWALS
        self._renewing: asyncio.Task[None] | None = None

    async def enter(self, timeout: float | None) -> bool:
        """Wait until it is held; false, and out of the line, if the time is over."""
        try:
            held = bool(await _shared.until(self._try, timeout))
        except BaseException:
            # Nobody would know of this ticket: those behind it must not wait for it to lapse.
            leaving = asyncio.create_task(self.leave())
            _leaving.add(leaving)
            leaving.add_done_callback(_leaving.discard)
            raise
        if held:
            self._session.places.add(self)
            self._renewing = asyncio.create_task(self._renew())
        else:
            await self.leave()
        return held

    async def leave(self) -> None:
        """Give the place up; the next in line holds at once."""
        self._session.places.discard(self)
        if self._renewing is not None:
            self._renewing.cancel()
        with contextlib.suppress(MillstreamError):
            # What cannot be given up now lapses.
            await self._session.transport.request("DELETE", self._path)

    async def _try(self, wait: float) -> bool:
        params = _shared.waiting(wait)
        transport = self._session.transport
        view = await transport.call("PUT", self._path, params=params, content=self._body, patient=wait > 0)
        return bool(view["held"])

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            try:
                if not await self._try(0.0):
                    _log.warning("%s was lost: it was not renewed in time", self._path)
                    return
            except MillstreamError as error:
                _log.warning("%s could not be renewed: %s", self._path, error)
            except RuntimeError:
                # The client's connections are closed: it lapses.
                return


class Semaphore(Coordinated):
    """Lets at most so many holders go on at once, on the whole cluster, in the order of arrival.

    Parameters
    ----------
    max_leases : int
        How many may hold it at once; all that use the name say the same.
    name : str, optional
        What others find it by; one of its own by default.
    client : Client or AsyncClient, optional
        The current client by default. With an `AsyncClient` methods return awaitables.
    lease_timeout : float or str
        How long after the death of a holder its place goes to the next.

    Examples
    --------
    >>> database = ms.Semaphore(max_leases=2, name="database")
    >>> with database:
    ...     database.get_value()
    1
    """

    kind = "semaphore"

    def __init__(
        self,
        max_leases: int = 1,
        name: str | None = None,
        client: Client | AsyncClient | None = None,
        *,
        lease_timeout: Duration = LEASE,
    ) -> None:
        if max_leases < 1:
            raise ValueError(f"max_leases must be positive, got {max_leases}")
        super().__init__(name, client)
        self.max_leases = max_leases
        self._lease = seconds(lease_timeout, "lease_timeout")
        self._held: list[_Place] = []

    def acquire(self, timeout: Duration | None = None) -> Any:
        """Wait for a lease, for ever or so many seconds; return whether there is one now.

        Examples
        --------
        >>> seats = ms.Semaphore(max_leases=1, name="seats to acquire")
        >>> seats.acquire(), seats.acquire(timeout="10ms")
        (True, False)
        >>> seats.release()
        True
        """
        return self._run(self._acquire(self._session, patience(timeout)))

    def release(self) -> Any:
        """Give a lease back.

        Raises
        ------
        RuntimeError
            If this object holds none.
        """
        if not self._held:
            raise RuntimeError(f"{self!r} is not held here")
        return self._run(self._release())

    def get_value(self) -> Any:
        """Return how many leases are held, by anybody.

        Examples
        --------
        >>> seats = ms.Semaphore(max_leases=2, name="seats to count")
        >>> with seats:
        ...     seats.get_value()
        1
        """
        return self._run(self._value(self._session))

    def close(self) -> Any:
        """Give all leases of this object back."""
        return self._run(self._close())

    async def _acquire(self, session: Session, timeout: float | None) -> bool:
        place = _Place(session, self._path, self.max_leases, self._lease)
        held = await place.enter(timeout)
        if held:
            self._held.append(place)
        return held

    async def _release(self) -> bool:
        await self._held.pop().leave()
        return True

    async def _value(self, session: Session) -> int:
        view = await session.transport.call("GET", _shared.path_of("semaphores", self._path))
        held: int = view["held"]
        return held

    async def _close(self) -> None:
        while self._held:
            await self._release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    async def __aenter__(self) -> Self:
        await asyncio.wrap_future(_aio.spawn(self._acquire(self._session, None)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.wrap_future(_aio.spawn(self._release()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.max_leases, self.name), self._lease)


def _rebuild(kind: type[Semaphore], args: tuple[Any, ...], lease: float) -> Semaphore:
    return kind(*args, lease_timeout=lease)


class Lock(Semaphore):
    """Lets one holder go on at once, on the whole cluster, in the order of arrival.

    Parameters
    ----------
    name : str, optional
        What others find it by; one of its own by default.
    client : Client or AsyncClient, optional
        The current client by default. With an `AsyncClient` methods return awaitables.
    lease_timeout : float or str
        How long after the death of its holder the lock goes to the next.

    Examples
    --------
    >>> lock = ms.Lock("the file")
    >>> with lock:
    ...     lock.locked()
    True
    >>> lock.acquire(timeout=1)
    True
    >>> lock.release()
    """

    kind = "lock"

    def __init__(
        self,
        name: str | None = None,
        client: Client | AsyncClient | None = None,
        *,
        lease_timeout: Duration = LEASE,
    ) -> None:
        super().__init__(1, name, client, lease_timeout=lease_timeout)

    def acquire(self, blocking: bool = True, timeout: Duration | None = None) -> Any:  # type: ignore[override]
        """Wait for the lock, for ever, so many seconds, or not at all; return whether it is held now.

        Examples
        --------
        >>> lock = ms.Lock("a lock to acquire")
        >>> lock.acquire(timeout="1s"), lock.acquire(blocking=False)
        (True, False)
        >>> lock.release()
        """
        if not blocking and timeout is not None:
            raise ValueError("a timeout is of no use without blocking")
        return super().acquire(timeout if blocking else 0)

    def release(self) -> Any:
        """Let the next in line hold the lock.

        Raises
        ------
        RuntimeError
            If this object does not hold it.

        Examples
        --------
        >>> lock = ms.Lock("a lock to release")
        >>> lock.acquire()
        True
        >>> lock.release()
        >>> lock.locked()
        False
        """
        released = super().release()
        return released if self._is_async else None

    def locked(self) -> Any:
        """Return whether anybody holds the lock.

        Examples
        --------
        >>> lock = ms.Lock("a lock to look at")
        >>> with lock:
        ...     lock.locked()
        True
        """
        return self._run(self._locked(self._session))

    async def _locked(self, session: Session) -> bool:
        return await self._value(session) > 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.name,), self._lease)


class MultiLock(Coordinated):
    """Several locks that are held together.

    Parameters
    ----------
    names : sequence of str, optional
        The locks' names; two that share a name exclude each other.
    client : Client or AsyncClient, optional
        The current client by default. With an `AsyncClient` methods return awaitables.

    Examples
    --------
    >>> both = ms.MultiLock(["left", "right"])
    >>> with both:
    ...     ms.MultiLock(["right"]).acquire(blocking=False)
    False
    """

    kind = "multilock"

    def __init__(self, names: Sequence[str] | None = None, client: Client | AsyncClient | None = None) -> None:
        super().__init__(None, client)
        # In one order everywhere: nobody then waits for somebody who waits for him.
        self.names = sorted(set(names)) if names is not None else [self.name]
        self._held: list[_Place] = []

    def acquire(self, blocking: bool = True, timeout: Duration | None = None, num_locks: int | None = None) -> Any:
        """Wait until all locks, or `num_locks` of them, are held; return whether they are."""
        if self._held:
            raise RuntimeError(f"{self!r} is held already")
        wanted = len(self.names) if num_locks is None else num_locks
        if not 1 <= wanted <= len(self.names):
            raise ValueError(f"num_locks is between 1 and {len(self.names)}, got {wanted}")
        return self._run(self._acquire(self._session, wanted, patience(timeout) if blocking else 0.0))

    def release(self) -> Any:
        """Let others hold the locks."""
        if not self._held:
            raise RuntimeError(f"{self!r} is not held here")
        return self._run(self._release())

    async def _acquire(self, session: Session, wanted: int, timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            waits = wanted == len(self.names)
            held = await self._enter(session, wanted, deadline if waits else 0.0)
            if held or waits:
                return held
            if deadline is not None and time.monotonic() >= deadline:
                return False
            # Some of many are had at once or not at all: those who hold a part would wait for each other.
            await asyncio.sleep(random.uniform(_BACK_OFF, 2 * _BACK_OFF))

    async def _enter(self, session: Session, wanted: int, deadline: float | None) -> bool:
        """Hold so many locks, each waited for in its turn; none if that fails."""
        try:
            for name in self.names:
                if len(self._held) == wanted:
                    break
                place = _Place(session, f"{self.kind}.{name}", 1, LEASE)
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if await place.enter(left):
                    self._held.append(place)
                elif wanted == len(self.names):
                    break
        except BaseException:
            _aio.spawn(self._release())
            raise
        if len(self._held) < wanted:
            await self._release()
        return len(self._held) == wanted

    async def _release(self) -> None:
        held, self._held = self._held, []
        for place in held:
            await place.leave()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    async def __aenter__(self) -> Self:
        await asyncio.wrap_future(_aio.spawn(self._acquire(self._session, len(self.names), None)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.wrap_future(_aio.spawn(self._release()))

    def __repr__(self) -> str:
        return f"<MultiLock {self.names!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.names,)
