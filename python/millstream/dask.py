"""Dask's door: existing Dask code runs unchanged on a Millstream cluster.

Examples
--------
>>> import dask.array as da
>>> import millstream.dask
>>> with millstream.dask.scheduler(client):
...     total = da.ones((100, 100), chunks=50).sum().compute()
>>> float(total)
10000.0
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import dask
import dask.utils
from dask._expr import Expr, FinalizeCompute, HLGExpr
from dask._task_spec import Alias, DataNode, GraphNode, convert_legacy_graph
from dask.base import get_annotations, get_scheduler
from dask.callbacks import local_callbacks, unpack_callbacks
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph

from millstream import _aio, _dask_remote
from millstream._client import get_client
from millstream._compute import submit_collections
from millstream._delayed import Delayed
from millstream._functions import carry
from millstream._locks import Lock
from millstream._options import OPTION_NAMES, TaskOptions
from millstream._task import Task, new_key

if TYPE_CHECKING:
    from millstream._client import Client
    from millstream._future import Future

carry(_dask_remote)

# What Dask's annotations are called here; others are for other schedulers.
_ANNOTATIONS = ("priority", "resources", "retries", "workers")

# In a graph, such a value may be read as a task or as a key.
_AMBIGUOUS = (tuple, list, dict, str, bytes)

_SETTINGS = {"dataframe.shuffle.method": "tasks"}


class DaskFuture:
    """A persisted result in Dask's graphs, under Dask's key."""

    __dask_future__ = True

    def __init__(self, key: Any, future: Future[Any]) -> None:
        self.key = key
        self.future = future

    @property
    def status(self) -> str:
        """One of ``"pending"``, ``"finished"``, ``"error"`` and ``"cancelled"``."""
        return self.future.status

    def done(self) -> bool:
        """Whether the result is made, or never will be."""
        return self.future.done()

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result and return it."""
        return self.future.result(timeout)

    def __dask_tokenize__(self) -> tuple[str, str, str]:
        return "millstream-future", self.future.job_id, self.future.key

    def __reduce__(self) -> tuple[Any, ...]:
        # Whoever unpickles it wants the result, whatever becomes of this one.
        self.future._job.holders.add(self.future._number)
        return _found_again, (self.key, self.future.job_id, self.future.key)

    def __repr__(self) -> str:
        return f"<DaskFuture {self.key!r} {self.future.status}>"


class _Persisted:
    """The persisted results that somebody holds, by Dask's key.

    A graph over them has their keys only. Several results may have one key, as when a collection is persisted twice:
    any of them will do, and when one is let go the others are still there.
    """

    def __init__(self) -> None:
        self._by_key: dict[Any, list[ref[DaskFuture]]] = {}

    def add(self, future: DaskFuture) -> None:
        """Remember a result for as long as somebody holds it."""
        key = future.key
        self._by_key.setdefault(key, []).append(ref(future, lambda gone: self._forget(key, gone)))

    def get(self, key: Any) -> DaskFuture | None:
        """Return the latest result of a key that is held."""
        for held in reversed(self._by_key.get(key, ())):
            future = held()
            if future is not None:
                return future
        return None

    def _forget(self, key: Any, gone: ref[DaskFuture]) -> None:
        left = [held for held in self._by_key.get(key, ()) if held is not gone]
        if left:
            self._by_key[key] = left
        else:
            self._by_key.pop(key, None)


_persisted: WeakKeyDictionary[Client, _Persisted] = WeakKeyDictionary()


def _found_again(key: Any, job_id: str, task_key: str) -> DaskFuture:
    """Return a persisted result that was pickled, through the client that made it or the one in use."""
    from millstream._attached import find_future

    makers = (client for client in list(_persisted) if any(job.id == job_id for job in client.session.jobs()))
    client = next(makers, None) or get_client()
    held = DaskFuture(key, _aio.wait(find_future(client.session, job_id, task_key)))
    _persisted.setdefault(client, _Persisted()).add(held)
    return held


