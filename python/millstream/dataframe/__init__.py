"""Tables that are computed on a cluster when they are asked for.

Examples
--------
>>> frame = client.sql("SELECT 7 AS days, 'week' AS name")
>>> frame.columns
['days', 'name']
>>> frame.to_pandas().days.item()
7
"""

from __future__ import annotations

from millstream.dataframe._frame import DataFrame
from millstream.dataframe._query import Query, QueryError

__all__ = ["DataFrame", "Query", "QueryError"]
