"""Queries on the current cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.dataframe import DataFrame


def sql(query: str, params: Sequence[Any] = (), **tables: Any) -> DataFrame:
    """Return the rows of a query on the current cluster; see :meth:`Client.sql`.

    Examples
    --------
    >>> ms.sql("SELECT 1 + 1 AS two").to_arrow()["two"].to_pylist()
    [2]
    """
    from millstream._client import get_client

    return get_client().sql(query, params, **tables)
