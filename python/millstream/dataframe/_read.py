"""Where frames come from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _kinds, _meta, _query, _run, _tree
from millstream.dataframe._collection import plain_names
from millstream.dataframe._frame import DataFrame
from millstream.dataframe._query import Query, QueryError
from millstream.dataframe._rows import numbered
from millstream.dataframe._series import Series

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._client import Client

# Rows that travel with each request may have so many bytes; a gateway takes no request above 256 MiB.
LARGEST = 200 << 20
# Types of CSV columns, by the families of pandas' types.
_CSV_TYPES = {"bool": "bool", "int": "int", "float": "float", "str": "text", "object": "text", "datetime": "timestamp"}


def read_parquet(
    path: Any, columns: Sequence[str] | None = None, *, client: Client | None = None, **unknown: Any
) -> DataFrame:
    """Return the rows of Parquet files on the cluster; no row is read yet.

    Parameters
    ----------
    path : str or list of str
        Files, folders and patterns, on the cluster. Rows are numbered over all of them in this order; an index that
        pandas wrote is a column.
    columns : list of str, optional
        Which columns; all by default.
    client : Client, optional
        Where; the current client by default.

    Examples
    --------
    >>> import tempfile, pandas as pd
    >>> path = tempfile.mktemp(suffix=".parquet")
    >>> pd.DataFrame({"n": [1, 2, 3]}).to_parquet(path)
    >>> ms.read_parquet(path, client=client).n.sum().compute().item()
    6
    """
    _refuse("read_parquet", unknown)
    frame = _of_files({"paths": _paths(path), "format": "parquet"}, client)
    return frame if columns is None else frame[list(columns)]


def read_csv(
    path: Any,
    *,
    sep: str | None = None,
    header: Any = "infer",
    names: Sequence[str] | None = None,
    usecols: Sequence[str] | None = None,
    dtype: Mapping[str, Any] | None = None,
    parse_dates: Sequence[str] = (),
    na_values: Any = (),
    keep_default_na: bool = True,
    quotechar: str = '"',
    escapechar: str | None = None,
    comment: str | None = None,
    multiline: bool = False,
    client: Client | None = None,
    **unknown: Any,
) -> DataFrame:
    r"""Return the rows of CSV files on the cluster, gzipped or not; types are told by samples of them.

    Parameters
    ----------
    path : str or list of str
        Files, folders and patterns, on the cluster.
    sep : str, optional
        What is between fields; a comma, or a tab in ``.tsv`` files.
    header : 0 or None
        None if the first line is a row.
    names : list of str, optional
        Names of the columns.
    usecols : list of str, optional
        Which columns; all by default.
    dtype : mapping, optional
        Types of some columns.
    parse_dates : list of str
        Columns of ISO 8601 times.
    na_values, keep_default_na, quotechar, escapechar, comment
        As in pandas.
    multiline : bool
        Whether fields may hold line breaks.
    client : Client, optional
        Where; the current client by default.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = tempfile.mktemp(suffix=".csv")
    >>> _ = pathlib.Path(path).write_text("n,letter\n1,a\n2,NA\n")
    >>> ms.read_csv(path, client=client).letter.isna().compute().tolist()
    [False, True]
    """
    _refuse("read_csv", unknown)
    if header not in ("infer", 0, None):
        raise NotImplementedError("header is 0, or None if the first line is a row")
    if isinstance(parse_dates, bool):
        raise NotImplementedError("parse_dates is a list of columns")
    types = {name: _csv_type(name, one) for name, one in (dtype or {}).items()}
    types |= dict.fromkeys(parse_dates, "timestamp")
    missing = [na_values] if isinstance(na_values, str) else list(na_values)
    options: dict[str, Any] = {"infer_dates": False, "quote": quotechar, "keep_default_na": keep_default_na}
    options |= {"na_values": list(map(str, missing)), "types": types, "multiline": multiline}
    options["header"] = header == 0 or (header == "infer" and names is None)
    optional = {"delimiter": sep, "escape": escapechar, "comment": comment}
    options |= {name: value for name, value in optional.items() if value is not None}
    if names is not None:
        options["columns"] = list(names)
    frame = _of_files({"paths": _paths(path), "format": "csv", "csv": options}, client)
    if header is None and names is None:
        frame.columns = range(len(frame.columns))
    return frame if usecols is None else frame[[name for name in frame.columns if name in set(usecols)]]


def _csv_type(name: str, dtype: Any) -> str:
    kind = _kinds.kind_of(pd.api.types.pandas_dtype(dtype))
    if kind not in _CSV_TYPES:
        raise NotImplementedError(f"there is no type of CSV columns for {dtype} ({name!r}): use astype() afterwards")
    return _CSV_TYPES[kind]


def _refuse(name: str, unknown: Mapping[str, Any]) -> None:
    if unknown:
        raise NotImplementedError(
            f"{name} has no {', '.join(sorted(unknown))}: see help(millstream.{name}) for what it has"
        )


def _paths(path: Any) -> list[str]:
    if isinstance(path, str | os.PathLike):
        return [os.fspath(path)]
    if isinstance(path, Sequence):
        return [os.fspath(one) for one in path]
    raise TypeError(f"a path on the cluster, or a list of paths, is needed; got {type(path).__name__}")


def _of_files(source: Mapping[str, Any], client: Client | None) -> DataFrame:
    schema = _run.schema(client, _tree.table(source, ()))
    return of_node(_tree.table(source, schema.names), schema, client)


def of_node(node: _tree.Node, schema: pa.Schema, client: Client | None) -> DataFrame:
    """The rows of a table, numbered."""
    rows = numbered(node)
    return DataFrame(rows, [rows.position], [{"col": name} for name in schema.names], _meta.of_schema(schema), client)


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
    return of_node(_tree.sql(query, asked.params, inputs, schema.names, asked.tables), schema, client)


def _as_frame(table: Any, client: Client | None) -> DataFrame | None:
    """A frame if it is rows, not files."""
    import pyarrow as pa

    if isinstance(table, DataFrame):
        return table
    if isinstance(table, pd.DataFrame):
        return from_pandas(table, client=client)  # type: ignore[no-any-return]
    return from_arrow(table, client=client) if isinstance(table, pa.Table) else None


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
        If it has more than 200 MiB: write it to a file that the cluster reads.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = ms.from_pandas(pd.DataFrame({"n": [3, 4]}, index=["a", "b"]))
    >>> (frame.n + 1).compute().to_dict()
    {'a': 4, 'b': 5}
    """
    unknown = {name: value for name, value in unknown.items() if name not in ("npartitions", "chunksize", "sort")}
    _refuse("from_pandas", unknown)
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


def from_arrow(table: pa.Table, *, client: Client | None = None) -> DataFrame:
    """Return an Arrow table, or what can become one, as a frame; its rows travel with each query that reads them.

    Examples
    --------
    >>> import pyarrow as pa
    >>> ms.from_arrow(pa.table({"n": [1, 2]}), client=client).n.max().compute().item()
    2
    """
    import pyarrow as pa

    if not isinstance(table, pa.Table):
        table = pa.table(table)
    table = table.replace_schema_metadata(None)
    if table.nbytes > LARGEST:
        raise MemoryError(
            f"the table has {table.nbytes:,} bytes, and {LARGEST:,} can travel with a query: write it to a Parquet "
            "file that the cluster reads, and use read_parquet()"
        )
    if len(set(table.column_names)) < table.num_columns:
        raise ValueError("columns of a table need distinct names: rename_columns() first")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    node = _tree.table({"arrow": sink.getvalue().to_pybytes()}, table.column_names)
    return of_node(node, table.schema, client)


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
