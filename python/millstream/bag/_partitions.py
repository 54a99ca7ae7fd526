"""What bags do with a partition: plain functions over lists, which run inside tasks.

Pickled by value, because workers need not have this package: nothing here may use any other part of it.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
import pickle
import random
import sys
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

MISSING = "__millstream_missing__"


def as_list(items: Iterable[Any]) -> list[Any]:
    """Return items as a list: what a partition is."""
    return items if isinstance(items, list) else list(items)


class MapItems:
    """Calls a function for each item; other arguments are item by item (`lists`) or the same for all (`fixed`)."""

    def __init__(
        self, function: Callable[..., Any], aligned: Sequence[bool], names: Sequence[str], named_aligned: Sequence[bool]
    ) -> None:
        self.function, self.aligned = function, aligned
        self.names, self.named_aligned = names, named_aligned

    def __call__(self, *values: Any) -> list[Any]:
        args, named = values[: len(self.aligned)], values[len(self.aligned) :]
        lists = [as_list(value) for value, is_list in zip(args, self.aligned, strict=True) if is_list]
        lists += [as_list(value) for value, is_list in zip(named, self.named_aligned, strict=True) if is_list]
        if len({len(items) for items in lists}) > 1:
            raise ValueError(
                f"map over bags needs partitions of the same length, got {[len(items) for items in lists]}"
            )
        count = len(lists[0])
        columns = [
            value if is_list else itertools.repeat(value, count)
            for value, is_list in zip(args, self.aligned, strict=True)
        ]
        if not self.names:
            return list(map(self.function, *columns))
        named_columns = [
            as_list(value) if is_list else itertools.repeat(value, count)
            for value, is_list in zip(named, self.named_aligned, strict=True)
        ]
        rows = zip(*columns, strict=True) if columns else itertools.repeat((), count)
        return [
            self.function(*row, **dict(zip(self.names, extra, strict=True)))
            for row, extra in zip(rows, zip(*named_columns, strict=True), strict=True)
        ]


def keep(predicate: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Return the items for which `predicate` is true."""
    return [item for item in items if predicate(item)]


def drop(predicate: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Return the items for which `predicate` is false."""
    return [item for item in items if not predicate(item)]


def star(function: Callable[..., Any], kwargs: dict[str, Any], items: Iterable[Sequence[Any]]) -> list[Any]:
    """Call `function` with each item's parts as its arguments."""
    return [function(*item, **kwargs) for item in items]


def pluck(key: Any, default: Any, items: Iterable[Any]) -> list[Any]:
    """Return one field, or several, of each item."""
    many = isinstance(key, list)
    if default is MISSING or default == MISSING:
        return [tuple(item[k] for k in key) if many else item[key] for item in items]
    return [tuple(_get(item, k, default) for k in key) if many else _get(item, key, default) for item in items]


def _get(item: Any, key: Any, default: Any) -> Any:
    try:
        return item[key]
    except (KeyError, IndexError, TypeError):
        return default


def flatten(items: Iterable[Iterable[Any]]) -> list[Any]:
    """Join the items, which are iterables themselves."""
    return list(itertools.chain.from_iterable(items))


def sample(probability: float, items: Iterable[Any], state: Any) -> list[Any]:
    """Keep each item with a probability."""
    own = random.Random()
    own.setstate(state)
    return [item for item in items if own.random() < probability]


def reduce_items(function: Callable[[Any, Any], Any], initial: Any, items: Iterable[Any]) -> Any:
    """Reduce items; an empty partition without an initial value has no result."""
    if initial is MISSING or (isinstance(initial, str) and initial == MISSING):
        items = [item for item in items if not _is_missing(item)]
        return functools.reduce(function, items) if items else MISSING
    # A value of its own: `function` may change it.
    return functools.reduce(function, items, _copy(initial))


def combine_items(function: Callable[[Any, Any], Any], parts: Iterable[Any]) -> Any:
    """Reduce partial results, of which some may be missing."""
    present = [part for part in parts if not _is_missing(part)]
    return functools.reduce(function, present) if present else MISSING


def present(value: Any) -> Any:
    """Return a reduction's result; of no items at all there is none."""
    if _is_missing(value):
        raise TypeError("reduction of an empty bag without an initial value")
    return value


def _is_missing(value: Any) -> bool:
    return isinstance(value, str) and value == MISSING


def _copy(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value)) if isinstance(value, list | dict | set | bytearray) else value


def best(function: Callable[..., Any], items: Iterable[Any]) -> Any:
    """Return `min` or `max` of items, if there are any."""
    listed = [item for item in items if not _is_missing(item)]
    return function(listed) if listed else MISSING


def count_items(items: Iterable[Any]) -> int:
    """Return how many items there are."""
    return len(as_list(items))


def moments(items: Iterable[float]) -> tuple[float, float, int]:
    """Return sum, sum of squared deviations from the mean, and count."""
    listed = as_list(items)
    if not listed:
        return 0.0, 0.0, 0
    total = sum(listed)
    mean = total / len(listed)
    return total, math.fsum((item - mean) ** 2 for item in listed), len(listed)


