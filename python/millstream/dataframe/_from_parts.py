"""Frames whose parts Python tasks make: by a function of some values, or as delayed values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from millstream.dataframe import _calls, _python, _run
from millstream.dataframe._calls import OfItem

if TYPE_CHECKING:
    from millstream._client import Client


def from_map(
    func: Callable[..., Any],
    *iterables: Iterable[Any],
    args: Sequence[Any] = (),
    meta: Any = None,
    client: Client | None = None,
    **kwargs: Any,
) -> Any:
    """Return the frames, or columns, that a function makes of each value, one after the other.

    The function is called in Python tasks, whenever the frame is computed.

    Parameters
    ----------
    func : callable
        It is called with a value of each iterable, and with the other arguments, and returns a pandas object.
    *iterables : iterable
        Values; each call gets one of each.
    args : sequence
        Further arguments of all calls.
    meta : object, optional
        What it returns: an empty pandas object, types by name, or a pair of a name and a type. By default that is
        told by the first call, which is made now, on the cluster.
    client : Client, optional
        Where; the current client by default.
    **kwargs
        Further arguments of all calls.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = ms.dataframe.from_map(lambda n: pd.DataFrame({"n": [n, n * n]}), range(3), client=client)
    >>> frame.n.compute().tolist()
    [0, 0, 1, 1, 2, 4]
    """
    if not callable(func):
        raise TypeError(f"from_map takes a function and its values, got {type(func).__name__}")
    if not iterables:
        raise TypeError("from_map needs at least one iterable of values")
    for name in ("divisions", "enforce_metadata", "label", "token"):
        kwargs.pop(name, None)
    items = list(zip(*iterables, strict=True))
    return _of_items(items, OfItem(func, args, kwargs), meta, client, "from_map")


def from_delayed(dfs: Any, meta: Any = None, *, client: Client | None = None, **unknown: Any) -> Any:
    """Return the frames, or columns, that delayed values or futures stand for, one after the other.

    Parameters
    ----------
    dfs : list of Delayed or Future
        Each a pandas object of the same columns.
    meta : object, optional
        What each is; see :func:`from_map`. By default that is told by the first, which is computed now.
    client : Client, optional
        Where; the current client by default.

    Examples
    --------
    >>> import pandas as pd
    >>> parts = [ms.delayed(pd.Series)([n, n + 1], name="n") for n in (1, 3)]
    >>> ms.dataframe.from_delayed(parts, client=client).sum().compute().item()
    10
    """
    from millstream import Future
    from millstream._delayed import Delayed
    from millstream.dataframe import _files

    for name in ("divisions", "prefix", "verify_meta"):
        unknown.pop(name, None)
    _files.refuse("from_delayed", unknown)
    values = [dfs] if isinstance(dfs, Delayed | Future) else list(dfs)
    for value in values:
        if not isinstance(value, Delayed | Future):
            raise TypeError(f"from_delayed takes delayed values or futures, got {type(value).__name__}")
    return _of_items([(value,) for value in values], OfItem(_calls.as_it_is, (), {}), meta, client, "from_delayed")


def _of_items(items: list[Any], call: OfItem, meta: Any, client: Client | None, name: str) -> Any:
    if not items:
        raise ValueError(f"{name} needs at least one value")
    if meta is None:
        shown = _run.current(client).submit(_calls.few_rows, call, items[0]).result()
    else:
        shown = _python.foretold(meta, call, None, name)
    if not hasattr(shown, "index") or getattr(shown, "ndim", 0) not in (1, 2):
        raise TypeError(f"{name} needs pandas objects, got {type(shown).__name__}")
    return _python.made_table(call, shown, client, items=items)
