"""The bag."""

from __future__ import annotations

from millstream.bag._base import Item
from millstream.bag._reduce import Reductions
from millstream.bag._transform import Transformations


class Bag(Transformations, Reductions):
    """A partitioned collection of Python objects, in no particular order beyond that of its partitions.

    Made by :func:`~millstream.bag.from_sequence`, :func:`~millstream.bag.read_text` and their like. Nothing is computed
    until :meth:`compute` or iteration.

    Examples
    --------
    >>> import millstream.bag as mb
    >>> mb.range(6, 2).filter(lambda x: x % 2).map(lambda x: x * 10).compute()
    [10, 30, 50]
    """

    __slots__ = ()


__all__ = ["Bag", "Item"]