class Scheduler:
    """What Dask calls to compute and to persist; :meth:`get` is a Dask scheduler.

    Parameters
    ----------
    client : Client
        The cluster.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.calls = 0
        # By client, not by scheduler: what one persisted, another finds.
        self._persisted = _persisted.setdefault(client, _Persisted())

    def get(self, dsk: Any, keys: Any, **kwargs: Any) -> Any:
        """Compute keys of a graph.

        Parameters
        ----------
        dsk : Expr, HighLevelGraph or mapping
            The graph.
        keys : key, or nested lists of keys
            What is wanted.
        **kwargs
            `priority`, `resources`, `retries`, `workers` and `callbacks`; anything else is for other schedulers.

        Examples
        --------
        >>> from operator import add
        >>> import millstream.dask
        >>> with millstream.dask.scheduler(client) as scheduler:
        ...     scheduler.get({"a": 1, "b": (add, "a", 2)}, ["a", "b"])
        (1, 3)
        """
        self.calls += 1
        with _annotations_kept(dsk):
            graph = _materialized(dsk)
            options = _Options(dsk, kwargs)
        wanted = set(flatten(keys)) if isinstance(keys, list) else {keys}
        with local_callbacks(kwargs.get("callbacks")) as callbacks:
            if callbacks:
                values = self._run_watched(graph, wanted, options, callbacks)
            else:
                futures = self._submit(graph, wanted, options)
                values = self._gather(futures)
        return _nested(keys, values)

    def compute(self, collections: Sequence[Any], optimize_graph: bool = True, **kwargs: Any) -> list[Future[Any]]:
        """Start computing collections; return a future of each one's value."""
        from dask.base import collections_to_expr

        self.calls += 1
        expr = FinalizeCompute(collections_to_expr(list(collections), optimize_graph)).optimize()
        keys = list(flatten(expr.__dask_keys__()))
        with _annotations_kept(expr):
            graph, options = _materialized(expr), _Options(expr, {})
        futures = self._submit(graph, set(keys), options, kwargs)
        return [self._as_future(futures[key]) for key in keys]

    def _as_future(self, made: Any) -> Future[Any]:
        from millstream._future import Future

        return made if isinstance(made, Future) else self.client.scatter([made])[0]

    def persist(self, collections: Sequence[Any], optimize_graph: bool = True, **kwargs: Any) -> list[Any]:
        """Start computing collections; return them over results that stay on the cluster."""
        from dask.base import collections_to_expr

        self.calls += 1
        listed = list(collections)
        expr = collections_to_expr(listed, optimize_graph).optimize()
        keys = [list(flatten(each)) for each in expr.__dask_keys__()]
        wanted = {key for each in keys for key in each}
        with _annotations_kept(expr):
            graph, options = _materialized(expr), _Options(expr, kwargs)
        given = {name: value for name, value in kwargs.items() if name in OPTION_NAMES}
        futures = self._submit(graph, wanted, options, given)
        held = {key: self._hold(key, future) for key, future in futures.items()}
        rebuilt = []
        for collection, own in zip(listed, keys, strict=True):
            rebuild, state = collection.__dask_postpersist__()
            rebuilt.append(rebuild({key: held[key] for key in own}, *state))
        return rebuilt

    def _hold(self, key: Any, future: Any) -> Any:
        from millstream._future import Future

        if not isinstance(future, Future):
            return DataNode(key, future) if isinstance(future, _AMBIGUOUS) else future
        held = DaskFuture(key, future)
        self._persisted.add(held)
        return held

    def _gather(self, futures: Mapping[Any, Any]) -> dict[Any, Any]:
        from millstream._future import Future

        waiting = {key: future for key, future in futures.items() if isinstance(future, Future)}
        values = self.client._collect(list(waiting.values())) if waiting else []
        return {**futures, **dict(zip(waiting, values, strict=True))}

    def _submit(
        self,
        graph: Mapping[Any, Any],
        wanted: Iterable[Any],
        options: _Options,
        defaults: Mapping[str, Any] | None = None,
    ) -> dict[Any, Any]:
        """Submit what `wanted` keys need; return a future for each, or its value where it is in the graph."""
        lowered = _Lowering(graph, self._persisted, options)
        targets = {key: lowered.lower(key) for key in wanted}
        lazy = {key: target for key, target in targets.items() if isinstance(target, Delayed)}
        futures = submit_collections(self.client, list(lazy.values()), dict(defaults or {}), fuse=False)
        made = {key: each[0] for key, each in zip(lazy, futures, strict=True)}
        return {key: made.get(key, target) for key, target in targets.items()}

    def _run_watched(
        self, graph: dict[Any, Any], wanted: set[Any], options: _Options, callbacks: Any
    ) -> dict[Any, Any]:
        """Compute with callbacks, which want to see every task and its result."""
        from dask.local import finish_task, start_state_from_dask
        from dask.order import order

        _, _, before_task, after_task, _ = unpack_callbacks(callbacks)
        started: list[Any] = []
        state: dict[str, Any] = {}
        is_done = False
        try:
            for callback in callbacks:
                if callback[0]:
                    callback[0](graph)
                started.append(callback)
            key_order = order(graph)
            state.update(start_state_from_dask(graph, keys=wanted, sortkey=key_order.get))
            for _, start_state, *_ in callbacks:
                if start_state:
                    start_state(graph, state)
            ordered = [key for key in sorted(graph, key=key_order.__getitem__) if key not in state["cache"]]
            needed = [key for key in ordered if key in state["dependencies"]]
            futures = self._submit(graph, [*needed, *wanted], options)
            for key in needed:
                if key in state["ready"]:
                    state["ready"].remove(key)
                state["running"].add(key)
                for call in before_task:
                    call(key, graph, state)
                value = self._gather({key: futures[key]})[key]
                state["cache"][key] = value
                finish_task(graph, key, state, wanted, key_order.get)
                for call in after_task:
                    call(key, value, graph, state, "millstream")
            values = self._gather({key: futures[key] for key in wanted})
            is_done = True
            return values
        finally:
            for *_, finish in started:
                if finish:
                    finish(graph, state, not is_done)

    def __deepcopy__(self, _memo: Any) -> Scheduler:
        # Dask's settings, of which it is one, are copied; the conversation with the cluster is not.
        return self

    def __repr__(self) -> str:
        return f"<millstream.dask.Scheduler {self.client.url}>"


