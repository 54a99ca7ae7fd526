"""Groups and pairs of rows, compared with pandas."""

from __future__ import annotations

import pandas as pd
import pytest
from comparing import Operation, check, computed, equal, table

import millstream as ms

NAMES = ["sum", "mean", "min", "max", "count", "std", "var", "median", "nunique", "first", "last", "prod", "sem"]
GROUPS: dict[str, Operation] = {
    "size": lambda t: t.groupby("key").size(),
    "two_keys": lambda t: t.groupby(["key", "flag"]).n.sum(),
    "two_keys_frame": lambda t: t.groupby(["key", "flag"])[["n", "x"]].max(),
    "not_sorted": lambda t: t.groupby("key", sort=False).n.sum(),
    "with_missing": lambda t: t.groupby("key", dropna=False).n.sum(),
    "not_index": lambda t: t.groupby("key", as_index=False).n.sum(),
    "numeric_only": lambda t: t.groupby("key").mean(numeric_only=True),
    "by_column": lambda t: t.groupby(t.n > 1).x.mean(),
    "by_level": lambda t: t.set_index("key").groupby(level=0).n.sum(),
    "of_expression": lambda t: t.n.groupby(t.key).sum(),
    "agg_list": lambda t: t.groupby("key").n.agg(["sum", "mean", "count"]),
    "agg_mapping": lambda t: t.groupby("key").agg({"n": "sum", "x": "mean"}),
    "agg_mapping_lists": lambda t: t.groupby("key").agg({"n": ["sum", "min"], "x": "mean"}),
    "agg_named": lambda t: t.groupby("key").agg(total=("n", "sum"), most=("x", "max")),
    "agg_named_column": lambda t: t.groupby("key").n.agg(low="min", high="max"),
    "agg_function": lambda t: t.groupby("key").n.agg(sum),
    "quantile": lambda t: t.groupby("key").n.quantile(0.3),
    "idxmax": lambda t: t.groupby("key").n.idxmax(),
    "any": lambda t: t.groupby("key").flag.any(),
    "transform": lambda t: t.groupby("key").n.transform("sum"),
    "transform_mean": lambda t: t.groupby("key").x.transform("mean"),
    "cumsum": lambda t: t.groupby("key").n.cumsum(),
    "cumcount": lambda t: t.groupby("flag").cumcount(),
    "ngroup": lambda t: t.groupby("flag").ngroup(),
    "shift": lambda t: t.groupby("key").n.shift(),
    "diff": lambda t: t.groupby("flag").n.diff(),
    "rank": lambda t: t.groupby("flag").n.rank(),
    "ffill": lambda t: t.groupby("flag").x.ffill(),
    "head": lambda t: t.groupby("key").head(1),
    "tail": lambda t: t.groupby("key").tail(2),
    "value_counts": lambda t: t.groupby("flag").key.value_counts(),
    "of_text": lambda t: t.groupby("flag").word.max(),
    "of_time": lambda t: t.groupby("flag")["at"].min(),
    "get_group": lambda t: t.groupby("key").get_group("a"),
    "then_sorted": lambda t: t.groupby("key").n.sum().sort_values(ascending=False),
    "then_reset": lambda t: t.groupby(["key", "flag"]).n.sum().reset_index(),
    "then_filtered": lambda t: t.groupby("key").n.sum().pipe(lambda s: s[s > 1]),
    "pivot_table": lambda t: t.pivot_table(values="x", index="key", columns="flag", aggfunc="max"),
    "pivot_table_two": lambda t: t.pivot_table(values=["n", "x"], index="flag", columns="key"),
}


@pytest.mark.parametrize("name", NAMES)
def test_reductions_of_groups_are_those_of_pandas(client: ms.Client, name: str) -> None:
    check(client, lambda t: getattr(t.groupby("key")[["n", "x"]], name)())


@pytest.mark.parametrize("name", GROUPS)
def test_groups_are_those_of_pandas(client: ms.Client, name: str) -> None:
    check(client, GROUPS[name])


@pytest.mark.parametrize("name", ["size", "two_keys", "agg_mapping", "transform", "cumsum"])
def test_no_rows_give_no_groups(client: ms.Client, name: str) -> None:
    check(client, GROUPS[name], table()[:0])


# ---- pairs of rows


@pytest.fixture
def sides() -> tuple[pd.DataFrame, pd.DataFrame]:
    left = pd.DataFrame({"k": ["a", "b", "b", None, "e"], "n": [1, 2, 3, 4, 5], "v": [0.5, 1.5, None, 3.5, 4.5]})
    right = pd.DataFrame({"k": ["b", "b", "a", None, "z"], "m": [10, 20, 30, 40, 50], "v": [1, 2, 3, 4, 5]})
    return left, right


@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
def test_merged_rows_are_those_of_pandas(client: ms.Client, sides: tuple[pd.DataFrame, pd.DataFrame], how: str) -> None:
    left, right = sides
    mine, theirs = (ms.from_pandas(side, client=client) for side in sides)
    equal(mine.merge(theirs, on="k", how=how).compute(), left.merge(right, on="k", how=how), sort=True)
    different = {"left_on": "n", "right_on": "v", "how": how, "suffixes": ("_left", None)}
    equal(mine.merge(theirs, **different).compute(), left.merge(right, **different), sort=True)
    by_index = {"left_index": True, "right_index": True, "how": how}
    result = mine[mine.n > 2].merge(theirs[theirs.m < 40], **by_index).compute()
    equal(result.sort_index(), left[left.n > 2].merge(right[right.m < 40], **by_index).sort_index())


def test_rows_are_joined_by_index(client: ms.Client, sides: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    left, right = sides
    mine, theirs = (ms.from_pandas(side, client=client) for side in sides)
    table, plain = theirs.dropna().set_index("k")[["m"]], right.dropna().set_index("k")[["m"]]
    result, expected = mine.join(table, on="k").compute(), left.join(plain, on="k")
    equal(result.sort_values(["n", "m"]), expected.sort_values(["n", "m"]))
    cross = {"how": "cross"}
    equal(mine[["n"]].merge(theirs[["m"]], **cross).compute(), left[["n"]].merge(right[["m"]], **cross), sort=True)


def test_keys_of_other_kinds_are_refused(client: ms.Client, sides: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    mine, theirs = (ms.from_pandas(side, client=client) for side in sides)
    with pytest.raises(ValueError, match="merge on"):
        mine.merge(theirs, left_on="k", right_on="m")
    with pytest.raises(KeyError, match="'kk'"):
        mine.merge(theirs, on="kk")


def test_values_are_looked_up_in_other_columns(client: ms.Client, sides: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    left, right = sides
    mine, theirs = (ms.from_pandas(side, client=client) for side in sides)
    equal(computed(mine.k.isin(theirs.k)), left.k.isin(right.k))
    names = right.drop_duplicates("k").set_index("k").m
    equal(computed(mine.k.map(theirs.drop_duplicates("k").set_index("k").m)), left.k.map(names), check_dtype=False)
