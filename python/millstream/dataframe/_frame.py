"""A table that is computed when it is asked for."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from millstream import _aio
from millstream._http import TooLargeError
from millstream.dataframe import _query
from millstream.dataframe._query import Query

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from millstream._client import Client

# The part of this machine's memory that a result may fill unless a limit is given.
_SHARE = 0.5
_ROWS = 10


class DataFrame:
    """Rows that a query gives, computed on the cluster each time that they are asked for.

    Made by :meth:`millstream.Client.sql`.

    Examples
    --------
    >>> frame = client.sql("SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS rows (number, letter)")
    >>> frame.shape
    (2, 2)
    >>> frame.to_pandas().number.sum().item()
    3
    """

    def __init__(self, client: Client, query: Query) -> None:
        self._client = client
        self._query = query
        self._schema: pa.Schema | None = None

    # ---- what it is

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns; the query is planned for it, and none of its rows are read."""
        if self._schema is None:
            self._schema = self._arrow(self._query.selecting(rest="LIMIT 0"), None).schema
        return self._schema

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.schema.names)

    @property
    def dtypes(self) -> pd.Series[Any]:
        """The pandas types of the columns, by name; those of columns without missing values."""
        return self.schema.empty_table().to_pandas().dtypes

    def __len__(self) -> int:
        query = self._query.selecting("count(*)")
        counted = self._arrow(query, None)
        return counted.num_rows if query is self._query else int(counted.column(0)[0].as_py())

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows, which are counted now, and of columns."""
        return len(self), len(self.columns)

    def explain(self) -> str:
        """Return the plan of the query."""
        plan = self._arrow(Query(f"EXPLAIN {self._query.text}", self._query.params, self._query.tables), None)
        return "\n".join(str(text) for text in plan.column(plan.num_columns - 1).to_pylist())

    # ---- its rows

    def to_arrow(self, *, limit: int | str | None = "auto") -> pa.Table:
        """Compute it as an Arrow table.

        Parameters
        ----------
        limit : int, str or None
            Most bytes of the result, such as ``"2GiB"``; half of this machine's memory by default, ``None`` for any
            number.

        Raises
        ------
        QueryError
            If the query cannot be run; the message shows the place in it.
        MemoryError
            If the result is larger than `limit`.
        """
        return self._arrow(self._query, _limit(limit))

    def to_pandas(self, *, limit: int | str | None = "auto", dtype_backend: str = "numpy") -> pd.DataFrame:
        """Compute it as a pandas frame.

        Parameters
        ----------
        limit : int, str or None
            As for :meth:`to_arrow`.
        dtype_backend : str
            ``"numpy"``, ``"pyarrow"`` for columns of Arrow's types, or ``"numpy_nullable"`` for pandas' own types with
            missing values.
        """
        return _to_pandas(self.to_arrow(limit=limit), dtype_backend)

    compute = to_pandas

    def to_polars(self, *, limit: int | str | None = "auto") -> Any:
        """Compute it as a polars frame."""
        polars = import_module("polars")
        return polars.from_arrow(self.to_arrow(limit=limit))

    def head(self, n: int = 5) -> pd.DataFrame:
        """Return the first rows; of a query without ``ORDER BY`` these are any."""
        if n < 0:
            raise ValueError(f"the number of rows must not be negative, got {n}")
        return _to_pandas(self._arrow(self._query.selecting(rest=f"LIMIT {int(n)}"), None), "numpy")

    def show(self, n: int = _ROWS) -> None:
        """Print the first rows.

        Examples
        --------
        >>> client.sql("SELECT 1 AS one, 'x' AS letter").show()
        +-----+--------+
        | one | letter |
        +-----+--------+
        | 1   | x      |
        +-----+--------+
        """
        content = self._run(self._query.selecting(rest=f"LIMIT {int(n)}"), _query.TEXT, None)
        print(content.decode().rstrip("\n"))

    # ---- how

    def _arrow(self, query: Query, limit: int | None) -> pa.Table:
        try:
            import pyarrow as pa
        except ImportError as error:
            raise ImportError("results of queries need pyarrow: pip install 'millstream[pandas]'") from error
        content = self._run(query, _query.ARROW, limit)
        return pa.ipc.open_stream(content).read_all()

    def _run(self, query: Query, accept: str, limit: int | None) -> bytes:
        transport = self._client.session.transport
        task = _aio.spawn(_query.rows_of(transport, query, accept, limit))
        try:
            return task.result()
        except TooLargeError as error:
            raise MemoryError(
                f"the result has {error.length:,} bytes, and the limit is {limit:,}: "
                "select fewer rows or columns, aggregate, or pass limit=None"
            ) from None
        except KeyboardInterrupt:
            task.cancel()
            raise

    def __repr__(self) -> str:
        query = " ".join(self._query.text.split())
        shown = query if len(query) <= 80 else query[:77] + "..."
        if self._schema is None:
            return f"<DataFrame of {shown!r}>"
        fields = ", ".join(f"{field.name}: {field.type}" for field in self._schema)
        return f"<DataFrame ({fields}) of {shown!r}>"


def _limit(limit: int | str | None) -> int | None:
    if limit is None:
        return None
    if limit == "auto":
        return int(_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    from millstream._options import byte_size

    return byte_size(limit, "limit")


def _to_pandas(table: pa.Table, dtype_backend: str) -> pd.DataFrame:
    if dtype_backend == "numpy":
        return table.to_pandas()
    import pandas as pd

    if dtype_backend == "pyarrow":
        return table.to_pandas(types_mapper=pd.ArrowDtype)
    if dtype_backend == "numpy_nullable":
        return table.to_pandas().convert_dtypes()
    raise ValueError(f"dtype_backend is 'numpy', 'pyarrow' or 'numpy_nullable', got {dtype_backend!r}")
