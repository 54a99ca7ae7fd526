"""What every method of a bag is made of: partitions, and tasks over each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast

from millstream._delayed import Delayed
from millstream._functions import carry, name_of
from millstream._options import current_options
from millstream._task import Reference, Task, new_key
from millstream.bag import _partitions as parts

if TYPE_CHECKING:
    from millstream._future import Future

carry(parts)

# Partial results combined by one task, unless asked otherwise.
SPLIT_EVERY = 8


class Item(Delayed):
    """One lazy value that a bag makes, such as a sum."""

    __slots__ = ()

    def apply(self, function: Callable[[Any], Any]) -> Item:
        """Call a function with the value.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(5, 2).sum().apply(lambda total: total * 2).compute()
        20
        """
        return Item(Task(function, (self,), options=current_options()))

    def to_delayed(self) -> Delayed:
        """Return the value as any other delayed value."""
        return Delayed(self.__millstream_ref__())

    @classmethod
    def from_delayed(cls, value: Any) -> Item:
        """Return a delayed value as an item."""
        from millstream._delayed import delayed

        return cls(delayed(value).__millstream_ref__())


class Partitioned(Reference):
    """Lists that tasks make, one after the other: what the parts of :class:`Bag` are built on."""

    __slots__ = ("_parts", "name")

    def __init__(self, partitions: Sequence[Task | Future[Any]], name: str = "bag") -> None:
        self._parts = list(partitions)
        self.name = name

    @property
    def npartitions(self) -> int:
        """Number of partitions.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(10, 3).npartitions
        3
        """
        return len(self._parts)

    # ---- as a collection

    def __millstream_outputs__(self) -> Sequence[Any]:
        return self._parts

    def __millstream_finalize__(self, values: Sequence[Any]) -> Any:
        return parts.joined(*values)

    def __millstream_rebuild__(self, outputs: Sequence[Any]) -> Self:
        return type(self)(outputs, self.name)

    def __millstream_ref__(self) -> Any:
        if self.npartitions == 1:
            return self._parts[0]
        return Task(parts.joined, tuple(map(Delayed, self._parts)), key=new_key(f"{self.name}-joined"))

    def compute(self, **options: Any) -> Any:
        """Compute all items and return them as a list; takes what :func:`millstream.compute` takes.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([1, 2]).map(lambda n: n * n).compute()
        [1, 4]
        """
        from millstream._compute import compute

        return compute(self, **options)[0]

    def persist(self, **options: Any) -> Self:
        """Start computing; return the bag over partitions that stay on the cluster.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> kept = mb.range(4, 2).map(lambda n: n * n).persist()
        >>> kept.sum().compute()
        14
        """
        from millstream._compute import persist

        persisted: Self = persist(self, **options)[0]
        return persisted

    def visualize(self, filename: str | None = "millstream", format: str | None = None, **options: Any) -> Any:  # noqa: A002 - Dask's name
        """Draw the graph; takes what :func:`millstream.visualize` takes."""
        from millstream._visualize import visualize

        return visualize(self, filename=filename, format=format, **options)

    def to_delayed(self, optimize_graph: bool = True) -> list[Delayed]:
        """Return the partitions as delayed lists.

        Graphs are optimized when they are submitted: `optimize_graph` is accepted for Dask's sake.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> [sum(part.compute()) for part in mb.range(4, 2).to_delayed()]
        [1, 5]
        """
        return [Delayed(partition) for partition in self._parts]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.compute())

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.name}, npartitions={self.npartitions}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a bag can be an argument of tasks, but not be pickled by itself: compute it first")

    # ---- building blocks

    def _each(self, function: Callable[..., Any], name: str, *others: Sequence[Any]) -> Self:
        """Call a function with each partition, and with the items of `others` at the same position."""
        # One function object for all partitions: it is sent once.
        prefix, options = new_key(name), current_options()
        tasks = [
            Task(
                function,
                (Delayed(partition), *(other[number] for other in others)),
                key=f"{prefix}-{number}",
                options=options,
                pure=True,
            )
            for number, partition in enumerate(self._parts)
        ]
        return type(self)(tasks, name)

    def reduction(
        self,
        perpartition: Callable[[Any], Any],
        aggregate: Callable[[Any], Any],
        split_every: int | bool | None = None,
        out_type: Callable[..., Any] = Item,
        name: str | None = None,
    ) -> Any:
        """Reduce each partition, and the list of results of several again until one is left.

        Parameters
        ----------
        perpartition : callable
            Takes a partition, returns its partial result.
        aggregate : callable
            Takes a list of partial results, returns a result of the same kind.
        split_every : int, optional
            How many partial results one task combines; 8 by default, ``False`` for all at once.
        out_type : type
            :class:`Item` for one value, :class:`Bag` if it is a list.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(10, 3).reduction(sum, sum).compute()
        45
        """
        name = name or f"{name_of(perpartition)}-{name_of(aggregate)}"
        width = (
            self.npartitions if split_every is False else (SPLIT_EVERY if split_every in (None, True) else split_every)
        )
        width = max(2, width or 2)
        combine = partial(parts.apply_to_list, aggregate)
        level: list[Any] = list(self._each(perpartition, f"{name}-part")._parts)
        prefix, depth, options = new_key(name), 0, current_options()
        while True:
            groups = [level[at : at + width] for at in range(0, len(level), width)]
            level = [
                Task(combine, tuple(map(Delayed, group)), key=f"{prefix}-{depth}-{at}", options=options, pure=True)
                for at, group in enumerate(groups)
            ]
            if len(level) == 1:
                break
            depth += 1
        return out_type(level[0]) if issubclass(cast("type", out_type), Item) else out_type([level[0]], name)