def merge_moments(parts: Iterable[tuple[float, float, int]]) -> tuple[float, float, int]:
    """Combine moments of parts, without cancellation (Chan, Golub and LeVeque 1979)."""
    total, spread, count = 0.0, 0.0, 0
    for part_total, part_spread, part_count in parts:
        if not part_count:
            continue
        if count:
            delta = part_total / part_count - total / count
            spread += delta * delta * count * part_count / (count + part_count)
        total, spread, count = total + part_total, spread + part_spread, count + part_count
    return total, spread, count


def mean_of(parts: Iterable[tuple[float, float, int]]) -> float:
    """Return the mean that moments tell."""
    total, _, count = merge_moments(parts)
    return total / count


def variance_of(ddof: int, parts: Iterable[tuple[float, float, int]]) -> float:
    """Return the variance that moments tell."""
    _, spread, count = merge_moments(parts)
    return spread / (count - ddof)


def deviation_of(ddof: int, parts: Iterable[tuple[float, float, int]]) -> float:
    """Return the standard deviation that moments tell."""
    return math.sqrt(variance_of(ddof, parts))


def count_each(items: Iterable[Hashable]) -> dict[Any, int]:
    """Return how often each item occurs."""
    return dict(Counter(items))


def merge_counts(parts: Iterable[dict[Any, int]]) -> dict[Any, int]:
    """Add up counts."""
    merged: Counter[Any] = Counter()
    for part in parts:
        merged.update(part)
    return dict(merged)


def counted_items(is_sorted: bool, counts: dict[Any, int]) -> list[tuple[Any, int]]:
    """Return counts as pairs."""
    return sorted(counts.items(), key=lambda pair: pair[1], reverse=True) if is_sorted else list(counts.items())


def top(k: int, key: Any, items: Iterable[Any]) -> list[Any]:
    """Return the k largest items."""
    return heapq.nlargest(k, items, key=_key_function(key))


def top_of_parts(k: int, key: Any, parts: Iterable[list[Any]]) -> list[Any]:
    """Return the k largest items of lists."""
    return top(k, key, itertools.chain.from_iterable(parts))


def _key_function(key: Any) -> Callable[[Any], Any] | None:
    if key is None or callable(key):
        return key  # type: ignore[no-any-return]
    if isinstance(key, list):
        return lambda item: tuple(item[k] for k in key)
    return lambda item: item[key]


def unique(key: Any, items: Iterable[Any]) -> list[Any]:
    """Return one item for each distinct key, the first."""
    function = _key_function(key)
    seen: dict[Any, Any] = {}
    for item in items:
        seen.setdefault(function(item) if function else item, item)
    return list(seen.values())


def unique_of_parts(key: Any, parts: Iterable[list[Any]]) -> list[Any]:
    """Return one item for each distinct key of lists."""
    return unique(key, itertools.chain.from_iterable(parts))


def fold_by_key(key: Any, function: Callable[[Any, Any], Any], initial: Any, items: Iterable[Any]) -> dict[Any, Any]:
    """Reduce the items of each group."""
    key_of = _key_function(key) or (lambda item: item)
    groups: dict[Any, Any] = {}
    for item in items:
        group = key_of(item)
        if group in groups:
            groups[group] = function(groups[group], item)
        else:
            groups[group] = item if _is_missing(initial) else function(_copy(initial), item)
    return groups


def merge_folds(function: Callable[[Any, Any], Any], initial: Any, parts: Iterable[dict[Any, Any]]) -> dict[Any, Any]:
    """Combine the groups' partial results."""
    merged: dict[Any, Any] = {}
    for part in parts:
        for group, value in part.items():
            if group in merged:
                merged[group] = function(merged[group], value)
            else:
                merged[group] = value if _is_missing(initial) else function(_copy(initial), value)
    return merged


