"""What lazy collections have in common, and how nested values that hold some are taken apart and put together."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, runtime_checkable

from millstream._task import Reference


@runtime_checkable
class Collection(Protocol):
    """A lazy collection: a delayed value, a bag."""

    def __millstream_outputs__(self) -> Sequence[Any]:
        """Return the tasks (or futures) whose results make up the collection."""

    def __millstream_finalize__(self, values: Sequence[Any]) -> Any:
        """Return what the collection computes to, given its outputs' values."""

    def __millstream_rebuild__(self, outputs: Sequence[Any]) -> Self:
        """Return the same collection over other outputs, such as futures of its own."""


def is_dask_collection(value: Any) -> bool:
    """Whether a value is one of Dask's collections."""
    # Who has one has loaded Dask.
    base = sys.modules.get("dask.base")
    return base is not None and bool(base.is_dask_collection(value))


Repack = Callable[[Sequence[Any]], Any]


def take_apart(value: Any, *, traverse: bool = True) -> tuple[list[Any], Repack]:
    """Find the collections within nested lists, tuples, sets, dicts and dataclasses.

    Returns
    -------
    list of collections, and a function that puts values in their places.

    Examples
    --------
    >>> found, put_back = take_apart({"a": [1, 2]})
    >>> found, put_back([])
    ([], {'a': [1, 2]})
    """
    found: list[Any] = []
    positions: dict[int, int] = {}

    def walk(part: Any) -> Repack | None:
        if isinstance(part, Reference | Collection) and not isinstance(part, type):
            position = positions.setdefault(id(part), len(found))
            if position == len(found):
                found.append(part)
            return lambda values: values[position]
        return _walk_inside(part, walk) if traverse else None

    put_back = walk(value)
    return found, put_back or (lambda _values: value)


def _walk_inside(part: Any, walk: Callable[[Any], Repack | None]) -> Repack | None:
    kind = type(part)
    if kind in (list, tuple, set, frozenset) or (isinstance(part, tuple) and hasattr(part, "_fields")):
        items = list(part)
        make: Callable[[list[Any]], Any] = (lambda new: kind(*new)) if hasattr(part, "_fields") else kind
        return _repack(items, walk, make)
    if kind is dict:
        flat = [item for pair in part.items() for item in pair]
        return _repack(flat, walk, lambda new: dict(zip(new[::2], new[1::2], strict=True)))
    if kind is slice:
        return _repack([part.start, part.stop, part.step], walk, lambda new: slice(*new))
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return _walk_dataclass(part, walk)
    return None


def _walk_dataclass(part: Any, walk: Callable[[Any], Repack | None]) -> Repack | None:
    names = [field.name for field in dataclasses.fields(part) if hasattr(part, field.name)]

    def make(new: list[Any]) -> Any:
        import copy

        copied = copy.copy(part)
        for name, value in zip(names, new, strict=True):
            # Also where the dataclass is frozen, or computes fields of its own.
            object.__setattr__(copied, name, value)
        return copied

    return _repack([getattr(part, name) for name in names], walk, make)


def _repack(items: list[Any], walk: Callable[[Any], Repack | None], make: Callable[[list[Any]], Any]) -> Repack | None:
    makers = [walk(item) for item in items]
    if not any(makers):
        return None

    def put_back(values: Sequence[Any]) -> Any:
        return make([maker(values) if maker else item for maker, item in zip(makers, items, strict=True)])

    return put_back
