"""Queries and trees sent to the cluster, and what comes back."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from millstream import _aio
from millstream._http import TooLargeError
from millstream.dataframe import _query, _tree
from millstream.dataframe._query import Asked, TreeQuery

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._client import Client

# The part of this machine's memory that a result may fill unless a limit is given.
_SHARE = 0.5


def current(client: Client | None) -> Client:
    """The client, or the current one."""
    if client is not None:
        return client
    from millstream._client import get_client

    return get_client()


def table(client: Client | None, asked: Asked, limit: int | None = None) -> pa.Table:
    """The rows of a query.

    Raises
    ------
    MemoryError
        If they have more bytes than `limit`.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError("results of queries need pyarrow: pip install 'millstream[pandas]'") from error
    return pa.ipc.open_stream(content(client, asked, _query.ARROW, limit)).read_all()


def content(client: Client | None, asked: Asked, accept: str, limit: int | None = None) -> bytes:
    """The rows of a query in some format."""
    from millstream.dataframe import _break

    if isinstance(asked, TreeQuery) and _break.is_broken(asked.root):
        if asked.explain:
            return content(client, replace(asked, root=_break.planned(asked.root)), accept, limit)
        with _break.prepared(client, asked) as ready:
            return content(client, ready, accept, limit)
    session = current(client).session
    task = _aio.spawn(_query.rows_of(session.transport, asked, accept, limit, session.names))
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


def schema(client: Client | None, node: _tree.Node) -> pa.Schema:
    """Names and types of a table's columns; it is planned for them, and none of its rows are read."""
    from millstream.dataframe import _break

    return table(client, TreeQuery(_tree.limit(_break.planned(node), fetch=0))).schema


def plan(client: Client | None, asked: Asked) -> str:
    """The text of a plan."""
    found = table(client, asked)
    return "\n".join(str(text) for text in found.column(found.num_columns - 1).to_pylist())


def bytes_of(limit: int | str | None) -> int | None:
    """A limit in bytes; `auto` is a part of this machine's memory."""
    if limit is None:
        return None
    if limit == "auto":
        return int(_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    from millstream._options import byte_size

    return byte_size(limit, "limit")
