"""The same operation on pandas and on the cluster: equal results, types, names and index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import millstream as ms

Operation = Callable[[Any], Any]


def table() -> pd.DataFrame:
    """Rows with missing values of each kind, and with equal ones."""
    return pd.DataFrame(
        {
            "key": ["b", "a", None, "a", "c", "b", "a", None],
            "n": [3, 1, 2, 1, -7, 7, 0, 4],
            "x": [0.5, np.nan, 2.5, -1.5, 3.5, 0.5, 1e3, np.nan],
            "flag": [True, False, True, True, False, False, True, False],
            "word": ["Ann", "bob ", "", None, "42", "x-y", "Äon", "bob "],
            "at": pd.to_datetime(
                ["2024-02-29 12:34:56", None, "2023-12-31", "2024-01-01", "2024-05-06 07:08:09.123", "2020-02-28",
                 "2021-07-04 23:59:59", "2024-02-29 12:34:56"],
                format="ISO8601",
            ),
        }
    )  # fmt: skip


def computed(value: Any) -> Any:
    return value.compute() if hasattr(value, "compute") else value


def check(
    client: ms.Client, operation: Operation, data: Any = None, *, sort: bool = False, check_dtype: bool = True
) -> None:
    """Assert that the cluster's result is pandas' own; with `sort` in any order, and without the index."""
    data = table() if data is None else data
    expected = operation(data.copy())
    actual = computed(operation(ms.from_pandas(data, client=client)))
    equal(actual, expected, sort=sort, check_dtype=check_dtype)


def equal(actual: Any, expected: Any, *, sort: bool = False, check_dtype: bool = True) -> None:
    if sort:
        actual, expected = _sorted(actual), _sorted(expected)
    if isinstance(expected, pd.DataFrame):
        assert isinstance(actual, pd.DataFrame)
        pd.testing.assert_frame_equal(
            actual, expected, check_dtype=check_dtype, check_index_type=False, check_freq=False
        )
    elif isinstance(expected, pd.Series):
        assert isinstance(actual, pd.Series)
        pd.testing.assert_series_equal(
            actual, expected, check_dtype=check_dtype, check_index_type=False, check_freq=False
        )
    elif isinstance(expected, pd.Index):
        pd.testing.assert_index_equal(actual, expected, exact=False)
    elif isinstance(expected, float | np.floating):
        assert (np.isnan(actual) and np.isnan(expected)) or np.isclose(actual, expected, rtol=1e-12)
    elif expected is None or expected is pd.NaT:
        assert pd.isna(actual)
    else:
        assert actual == expected


def _sorted(data: pd.DataFrame) -> pd.DataFrame:
    return data.sort_values(list(data.columns), ignore_index=True)
