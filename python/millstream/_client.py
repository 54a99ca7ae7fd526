"""The client: what a script or notebook talks to."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from millstream import _aio
from millstream._access import GATEWAY_VARIABLE, Access, find_access
from millstream._cluster_calls import ClusterCalls, futures_in
from millstream._collections import is_dask_collection, take_apart
from millstream._compute import submit_collections
from millstream._errors import ConnectionFailedError
from millstream._functions import NativeFunction, name_of
from millstream._future import Future, refuse_others
from millstream._options import TaskOptions, check_option_names, current_options, split_options
from millstream._pure import Known, token_of
from millstream._session import Session
from millstream._sharing import Sharing
from millstream._task import new_key
from millstream._waiting import Waiting

if TYPE_CHECKING:
    from millstream._attached import AttachedJob
    from millstream._executor_pool import Executor
    from millstream._local import LocalCluster
    from millstream.dataframe import DataFrame

T = TypeVar("T")

_current: list[Client] = []
_current_lock = threading.Lock()


class Client(ClusterCalls, Sharing, Waiting):
    """A connection to a cluster.

    Parameters
    ----------
    address : str, LocalCluster or None
        Address of a gateway, such as ``"http://node7:8787"``, or a cluster of this machine. By default what
        ``MILLSTREAM_GATEWAY`` names, else this process's own cluster, which is started now and gone at its exit.
    token : str, optional
        Token of the gateway; ``MILLSTREAM_TOKEN`` or this user's by default.
    name : str, optional
        What this client's jobs are called in lists.
    serializer : str
        What pickles functions and arguments: ``"cloudpickle"`` or ``"dill"``.
    env : mapping or Environment, optional
        Environment for all tasks; see :class:`~millstream.Environment`. A call with an environment of its own has that
        one alone: none of this one's packages, files or variables.
    attached : bool
        Whether jobs end with this client even if it is killed. By default they then go on, and their results are kept
        for a day, so that :meth:`attach` finds them.
    set_as_default : bool
        Whether ``compute`` and the like use this client while it is open.

    Examples
    --------
    >>> import millstream as ms
    >>> client = ms.Client()
    >>> client.submit(lambda x: x + 1, 41).result()
    42
    >>> client.gather(client.map(abs, [-1, 2]))
    [1, 2]
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
        set_as_default: bool = True,
    ) -> None:
        if serializer not in ("cloudpickle", "dill"):
            raise ValueError(f"serializer is 'cloudpickle' or 'dill', got {serializer!r}")
        self.cluster, access = _resolve(address, token)
        self.default_options = TaskOptions(env=env)
        self.session = Session(access, name=name, serializer=serializer, attached=attached)
        self._pure: Known[Future[Any]] = Known()
        if set_as_default:
            with _current_lock:
                _current.append(self)
        if "joblib" in sys.modules:
            import_module("millstream.joblib")

    # ---- calls

    def submit(
        self,
        function: Callable[..., T] | NativeFunction,
        /,
        *args: Any,
        key: str | None = None,
        pure: bool = False,
        actor: bool = False,
        actors: bool = False,
        **kwargs: Any,
    ) -> Future[T]:
        """Call a function on the cluster.

        Parameters
        ----------
        function : callable
            What is called.
        *args
            Its arguments; futures and delayed values in them, at any depth, are replaced by their values.
        key : str, optional
            Name of the task.
        pure : bool
            Whether the same arguments always give the same result. While a future of such a call is there, the same
            call by this client is not made again, and gives a future of the same result.
        actor, actors : bool
            Whether the function is a class whose object is to stay there: see :class:`~millstream.Actor`.
        **kwargs
            Options (`retries`, `backoff`, `timeout`, `priority`, `resources`, `workers`, `rerun`, `env`; see
            :class:`~millstream.TaskOptions`) and keyword arguments of the function. One that has the name of an option
            can be given by `functools.partial`.

        Examples
        --------
        >>> client.submit(divmod, 7, 2, retries=2).result()
        (3, 1)
        """
        options, kwargs = split_options(kwargs)
        keys = [_checked(key) if key else new_key(name_of(function))]
        return self._call(function, [(args, kwargs)], keys, options, pure, is_actor=actor or actors)[0]

    def map(
        self,
        function: Callable[..., T] | NativeFunction,
        /,
        *iterables: Iterable[Any],
        key: str | Sequence[str] | None = None,
        pure: bool = False,
        actor: bool = False,
        actors: bool = False,
        **kwargs: Any,
    ) -> list[Future[T]]:
        """Call a function for each item, or each group of items, of iterables.

        Parameters
        ----------
        function : callable
            What is called.
        *iterables
            Its arguments, item by item; it ends with the shortest.
        key : str or sequence of str, optional
            Prefix of the tasks' names, or a name each.
        pure : bool
            Whether the same arguments always give the same result; see :meth:`submit`.
        actor, actors : bool
            Whether the function is a class whose objects are to stay there, as for :meth:`submit`.
        **kwargs
            Options and keyword arguments, as for :meth:`submit`.

        Examples
        --------
        >>> client.gather(client.map(pow, [2, 3], [3, 2]))
        [8, 9]
        """
        options, kwargs = split_options(kwargs)
        calls = [(args, kwargs) for args in zip(*iterables, strict=False)]
        if not calls:
            return []
        keys = key if isinstance(key, str) else [*map(_checked, key)] if key is not None else new_key(name_of(function))
        if not isinstance(keys, str) and len(keys) != len(calls):
            raise ValueError(f"{len(keys)} keys for {len(calls)} calls")
        return self._call(function, calls, keys, options, pure, is_actor=actor or actors)

    def _call(
        self,
        function: Any,
        calls: Sequence[tuple[tuple[Any, ...], dict[str, Any]]],
        keys: list[str] | str,
        options: dict[str, Any],
        pure: bool,
        *,
        is_actor: bool = False,
    ) -> list[Future[Any]]:
        if not callable(function):
            raise TypeError(f"the first argument is a function, got {type(function).__name__}")
        merged = self.default_options.under(current_options()).merged(options)
        if is_actor:
            from millstream._actor_make import make_actors

            return make_actors(self.session, function, calls, keys, merged, pure=pure)
        if pure:
            return self._call_pure(function, calls, keys, merged)
        return self.session.call(function, calls, keys, options=merged)

    def _call_pure(
        self,
        function: Any,
        calls: Sequence[tuple[tuple[Any, ...], dict[str, Any]]],
        keys: list[str] | str,
        options: TaskOptions,
    ) -> list[Future[Any]]:
        """Make the calls that are not made already; futures of the others are of those that are."""
        tokens = [token_of(function, args, kwargs, options) for args, kwargs in calls]
        made: dict[int, Future[Any]] = {}
        first: dict[str, int] = {}
        new = []
        for place, token in enumerate(tokens):
            known = None if token is None else self._pure.find(token, _is_of_use)
            if known is not None:
                made[place] = known.twin()
            elif token is None or first.setdefault(token, place) == place:
                new.append(place)
        if new:
            names = keys if isinstance(keys, str) else [keys[place] for place in new]
            futures = self.session.call(function, [calls[place] for place in new], names, options=options, pure=True)
            made.update(zip(new, futures, strict=True))
        for place, token in enumerate(tokens):
            if token is not None:
                if place not in made:
                    made[place] = made[first[token]].twin()
                self._pure.add(token, made[place])
        return [made[place] for place in range(len(calls))]

    def map_stream(
        self,
        function: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        window: int = 1000,
        ordered: bool = True,
        **kwargs: Any,
    ) -> Iterator[T]:
        """Call a function for each item of iterables that may be endless, and yield the results.

        Items are taken only as results are read: at most `window` calls are under way. Results are let go as they are
        read.

        Parameters
        ----------
        function : callable
            What is called.
        *iterables
            Its arguments, item by item.
        window : int
            Most calls under way.
        ordered : bool
            Whether results come in the order of the items, or as they are done.
        **kwargs
            Options and keyword arguments, as for :meth:`submit`.

        Examples
        --------
        >>> import itertools
        >>> squares = client.map_stream(lambda x: x * x, itertools.count(), window=8)
        >>> [next(squares) for _ in range(3)]
        [0, 1, 4]
        """
        from millstream._stream import map_stream

        return map_stream(self, function, zip(*iterables, strict=False), window, ordered=ordered, kwargs=kwargs)

    @overload
    def gather(self, futures: Future[T], errors: str = "raise", *, direct: bool | None = None) -> T: ...
    @overload
    def gather(
        self, futures: list[Future[T]] | Iterator[Future[T]], errors: str = "raise", *, direct: bool | None = None
    ) -> list[T]: ...
    @overload
    def gather(self, futures: Any, errors: str = "raise", *, direct: bool | None = None) -> Any: ...
    def gather(self, futures: Any, errors: str = "raise", *, direct: bool | None = None) -> Any:
        """Wait for futures and return their values.

        Parameters
        ----------
        futures : Future, or nested lists, tuples, sets and dicts of them
            What to wait for; or a list of the futures of an actor's calls.
        errors : str
            ``"raise"`` the first failure, or ``"skip"`` what failed: a flat list is shorter then, in nested containers
            ``None`` stands for it.

        Examples
        --------
        >>> client.gather({"a": client.submit(int, "7")})
        {'a': 7}
        """
        if errors not in ("raise", "skip"):
            raise ValueError(f"errors is 'raise' or 'skip', got {errors!r}")
        if isinstance(futures, Iterator):
            futures = list(futures)
        if isinstance(futures, list) and all(isinstance(future, Future) for future in futures):
            return self._collect(futures, errors=errors)
        if _are_calls_of_actors(futures):
            return [future.result() for future in futures if errors == "raise" or future.exception() is None]
        found, put_back = take_apart(futures)
        refuse_others(found)
        if errors == "raise":
            return put_back(self._collect(found))
        self.session.wait_for(found)
        values = iter(self._collect([future for future in found if future.status == "finished"]))
        return put_back([next(values) if future.status == "finished" else None for future in found])

    def _collect(
        self, futures: Sequence[Future[Any]], *, errors: str = "raise", progress: bool | None = None
    ) -> list[Any]:
        from millstream._progress import shown

        try:
            with shown(futures, progress):
                self.session.wait_for(futures)
        except KeyboardInterrupt:
            self.session.cancel(futures)
            raise
        return self.session.gather(futures, errors)

    def scatter(
        self,
        data: Any,
        workers: Any = None,
        *,
        broadcast: bool = False,
        hash: bool = True,  # noqa: A002 - Dask's names
        direct: bool | None = None,
        timeout: Any = None,
    ) -> Any:
        """Send values to the cluster once, to be used by many tasks.

        Parameters
        ----------
        data : object
            A list, tuple, set or dict of values gives the like of futures; any other value gives one.
        workers : optional
            Refused: values go where tasks need them.
        broadcast, hash, direct, timeout
            Accepted for Dask's sake, as they change nothing of that.

        Examples
        --------
        >>> table = client.scatter({"x": list(range(3))})["x"]
        >>> client.submit(sum, table).result()
        3
        """
        if workers is not None:
            raise NotImplementedError(
                "scatter(workers=) is not available: values go where tasks need them; place tasks by submit(workers=)"
            )
        if isinstance(data, dict):
            futures = self._scatter(list(data.values()))
            return dict(zip(data, futures, strict=True))
        if isinstance(data, list | tuple | set | frozenset):
            return type(data)(self._scatter(list(data)))
        return self._scatter([data])[0]

    def _scatter(self, values: list[Any]) -> list[Future[Any]]:
        keys = [new_key(type(value).__name__) for value in values]
        return self.session.scatter(values, keys)

    # ---- collections

    @overload
    def compute(
        self, collections: Sequence[Any], *, sync: bool = False, optimize_graph: bool = True, **options: Any
    ) -> list[Any]: ...
    @overload
    def compute(self, collections: Any, *, sync: bool = False, optimize_graph: bool = True, **options: Any) -> Any: ...
    def compute(self, collections: Any, *, sync: bool = False, optimize_graph: bool = True, **options: Any) -> Any:
        """Start computing lazy collections; return a future for each, or their values if `sync`.

        Parameters
        ----------
        collections : collection or sequence of them
            Delayed values, bags, or Dask's collections.
        sync : bool
            Whether to wait for the values.
        optimize_graph : bool
            Whether Dask optimizes the graphs of its collections.
        **options
            Options for all tasks that have none of their own; see :class:`~millstream.TaskOptions`.

        Examples
        --------
        >>> import millstream as ms
        >>> client.compute(ms.delayed(sum)([1, 2])).result()
        3
        """
        check_option_names(options)
        many = isinstance(collections, list | tuple | set | frozenset)
        listed = list(collections) if many else [collections]
        of_dask = list(filter(is_dask_collection, listed))
        if sync and not of_dask:
            from millstream._compute import compute

            values = compute(*listed, client=self, **options)
            return list(values) if many else values[0]
        futures = self._final_futures([each for each in listed if not is_dask_collection(each)], options)
        if of_dask:
            from millstream.dask import Scheduler

            made = Scheduler(self).compute(of_dask, optimize_graph, **options)
            futures = _in_order(listed, futures, made)
        if sync:
            futures = self.gather(futures)
        return futures if many else futures[0]

    def _final_futures(self, collections: list[Any], options: dict[str, Any]) -> list[Any]:
        from millstream._finalize import final_task

        finals = [final_task(collection) for collection in collections]
        lazy = [final for final in finals if final is not None]
        futures = iter(submit_collections(self, lazy, options)) if lazy else iter(())
        return [
            collection if final is None else next(futures)[0]
            for collection, final in zip(collections, finals, strict=True)
        ]

    def persist(self, collections: Any, *, optimize_graph: bool = True, **options: Any) -> Any:
        """Start computing lazy collections; return them over results that stay on the cluster.

        Takes what :meth:`compute` takes.

        Examples
        --------
        >>> kept = client.persist(ms.delayed(sum)([1, 2]))
        >>> (kept + 1).compute(), (kept + 2).compute()
        (4, 5)
        """
        from millstream._compute import persist

        many = isinstance(collections, list | tuple | set | frozenset)
        listed = list(collections) if many else [collections]
        of_dask = list(filter(is_dask_collection, listed))
        others = [each for each in listed if not is_dask_collection(each)]
        persisted = list(persist(*others, client=self, **options))
        if of_dask:
            from millstream.dask import Scheduler

            persisted = _in_order(listed, persisted, Scheduler(self).persist(of_dask, optimize_graph, **options))
        return persisted if many else persisted[0]

    def get(self, dsk: Any, keys: Any, **kwargs: Any) -> Any:
        """Compute keys of a Dask graph; so a client is a Dask scheduler, as for ``x.compute(scheduler=client)``."""
        from millstream.dask import Scheduler

        return Scheduler(self).get(dsk, keys, **kwargs)

    @property
    def asynchronous(self) -> bool:
        """Whether its methods are to be awaited."""
        return False

    def sql(self, query: str, params: Sequence[Any] = (), **tables: Any) -> DataFrame:
        """Return the rows of a query, which is planned now, and run when they are asked for.

        Statements that write or define are run now: ``CREATE VIEW``, ``CREATE TABLE … AS``, ``CREATE EXTERNAL TABLE``,
        ``INSERT INTO``, ``DROP``, ``SHOW``, ``DESCRIBE``, ``COPY``, and texts of several statements. Tables and views
        are this client's, until it is closed.

        Parameters
        ----------
        query : str
            One SQL statement, or several with semicolons between them. A file can be read by its path:
            ``FROM '/data/flights.parquet'``. Paths are those of the cluster.
        params : sequence
            Values of ``$1``, ``$2``, …: None, bools, numbers, texts and dates.
        **tables
            Paths, lists of paths or glob patterns of CSV, JSON lines, Arrow and Parquet files, or of folders with such,
            by the name that the query uses; with options as a mapping, such as
            ``{"paths": ["a.txt"], "format": "csv", "csv": {"delimiter": "|"}}``. Folders named ``key=value`` are
            columns.
            Frames of Millstream and pandas, and Arrow tables, too.

        Examples
        --------
        >>> totals = client.sql("SELECT sum(value) AS total FROM generate_series(1, 100) WHERE value <= $1", [10])
        >>> totals.to_arrow()["total"].to_pylist()
        [55]
        >>> made = client.sql("CREATE VIEW small AS SELECT value AS n FROM generate_series(1, 3)")
        >>> client.sql("SELECT sum(n) AS total FROM small").to_arrow()["total"].to_pylist()
        [6]
        """
        from millstream.dataframe._read import sql

        return sql(query, params, tables, self)

    # ---- what becomes of futures

    def cancel(self, futures: Any, *, force: bool = False) -> None:
        """Stop tasks, with those of their jobs that read them; what is over stays as it is.

        Examples
        --------
        >>> first, second = client.map(abs, [-1, -2])
        >>> client.cancel(first)
        >>> first.status, second.result()
        ('cancelled', 2)
        """
        self.session.cancel(futures_in(futures))

    def retry(self, futures: Any) -> None:
        """Run tasks that failed again; their futures then stand for the new runs.

        Examples
        --------
        >>> future = client.submit(divmod, 1, 0)
        >>> client.wait(future).done == {future}
        True
        >>> client.retry(future)
        >>> future.exception()
        ZeroDivisionError('integer division or modulo by zero')
        """
        self.session.retry(futures_in(futures))

    def detach(self, futures: Any) -> str:
        """Let a job outlive this client; return its id, for :meth:`attach`.

        Examples
        --------
        >>> job_id = client.detach(client.map(abs, [-1, -2]))
        >>> client.attach(job_id).gather()
        [1, 2]
        """
        found = futures_in(futures)
        if not found:
            raise ValueError("there is no future to detach")
        ids = self.session.keep(found)
        if len(ids) > 1:
            raise ValueError(
                f"the futures belong to {len(ids)} jobs, which were all detached: {', '.join(ids)}; attach to each"
            )
        _aio.wait(self._is_accepted(found))
        return ids[0]

    async def _is_accepted(self, futures: Sequence[Future[Any]]) -> None:
        import asyncio

        for future in futures[:1]:
            # Not to be lost with this process: it must have reached the cluster.
            while future._job.state in ("draft", "sealed"):
                await asyncio.sleep(0.005)
            if future._job.error is not None:
                raise future._job.error

    def attach(self, job_id: str) -> AttachedJob:
        """Return a job that another client, or an earlier process, submitted.

        Examples
        --------
        >>> job = client.attach(client.detach(client.submit(abs, -1, key="kept")))
        >>> job.gather()
        [1]
        """
        from millstream._attached import attach

        return attach(self.session, job_id)

    def get_executor(self, **options: Any) -> Executor:
        """Return an executor as of `concurrent.futures` whose tasks run on the cluster.

        Examples
        --------
        >>> with client.get_executor(retries=1) as executor:
        ...     list(executor.map(abs, [-1, -2]))
        [1, 2]
        """
        from millstream._executor_pool import Executor

        return Executor(self, options)

    def close(self) -> None:
        """Cancel what goes on and was not detached, and close the connection."""
        with _current_lock:
            if self in _current:
                _current.remove(self)
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {self.url}{' (closed)' if self.session.is_closed else ''}>"

    def _repr_html_(self) -> str:
        from millstream._repr import client_html

        return client_html(self)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a client cannot be sent to a task: inside one, use millstream.get_client()")


