"""Tables on a cluster with the methods and the meaning of pandas, computed when they are asked for.

Each method tells names, types and errors at once, and computes nothing; ``compute()`` gives a pandas object.

Examples
--------
>>> frame = client.sql("SELECT 7 AS days, 'week' AS name")
>>> list(frame.columns)
['days', 'name']
>>> frame.compute().days.item()
7
"""

from __future__ import annotations

from typing import Any

try:
    import pandas as _pandas  # noqa: F401
    import pyarrow as _pyarrow  # noqa: F401
except ImportError as error:
    raise ImportError("frames need pandas and pyarrow: pip install 'millstream[pandas]'") from error

from millstream.dataframe._absent import FUNCTIONS as _FUNCTIONS
from millstream.dataframe._asof import merge_asof
from millstream.dataframe._bins import cut, qcut
from millstream.dataframe._convert import to_datetime, to_numeric, to_timedelta
from millstream.dataframe._frame import DataFrame
from millstream.dataframe._from_parts import from_delayed, from_map
from millstream.dataframe._groupby import DataFrameGroupBy, SeriesGroupBy
from millstream.dataframe._index import Index
from millstream.dataframe._meta import MissingColumnError, UnavailableError
from millstream.dataframe._meta import near as _near
from millstream.dataframe._pivots import get_dummies
from millstream.dataframe._query import Query, QueryError, TreesNotTakenError
from millstream.dataframe._read import from_arrow, from_pandas
from millstream.dataframe._read_columnar import read_feather, read_ipc, read_parquet
from millstream.dataframe._read_text import read_csv, read_json, read_table
from millstream.dataframe._reshape import concat, merge
from millstream.dataframe._scalar import Scalar
from millstream.dataframe._series import Series
from millstream.dataframe._sql_tables import read_sql, read_sql_query, read_sql_table
from millstream.dataframe._window import Rolling

__all__ = [
    "DataFrame",
    "DataFrameGroupBy",
    "Index",
    "MissingColumnError",
    "Query",
    "QueryError",
    "Rolling",
    "Scalar",
    "Series",
    "SeriesGroupBy",
    "TreesNotTakenError",
    "UnavailableError",
    "concat",
    "cut",
    "from_arrow",
    "from_delayed",
    "from_map",
    "from_pandas",
    "get_dummies",
    "merge",
    "merge_asof",
    "qcut",
    "read_csv",
    "read_feather",
    "read_ipc",
    "read_json",
    "read_parquet",
    "read_sql",
    "read_sql_query",
    "read_sql_table",
    "read_table",
    "to_datetime",
    "to_numeric",
    "to_timedelta",
]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        raise UnavailableError(f"millstream has no {name} of frames: {_FUNCTIONS[name]}")
    raise AttributeError(f"module 'millstream.dataframe' has no attribute {name!r}{_near(name, __all__)}")
