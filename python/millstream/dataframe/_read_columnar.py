"""Frames of Parquet and Arrow files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _expr, _files, _meta, _tree
from millstream.dataframe._expr import Expr
from millstream.dataframe._frame import DataFrame

if TYPE_CHECKING:
    from millstream._client import Client

_COMPARED = {"==": "eq", "=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


def read_parquet(
    path: Any,
    columns: Sequence[str] | None = None,
    filters: Sequence[Any] | None = None,
    index: Any = None,
    *,
    client: Client | None = None,
    **unknown: Any,
) -> DataFrame:
    """Return the rows of Parquet files on the cluster; no row is read yet.

    Parameters
    ----------
    path : str or list of str
        Files, folders and patterns, on the cluster. Rows are numbered over all of them in this order; an index that
        pandas wrote is a column, and so is each folder named ``key=value``, after the columns of the files.
    columns : list of str, optional
        Which columns; all by default.
    filters : list, optional
        Which rows: ``[(column, operator, value), …]`` if all must hold, or a list of such lists if one of them must.
        Operators are ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in`` and ``not in``. Files and parts of them
        that cannot have such rows are not read.
    index : str or list of str, optional
        Columns that become the index.
    client : Client, optional
        Where; the current client by default.

    Examples
    --------
    >>> import tempfile, pandas as pd
    >>> path = tempfile.mktemp(suffix=".parquet")
    >>> pd.DataFrame({"n": [1, 2, 3]}).to_parquet(path)
    >>> ms.read_parquet(path, client=client).n.sum().compute().item()
    6
    >>> ms.read_parquet(path, filters=[("n", ">", 1)], client=client).n.compute().tolist()
    [2, 3]
    """
    _files.refuse("read_parquet", unknown)
    return _read({"paths": _files.paths_of(path), "format": "parquet"}, columns, filters, index, client)


def read_feather(
    path: Any, columns: Sequence[str] | None = None, *, client: Client | None = None, **unknown: Any
) -> DataFrame:
    """Return the rows of Arrow files or streams on the cluster, which pandas calls Feather; no row is read yet.

    Parameters
    ----------
    path : str or list of str
        Files, folders and patterns, on the cluster.
    columns : list of str, optional
        Which columns; all by default.
    client : Client, optional
        Where; the current client by default.

    Examples
    --------
    >>> import tempfile, pandas as pd
    >>> path = tempfile.mktemp(suffix=".feather")
    >>> pd.DataFrame({"n": [1, 2, 3]}).to_feather(path)
    >>> ms.read_feather(path, client=client).n.sum().compute().item()
    6
    """
    unknown.pop("use_threads", None)
    _files.refuse("read_feather", unknown)
    return _read({"paths": _files.paths_of(path), "format": "arrow"}, columns, None, None, client)


def read_ipc(
    path: Any, columns: Sequence[str] | None = None, *, client: Client | None = None, **unknown: Any
) -> DataFrame:
    """Return the rows of Arrow files or streams on the cluster, by the name that polars has; see `read_feather`."""
    return read_feather(path, columns, client=client, **unknown)


def _read(
    source: Mapping[str, Any], columns: Sequence[str] | None, filters: Any, index: Any, client: Client | None
) -> DataFrame:
    node, schema = _files.table_of(source, client)
    if filters is not None:
        # Before rows are numbered: pandas numbers those that are left.
        node = _tree.filtered(node, _expr.condition(_where(filters, _meta.of_schema(schema))))
    frame = _files.of_node(node, schema, client)
    levels = [index] if isinstance(index, str) else list(index or ())
    if columns is not None:
        frame = frame[[*(level for level in levels if level not in columns), *columns]]
    return frame.set_index(levels) if levels else frame


def _where(filters: Any, meta: pd.DataFrame) -> Expr:
    """The condition of filters in disjunctive normal form."""
    if isinstance(filters, str) or not isinstance(filters, Sequence) or not filters:
        raise TypeError(f"filters is a list of (column, operator, value), or of lists of these; got {filters!r}")
    groups = [filters] if isinstance(filters[0], tuple) else filters
    wanted = [_expr.both(*(_term(term, meta) for term in group)) for group in groups]
    result = wanted[0]
    for other in wanted[1:]:
        result = _expr.call("or", result, other)
    return result


def _term(term: Any, meta: pd.DataFrame) -> Expr:
    try:
        name, operator, value = term
    except (TypeError, ValueError):
        raise TypeError(f"a filter is (column, operator, value), got {term!r}") from None
    with _meta.naming(meta.columns):
        dtype = meta[name].dtype
    column: Expr = {"col": name}
    if operator in ("in", "not in"):
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise TypeError(f"the filter {operator!r} takes a list of values, got {value!r}")
        found = _expr.one_of(column, value)
        return found if operator == "in" else _expr.negated(found)
    if operator not in _COMPARED:
        known = ", ".join([*_COMPARED, "in", "not in"])
        raise ValueError(f"{operator!r} is no operator of filters{_meta.near(operator, _COMPARED)}; there are {known}")
    literal = _expr.literal(value, dtype)
    if operator == "!=":
        # A missing value is unequal to all to pandas, but not to filters.
        return _expr.call("ne", column, literal.expr)
    return _expr.compare(_COMPARED[operator], _expr.Operand(column, dtype), literal)
