"""Values of columns, row by row, compared with pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from comparing import Operation, check, table

import millstream as ms

ARITHMETIC: dict[str, Operation] = {
    "add": lambda t: t.n + t.x,
    "radd": lambda t: 1 + t.n,
    "sub": lambda t: 10 - t.n,
    "mul_of_bool": lambda t: t.flag * t.n,
    "div": lambda t: t.n / 2,
    "div_by_zero": lambda t: t.x / t.n,
    "zero_by_zero": lambda t: t.n / t.n,
    "floordiv": lambda t: t.n // 2,
    "floordiv_negative": lambda t: t.n // -3,
    "floordiv_float": lambda t: t.x // 0.4,
    "mod": lambda t: t.n % 3,
    "mod_negative": lambda t: t.n % -3,
    "pow": lambda t: t.n**2,
    "pow_float": lambda t: t.x**2,
    "neg": lambda t: -t.n,
    "abs": lambda t: t.x.abs(),
    "method_with_fill": lambda t: t.x.add(t.n, fill_value=0),
    "rsub": lambda t: t.n.rsub(1),
    "sqrt": lambda t: np.sqrt(t.n.abs()),
    "log": lambda t: np.log(t.n.abs() + 1),
    "text_plus_text": lambda t: t.key + "-" + t.word,
    "text_times": lambda t: t.key * 2,
    "time_minus_time": lambda t: t["at"] - t["at"].shift(1),
    "time_minus_moment": lambda t: t["at"] - pd.Timestamp("2024-01-01"),
    "time_plus_duration": lambda t: t["at"] + pd.Timedelta("1D"),
}
COMPARISONS: dict[str, Operation] = {
    "eq": lambda t: t.n == 1,
    "ne_of_missing": lambda t: t.x != 0.5,
    "eq_of_missing": lambda t: t.x == t.x,
    "lt": lambda t: t.x < t.n,
    "text": lambda t: t.key >= "b",
    "time": lambda t: t["at"] > "2024-01-01",
    "and": lambda t: (t.n > 0) & (t.x > 0),
    "or": lambda t: (t.n > 3) | t.flag,
    "xor": lambda t: (t.n > 3) ^ t.flag,
    "not": lambda t: ~t.flag,
    "between": lambda t: t.n.between(1, 3),
    "between_left": lambda t: t.n.between(1, 3, inclusive="left"),
    "isin": lambda t: t.n.isin([1, 7, 99]),
    "isin_none": lambda t: t.n.isin([]),
    "isin_text": lambda t: t.key.isin(["a", "c"]),
    "isna": lambda t: t.x.isna(),
    "notna_frame": lambda t: t.notna(),
}
CHOICES: dict[str, Operation] = {
    "fillna": lambda t: t.x.fillna(0),
    "fillna_text": lambda t: t.key.fillna("none"),
    "fillna_frame": lambda t: t[["n", "x"]].fillna(-1),
    "fillna_mapping": lambda t: t.fillna({"x": 0.0, "key": "?"}),
    "fillna_column": lambda t: t.x.fillna(t.n),
    "dropna": lambda t: t.x.dropna(),
    "dropna_frame": lambda t: t.dropna(),
    "dropna_subset": lambda t: t.dropna(subset=["key"]),
    "dropna_all": lambda t: t[["key", "x"]].dropna(how="all"),
    "dropna_thresh": lambda t: t[["key", "x", "word"]].dropna(thresh=2),
    "where": lambda t: t.x.where(t.n > 1),
    "where_other": lambda t: t.n.where(t.flag, -1),
    "mask": lambda t: t.x.mask(t.flag, 9.0),
    "clip": lambda t: t.n.clip(0, 3),
    "clip_frame": lambda t: t[["n", "x"]].clip(lower=1),
    "replace": lambda t: t.n.replace(1, 100),
    "replace_mapping": lambda t: t.key.replace({"a": "A", "b": "B"}),
    "map": lambda t: t.key.map({"a": "x", "b": "y", "c": "z"}),
    "map_partly": lambda t: t.n.map({1: 1.5, 2: 2.5}),
    "round": lambda t: t.x.round(),
    "round_digits": lambda t: (t.x / 3).round(2),
    "round_frame": lambda t: (t[["n", "x"]] / 3).round(1),
    "astype_float": lambda t: t.n.astype("float64"),
    "astype_int": lambda t: t.flag.astype(int),
    "astype_bool": lambda t: t.n.astype(bool),
    "astype_frame": lambda t: t[["n", "x"]].astype({"n": "float32"}),
    "combine_first": lambda t: t.x.combine_first(t.n.astype("float64")),
    "isin_frame": lambda t: t[["n", "key"]].isin([1, "a"]),
    "assign": lambda t: t.assign(double=lambda f: f.n * 2, one=1, text="a"),
    "eval": lambda t: t.eval("total = n + 2 * x"),
    "add_frames": lambda t: t[["n", "x"]] + t[["n", "x"]],
    "frame_minus_mean": lambda t: t[["n", "x"]] - t[["n", "x"]].mean(),
    "column_minus_mean": lambda t: t.x - t.x.mean(),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_is_that_of_pandas(client: ms.Client, name: str) -> None:
    check(client, ARITHMETIC[name])


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_are_those_of_pandas(client: ms.Client, name: str) -> None:
    check(client, COMPARISONS[name])


@pytest.mark.parametrize("name", CHOICES)
def test_values_are_chosen_and_replaced_as_by_pandas(client: ms.Client, name: str) -> None:
    check(client, CHOICES[name])


@pytest.mark.parametrize("name", ["add", "div", "mod", "fillna", "where", "isna", "assign"])
def test_no_rows_give_no_rows(client: ms.Client, name: str) -> None:
    operation = {**ARITHMETIC, **CHOICES, **COMPARISONS}[name]
    check(client, operation, table()[:0])


def test_python_and_pandas_agree_on_single_values(client: ms.Client) -> None:
    frame = ms.from_pandas(pd.DataFrame({"a": [7, -7, -7], "b": [2, 2, 3], "h": [2.5, 3.5, -2.5]}), client=client)
    assert (frame.a / frame.b).compute().iloc[0] == 3.5
    assert (frame.a // frame.b).compute().tolist() == [3, -4, -3]
    assert (frame.a % frame.b).compute().tolist() == [1, 1, 2]
    assert frame.h.round().compute().tolist() == [2.0, 4.0, -2.0]


def test_texts_and_numbers_do_not_mix(client: ms.Client) -> None:
    frame = ms.from_pandas(table(), client=client)
    with pytest.raises(TypeError):
        frame.n + frame.key
    with pytest.raises(TypeError, match="condition"):
        ~frame.n  # noqa: B018
    with pytest.raises(TypeError, match="bools"):
        frame[frame.n]
