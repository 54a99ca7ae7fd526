"""Any small table, compared with pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from comparing import Operation, check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import millstream as ms

_ROW = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["a", "b", "c", None]),
        "n": st.integers(-5, 5),
        "x": st.one_of(st.none(), st.integers(-40, 40).map(lambda value: value / 4)),
    }
)
TABLES = st.lists(_ROW, min_size=1, max_size=20).map(lambda rows: _table(rows))
OPERATIONS: dict[str, Operation] = {
    "filter": lambda t: t[(t.n > 0) | (t.x < 1)],
    "sort": lambda t: t.sort_values(["key", "x"], ascending=[False, True]),
    "duplicates": lambda t: t.drop_duplicates(["key", "n"], keep="last"),
    "groups": lambda t: t.groupby("key").agg({"n": ["sum", "min", "count"], "x": ["mean", "max", "first"]}),
    "groups_of_two": lambda t: t.groupby(["key", "n"], dropna=False).x.sum(),
    "transform": lambda t: t.x - t.groupby("n").x.transform("mean"),
    "cumulated": lambda t: t.groupby("key").n.cumsum(),
    "rolling": lambda t: t.x.rolling(3, min_periods=1).sum(),
    "rank": lambda t: t.x.rank(),
    "shift": lambda t: t.x - t.x.shift(1),
    "filled": lambda t: t.x.ffill().fillna(0),
    "describe": lambda t: t[["n", "x"]].describe(),
    "counts": lambda t: t.key.value_counts(),
    "floordiv": lambda t: t.n // 3 + t.n % 3,
    "last_of_sorted": lambda t: t.sort_values("n", kind="stable").iloc[2:5].reset_index(drop=True),
}


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["key", "n", "x"])
    return table.astype({"key": "str", "n": "int64", "x": "float64"})


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=TABLES)
def test_results_are_those_of_pandas(client: ms.Client, name: str, table: pd.DataFrame) -> None:
    check(client, OPERATIONS[name], table, check_dtype=False)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=TABLES, right=TABLES, how=st.sampled_from(["inner", "left", "right", "outer"]))
def test_merged_tables_are_those_of_pandas(
    client: ms.Client, left: pd.DataFrame, right: pd.DataFrame, how: str
) -> None:
    mine, theirs = (ms.from_pandas(side, client=client) for side in (left, right))
    result = mine.merge(theirs, on="key", how=how).compute()
    expected = left.merge(right, on="key", how=how)
    assert list(result.columns) == list(expected.columns)
    assert _counted(result) == _counted(expected)


def _counted(table: pd.DataFrame) -> dict[tuple[Any, ...], int]:
    rows = table.astype(object).where(table.notna(), None)
    counts: dict[tuple[Any, ...], int] = {}
    for row in rows.itertuples(index=False):
        key = tuple(float(value) if isinstance(value, int | float | np.number) else value for value in row)
        counts[key] = counts.get(key, 0) + 1
    return counts
