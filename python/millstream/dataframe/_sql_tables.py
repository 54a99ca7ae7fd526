"""Frames of databases, read and written by Python tasks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream._functions import carry
from millstream.dataframe import _break, _calls, _databases, _files, _parts, _python, _run, _tree
from millstream.dataframe._databases import Database, Source, Target

if TYPE_CHECKING:
    from millstream._client import Client

carry(_databases)

# Rows by which types are told.
_HEAD = 1000


def read_sql(sql: str, con: Any, index_col: Any = None, **options: Any) -> Any:
    """Return the rows of a table of a database, or of a query; see :func:`read_sql_table` and `read_sql_query`.

    Parameters
    ----------
    sql : str
        A query, or the name of a table if it is one word.
    con : str or callable
        Where the database is.
    index_col : str or list of str, optional
        What becomes the index.
    **options
        Those of the other two.

    Examples
    --------
    >>> import tempfile, sqlite3
    >>> path = tempfile.mktemp(suffix=".db")
    >>> with sqlite3.connect(path) as database:
    ...     _ = database.executescript("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1), (2), (NULL)")
    >>> ms.dataframe.read_sql("t", f"sqlite:///{path}", partition_col="n", client=client).n.sum().compute().item()
    3.0
    """
    is_query = len(sql.split()) > 1
    return (read_sql_query if is_query else read_sql_table)(sql, con, index_col, **options)


def read_sql_table(
    table_name: str,
    con: str | Callable[[], Any],
    index_col: Any = None,
    *,
    columns: Sequence[str] = (),
    schema: str | None = None,
    **options: Any,
) -> Any:
    """Return the rows of a table of a database.

    Parameters
    ----------
    table_name : str
        The table.
    con : str or callable
        Where the database is; see :func:`read_sql_query`.
    index_col : str or list of str, optional
        What becomes the index.
    columns : list of str
        Which columns; all by default.
    schema : str, optional
        Where the table is in the database.
    **options
        Those of :func:`read_sql_query`.
    """
    about = {"table": table_name, "schema": schema, "columns": tuple(columns or ())}
    return _read("read_sql_table", about, con, index_col, **options)


def read_sql_query(sql: str, con: str | Callable[[], Any], index_col: Any = None, **options: Any) -> Any:
    """Return the rows of a query to a database, which Python tasks make whenever the frame is computed.

    With `partition_col` there is a task for each range of its values, and one for rows where it is missing. Each task
    asks by itself: rows that change meanwhile may be seen twice or not at all.

    Parameters
    ----------
    sql : str
        A query that can be within another.
    con : str or callable
        The URL of the database, as SQLAlchemy has it, seen from the workers; SQLite does without SQLAlchemy. Or a
        function that makes an engine of SQLAlchemy or a connection of sqlite3, called in each task.
    index_col : str or list of str, optional
        What becomes the index; a single one also divides the rows if `npartitions` is given.
    **options
        `partition_col`, the column that divides rows; `npartitions`, into how many ranges, by default one for each
        slot of the cluster; `divisions`, the bounds of the ranges, for columns other than numbers and times;
        `limits`, the least and the largest value, which are asked for by default; `params` and `parse_dates`, as in
        pandas; `meta`, types by name, by default those of the first `head_rows`; `engine_kwargs`; `client`.
    """
    return _read("read_sql_query", {"query": sql}, con, index_col, **options)


def _read(
    name: str,
    about: Mapping[str, Any],
    con: str | Callable[[], Any],
    index_col: Any,
    *,
    partition_col: str | None = None,
    npartitions: int | None = None,
    divisions: Sequence[Any] | None = None,
    limits: tuple[Any, Any] | None = None,
    params: Any = None,
    parse_dates: Any = None,
    meta: Any = None,
    head_rows: int = _HEAD,
    engine_kwargs: Mapping[str, Any] | None = None,
    client: Client | None = None,
    **unknown: Any,
) -> Any:
    _files.refuse(name, unknown)
    index = (index_col,) if isinstance(index_col, str) else tuple(index_col or ())
    divides = npartitions is not None or divisions is not None
    by = partition_col if partition_col is not None or len(index) != 1 or not divides else index[0]
    if by is None and divides:
        raise ValueError("npartitions and divisions need partition_col, the column whose values divide the rows")
    database = _database(con, engine_kwargs)
    source = Source(database, index=index, params=params, parse_dates=parse_dates, by=by, **about)
    found = _run.current(client)
    shown = found.submit(source.head, head_rows).result() if meta is None else _python.foretold(meta, len, None, name)
    bounds: list[Any] = []
    if by is not None and divisions is not None:
        bounds = list(divisions)[1:-1]
    elif by is not None:
        low, high = limits or found.submit(source.limits).result()
        bounds = _bounds(low, high, npartitions or sum(found.ncores().values()), by)
    items = [(low, high) for low, high in zip([None, *bounds], [*bounds, None], strict=True)]
    calls: list[Any] = [*items, *([(None, None, True)] if by is not None else [])]
    call = _calls.OfItem(source.read, (), {})
    return _python.made_table(call, shown, client, items=calls)


def _database(con: Any, options: Mapping[str, Any] | None) -> Database:
    # A connection of sqlite3 can be called, too.
    if not isinstance(con, str) and (not callable(con) or hasattr(con, "cursor")):
        raise TypeError(
            f"con is the URL of a database, or a function that connects to it; got {type(con).__name__}: a connection "
            "cannot travel to the tasks"
        )
    return Database(con, dict(options or {}))


def _bounds(low: Any, high: Any, count: int, name: str) -> list[Any]:
    """Values that divide a range into equal parts."""
    if low is None or count < 2:
        return []
    if isinstance(low, str):
        try:
            low, high = pd.Timestamp(low), pd.Timestamp(high)
        except ValueError:
            raise ValueError(
                f"{name!r} has neither numbers nor times: tell the bounds of its parts by divisions="
            ) from None
    step = (high - low) / count
    found = [low + step * number for number in range(1, count)]
    if isinstance(low, int):
        found = [round(value) for value in found]
    elif isinstance(low, pd.Timestamp):
        found = [value.floor("s") for value in found]
    return sorted({value for value in found if low < value <= high})


def to_sql(
    part: Any,
    name: str,
    con: Any,
    *,
    schema: str | None,
    if_exists: str,
    index: bool,
    index_label: Any,
    engine_kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> int:
    """Write the rows of a frame or column to a table of a database; return their number."""
    if if_exists not in ("fail", "replace", "append"):
        raise ValueError(f"if_exists is 'fail', 'replace' or 'append', got {if_exists!r}")
    labels = _labels(part._labels, index_label) if index else None
    plain = {key: value for key, value in options.items() if value is not None}
    database = _database(con, engine_kwargs)
    target = Target(database, name, schema, if_exists, labels, uuid.uuid4().hex[:8], plain)
    client = _run.current(part._client)
    client.submit(target.check).result()
    named, layout = _python.layout_of(part)
    root = _tree.project(part._rows.node, [*named, (layout.position, part._rows.position)])
    try:
        futures = _break.parts_of(client, root, partial(_parts.used, target.write, layout))
        written = client.gather(futures)
        client.submit(target.commit, _python.sample_of(part)[:0], [one for one, _ in written]).result()
    except BaseException:
        client.submit(target.sweep).result()
        raise
    return sum(count for _, count in written)


def _labels(index: pd.Index, index_label: Any) -> tuple[str, ...]:
    """What the levels of an index are called as columns, as in pandas."""
    if index_label is not None:
        return (index_label,) if isinstance(index_label, str) else tuple(index_label)
    if index.nlevels == 1:
        return ("index" if index.name is None else str(index.name),)
    return tuple(f"level_{place}" if label is None else str(label) for place, label in enumerate(index.names))
