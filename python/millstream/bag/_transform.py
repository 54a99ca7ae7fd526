"""Methods of bags that make other bags."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from millstream._delayed import Delayed
from millstream._functions import name_of
from millstream._options import current_options
from millstream._task import Task, new_key
from millstream.bag import _partitions as parts
from millstream.bag._base import Item, Partitioned

# Splitting into more buckets than this makes more pieces than it is worth; see `groupby`.
MAX_BUCKETS = 64


class Transformations(Partitioned):
    """What makes a bag of a bag."""

    __slots__ = ()

    def map(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function for each item.

        Parameters
        ----------
        func : callable
            What is called.
        *args, **kwargs
            More arguments: bags of the same partitions go item by item; items, delayed values and anything else are the
            same for all.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> b = mb.range(4, 2)
        >>> b.map(lambda x, y, z=0: x + y + z, b, z=b.max()).compute()
        [3, 5, 7, 9]
        """
        from millstream.bag._make import map as map_bags

        return map_bags(func, self, *args, **kwargs)

    def starmap(self, func: Callable[..., Any], **kwargs: Any) -> Any:
        """Call a function with each item's parts as its arguments.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([(1, 2), (3, 4)], npartitions=1).starmap(pow).compute()
        [1, 81]
        """
        if kwargs:
            return self.map(partial(parts.call_star, func), _kwargs=_as_item(kwargs))
        return self._each(partial(parts.star, func, {}), name_of(func))

    def map_partitions(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function with each partition as a list; what it returns is the new partition.

        Other arguments are as in :meth:`map`: bags go partition by partition.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(4, 2).map_partitions(lambda part: [sum(part)]).compute()
        [1, 5]
        """
        from millstream.bag._make import map_partitions

        return map_partitions(func, self, *args, **kwargs)

    def filter(self, predicate: Callable[[Any], Any]) -> Any:
        """Keep the items for which `predicate` is true.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(6, 2).filter(lambda n: n % 2).compute()
        [1, 3, 5]
        """
        return self._each(partial(parts.keep, predicate), "filter")

    def remove(self, predicate: Callable[[Any], Any]) -> Any:
        """Drop the items for which `predicate` is true.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(6, 2).remove(lambda n: n % 2).compute()
        [0, 2, 4]
        """
        return self._each(partial(parts.drop, predicate), "remove")

    def pluck(self, key: Any, default: Any = parts.MISSING) -> Any:
        """Take one field of each item, or a tuple of those in a list.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> b = mb.from_sequence([{"a": 1, "b": 2}, {"a": 3}], npartitions=1)
        >>> b.pluck("a").compute(), b.pluck(["a", "b"], 0).compute()
        ([1, 3], [(1, 2), (3, 0)])
        """
        return self._each(partial(parts.pluck, key, default), "pluck")

    def unzip(self, n: int) -> tuple[Any, ...]:
        """Part a bag of tuples of length `n` into `n` bags.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> numbers, words = mb.from_sequence([(1, "a"), (2, "b")]).unzip(2)
        >>> numbers.compute(), words.compute()
        ([1, 2], ['a', 'b'])
        """
        return tuple(self.pluck(number) for number in range(n))

    def flatten(self) -> Any:
        """Join the items, which are iterables themselves.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([[1], [2, 3]], npartitions=1).flatten().compute()
        [1, 2, 3]
        """
        return self._each(parts.flatten, "flatten")

    def random_sample(self, prob: float, random_state: Any = None) -> Any:
        """Keep each item with probability `prob`; the same each time for the same `random_state`.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> 300 < mb.range(1000, 4).random_sample(0.5, random_state=1).count().compute() < 700
        True
        """
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must be between 0 and 1, got {prob}")
        source = random_state if isinstance(random_state, random.Random) else random.Random(random_state)
        states = [random.Random(source.getrandbits(128)).getstate() for _ in range(self.npartitions)]
        return self._each(partial(parts.sample, prob), "sample", states)

    def product(self, other: Partitioned) -> Any:
        """Return all pairs of an item of this bag and one of `other`.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([1, 2]).product(mb.from_sequence(["a"])).compute()
        [(1, 'a'), (2, 'a')]
        """
        prefix = new_key("product")
        pairs = [(left, right) for left in self._parts for right in other._parts]
        tasks = [
            Task(parts.product_of, (Delayed(left), Delayed(right)), key=f"{prefix}-{number}", pure=True)
            for number, (left, right) in enumerate(pairs)
        ]
        return type(self)(tasks, "product")

    def join(self, other: Any, on_self: Any, on_other: Any = None) -> Any:
        """Return the pairs of an item of `other` and one of this bag with equal keys.

        Parameters
        ----------
        other : iterable, Delayed, or Bag of one partition
            What is joined; it should be small.
        on_self, on_other : callable, key or list of keys
            What must be equal.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> people = mb.from_sequence(["Alice", "Bob", "Charlie"], npartitions=2)
        >>> sorted(people.join([5, 3], on_self=len, on_other=lambda n: n))
        [(3, 'Bob'), (5, 'Alice')]
        """
        if isinstance(other, Partitioned) and other.npartitions != 1:
            raise NotImplementedError("join takes a bag of one partition: call .repartition(1), or group both")
        if not isinstance(other, Partitioned | Delayed):
            other = list(other)
        on_other = on_self if on_other is None else on_other
        return self._each(partial(parts.join_items, on_self, on_other), "join", [other] * self.npartitions)

    def groupby(
        self,
        grouper: Any,
        method: None = None,
        npartitions: int | None = None,
        blocksize: int = 2**20,
        max_branch: int | None = None,
        shuffle: str | None = None,
    ) -> Any:
        """Group items by a key; each group is a pair of key and list.

        All items move between workers: :meth:`foldby` is cheaper where groups are reduced anyway.

        Parameters
        ----------
        grouper : callable, key or list of keys
            Gives an item's key. Keys must be numbers, texts, bytes, tuples of them, or pickle equally where equal.
        npartitions : int, optional
            Partitions of the result; as many as this bag has (but at most 64) by default.
        blocksize, max_branch, shuffle
            Accepted for Dask's sake: items go from each partition to each, in tasks.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> dict(mb.range(6, 2).groupby(lambda x: x % 2 == 0))[True]
        [0, 2, 4]
        """
        if method is not None:
            raise TypeError("method= is called shuffle=")
        if shuffle not in (None, "tasks", "disk"):
            raise ValueError(f"shuffle is 'tasks' or 'disk', got {shuffle!r}")
        count = npartitions or min(self.npartitions, MAX_BUCKETS)
        split = self._each(partial(parts.split_by_key, grouper, count), "groupby-split")
        group, prefix, options = partial(parts.group_items, grouper), new_key("groupby"), current_options()
        buckets = [[Delayed(part)[number] for part in split._parts] for number in range(count)]
        tasks = [
            Task(group, tuple(bucket), key=f"{prefix}-{number}", options=options, pure=True)
            for number, bucket in enumerate(buckets)
        ]
        return type(self)(tasks, "groupby")

    def accumulate(self, binop: Callable[[Any, Any], Any], initial: Any = parts.MISSING) -> Any:
        """Return the running results of a binary function, as `itertools.accumulate` does.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence([1, 2, 3, 4], npartitions=2).accumulate(lambda a, b: a + b).compute()
        [1, 3, 6, 10]
        """
        first = Task(partial(parts.accumulate_first, binop, initial), (Delayed(self._parts[0]),), pure=True)
        following = partial(parts.accumulate_next, binop)
        tasks: list[Any] = [first]
        before = Task(parts.last_of, (initial, Delayed(first)), pure=True)
        for partition in self._parts[1:]:
            tasks.append(Task(following, (Delayed(partition), Delayed(before)), pure=True))
            before = Task(parts.last_of, (Delayed(before), Delayed(tasks[-1])), pure=True)
        return type(self)(tasks, "accumulate")

    def repartition(self, npartitions: int | None = None, partition_size: int | str | None = None) -> Any:
        """Change the number of partitions, keeping the order of items.

        Parameters
        ----------
        npartitions : int, optional
            How many.
        partition_size : int or str, optional
            Instead: about how large each is in memory, such as ``"100MB"``. Computes the present sizes now.
        """
        if (npartitions is None) == (partition_size is None):
            raise ValueError("give either npartitions or partition_size")
        if npartitions is None:
            from millstream._options import byte_size

            sizes = self._each(parts.memory_size, "size").compute()
            npartitions = max(1, -(-sum(sizes) // byte_size(partition_size or 1, "partition_size")))
        count = self.npartitions
        if npartitions <= count:
            bounds = [round(number * count / npartitions) for number in range(npartitions + 1)]
            groups = [self._parts[start:end] for start, end in itertools.pairwise(bounds)]
            tasks = [Task(parts.joined, tuple(map(Delayed, group)), pure=True) for group in groups]
            return type(self)(tasks, "repartition")
        size, more = divmod(npartitions, count)
        pieces = [size + (number < more) for number in range(count)]
        tasks = [
            Task(partial(parts.piece, of, number), (Delayed(partition),), pure=True)
            for partition, of in zip(self._parts, pieces, strict=True)
            for number in range(of)
        ]
        return type(self)(tasks, "repartition")

    def take(self, k: int, npartitions: int = 1, compute: bool = True, warn: bool = True) -> Any:
        """Return the first `k` items.

        Parameters
        ----------
        k : int
            How many.
        npartitions : int
            Partitions to look at; -1 for all.
        compute : bool
            Whether to return a tuple, or a bag of one partition.
        warn : bool
            Whether to warn if there are fewer.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.range(10, 2).take(3)
        (0, 1, 2)
        """
        count = self.npartitions if npartitions == -1 else npartitions
        if count > self.npartitions:
            raise ValueError(f"npartitions={npartitions} is more than the {self.npartitions} there are")
        function = partial(parts.take, k)
        heads = [Task(function, (Delayed(partition),), pure=True) for partition in self._parts[:count]]
        taken = type(self)([Task(function, tuple(map(Delayed, heads)), pure=True)], "take")
        if not compute:
            return taken
        items = taken.compute()
        if warn:
            parts.take_or_warn(k, items)
        return tuple(items)

    @property
    def str(self) -> StringMethods:
        """String methods of the items.

        Examples
        --------
        >>> import millstream.bag as mb
        >>> mb.from_sequence(["a b"], npartitions=1).str.upper().str.split().compute()
        [['A', 'B']]
        """
        return StringMethods(self)


class StringMethods:
    """The methods of `str`, item by item; made by ``Bag.str``."""

    def __init__(self, bag: Transformations) -> None:
        self._bag = bag

    def __dir__(self) -> Iterable[Any]:
        return sorted({*dir(type(self)), *dir(str)})

    def __getattr__(self, name: Any) -> Callable[..., Any]:
        if not hasattr(str, name) or name.startswith("_"):
            raise AttributeError(f"texts have no method {name!r}")
        import operator

        return lambda *args, **kwargs: self._bag.map(operator.methodcaller(name, *args, **kwargs))

    def match(self, pattern: Any) -> Any:
        """Keep the items that match a pattern of `fnmatch`, such as ``"*.csv"``."""
        return self._bag.filter(partial(parts.matches, pattern))


def _as_item(value: Any) -> Any:
    from millstream._delayed import delayed

    return Item(delayed(value).__millstream_ref__())
