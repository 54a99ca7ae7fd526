"""``compute``, ``persist`` and ``optimize``: many lazy collections at once, what they share made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from millstream._collections import take_apart
from millstream._graph import build_groups
from millstream._options import check_option_names
from millstream._task import Reference, Task

if TYPE_CHECKING:
    from millstream._client import Client
    from millstream._future import Future


def compute(
    *args: Any,
    client: Client | None = None,
    traverse: bool = True,
    progress: bool | None = None,
    optimize_graph: bool = True,
    **options: Any,
) -> tuple[Any, ...]:
    """Compute several lazy collections together.

    Parameters
    ----------
    *args
        Collections, futures, or nested lists, tuples, sets, dicts and dataclasses that hold some; anything else is
        returned as it is.
    client : Client, optional
        The cluster; the current one by default, or one started on this machine.
    traverse : bool
        Whether collections are looked for inside `args`.
    progress : bool, optional
        Whether a progress bar is shown; by default what :func:`millstream.progress_bar` says.
    optimize_graph : bool
        Whether linear chains of calls are made one task each.
    **options
        Options for all tasks that have none of their own; see :class:`~millstream.TaskOptions`.

    Returns
    -------
    tuple
        A value for each of `args`.

    Examples
    --------
    >>> import millstream as ms
    >>> x = ms.delayed(int)("20")
    >>> ms.compute(x + 1, {"both": [x, x]}, "text")
    (21, {'both': [20, 20]}, 'text')
    """
    check_option_names(options)
    found, put_back = take_apart(args, traverse=True) if traverse else _shallow(args)
    if not found:
        return args
    from millstream._client import get_client

    used = client or get_client()
    futures = submit_collections(used, found, options, fuse=optimize_graph)
    flat = [future for outputs in futures for future in outputs]
    values = used._collect(flat, progress=progress)
    parts = iter(values)
    finished = [
        _finalize(collection, [next(parts) for _ in outputs])
        for collection, outputs in zip(found, futures, strict=True)
    ]
    computed: tuple[Any, ...] = put_back(finished)
    return computed


def persist(
    *args: Any, client: Client | None = None, traverse: bool = True, optimize_graph: bool = True, **options: Any
) -> tuple[Any, ...]:
    """Start computing several lazy collections; return them over results that stay on the cluster.

    Takes what :func:`compute` takes, and returns at once.

    Examples
    --------
    >>> import millstream as ms
    >>> kept, = ms.persist(ms.delayed(sum)([1, 2]))
    >>> (kept * 2).compute()
    6
    """
    check_option_names(options)
    found, put_back = take_apart(args, traverse=True) if traverse else _shallow(args)
    if not found:
        return args
    from millstream._client import get_client

    futures = submit_collections(client or get_client(), found, options, fuse=optimize_graph)
    kept = [
        collection.__millstream_rebuild__(outputs) if hasattr(collection, "__millstream_rebuild__") else outputs[0]
        for collection, outputs in zip(found, futures, strict=True)
    ]
    persisted: tuple[Any, ...] = put_back(kept)
    return persisted


def optimize(*args: Any) -> tuple[Any, ...]:
    """Return the collections as they would be computed.

    Graphs are optimized when they are submitted: shared parts are made once, linear chains are fused. This exists for
    programs that call it, and returns equal collections.

    Examples
    --------
    >>> total = ms.delayed(sum)([1, 2])
    >>> ms.compute(*ms.optimize(total, total + 1))
    (3, 4)
    """
    return args


def submit_collections(
    client: Client, collections: Sequence[Any], options: dict[str, Any], *, fuse: bool = True
) -> list[list[Future[Any]]]:
    """Submit everything that `collections` need as one job; return the futures of each one's outputs."""
    from millstream._future import Future

    outputs = [_outputs_of(collection) for collection in collections]
    tasks = list({id(task): task for each in outputs for task in each if isinstance(task, Task)}.values())
    made: dict[int, Future[Any]] = {}
    if tasks:
        session = client.session
        with session.building():
            defaults = client.default_options.merged(options)
            groups = build_groups(tasks, functions=session.functions(defaults.env), fuse=fuse)
            for group in groups:
                group.options = defaults.under(group.options)
            futures = session.call_groups(groups)
        # Groups of wanted tasks come in another order than asked for; keys of one submission are unique.
        by_key = {future.key: future for future in futures}
        made = {id(task): by_key[task.key] for task in tasks}
        session.flush()
    return [[task if isinstance(task, Future) else made[id(task)] for task in each] for each in outputs]


def _outputs_of(collection: Any) -> Sequence[Any]:
    if hasattr(collection, "__millstream_outputs__"):
        outputs: Sequence[Any] = collection.__millstream_outputs__()
        return outputs
    return [collection.__millstream_ref__()]


def _finalize(collection: Any, values: list[Any]) -> Any:
    if hasattr(collection, "__millstream_finalize__"):
        return collection.__millstream_finalize__(values)
    return values[0]


def _shallow(args: tuple[Any, ...]) -> tuple[list[Any], Any]:
    """Find the collections among `args` only."""
    found = [arg for arg in args if isinstance(arg, Reference) or hasattr(arg, "__millstream_outputs__")]
    positions = {id(arg): number for number, arg in enumerate(found)}

    def put_back(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[positions[id(arg)]] if id(arg) in positions else arg for arg in args)

    return found, put_back
