"""The client for programs that run in an event loop of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from millstream._client import Client
from millstream._functions import NativeFunction
from millstream._future import Future
from millstream._options import Duration
from millstream._sharing import AsyncSharing
from millstream._waiting import DoneAndNotDone, ReturnWhen, as_completed, fire_and_forget, wait

if TYPE_CHECKING:
    from millstream._attached import AttachedJob
    from millstream._executor_pool import Executor
    from millstream._local import LocalCluster
    from millstream.dataframe import DataFrame

T = TypeVar("T")


class AsyncClient(AsyncSharing):
    """A connection to a cluster whose waiting methods are coroutines.

    Takes what :class:`Client` takes and has the same methods. Calls are submitted without waiting; their futures can be
    awaited in any event loop.

    Examples
    --------
    >>> import asyncio, millstream as ms
    >>> async def main():
    ...     async with ms.AsyncClient() as client:
    ...         future = client.submit(sum, [1, 2])
    ...         return await future, await client.gather(client.map(abs, [-1, -2]))
    >>> asyncio.run(main())
    (3, [1, 2])
    """

    def __init__(
        self,
        address: str | LocalCluster | None = None,
        *,
        token: str | None = None,
        name: str = "",
        serializer: str = "cloudpickle",
        env: Mapping[str, Any] | None = None,
        attached: bool = False,
    ) -> None:
        def make() -> Client:
            client = Client(
                address,
                token=token,
                name=name,
                serializer=serializer,
                env=env,
                attached=attached,
                set_as_default=False,
            )
            client.session.is_async = True
            return client

        self._make = make
        self._made: Client | None = None

    @property
    def client(self) -> Client:
        """The client underneath."""
        if self._made is None:
            self._made = self._make()
        return self._made

    async def __aenter__(self) -> Self:
        # A local cluster takes a second to start.
        self._made = await asyncio.to_thread(self._make)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __await__(self) -> Any:
        return self.__aenter__().__await__()

    def submit(self, function: Callable[..., T] | NativeFunction, /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call a function on the cluster; see :meth:`Client.submit`."""
        return self.client.submit(function, *args, **kwargs)

    def map(
        self, function: Callable[..., T] | NativeFunction, /, *iterables: Iterable[Any], **kwargs: Any
    ) -> list[Future[T]]:
        """Call a function for each item; see :meth:`Client.map`."""
        return self.client.map(function, *iterables, **kwargs)

    async def map_stream(
        self, function: Callable[..., T], /, *iterables: Iterable[Any], window: int = 1000, **kwargs: Any
    ) -> AsyncIterator[T]:
        """Yield results of calls for inputs that may be endless; see :meth:`Client.map_stream`."""
        results = self.client.map_stream(function, *iterables, window=window, **kwargs)
        end = object()
        while (value := await asyncio.to_thread(next, results, end)) is not end:
            yield value  # type: ignore[misc]

    async def gather(self, futures: Any, errors: str = "raise") -> Any:
        """Wait for futures and return their values; see :meth:`Client.gather`."""
        listed = list(futures) if isinstance(futures, list | tuple) else None
        if listed is not None and all(isinstance(future, Future) for future in listed):
            session = self.client.session
            await session.done_async(listed)
            values = await session.gather_async(listed, errors)
            return values if isinstance(futures, list) else tuple(values)
        return await asyncio.to_thread(self.client.gather, futures, errors)

    async def wait(
        self,
        futures: Sequence[Future[Any]],
        timeout: Duration | None = None,
        return_when: ReturnWhen = "ALL_COMPLETED",
    ) -> DoneAndNotDone:
        """Wait for futures; see :func:`millstream.wait`."""
        return await asyncio.to_thread(wait, futures, timeout, return_when)

    def as_completed(self, futures: Iterable[Future[Any]], **options: Any) -> as_completed:
        """Return futures as they complete, for ``async for``; see :class:`millstream.as_completed`."""
        return as_completed(futures, **options)

    def fire_and_forget(self, futures: Future[Any] | Iterable[Future[Any]]) -> None:
        """Let tasks run to their end although nobody holds their futures; see :func:`millstream.fire_and_forget`."""
        fire_and_forget(futures)

    async def scatter(self, data: Any, **options: Any) -> Any:
        """Send values to the cluster once; see :meth:`Client.scatter`."""
        return await asyncio.to_thread(self.client.scatter, data, **options)

    def compute(self, collections: Any, **options: Any) -> Any:
        """Start computing lazy collections; return a future for each; see :meth:`Client.compute`."""
        return self.client.compute(collections, **options)

    def persist(self, collections: Any, **options: Any) -> Any:
        """Start computing lazy collections; return them over results on the cluster; see :meth:`Client.persist`."""
        return self.client.persist(collections, **options)

    async def get(self, dsk: Any, keys: Any, **kwargs: Any) -> Any:
        """Compute keys of a Dask graph; see :meth:`Client.get`."""
        return await asyncio.to_thread(self.client.get, dsk, keys, **kwargs)

    @property
    def asynchronous(self) -> bool:
        """Whether its methods are to be awaited."""
        return True

    def sql(self, query: str, params: Sequence[Any] = (), **tables: Any) -> DataFrame:
        """Return the rows of a query, whose methods wait: use them by `asyncio.to_thread`; see :meth:`Client.sql`."""
        return self.client.sql(query, params, **tables)

    async def cancel(self, futures: Any) -> None:
        """Cancel tasks; see :meth:`Client.cancel`."""
        await asyncio.to_thread(self.client.cancel, futures)

    async def retry(self, futures: Any) -> None:
        """Run tasks that failed again; see :meth:`Client.retry`."""
        await asyncio.to_thread(self.client.retry, futures)

    async def detach(self, futures: Any) -> str:
        """Let a job outlive this client; see :meth:`Client.detach`."""
        return await asyncio.to_thread(self.client.detach, futures)

    async def attach(self, job_id: str) -> AttachedJob:
        """Return a job that another client submitted; see :meth:`Client.attach`."""
        return await asyncio.to_thread(self.client.attach, job_id)

    @property
    def url(self) -> str:
        """The address of the gateway."""
        return self.client.url

    @property
    def dashboard_link(self) -> str:
        """Where to watch the cluster."""
        return self.client.dashboard_link

    async def workers(self) -> list[dict[str, Any]]:
        """Return all workers; see :meth:`Client.workers`."""
        return await asyncio.to_thread(self.client.workers)

    async def scheduler_info(self) -> dict[str, Any]:
        """Return the cluster's address and workers; see :meth:`Client.scheduler_info`."""
        return await asyncio.to_thread(self.client.scheduler_info)

    async def wait_for_workers(self, n_workers: int = 1, timeout: Duration | None = None) -> None:
        """Wait until the cluster has this many workers; see :meth:`Client.wait_for_workers`."""
        await asyncio.to_thread(self.client.wait_for_workers, n_workers, timeout)

    async def retire_workers(self, workers: Iterable[str]) -> None:
        """Let workers finish and leave; see :meth:`Client.retire_workers`."""
        await asyncio.to_thread(self.client.retire_workers, workers)

    async def who_has(self, futures: Any = None) -> dict[str, list[str]]:
        """Return which workers hold each future's result; see :meth:`Client.who_has`."""
        return await asyncio.to_thread(self.client.who_has, futures)

    async def has_what(self, workers: Any = None) -> dict[str, list[str]]:
        """Return the keys of this client's results by worker; see :meth:`Client.has_what`."""
        return await asyncio.to_thread(self.client.has_what, workers)

    async def ncores(self) -> dict[str, int]:
        """Return how many tasks each worker runs at once; see :meth:`Client.ncores`."""
        return await asyncio.to_thread(self.client.ncores)

    nthreads = ncores

    async def story(self, future: Future[Any]) -> list[dict[str, Any]]:
        """Return what happened to a task; see :meth:`Client.story`."""
        return await asyncio.to_thread(self.client.story, future)

    async def logs(self, future: Future[Any]) -> str:
        """Return what a task printed; see :meth:`Client.logs`."""
        return await asyncio.to_thread(self.client.logs, future)

    async def explain(self, future: Future[Any]) -> list[str]:
        """Return why a task is where it is; see :meth:`Client.explain`."""
        return await asyncio.to_thread(self.client.explain, future)

    async def recreate_error_locally(self, future: Future[Any]) -> None:
        """Call the function of a task that failed in this process; see :meth:`Client.recreate_error_locally`."""
        await asyncio.to_thread(self.client.recreate_error_locally, future)

    @contextlib.asynccontextmanager
    async def performance_report(self, filename: str | Path = "millstream-report.html") -> AsyncIterator[None]:
        """Write what the cluster does during an ``async with`` block; see :func:`millstream.performance_report`."""
        report = self.client.performance_report(filename)
        await asyncio.to_thread(report.__enter__)
        try:
            yield
        except BaseException as error:
            await asyncio.to_thread(report.__exit__, type(error), error, error.__traceback__)
            raise
        await asyncio.to_thread(report.__exit__, None, None, None)

    async def call_stack(self, futures: Any = None) -> dict[str, str]:
        """Return what running tasks execute; see :meth:`Client.call_stack`."""
        return await asyncio.to_thread(self.client.call_stack, futures)

    async def run(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Call a function once on each worker; see :meth:`Client.run`."""
        return await asyncio.to_thread(self.client.run, function, *args, **kwargs)

    async def register_plugin(self, plugin: Any, name: str | None = None) -> str:
        """Set something up in each process before its first task; see :meth:`Client.register_plugin`."""
        return await asyncio.to_thread(self.client.register_plugin, plugin, name)

    async def unregister_plugin(self, name: str) -> None:
        """Do not set a plugin up any more; see :meth:`Client.unregister_plugin`."""
        await asyncio.to_thread(self.client.unregister_plugin, name)

    async def upload_file(self, path: str | Path) -> None:
        """Give a file to all tasks from now on; see :meth:`Client.upload_file`."""
        await asyncio.to_thread(self.client.upload_file, path)

    async def restart(self, **options: Any) -> None:
        """Cancel all tasks, and run what follows in new processes; see :meth:`Client.restart`."""
        await asyncio.to_thread(self.client.restart, **options)

    async def get_versions(self, check: bool = False) -> dict[str, Any]:
        """Return the versions of this side and of the workers; see :meth:`Client.get_versions`."""
        return await asyncio.to_thread(self.client.get_versions, check)

    def get_executor(self, **options: Any) -> Executor:
        """Return an executor as of `concurrent.futures`, for `run_in_executor`; see :meth:`Client.get_executor`."""
        return self.client.get_executor(**options)

    async def close(self) -> None:
        """Cancel what goes on and was not detached, and close the connection."""
        if self._made is not None:
            await asyncio.to_thread(self._made.close)

    def __repr__(self) -> str:
        return f"<AsyncClient {self._made.url if self._made else 'not connected'}>"
