"""What frames, columns and values on a cluster have in common: how they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from millstream.dataframe import _meta, _query, _results, _run, _tree
from millstream.dataframe._computed import Computed
from millstream.dataframe._expr import agg
from millstream.dataframe._query import TreeQuery
from millstream.dataframe._rows import Rows
from millstream.dataframe._tree import Expr, Named, Node
from millstream.dataframe._write import Sinks

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._client import Client

_ROWS = 10


class Collection(Computed, Sinks):
    """Columns over rows on a cluster; nothing is computed before somebody asks.

    Parameters
    ----------
    rows : Rows
        The rows.
    index : sequence of mapping
        Expressions of the levels of the index.
    meta : object
        An empty pandas object of the same columns.
    client : Client, optional
        Where it is computed; the current client if absent.
    """

    _rows: Rows
    _index: tuple[Expr, ...]
    _meta: Any
    _client: Client | None

    def __init__(self, rows: Rows, index: Sequence[Expr], meta: Any, client: Client | None) -> None:
        self._rows = rows
        self._index = tuple(index)
        self._meta = meta
        self._client = client

    # ---- of each kind its own

    def _named(self) -> list[Named]:
        """The columns of the result, under distinct names."""
        raise NotImplementedError

    def _taken(self, rows: Rows, index: Sequence[Expr] | None = None) -> Self:
        """The same columns of other rows with the same columns."""
        raise NotImplementedError

    def _assembled(self, columns: list[pd.Series[Any]], index: pd.Index) -> Any:
        """The result from its columns."""
        raise NotImplementedError

    # ---- how it is computed

    @property
    def _has_range_index(self) -> bool:
        return self._rows.base.start is not None and self._index == (self._rows.position,)

    def _levels(self) -> list[Named]:
        return [(f"__index_{place}__", expr) for place, expr in enumerate(self._index)]

    def _root(self, columns: Sequence[Named] | None = None) -> Node:
        """The table of the result, in order."""
        return _tree.project(self._rows.in_order(), self._named() if columns is None else columns)

    def compute(self, *, limit: int | str | None = "auto", dtype_backend: str = "numpy") -> Any:
        """Compute it as a pandas object.

        Parameters
        ----------
        limit : int, str or None
            Most bytes of the result, such as ``"2GiB"``; half of this machine's memory by default, ``None`` for any
            number.
        dtype_backend : str
            ``"numpy"``, ``"pyarrow"`` for columns of Arrow's types, or ``"numpy_nullable"`` for pandas' own types with
            missing values.

        Raises
        ------
        QueryError
            If it cannot be computed.
        MemoryError
            If the result is larger than `limit`.
        """
        levels = [] if self._has_range_index else self._levels()
        if not levels and not self._named():
            # No table has rows without columns.
            start = self._rows.base.start or 0
            return self._assembled([], pd.RangeIndex(start, start + len(self), name=self._labels.name))
        root = self._root([*levels, *self._named()])
        found = _run.table(self._client, TreeQuery(root), _run.bytes_of(limit))
        dtypes = self._dtypes()
        columns = [_results.column(found.column(len(levels) + place), dtype) for place, dtype in enumerate(dtypes)]
        result = self._assembled(columns, self._computed_index(found, len(levels)))
        return result if dtype_backend == "numpy" else _results.backed(result, dtype_backend)

    def _computed_index(self, found: pa.Table, levels: int) -> pd.Index:
        if not levels:
            start = self._rows.base.start or 0
            return pd.RangeIndex(start, start + found.num_rows, name=self._labels.name)
        return _results.index([found.column(place) for place in range(levels)], self._labels)

    @property
    def _labels(self) -> pd.Index:
        """The index without rows."""
        labels: pd.Index = self._meta.index
        return labels

    def _dtypes(self) -> list[Any]:
        return [self._meta.dtype]

    def to_pandas(self, *, limit: int | str | None = "auto", dtype_backend: str = "numpy") -> Any:
        """Compute it as a pandas object; see :meth:`compute`."""
        return self.compute(limit=limit, dtype_backend=dtype_backend)

    def to_arrow(self, *, limit: int | str | None = "auto") -> pa.Table:
        """Compute it as an Arrow table, without its index."""
        return _run.table(self._client, TreeQuery(self._root()), _run.bytes_of(limit))

    def to_polars(self, *, limit: int | str | None = "auto") -> Any:
        """Compute it as a polars frame, without its index."""
        polars = import_module("polars")
        return polars.from_arrow(self.to_arrow(limit=limit))

    def to_numpy(self) -> Any:
        """Compute it as an array of numpy."""
        return self.compute().to_numpy()

    def explain(self) -> str:
        """Return the plan by which it is computed."""
        return _run.plan(self._client, TreeQuery(self._root(), explain=True))

    def show(self, n: int = _ROWS) -> None:
        """Print the first rows."""
        root = self._taken(self._rows.sliced(0, int(n)))._root()
        print(_run.content(self._client, TreeQuery(root), _query.TEXT).decode().rstrip("\n"))

    def head(self, n: int = 5, *, compute: bool = True) -> Any:
        """Return the first rows as a pandas object, or, unless `compute`, as a table to go on with.

        A negative number means all rows but so many of the last.
        """
        if n < 0:
            n = max(0, len(self) + n)
        taken = self._taken(self._rows.sliced(0, n))
        return taken.compute() if compute else taken

    def tail(self, n: int = 5, *, compute: bool = True) -> Any:
        """Return the last rows as a pandas object, or, unless `compute`, as a table to go on with."""
        if n < 0:
            skipped = self._taken(self._rows.sliced(-n, None))
            return skipped.compute() if compute else skipped
        taken = self._taken(self._rows.last(n))
        return taken.compute() if compute else taken

    # ---- how much there is

    def __len__(self) -> int:
        root = _tree.aggregate(self._rows.node, [], [("rows", agg("count"))])
        return int(_run.table(self._client, TreeQuery(root)).column(0)[0].as_py())

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it; it is computed now."""
        return len(self) == 0

    # ---- kept

    def persist(self) -> Any:
        """Compute it now, and return it with its rows kept in this process; they travel with each query of them.

        Raises
        ------
        MemoryError
            If they are more than 32 MiB when compressed.
        """
        from millstream.dataframe._read import persisted

        return persisted(self)

    def __bool__(self) -> bool:
        raise ValueError(f"the truth of a {type(self).__name__} is not known before it is computed: use .empty, .any()")

    def __getattr__(self, name: str) -> Any:
        _meta.own_error(self, name)
        pandas_type = getattr(pd, type(self).__name__, pd.Series)
        raise _meta.unavailable(type(self).__name__, name, dir(type(self)), pandas_type)


def plain_names(labels: Sequence[Any]) -> list[str]:
    """Distinct texts for labels."""
    names: list[str] = []
    taken: set[str] = set()
    for label in labels:
        text = "_".join(map(str, label)) if isinstance(label, tuple) else str(label)
        name, count = text, 0
        while name in taken:
            count += 1
            name = f"{text}.{count}"
        taken.add(name)
        names.append(name)
    return names