class _Options:
    """The options of each key: what the call says, over what the graph's annotations say."""

    def __init__(self, dsk: Any, kwargs: Mapping[str, Any]) -> None:
        own = {name: kwargs[name] for name in _ANNOTATIONS if kwargs.get(name)}
        self._common = _task_options({**get_annotations(), **own})
        self._common_annotations = {**get_annotations(), **own}
        self._by_key: dict[Any, dict[str, Any]] = {}
        for name, values in _annotations_of(dsk).items():
            if name in _ANNOTATIONS:
                for key, value in values.items():
                    self._by_key.setdefault(key, {})[name] = value
        self._made: dict[str, TaskOptions] = {}

    def of(self, key: Any) -> TaskOptions:
        """Return the options of a key."""
        own = self._by_key.get(key)
        if not own:
            return self._common
        merged = {**self._common_annotations, **own}
        return self._made.setdefault(repr(sorted(merged.items(), key=str)), _task_options(merged))


def _task_options(annotations: Mapping[str, Any]) -> TaskOptions:
    chosen = {name: value for name in _ANNOTATIONS if (value := annotations.get(name)) and not callable(value)}
    # Dask's resources are counts of what workers declare, in its own spelling.
    if "resources" in chosen:
        chosen["resources"] = {name.lower(): amount for name, amount in chosen["resources"].items()}
    return TaskOptions(**chosen)


def _annotations_of(dsk: Any) -> dict[str, dict[Any, Any]]:
    if hasattr(dsk, "__dask_annotations__"):
        annotations: dict[str, dict[Any, Any]] = dsk.__dask_annotations__()
        return annotations
    found: dict[str, dict[Any, Any]] = {}
    for layer in getattr(dsk, "layers", {}).values():
        for name, value in (layer.annotations or {}).items():
            found.setdefault(name, {}).update({key: value(key) if callable(value) else value for key in layer})
    return found


@contextlib.contextmanager
def _annotations_kept(dsk: Any) -> Iterator[None]:
    """Keep Dask from fusing tasks while it makes a graph that is annotated: what it fuses loses its annotations."""
    layers = [layer for graph in _graphs_of(dsk) for layer in graph.layers.values()]
    if not any(name in _ANNOTATIONS for layer in layers for name in layer.annotations or ()):
        yield
        return
    with dask.config.set({"optimization.fuse.active": False}):
        yield


def _graphs_of(dsk: Any) -> list[HighLevelGraph]:
    """The graphs that an expression is made of."""
    if isinstance(dsk, HighLevelGraph):
        return [dsk]
    exprs = dsk.find_operations(HLGExpr) if isinstance(dsk, Expr) else ()
    return [expr.hlg for expr in exprs]


class _Lowering:
    """Turns nodes of a Dask graph into tasks, each once."""

    def __init__(self, graph: Mapping[Any, Any], persisted: _Persisted, options: _Options) -> None:
        self._graph = graph
        self._persisted = persisted
        self._options = options
        self._lowered: dict[Any, Any] = {}

    def lower(self, key: Any) -> Any:
        """Return a delayed value for a key, or its value where the graph holds it."""
        entered: set[Any] = set()
        stack = [key]
        while stack:
            current = stack[-1]
            if current in self._lowered:
                stack.pop()
                continue
            node = self._graph.get(current)
            if node is None:
                self._lowered[current] = self._known(current)
                continue
            missing = [dep for dep in node.dependencies if dep not in self._lowered]
            if missing:
                if not entered.isdisjoint(missing):
                    raise RuntimeError(f"the graph has a cycle through {current!r}")
                entered.add(current)
                stack += missing
                continue
            self._lowered[current] = self._lower(current, node)
            entered.discard(current)
        return self._lowered[key]

    def _known(self, key: Any) -> Any:
        held = self._persisted.get(key)
        if held is None:
            raise KeyError(key)
        return Delayed(held.future)

    def _lower(self, key: Any, node: GraphNode) -> Any:
        if isinstance(node, DataNode):
            return node.value
        if isinstance(node, Alias):
            return self._lowered[node.target]
        inputs = {dep: self._lowered[dep] for dep in node.dependencies}
        name = key[0] if isinstance(key, tuple) else key
        task = Task(
            _dask_remote.run_node, (node, inputs), key=new_key(str(name)), options=self._options.of(key), pure=True
        )
        return Delayed(task)