def pairs_of(mapping: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """Return a mapping's items."""
    return list(mapping.items())


def stable_hash(value: Any) -> int:
    """Return a hash that is the same in every process; equal numbers, texts and tuples of them have equal ones.

    Examples
    --------
    >>> stable_hash(1) == stable_hash(1.0) == stable_hash(True), stable_hash("a")
    (True, 3904355907)
    """
    if isinstance(value, int | float | complex):
        # Python's own hash of numbers does not depend on the process.
        return hash(value)
    if isinstance(value, str):
        return zlib.crc32(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return zlib.crc32(value)
    if isinstance(value, tuple):
        return hash(tuple(stable_hash(part) for part in value))
    if isinstance(value, frozenset):
        return hash(tuple(sorted(stable_hash(part) for part in value)))
    return zlib.crc32(pickle.dumps(value, 5))


def split_by_key(key: Any, count: int, items: Iterable[Any]) -> list[list[Any]]:
    """Part items by the hash of their key."""
    key_of = _key_function(key) or (lambda item: item)
    buckets: list[list[Any]] = [[] for _ in range(count)]
    for item in items:
        buckets[stable_hash(key_of(item)) % count].append(item)
    return buckets


def group_items(key: Any, *buckets: Iterable[Any]) -> list[tuple[Any, list[Any]]]:
    """Group the items of buckets by their key."""
    key_of = _key_function(key) or (lambda item: item)
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for item in itertools.chain.from_iterable(buckets):
        groups[key_of(item)].append(item)
    return list(groups.items())


def join_items(on_self: Any, on_other: Any, items: Iterable[Any], other: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Return the pairs of an item of `other` and one of `items` with equal keys."""
    key_self, key_other = _key_function(on_self), _key_function(on_other)
    assert key_self is not None
    assert key_other is not None
    by_key: defaultdict[Any, list[Any]] = defaultdict(list)
    for match in other:
        by_key[key_other(match)].append(match)
    return [(match, item) for item in items for match in by_key.get(key_self(item), ())]


def product_of(left: Iterable[Any], right: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Return all pairs."""
    return list(itertools.product(left, right))


def joined(*parts: Iterable[Any]) -> list[Any]:
    """Return lists end to end."""
    return list(itertools.chain.from_iterable(parts))


def piece(count: int, number: int, items: Iterable[Any]) -> list[Any]:
    """Return piece `number` of items that are cut into `count` pieces."""
    listed = as_list(items)
    size, more = divmod(len(listed), count)
    start = number * size + min(number, more)
    return listed[start : start + size + (number < more)]


def accumulate_first(function: Callable[[Any, Any], Any], initial: Any, items: Iterable[Any]) -> list[Any]:
    """Return running results of the first partition, the initial value among them."""
    if _is_missing(initial):
        return list(itertools.accumulate(items, function))
    return list(itertools.accumulate(items, function, initial=initial))


def accumulate_next(function: Callable[[Any, Any], Any], items: Iterable[Any], before: Any) -> list[Any]:
    """Return running results that go on from those of the partitions before."""
    if _is_missing(before):
        return list(itertools.accumulate(items, function))
    return list(itertools.accumulate(items, function, initial=before))[1:]


def last_of(before: Any, items: Sequence[Any]) -> Any:
    """Return the last running result so far."""
    return items[-1] if items else before


def take(k: int, *parts: Iterable[Any]) -> list[Any]:
    """Return the first k items."""
    return list(itertools.islice(itertools.chain.from_iterable(parts), k))


def take_or_warn(k: int, *parts: Iterable[Any]) -> list[Any]:
    """Return the first k items; warn if there are fewer."""
    taken = take(k, *parts)
    if len(taken) < k:
        warnings.warn(
            f"{k} items were asked for, only {len(taken)} were in the partitions looked at: "
            "pass npartitions= to look at more",
            stacklevel=2,
        )
    return taken


def zipped(*parts: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Return tuples of the lists' items at the same position."""
    return list(zip(*parts, strict=False))


def pass_items(function: Callable[..., Any], names: Sequence[str], *values: Any) -> list[Any]:
    """Call a function with whole partitions; what it returns is the new partition."""
    positional = values[: len(values) - len(names)]
    made = function(*positional, **dict(zip(names, values[len(positional) :], strict=True)))
    if isinstance(made, str | bytes | dict):
        raise TypeError(f"a function over partitions must return a list or iterator, got {type(made).__name__}")
    return as_list(made) if isinstance(made, Iterable | Iterator) else made


def frame_of(columns: Sequence[Any] | None, dtypes: dict[str, Any] | None, items: Iterable[Any]) -> Any:
    """Return items as a pandas DataFrame."""
    import pandas as pd

    frame = pd.DataFrame(as_list(items), columns=columns if columns is None else list(columns))
    return frame.astype(dtypes) if dtypes else frame


def joined_frames(*frames: Any) -> Any:
    """Return data frames one below the other, with one index."""
    import pandas as pd

    filled = [frame for frame in frames if len(frame)] or list(frames[:1])
    return pd.concat(filled, ignore_index=True)


def apply_to_list(function: Callable[[list[Any]], Any], *values: Any) -> Any:
    """Call a function with its arguments as one list."""
    return function(list(values))


def call_star(function: Callable[..., Any], item: Iterable[Any], _kwargs: dict[str, Any]) -> Any:
    """Call a function with an item's parts, and more by name."""
    return function(*item, **_kwargs)


def memory_size(items: list[Any]) -> list[int]:
    """Return about how many bytes of memory a partition takes, each item counted however often it is there."""
    return [_size_of(items)]


def _size_of(value: Any) -> int:
    if isinstance(value, dict):
        return sys.getsizeof(value) + sum(_size_of(key) + _size_of(item) for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return sys.getsizeof(value) + sum(map(_size_of, value))
    size = getattr(value, "nbytes", None)
    return size if isinstance(size, int) else sys.getsizeof(value)


def matches(pattern: str, item: str) -> bool:
    """Whether a text matches a pattern of `fnmatch`."""
    from fnmatch import fnmatch

    return fnmatch(item, pattern)
