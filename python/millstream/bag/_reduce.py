"""Methods of bags that reduce them, and those that hand them on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from millstream._delayed import Delayed
from millstream._task import Task
from millstream.bag import _partitions as parts
from millstream.bag._base import Item, Partitioned


class Reductions(Partitioned):
    """What makes one value, or a small bag, of a bag."""

    __slots__ = ()

    def fold(
        self,
        binop: Callable[[Any, Any], Any],
        combine: Callable[[Any, Any], Any] | None = None,
        initial: Any = parts.MISSING,
        split_every: int | None = None,
        out_type: Callable[..., Any] = Item,
    ) -> Any:
        """Reduce with a binary function.

        Parameters
        ----------
        binop : callable
            Takes a result so far and an item.
        combine : callable, optional
            Takes two results; `binop` by default.
        initial : object, optional
            What each partition starts from.
        split_every : int, optional
            How many partial results one task combines.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(5, 2).fold(lambda acc, x: acc | {x}, set.union, initial=set()).compute()
        {0, 1, 2, 3, 4}
        """
        per_part = partial(parts.reduce_items, binop, initial)
        folded = self.reduction(per_part, partial(parts.combine_items, combine or binop), split_every, Item, "fold")
        final = Task(parts.present, (folded,), pure=True)
        return out_type(final) if issubclass(cast("type", out_type), Item) else out_type([final], "fold")

    def sum(self, split_every: int | None = None) -> Any:
        """Add the items up.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(5, 2).sum().compute()
        10
        """
        return self.reduction(sum, sum, split_every, name="sum")

    def _best(self, function: Callable[..., Any], name: str, split_every: int | None) -> Any:
        found = self.reduction(partial(parts.best, function), partial(parts.best, function), split_every, name=name)
        return Item(Task(parts.present, (found,), pure=True))

    def max(self, split_every: int | None = None) -> Any:
        """Return the largest item.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([3, 9, 5]).max().compute()
        9
        """
        return self._best(max, "max", split_every)

    def min(self, split_every: int | None = None) -> Any:
        """Return the smallest item.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([3, 9, 5]).min().compute()
        3
        """
        return self._best(min, "min", split_every)

    def any(self, split_every: int | None = None) -> Any:
        """Return whether any item is true.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([False, True]).any().compute()
        True
        """
        return self.reduction(any, any, split_every, name="any")

    def all(self, split_every: int | None = None) -> Any:
        """Return whether all items are true.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([False, True]).all().compute()
        False
        """
        return self.reduction(all, all, split_every, name="all")

    def count(self, split_every: int | None = None) -> Any:
        """Return the number of items.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(7, 3).count().compute()
        7
        """
        return self.reduction(parts.count_items, sum, split_every, name="count")

    def _moments(self, finish: Callable[[Any], Any], name: Any) -> Any:
        merged = self.reduction(parts.moments, parts.merge_moments, name=name)
        return Item(Task(finish, ([merged],), pure=True))

    def mean(self) -> Any:
        """Return the mean.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(5, 2).mean().compute()
        2.0
        """
        return self._moments(parts.mean_of, "mean")

    def var(self, ddof: int = 0) -> Any:
        """Return the variance, with `ddof` degrees of freedom taken off.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(5, 2).var().compute()
        2.0
        """
        return self._moments(partial(parts.variance_of, ddof), "var")

    def std(self, ddof: int = 0) -> Any:
        """Return the standard deviation, with `ddof` degrees of freedom taken off.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([1, 3], npartitions=2).std().compute()
        1.0
        """
        return self._moments(partial(parts.deviation_of, ddof), "std")

    def frequencies(self, split_every: int | None = None, sort: bool = False) -> Any:
        """Count how often each item occurs; pairs of item and count, the most frequent first if `sort`.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence(["a", "b", "a"]).frequencies(sort=True).compute()
        [('a', 2), ('b', 1)]
        """
        counts = self.reduction(parts.count_each, parts.merge_counts, split_every, name="frequencies")
        return self._one(Task(partial(parts.counted_items, sort), (counts,), pure=True), "frequencies")

    def topk(self, k: int, key: Any = None, split_every: int | None = None) -> Any:
        """Return the `k` largest items, the largest first.

        Parameters
        ----------
        k : int
            How many.
        key : callable or key, optional
            What is compared.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([3, -9, 5], npartitions=2).topk(2, key=abs).compute()
        [-9, 5]
        """
        top, merge = partial(parts.top, k, key), partial(parts.top_of_parts, k, key)
        return self.reduction(top, merge, split_every, type(self), "topk")

    def distinct(self, key: Any = None) -> Any:
        """Return each item once, or one item for each distinct `key` (a callable, a key, or a list of keys).

        Examples
        --------
        >>> import millstream.bag as mb
        >>> sorted(mb.from_sequence([1, 2, 1]).distinct())
        [1, 2]
        """
        unique, merge = partial(parts.unique, key), partial(parts.unique_of_parts, key)
        return self.reduction(unique, merge, None, type(self), "distinct")

    def foldby(
        self,
        key: Any,
        binop: Callable[[Any, Any], Any],
        initial: Any = parts.MISSING,
        combine: Callable[[Any, Any], Any] | None = None,
        combine_initial: Any = parts.MISSING,
        split_every: int | None = None,
    ) -> Any:
        """Group items by a key and reduce each group, without moving the items.

        Parameters
        ----------
        key : callable, key or list of keys
            Gives an item's group.
        binop : callable
            Takes a group's result so far and an item.
        initial : object, optional
            What each group starts from.
        combine : callable, optional
            Takes two results of a group; `binop` by default.
        combine_initial : object, optional
            What combining starts from.
        split_every : int, optional
            How many partial results one task combines.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> b = mb.range(10, 3)
        >>> sorted(b.foldby(lambda x: x % 2, lambda total, x: total + x, 0, lambda a, b: a + b))
        [(0, 20), (1, 25)]
        """
        per_part = partial(parts.fold_by_key, key, binop, initial)
        merge = partial(parts.merge_folds, combine or binop, combine_initial)
        folded = self.reduction(per_part, merge, split_every, name="foldby")
        return self._one(Task(parts.pairs_of, (folded,), pure=True), "foldby")

    def _one(self, task: Task, name: Any) -> Any:
        return type(self)([task], name)

    def to_textfiles(self, path: Any, **options: Any) -> Any:
        """Write each partition to a file of its own; see :func:`millstream.bag.to_textfiles`.

        Examples
        --------
        >>> import millstream.bag as mb, pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = mb.from_sequence(["a", "b"], npartitions=2).to_textfiles(f"{folder}/*.txt")
        >>> [file.read_text() for file in sorted(folder.iterdir())]
        ['a', 'b']
        """
        from millstream.bag._io import to_textfiles

        return to_textfiles(self, path, **options)

    def to_avro(self, filename: Any, schema: dict[Any, Any], **options: Any) -> Any:
        """Write each partition to an Avro file of its own; see :func:`millstream.bag.to_avro`."""
        from millstream.bag._io import to_avro

        return to_avro(self, filename, schema, **options)

    def to_dataframe(self, meta: Any = None, columns: Sequence[Any] | None = None) -> Item:
        """Make a pandas DataFrame of all items: dicts, tuples or single values.

        Parameters
        ----------
        meta : DataFrame, dict or list of pairs, optional
            Names and dtypes of the columns.
        columns : sequence, optional
            Names of the columns.

        Returns
        -------
        Item
            Computes to one DataFrame.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([{"x": 1}, {"x": 2}], npartitions=2).to_dataframe().compute()["x"].tolist()
        [1, 2]
        """
        dtypes = None
        if meta is not None:
            if columns is not None:
                raise ValueError("give either meta or columns")
            dtypes = dict(meta.dtypes) if hasattr(meta, "dtypes") else dict(meta)
            columns = list(dtypes)
        frames = self._each(partial(parts.frame_of, columns, dtypes), "to_dataframe")
        return Item(Task(parts.joined_frames, tuple(map(Delayed, frames._parts)), pure=True))
