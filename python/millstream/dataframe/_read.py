"""Frames of statements, and of rows that are in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _files, _meta, _query, _run, _tree
from millstream.dataframe._collection import plain_names
from millstream.dataframe._frame import DataFrame
from millstream.dataframe._query import Query, QueryError
from millstream.dataframe._series import Series

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._client import Client

# Rows that travel with each request may have so many bytes when they are compressed; the planner takes no more.
LARGEST = 32 << 20


def sql(query: str, params: Sequence[Any], tables: Mapping[str, Any], client: Client | None) -> DataFrame:
    """The rows of a statement, which is planned now."""
    files: dict[str, Any] = {}
    inputs: dict[str, _tree.Node] = {}
    for name, table in tables.items():
        frame = _as_frame(table, client)
        if frame is None:
            files[name] = table
        else:
            inputs[name] = frame._root()
    asked = Query(query, tuple(params), files)
    if asked.is_done_at_once and not inputs:
        return from_arrow(_run.table(client, asked), client=client)
    if inputs:
        schema = _run.schema(client, _tree.sql(query, asked.params, inputs, (), asked.tables))
    else:
        try:
            # As a statement, so that the place of a mistake can be shown.
            schema = _run.table(client, asked.selecting(rest="LIMIT 0")).schema
        except QueryError as error:
            raise error.of_selected(query) from None
    return _files.of_node(_tree.sql(query, asked.params, inputs, schema.names, asked.tables), schema, client)


def _as_frame(table: Any, client: Client | None) -> DataFrame | None:
    """A frame if it is rows, not files."""
    import pyarrow as pa

    if isinstance(table, DataFrame):
        return table
    if isinstance(table, pd.DataFrame):
        return from_pandas(table, client=client)  # type: ignore[no-any-return]
    is_table = isinstance(table, pa.Table) or hasattr(table, "__arrow_c_stream__") or hasattr(table, "__dataframe__")
    return from_arrow(table, client=client) if is_table else None


# ---- what is on this machine


def from_pandas(data: Any, *, client: Client | None = None, **unknown: Any) -> Any:
    """Return a pandas frame or column as one on the cluster; its rows travel with each query that reads them.

    Parameters
    ----------
    data : pandas.DataFrame or pandas.Series
        The rows. Categories become the values that they stand for.
    client : Client, optional
        Where it is computed; the current client by default.

    Raises
    ------
    MemoryError
        If it has more than 32 MiB when compressed: write it to a file that the cluster reads.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = ms.from_pandas(pd.DataFrame({"n": [3, 4]}, index=["a", "b"]))
    >>> (frame.n + 1).compute().to_dict()
    {'a': 4, 'b': 5}
    """
    unknown = {name: value for name, value in unknown.items() if name not in ("npartitions", "chunksize", "sort")}
    _files.refuse("from_pandas", unknown)
    if isinstance(data, pd.Series):
        return from_pandas(data.to_frame(), client=client)._column(0).rename(data.name)
    if not isinstance(data, pd.DataFrame):
        raise TypeError(f"from_pandas takes a pandas DataFrame or Series, got {type(data).__name__}")
    plain = data.set_axis(plain_names(list(data.columns)), axis=1)
    has_range = isinstance(data.index, pd.RangeIndex) and data.index.start == 0 and data.index.step == 1
    levels = [] if has_range else [_tree.fresh("label") for _ in data.index.names]
    for place, name in enumerate(levels):
        plain.insert(place, name, data.index.get_level_values(place))
    table = _as_arrow(plain)
    frame = from_arrow(table, client=client)
    meta = _typed_like(frame._meta.iloc[:, len(levels) :], data)
    index = [{"col": name} for name in levels] or frame._index
    labels: pd.Index = data.index[:0]
    if isinstance(labels, pd.MultiIndex):
        empty = [frame._meta[name] for name in levels]
        labels = pd.MultiIndex.from_arrays(empty, names=data.index.names)
    elif levels:
        labels = pd.Index(frame._meta[levels[0]]).rename(data.index.name)
    return DataFrame(frame._rows, index, frame._exprs[len(levels) :], meta.set_axis(labels, axis=0), client)


def _as_arrow(data: pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    columns = []
    for name in data.columns:
        values = data[name]
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.astype(values.dtype.categories.dtype)
        try:
            columns.append(pa.array(values, from_pandas=True))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise TypeError(f"the column {name!r} has values that tables cannot hold: {error}") from None
    return pa.table(columns, names=list(data.columns))


def _typed_like(meta: pd.DataFrame, data: pd.DataFrame) -> pd.DataFrame:
    """The types as the cluster gives them back; pandas' own types with missing values stay."""
    columns = []
    for place in range(data.shape[1]):
        dtype = data.dtypes.iloc[place]
        keeps = isinstance(dtype, pd.api.extensions.ExtensionDtype) and not isinstance(dtype, pd.CategoricalDtype)
        columns.append((None, dtype if keeps else meta.dtypes.iloc[place]))
    made = _meta.frame(columns)
    made.columns = data.columns
    return made


def from_arrow(table: Any, *, client: Client | None = None) -> DataFrame:
    """Return an Arrow table, or what can become one, as a frame; its rows travel with each query that reads them.

    Parameters
    ----------
    table : object
        An Arrow table, record batch or reader, or whatever has ``__arrow_c_stream__`` (polars, DuckDB) or
        ``__dataframe__``.
    client : Client, optional
        Where it is computed; the current client by default.

    Raises
    ------
    MemoryError
        If it has more than 32 MiB when compressed: write it to a file that the cluster reads.

    Examples
    --------
    >>> import pyarrow as pa
    >>> ms.from_arrow(pa.table({"n": [1, 2]}), client=client).n.max().compute().item()
    2
    """
    import pyarrow as pa

    table = _as_table(table).replace_schema_metadata(None)
    if len(set(table.column_names)) < table.num_columns:
        raise ValueError("columns of a table need distinct names: rename_columns() first")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    rows = sink.getvalue().to_pybytes()
    if len(rows) > LARGEST:
        raise MemoryError(
            f"the table has {len(rows):,} bytes when compressed, and {LARGEST:,} can travel with a query: write it to "
            "a Parquet file that the cluster reads, and use read_parquet()"
        )
    node = _tree.table({"arrow": rows}, table.column_names)
    return _files.of_node(node, table.schema, client)


def _as_table(data: Any) -> pa.Table:
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    if hasattr(data, "__arrow_c_array__"):
        return pa.Table.from_batches([pa.record_batch(data)])
    if hasattr(data, "__dataframe__"):
        from pyarrow.interchange import from_dataframe

        return from_dataframe(data)
    return pa.table(data)


def persisted(part: Any) -> Any:
    """The frame or column with its rows computed and kept here."""
    if isinstance(part, Series):
        return persisted(part.to_frame("value"))._column(0).rename(part.name)
    named = list(zip((_tree.fresh("kept") for _ in part._exprs), part._exprs, strict=True))
    levels = [] if part._has_range_index and part._rows.base.start == 0 else part._levels()
    root = part._root([*levels, *named])
    found = from_arrow(_run.table(part._client, _query.TreeQuery(root)), client=part._client)
    index = [{"col": name} for name, _ in levels] or found._index
    return DataFrame(found._rows, index, [{"col": name} for name, _ in named], part._meta, part._client)