def _in_order(listed: Sequence[Any], others: Iterable[Any], of_dask: Iterable[Any]) -> list[Any]:
    """Return what was made of each collection of `listed`, of Dask's and of the others."""
    rest, made = iter(others), iter(of_dask)
    return [next(made if is_dask_collection(each) else rest) for each in listed]


def _checked(key: Any) -> str:
    """Return a key that somebody chose, if it is a text."""
    if isinstance(key, str):
        return key
    raise TypeError(f"a key is a text, got {key!r}: write key={str(key)!r}")


def _are_calls_of_actors(futures: Any) -> bool:
    from millstream._actor import ActorFuture

    return isinstance(futures, list) and all(isinstance(future, ActorFuture) for future in futures)


def open_client() -> Client | None:
    """Return the client that was opened last and is still open, if there is one."""
    with _current_lock:
        return _current[-1] if _current else None


def get_client() -> Client:
    """Return the client that was opened last and is still open, or one of this process's own cluster.

    Inside a task it is a client of the task's cluster, whose jobs end with the task's process.

    Examples
    --------
    >>> ms.get_client() is client
    True
    """
    if (client := open_client()) is not None:
        return client
    is_in_task = "millstream_runtime" in sys.modules
    if is_in_task and GATEWAY_VARIABLE not in os.environ:
        # Another cluster, started here, would be a surprise.
        raise ConnectionFailedError(
            "this worker does not tell its tasks where the gateway is: set python.gateway_url and "
            "python.gateway_token_file in its settings"
        )
    return Client(attached=is_in_task)


def _resolve(address: str | LocalCluster | None, token: str | None) -> tuple[LocalCluster | None, Access]:
    from millstream._local import LocalCluster, shared_cluster

    if isinstance(address, LocalCluster):
        return address, address.access
    address = address or os.environ.get(GATEWAY_VARIABLE)
    if address is not None:
        return None, find_access(address, token)
    cluster = shared_cluster()
    return cluster, cluster.access


def _is_of_use(future: Future[Any]) -> bool:
    return future.status in ("pending", "finished")
