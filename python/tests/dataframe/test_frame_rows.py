"""Which rows there are, in what order and under which labels, compared with pandas."""

from __future__ import annotations

import pandas as pd
import pytest
from comparing import Operation, check, equal, table

import millstream as ms

ROWS: dict[str, Operation] = {
    "filter": lambda t: t[t.n > 1],
    "filter_twice": lambda t: t[t.n > 0][["n", "x"]].pipe(lambda f: f[f.n < 4]),
    "filter_missing": lambda t: t[t.x > 0],
    "query": lambda t: t.query("n > 0 and key == 'a' or x > 2"),
    "query_in": lambda t: t.query("key in ['a', 'c'] and not flag"),
    "query_chain": lambda t: t.query("0 < n <= 4"),
    "columns": lambda t: t[["x", "n"]],
    "drop": lambda t: t.drop(columns=["x", "at"]),
    "drop_rows": lambda t: t.drop([1, 3]),
    "rename": lambda t: t.rename(columns={"n": "number"}),
    "rename_function": lambda t: t.rename(columns=str.upper),
    "select_dtypes": lambda t: t.select_dtypes("number"),
    "filter_like": lambda t: t.filter(like="e"),
    "sort": lambda t: t.sort_values("n", kind="stable"),
    "sort_two": lambda t: t.sort_values(["key", "x"], ascending=[False, True]),
    "sort_missing_first": lambda t: t.sort_values("x", na_position="first", kind="stable"),
    "sort_ignore_index": lambda t: t.sort_values("word", ignore_index=True),
    "sort_column": lambda t: t["at"].sort_values(ascending=False),
    "sort_index": lambda t: t.set_index("n").sort_index(),
    "sort_then_filter": lambda t: t.sort_values("n", kind="stable").pipe(lambda f: f[f.n > 0]),
    "head_of_sorted": lambda t: t.sort_values("n", ascending=False).iloc[:3],
    "nlargest": lambda t: t.nlargest(3, "n"),
    "nsmallest": lambda t: t.nsmallest(3, ["n", "x"]),
    "nlargest_column": lambda t: t.x.nlargest(2),
    "drop_duplicates": lambda t: t.drop_duplicates(subset=["key"]),
    "drop_duplicates_last": lambda t: t.drop_duplicates(subset="key", keep="last"),
    "drop_duplicates_none": lambda t: t.drop_duplicates(subset="key", keep=False),
    "drop_duplicates_column": lambda t: t.word.drop_duplicates(),
    "duplicated": lambda t: t.duplicated(subset=["key", "n"]),
    "set_index": lambda t: t.set_index("key"),
    "set_index_two": lambda t: t.set_index(["key", "n"]),
    "set_index_keep": lambda t: t.set_index("n", drop=False),
    "reset_index": lambda t: t[t.n > 1].reset_index(),
    "reset_index_drop": lambda t: t[t.n > 1].reset_index(drop=True),
    "reset_index_named": lambda t: t.set_index(["key", "n"]).reset_index(),
    "reset_one_level": lambda t: t.set_index(["key", "n"]).reset_index(level="n"),
    "iloc": lambda t: t.iloc[2:5],
    "iloc_from_end": lambda t: t.iloc[-3:],
    "iloc_columns": lambda t: t.iloc[1:3, [0, 2]],
    "iloc_row": lambda t: t.n.iloc[3],
    "loc_mask": lambda t: t.loc[t.n > 1, ["n", "key"]],
    "loc_mask_column": lambda t: t.loc[t.flag, "x"],
    "loc_label": lambda t: t.set_index("key").loc[["a"]],
    "loc_slice": lambda t: t.loc[2:4],
    "loc_time": lambda t: t.dropna(subset="at").set_index("at").sort_index().loc["2024-01-01":"2024-03-01"],
    "explode": lambda t: t[["n"]].assign(word=t.key.fillna("q").str.split("x")).explode("word"),
    "value_counts": lambda t: t.key.value_counts(),
    "value_counts_all": lambda t: t.key.value_counts(dropna=False),
    "value_counts_share": lambda t: t.key.value_counts(normalize=True),
    "melt": lambda t: t.melt(id_vars="key", value_vars=["n", "x"]),
    "index": lambda t: t[t.n > 1].index,
    "index_column": lambda t: t.set_index("key").index,
    "rename_axis": lambda t: t.set_index("key").rename_axis("label"),
    "to_frame": lambda t: t.n.to_frame("number"),
    "shift": lambda t: t[["n", "x"]].shift(2),
    "pop_and_insert": lambda t: _changed(t),
    "loc_assignment": lambda t: _assigned(t),
}


def _changed(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.copy()
    frame["sum"] = frame.n + frame.x
    frame.insert(0, "first", 1)
    del frame["word"]
    frame.pop("at")
    return frame


def _assigned(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.copy()
    frame.loc[frame.n > 1, "x"] = 0.0
    frame.loc[frame.key == "a", "new"] = 5.0
    return frame


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_those_of_pandas(client: ms.Client, name: str) -> None:
    check(client, ROWS[name])


@pytest.mark.parametrize(
    "name", ["filter", "sort", "drop_duplicates", "set_index", "reset_index", "value_counts", "iloc"]
)
def test_no_rows_stay_no_rows(client: ms.Client, name: str) -> None:
    check(client, ROWS[name], table()[:0])


def test_unique_values_come_in_the_order_of_their_first_rows(client: ms.Client) -> None:
    frame = ms.from_pandas(table(), client=client)
    assert frame.n.unique().compute().tolist() == table().n.unique().tolist()


def test_heads_and_tails_are_computed(client: ms.Client) -> None:
    data = table()
    frame = ms.from_pandas(data, client=client)
    equal(frame.head(3), data.head(3))
    equal(frame.head(-2), data.head(-2))
    equal(frame.tail(3), data.tail(3))
    equal(frame.tail(-2), data.tail(-2))
    equal(frame.head(), data.head())
    equal(frame.n.head(2), data.n.head(2))
    assert len(frame) == len(data)
    assert frame.shape == data.shape
    assert frame[frame.n > 100].empty


def test_samples_are_rows_of_the_frame(client: ms.Client) -> None:
    data = table()
    frame = ms.from_pandas(data, client=client)
    some = frame.sample(n=3, random_state=1).compute()
    assert len(some) == 3
    equal(some, data.loc[some.index])
    equal(frame.sample(n=3, random_state=1).compute(), some)


def test_tables_are_put_one_after_the_other(client: ms.Client) -> None:
    data = table()
    frame = ms.from_pandas(data, client=client)
    small = frame[["n", "key"]][frame.n > 1]
    plain = data[["n", "key"]][data.n > 1]
    equal(ms.concat([frame, frame]).compute(), pd.concat([data, data]))
    equal(ms.concat([frame, small], ignore_index=True).compute(), pd.concat([data, plain], ignore_index=True))
    equal(ms.concat([frame, small], join="inner").compute(), pd.concat([data, plain], join="inner"))
    equal(ms.concat([frame.n, frame.x]).compute(), pd.concat([data.n, data.x]))
    equal(ms.concat([frame.n, frame.x], axis=1).compute(), pd.concat([data.n, data.x], axis=1))


def test_queries_know_variables_and_names_in_backticks(client: ms.Client) -> None:
    data = table().rename(columns={"n": "the number"})
    least = 2  # noqa: F841 - the text names it
    frame = ms.from_pandas(data, client=client)
    equal(frame.query("`the number` >= @least").compute(), data.query("`the number` >= @least"))
