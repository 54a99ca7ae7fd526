"""Functions that make bags."""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from millstream._delayed import Delayed, delayed
from millstream._functions import name_of
from millstream._options import current_options
from millstream._task import Task, new_key
from millstream.bag import _partitions as parts
from millstream.bag._base import Partitioned
from millstream.bag.core import Bag

# Partitions of a sequence, unless asked otherwise.
_PARTITIONS = 100


def from_sequence(seq: Iterable[Any], partition_size: int | None = None, npartitions: int | None = None) -> Bag:
    """Make a bag of a sequence.

    Parameters
    ----------
    seq : iterable
        The items.
    partition_size : int, optional
        Items in a partition.
    npartitions : int, optional
        Number of partitions; about 100 by default.

    Examples
    --------
    >>> import millstream.bag as mb
    >>> mb.from_sequence("abcde", partition_size=2).npartitions
    3
    """
    items = list(seq)
    if partition_size is None:
        count = _PARTITIONS if npartitions is None else npartitions
        if count < 1:
            raise ValueError(f"npartitions must be at least 1, got {count}")
        is_small = npartitions is None and len(items) < _PARTITIONS
        partition_size = 1 if is_small else max(1, math.ceil(len(items) / count))
    pieces = [items[at : at + partition_size] for at in builtins.range(0, len(items), partition_size)] or [[]]
    return _of_lists(pieces, "from_sequence")


def _of_lists(lists: Iterable[Any], name: str) -> Bag:
    prefix = new_key(name)
    tasks = [
        Task(parts.as_list, (items,), key=f"{prefix}-{number}", options=current_options(), pure=True)
        for number, items in enumerate(lists)
    ]
    return Bag(tasks, name)


def range(n: int, npartitions: int) -> Bag:  # noqa: A001 - Dask's name
    """Make a bag of the numbers from 0 to `n` - 1.

    Examples
    --------
    >>> import millstream.bag as mb
    >>> mb.range(5, npartitions=2).compute()
    [0, 1, 2, 3, 4]
    """
    size = max(1, n // npartitions)
    starts = list(itertools.islice(builtins.range(0, max(n, 1), size), npartitions))
    bounds = [*starts, n]
    return _of_lists([builtins.range(start, end) for start, end in itertools.pairwise(bounds)], "range")


def from_delayed(values: Any) -> Bag:
    """Make a bag of delayed values, each an iterable that becomes a partition.

    Examples
    --------
    >>> import millstream as ms, millstream.bag as mb
    >>> mb.from_delayed([ms.delayed(sorted)("ba"), ms.delayed(["c"])]).compute()
    ['a', 'b', 'c']
    """
    if isinstance(values, Delayed):
        values = [values]
    made = [value if isinstance(value, Delayed) else delayed(value) for value in values]
    tasks = [Task(parts.as_list, (value,), options=current_options(), pure=True) for value in made]
    return Bag(tasks, "from_delayed")


def concat(bags: Iterable[Any]) -> Bag:
    """Make one bag of several, one after the other.

    Examples
    --------
    >>> import millstream.bag as mb
    >>> mb.concat([mb.range(2, 1), mb.range(2, 1)]).compute()
    [0, 1, 0, 1]
    """
    tasks: list[Any] = []
    for bag in bags:
        if isinstance(bag, Partitioned):
            tasks += bag._parts
        elif isinstance(bag, Delayed):
            tasks.append(bag.__millstream_ref__())
        else:
            tasks += _of_lists([list(bag)], "concat")._parts
    return Bag(tasks, "concat")


def zip(*bags: Bag) -> Bag:  # noqa: A001 - Dask's name
    """Make a bag of tuples of the items at the same position; all bags have the same partitions.

    Examples
    --------
    >>> import millstream.bag as mb
    >>> mb.zip(mb.range(3, 1), mb.range(3, 1)).compute()
    [(0, 0), (1, 1), (2, 2)]
    """
    _check_aligned(bags)
    first, *others = bags
    return first._each(parts.zipped, "zip", *[list(builtins.map(Delayed, other._parts)) for other in others])


def map(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Bag:  # noqa: A001 - Dask's name
    """Call a function for each item of bags; see :meth:`Bag.map`.

    Examples
    --------
    >>> import millstream.bag as mb
    >>> mb.map(pow, mb.range(4, 2), 2).compute()
    [0, 1, 4, 9]
    """
    bags = _check_aligned([*args, *kwargs.values()])
    names = list(kwargs)
    mapper = parts.MapItems(
        func,
        [isinstance(arg, Partitioned) for arg in args],
        names,
        [isinstance(value, Partitioned) for value in kwargs.values()],
    )
    return _call_partitions(mapper, bags[0].npartitions, [*args, *kwargs.values()], name_of(func))


def map_partitions(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Bag:
    """Call a function with each partition of bags as a list; see :meth:`Bag.map_partitions`.

    Examples
    --------
    >>> import millstream.bag as mb
    >>> mb.map_partitions(lambda a, b: [len(a) + len(b)], mb.range(4, 2), mb.range(4, 2)).compute()
    [4, 4]
    """
    bags = _check_aligned([*args, *kwargs.values()])
    caller = partial(parts.pass_items, func, list(kwargs))
    return _call_partitions(caller, bags[0].npartitions, [*args, *kwargs.values()], name_of(func))


def _call_partitions(function: Callable[..., Any], count: int, values: Sequence[Any], name: str) -> Bag:
    prefix, options = new_key(name), current_options()

    def at(value: Any, number: int) -> Any:
        return Delayed(value._parts[number]) if isinstance(value, Partitioned) else value

    tasks = [
        Task(
            function,
            tuple(at(value, number) for value in values),
            key=f"{prefix}-{number}",
            options=options,
            pure=True,
        )
        for number in builtins.range(count)
    ]
    return Bag(tasks, name)


def _check_aligned(values: Sequence[Any]) -> list[Partitioned]:
    bags = [value for value in values if isinstance(value, Partitioned)]
    if not bags:
        raise ValueError("at least one argument must be a bag")
    counts = {bag.npartitions for bag in bags}
    if len(counts) > 1:
        raise ValueError(f"the bags have {sorted(counts)} partitions: repartition them to the same number")
    return bags


__all__ = ["concat", "from_delayed", "from_sequence", "map", "map_partitions", "range", "zip"]
