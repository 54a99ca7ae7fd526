"""Values of many rows, compared with pandas."""

from __future__ import annotations

import pytest
from comparing import Operation, check, table

import millstream as ms

NUMBERS = ["n", "x"]
OF_COLUMNS = ["sum", "prod", "mean", "median", "min", "max", "std", "var", "sem", "count", "nunique", "skew", "kurt"]
REDUCTIONS: dict[str, Operation] = {
    "sum_min_count": lambda t: t.x[t.n > 100].sum(min_count=1),
    "std_ddof": lambda t: t.x.std(ddof=0),
    "not_skipna": lambda t: t.x.sum(skipna=False),
    "quantile": lambda t: t.x.quantile(0.3),
    "quantiles": lambda t: t.x.quantile([0.1, 0.5, 0.9]),
    "quantiles_frame": lambda t: t[NUMBERS].quantile([0.25, 0.75]),
    "any": lambda t: t.flag.any(),
    "all": lambda t: t.flag.all(),
    "any_number": lambda t: (t.n * 0).any(),
    "idxmax": lambda t: t.x.idxmax(),
    "idxmin": lambda t: t.set_index("word").n.idxmin(),
    "min_text": lambda t: t.key.min(),
    "max_time": lambda t: t["at"].max(),
    "mean_of_bool": lambda t: t.flag.mean(),
    "sum_of_bool": lambda t: t.flag.sum(),
    "nunique_text": lambda t: t.key.nunique(),
    "nunique_all": lambda t: t.key.nunique(dropna=False),
    "frame_sum": lambda t: t[NUMBERS].sum(),
    "frame_mean": lambda t: t.mean(numeric_only=True),
    "frame_count": lambda t: t.count(),
    "frame_nunique": lambda t: t.nunique(),
    "frame_min": lambda t: t[NUMBERS].min(),
    "frame_std": lambda t: t[NUMBERS].std(),
    "frame_agg": lambda t: t[NUMBERS].agg(["sum", "mean", "count"]),
    "frame_agg_mapping": lambda t: t.agg({"n": "sum", "x": "mean"}),
    "column_agg": lambda t: t.n.agg(["min", "max"]),
    "rows_sum": lambda t: t[NUMBERS].sum(axis=1),
    "rows_mean": lambda t: t[NUMBERS].mean(axis=1),
    "rows_max": lambda t: t[NUMBERS].max(axis=1),
    "rows_count": lambda t: t.count(axis=1),
    "describe": lambda t: t[NUMBERS].describe(),
    "describe_column": lambda t: t.x.describe(),
    "describe_percentiles": lambda t: t.n.describe(percentiles=[0.1, 0.9]),
    "corr": lambda t: t.n.corr(t.x),
    "cov": lambda t: t.n.cov(t.x),
    "corr_frame": lambda t: t[NUMBERS].corr(),
    "cov_frame": lambda t: t[NUMBERS].cov(),
    "mode": lambda t: t.n.mode(),
    "of_two": lambda t: t.n.sum() / t.x.count(),
    "frame_value_counts": lambda t: t[["key", "flag"]].value_counts().sort_index(),
    "is_in_mean": lambda t: (t.n > t.n.mean()).sum(),
}


@pytest.mark.parametrize("name", OF_COLUMNS)
@pytest.mark.parametrize("column", NUMBERS)
def test_reductions_are_those_of_pandas(client: ms.Client, name: str, column: str) -> None:
    check(client, lambda t: getattr(t[column], name)())


@pytest.mark.parametrize("name", REDUCTIONS)
def test_options_and_frames_reduce_as_in_pandas(client: ms.Client, name: str) -> None:
    check(client, REDUCTIONS[name])


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "min", "std", "count", "nunique", "median"])
def test_nothing_reduces_to_what_pandas_says(client: ms.Client, name: str) -> None:
    check(client, lambda t: getattr(t.x, name)(), table()[:0])


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "cummin", "cummax", "diff", "pct_change", "ffill", "bfill"])
def test_values_of_neighbours_are_those_of_pandas(client: ms.Client, name: str) -> None:
    check(client, lambda t: getattr(t.x, name)())


WINDOWS: dict[str, Operation] = {
    "cumsum_n": lambda t: t.n.cumsum(),
    "cummax_n": lambda t: t.n.cummax(),
    "shift": lambda t: t.n.shift(1),
    "shift_back": lambda t: t.key.shift(-2),
    "shift_fill": lambda t: t.n.shift(1, fill_value=0),
    "diff_back": lambda t: t.n.diff(-1),
    "diff_time": lambda t: t["at"].diff(),
    "ffill_text": lambda t: t.key.ffill(),
    "bfill_limit": lambda t: t.x.bfill(limit=1),
    "rank": lambda t: t.x.rank(),
    "rank_dense": lambda t: t.n.rank(method="dense", ascending=False),
    "rank_first": lambda t: t.n.rank(method="first"),
    "rank_max": lambda t: t.n.rank(method="max"),
    "rank_pct": lambda t: t.n.rank(pct=True),
    "rolling_sum": lambda t: t.n.rolling(3).sum(),
    "rolling_mean": lambda t: t.x.rolling(3, min_periods=1).mean(),
    "rolling_max": lambda t: t.x.rolling(2).max(),
    "rolling_std": lambda t: t.n.rolling(3).std(),
    "rolling_count": lambda t: t.x.rolling(3, min_periods=1).count(),
    "rolling_center": lambda t: t.n.rolling(3, center=True).mean(),
    "rolling_median": lambda t: t.n.rolling(3).median(),
    "rolling_frame": lambda t: t[NUMBERS].rolling(2, min_periods=1).sum(),
    "expanding": lambda t: t.n.expanding().mean(),
    "after_sort": lambda t: t.sort_values("n").x.cumsum(),
    "after_filter": lambda t: t[t.n > 0].n.cumsum(),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_are_those_of_pandas(client: ms.Client, name: str) -> None:
    check(client, WINDOWS[name])