def _materialized(dsk: Any) -> dict[Any, Any]:
    if not isinstance(dsk, Mapping):
        dsk = dsk.__dask_graph__()
    graph: dict[Any, Any] = convert_legacy_graph(dsk)
    return graph


def _nested(keys: Any, values: Mapping[Any, Any]) -> Any:
    if isinstance(keys, list):
        return tuple(_nested(key, values) for key in keys)
    return values[keys]


def _with_cluster_locks(make_lock: Callable[..., Any]) -> Callable[..., Any]:
    """What Dask asks for a lock that its scheduler's tasks can share; those of a cluster are in several processes."""

    @functools.wraps(make_lock)
    def get_scheduler_lock(collection: Any = None, scheduler: Any = None) -> Any:
        chosen = get_scheduler(collections=[collection], scheduler=scheduler)
        owner = getattr(chosen, "__self__", None)
        if isinstance(owner, Scheduler):
            return Lock(client=owner.client)
        return make_lock(collection, scheduler)

    return get_scheduler_lock


# Those who use it have it under its name: Dask offers no place to register another.
dask.utils.get_scheduler_lock = _with_cluster_locks(dask.utils.get_scheduler_lock)
for _name in ("dask.array.core", "dask.dataframe.io.hdf"):
    if _name in sys.modules:
        sys.modules[_name].get_scheduler_lock = dask.utils.get_scheduler_lock  # type: ignore[attr-defined]

_enabled: list[contextlib.ExitStack] = []


def enable(client: Client | None = None) -> Scheduler:
    """Let Dask compute on a Millstream cluster from now on.

    Parameters
    ----------
    client : Client, optional
        The cluster; the current one by default, or one started on this machine.

    Returns
    -------
    Scheduler
        What Dask now calls.

    Examples
    --------
    >>> import dask
    >>> import millstream.dask
    >>> _ = millstream.dask.enable(client)
    >>> dask.delayed(sum)([1, 2, 3]).compute()
    6
    >>> millstream.dask.disable()
    """
    stack = contextlib.ExitStack()
    made = stack.enter_context(scheduler(client))
    _enabled.append(stack)
    return made


def disable() -> None:
    """Take the last :func:`enable` back.

    Examples
    --------
    >>> import millstream.dask
    >>> _ = millstream.dask.enable(client)
    >>> millstream.dask.disable()
    """
    if _enabled:
        _enabled.pop().close()


@contextlib.contextmanager
def scheduler(client: Client | None = None) -> Iterator[Scheduler]:
    """Let Dask compute on a Millstream cluster inside the block; takes what :func:`enable` takes.

    Examples
    --------
    >>> import dask
    >>> import millstream.dask
    >>> with millstream.dask.scheduler(client):
    ...     dask.delayed(max)([3, 9, 5]).compute()
    9
    """
    from millstream._client import get_client

    made = Scheduler(client or get_client())
    with dask.config.set({"scheduler": made.get, **_SETTINGS}):
        yield made


def get(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    """Compute keys of a graph on the current cluster: a Dask scheduler, as for ``compute(scheduler=...)``.

    Examples
    --------
    >>> from operator import add
    >>> import millstream.dask
    >>> millstream.dask.get({"a": 1, "b": (add, "a", 2)}, "b")
    3
    """
    from millstream._client import get_client

    return Scheduler(get_client()).get(dsk, keys, **kwargs)


def persist(*collections: Any, client: Client | None = None, **kwargs: Any) -> tuple[Any, ...]:
    """Start computing Dask collections; return them over results that stay on the cluster.

    Examples
    --------
    >>> import dask.array
    >>> import millstream.dask
    >>> (kept,) = millstream.dask.persist(dask.array.ones(4, chunks=2) * 2, client=client)
    >>> with millstream.dask.scheduler(client):
    ...     float(kept.sum().compute())
    8.0
    """
    from dask.base import persist as dask_persist

    with scheduler(client):
        persisted: tuple[Any, ...] = dask_persist(*collections, **kwargs)
    return persisted
