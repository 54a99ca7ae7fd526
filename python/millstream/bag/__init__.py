"""Bags: partitioned collections of Python objects, for text, JSON and other untidy data.

Examples
--------
>>> import millstream.bag as mb
>>> b = mb.from_sequence(["to", "be", "or", "not", "to", "be"], npartitions=2)
>>> sorted(b.frequencies())
[('be', 2), ('not', 1), ('or', 1), ('to', 2)]
"""

from millstream._compute import compute
from millstream.bag._io import from_url, read_avro, read_text, to_avro, to_textfiles
from millstream.bag._make import concat, from_delayed, from_sequence, map, map_partitions, range, zip  # noqa: A004 - Dask's names
from millstream.bag.core import Bag, Item

__all__ = [
    "Bag",
    "Item",
    "compute",
    "concat",
    "from_delayed",
    "from_sequence",
    "from_url",
    "map",
    "map_partitions",
    "range",
    "read_avro",
    "read_text",
    "to_avro",
    "to_textfiles",
    "zip",
]
