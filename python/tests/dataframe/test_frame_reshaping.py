"""Pairs of nearest rows, values as columns and back, and what looks at all rows before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from comparing import check, equal, table

import millstream as ms


@pytest.fixture(autouse=True)
def _scratch(shared_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLSTREAM_SCRATCH", str(shared_path / "scratch"))


def _trades() -> pd.DataFrame:
    return pd.DataFrame({"at": [1, 3, 3, 5, 8, 9], "who": list("abacba"), "size": [10, 20, 30, 40, 50, 60]})


def _quotes() -> pd.DataFrame:
    return pd.DataFrame(
        {"at": [2, 3, 3, 4, 8, 12], "who": list("aabcab"), "price": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5], "size": range(6)}
    )


@pytest.mark.parametrize(
    "options",
    [
        {"on": "at"},
        {"on": "at", "direction": "forward"},
        {"on": "at", "direction": "nearest"},
        {"on": "at", "allow_exact_matches": False},
        {"on": "at", "allow_exact_matches": False, "direction": "forward"},
        {"on": "at", "allow_exact_matches": False, "direction": "nearest"},
        {"on": "at", "tolerance": 1},
        {"on": "at", "tolerance": 1, "direction": "nearest"},
        {"on": "at", "by": "who"},
        {"on": "at", "by": "who", "direction": "nearest", "tolerance": 2},
        {"left_on": "at", "right_on": "at", "left_by": "who", "right_by": "who", "suffixes": ("", "_quote")},
    ],
)
def test_nearest_rows_are_those_of_pandas(client: ms.Client, options: dict[str, Any]) -> None:
    found = ms.dataframe.merge_asof(
        ms.from_pandas(_trades(), client=client), ms.from_pandas(_quotes(), client=client), **options
    )
    equal(found.compute(), pd.merge_asof(_trades(), _quotes(), **options))


def test_nearest_rows_of_times_of_indexes_and_of_many(client: ms.Client) -> None:
    random = np.random.default_rng(7)
    start = pd.Timestamp("2024-01-01")

    def rows(count: int) -> pd.DataFrame:
        seconds = np.sort(random.integers(0, 5_000, count))
        return pd.DataFrame({"at": start + pd.to_timedelta(seconds, unit="s"), "key": random.integers(0, 5, count)})

    left, right = rows(3_000), rows(2_000).assign(value=np.arange(2_000))
    frames = ms.from_pandas(left, client=client), ms.from_pandas(right, client=client)
    for direction in ("backward", "forward", "nearest"):
        options: dict[str, Any] = {"on": "at", "by": "key", "direction": direction, "tolerance": pd.Timedelta("3s")}
        equal(ms.dataframe.merge_asof(*frames, **options).compute(), pd.merge_asof(left, right, **options))
    indexed = ms.dataframe.merge_asof(
        frames[0].set_index("at"), frames[1].set_index("at")[["value"]], left_index=True, right_index=True
    )
    expected = pd.merge_asof(left.set_index("at"), right.set_index("at")[["value"]], left_index=True, right_index=True)
    equal(indexed.compute(), expected)


def test_mistakes_of_nearest_rows_are_told(client: ms.Client) -> None:
    frame = ms.from_pandas(_trades(), client=client)
    with pytest.raises(ValueError, match="did you mean 'forward'"):
        ms.dataframe.merge_asof(frame, frame, on="at", direction="foreward")
    with pytest.raises((TypeError, ValueError, pd.errors.MergeError)):
        ms.dataframe.merge_asof(frame, frame, on="who")
    with pytest.raises(TypeError, match="from_pandas"):
        ms.dataframe.merge_asof(frame, _trades(), on="at")


@pytest.mark.parametrize(
    "operation",
    [
        lambda data: (
            data.dropna(subset="key").drop_duplicates(["key", "n"]).pivot(index="n", columns="key", values="x")
        ),
        lambda data: data.groupby(["key", "flag"]).n.sum().unstack(),
        lambda data: data.groupby(["key", "flag"]).n.sum().unstack("key"),
        lambda data: data.groupby(["key", "flag"]).n.sum().unstack(fill_value=0),
        lambda data: data.groupby(["key", "flag"]).n.sum().unstack(0),
        lambda data: data[["n", "x"]].stack(),
        lambda data: data.set_index("word")[["n", "x"]].stack(),
    ],
)
def test_tables_are_turned_as_in_pandas(client: ms.Client, operation: Any) -> None:
    check(client, operation, check_dtype=False)


def test_several_values_of_a_pair_are_refused(client: ms.Client) -> None:
    with pytest.raises(ValueError, match="duplicate entries"):
        ms.from_pandas(table(), client=client).pivot(index="key", columns="flag", values="n")


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        (["key"], {}),
        (["n", "key", "flag"], {}),
        (["key", "word"], {"prefix": ["k", "w"], "prefix_sep": "."}),
        (["key", "n"], {"columns": ["n"], "dtype": int}),
        (["key", "x"], {"dummy_na": True}),
        (["key", "x"], {"drop_first": True, "prefix": {"key": "is"}}),
    ],
)
def test_values_become_columns_as_in_pandas(client: ms.Client, columns: list[str], options: dict[str, Any]) -> None:
    data = table()[columns]
    found = ms.dataframe.get_dummies(ms.from_pandas(data, client=client), **options)
    equal(found.compute(), pd.get_dummies(data, **options))
    one = ms.dataframe.get_dummies(ms.from_pandas(data[columns[0]], client=client), prefix="a")
    equal(one.compute(), pd.get_dummies(data[columns[0]], prefix="a"))


@pytest.mark.parametrize(
    "operation",
    [
        lambda data: data.n.ewm(span=3).mean(),
        lambda data: data.x.ewm(alpha=0.3, adjust=False, ignore_na=True).mean(),
        lambda data: data.n.ewm(com=1.5, min_periods=2).std(),
        lambda data: data[["n", "x"]].ewm(halflife=2).mean(),
        lambda data: data.sort_values("n").n.ewm(span=2).sum(),
        lambda data: data.x.interpolate(),
        lambda data: data.x.interpolate(limit=1, limit_direction="both"),
        lambda data: data[["n", "x"]].interpolate(),
        lambda data: data.n.rolling(3, min_periods=1).apply(lambda part: part.max() - part.min()),
        lambda data: data[["n", "x"]].rolling(4, center=True, min_periods=3).skew(),
        lambda data: data.n.expanding(4).kurt(),
        lambda data: data.assign(smooth=data.n.ewm(span=3).mean()).groupby("key").smooth.mean(),
    ],
)
def test_what_looks_at_all_rows_before_is_that_of_pandas(client: ms.Client, operation: Any) -> None:
    check(client, operation)


def _texts(found: Any) -> Any:
    return found.cat.rename_categories([str(one) for one in found.cat.categories]).astype("str")


@pytest.mark.parametrize(
    ("name", "bins", "options"),
    [
        ("n", [-10, 0, 2, 7], {}),
        ("n", [-10, 0, 2, 7], {"right": False}),
        ("n", [-7, 0, 3], {"include_lowest": True}),
        ("n", 3, {}),
        ("x", 4, {"precision": 1}),
        ("at", pd.to_datetime(["2020-01-01", "2022-01-01", "2024-03-01"]), {}),
    ],
)
def test_values_lie_in_the_intervals_of_pandas(client: ms.Client, name: str, bins: Any, options: Any) -> None:
    data = table()[name]
    column = ms.from_pandas(data, client=client)
    equal(ms.dataframe.cut(column, bins, **options).compute(), _texts(pd.cut(data, bins, **options)))
    numbers = pd.cut(data, bins, labels=False, **options)
    equal(ms.dataframe.cut(column, bins, labels=False, **options).compute(), numbers)
    found, edges = ms.dataframe.cut(column, bins, retbins=True, **options)
    assert list(edges) == list(pd.cut(data, bins, retbins=True, **options)[1])
    assert found.groupby(ms.dataframe.cut(column, bins, labels=False, **options)).count().compute().tolist() == (
        numbers.groupby(numbers).count().tolist()
    )


def test_intervals_have_labels_and_are_of_quantiles(client: ms.Client) -> None:
    data = table().x
    column = ms.from_pandas(data, client=client)
    labels = ["few", "many"]
    equal(
        ms.dataframe.cut(column, [-2, 1, 1e4], labels=labels).compute(),
        _texts(pd.cut(data, [-2, 1, 1e4], labels=labels)),
    )
    for q in (2, 3, [0, 0.1, 0.9, 1]):
        equal(ms.dataframe.qcut(column, q, labels=False).compute(), pd.qcut(data, q, labels=False))
        equal(ms.dataframe.qcut(column, q).compute(), _texts(pd.qcut(data, q)))
    with pytest.raises(ValueError, match="unique"):
        ms.dataframe.qcut(ms.from_pandas(pd.Series([1, 1, 1, 2]), client=client), 4)
    with pytest.raises(TypeError, match="numbers and times"):
        ms.dataframe.cut(ms.from_pandas(table().word, client=client), 3)


def test_results_are_given_in_the_forms_of_pandas(client: ms.Client) -> None:
    data = table()[["n", "word"]]
    frame = ms.from_pandas(data, client=client)
    assert frame.to_string() == data.to_string()
    assert frame.n.values.tolist() == data.n.tolist()
    assert frame.to_records().tolist() == data.to_records().tolist()
    assert frame.equals(data)
    assert not frame.equals(frame.assign(n=1))


def _times() -> pd.DataFrame:
    random = np.random.default_rng(3)
    at = pd.Timestamp("2024-01-30 22:15") + pd.to_timedelta(random.integers(0, 100 * 86_400, 60), unit="s")
    data = pd.DataFrame({"n": random.integers(0, 50, 60), "x": random.random(60)}, index=at).sort_index()
    # Ends and starts of days and months themselves.
    days = ["2024-01-31", "2024-02-01", "2024-02-29 23:59:59", "2024-03-31 00:00:01", "2024-04-01"]
    edges = pd.DatetimeIndex([pd.Timestamp(day) for day in days])
    return pd.concat([data, pd.DataFrame({"n": 1, "x": [0.5, 1, 2, 3, 4]}, index=edges)]).rename_axis("at")


@pytest.mark.parametrize("rule", ["D", "12h", "7D", "W", "W-WED", "ME", "MS", "2MS", "QE", "QS", "YE", "90min", "B"])
@pytest.mark.parametrize("options", [{}, {"closed": "right", "label": "right"}, {"closed": "left", "label": "left"}])
def test_spans_of_time_are_those_of_pandas(client: ms.Client, rule: str, options: dict[str, Any]) -> None:
    data = _times()
    frame = ms.from_pandas(data, client=client)
    equal(frame.resample(rule, **options).n.sum().compute(), data.resample(rule, **options).n.sum())
    equal(frame.resample(rule, **options).x.mean().compute(), data.resample(rule, **options).x.mean())


@pytest.mark.parametrize(
    "operation",
    [
        lambda data: data.resample("D").sum(),
        lambda data: data.resample("MS").count(),
        lambda data: data.resample("W").size(),
        lambda data: data.resample("W").n.nunique(),
        lambda data: data.resample("W")[["n", "x"]].max(),
        lambda data: data.resample("MS").agg({"n": "sum", "x": "mean"}),
        lambda data: data.n.resample("2W").std(),
        lambda data: data.x.resample("MS").ohlc(),
        lambda data: data.reset_index().resample("W", on="at").x.median(),
        lambda data: data[data.n > 25].resample("6h").n.first(),
    ],
)
def test_what_is_computed_of_spans_is_that_of_pandas(client: ms.Client, operation: Any) -> None:
    check(client, operation, _times())


def test_spans_need_times(client: ms.Client) -> None:
    with pytest.raises(TypeError, match="index of times"):
        ms.from_pandas(table(), client=client).resample("D")
    with pytest.raises(AttributeError, match="did you mean 'mean'"):
        ms.from_pandas(_times(), client=client).resample("D").meen  # noqa: B018


def test_windows_without_a_decay_are_refused(client: ms.Client) -> None:
    with pytest.raises(ValueError, match="comass"):
        ms.from_pandas(table(), client=client).n.ewm()
