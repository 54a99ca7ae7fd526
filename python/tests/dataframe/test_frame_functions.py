"""Python functions on frames, beside what pandas makes of the same functions and rows."""

from __future__ import annotations

import json
import os
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


def _many(folder: Path, files: int = 5, rows: int = 1000) -> pd.DataFrame:
    """Files whose rows are read by several tasks; returns the rows."""
    data = pd.DataFrame({"n": np.arange(files * rows), "key": np.arange(files * rows) * 7919 % 13})
    folder.mkdir()
    for number in range(files):
        data[number * rows : (number + 1) * rows].to_parquet(folder / f"{number}.parquet", index=False)
    return data


# ---- a value for each row


@pytest.mark.parametrize(
    "operation",
    [
        lambda data: data.word.map(lambda word: word.upper(), na_action="ignore"),
        lambda data: data.word.apply(lambda word: len(str(word))),
        lambda data: data.n.apply(lambda n, by: n // by, args=(2,)),
        lambda data: data.n.apply(lambda n, by: n / by, by=4),
        lambda data: data["at"].map(lambda at: at.year, na_action="ignore").dropna().astype("int64"),
        lambda data: data.apply(lambda row: row.n * 2 + row.flag, axis=1),
        lambda data: data.apply(lambda row: f"{row.key}-{row.n}", axis=1),
        lambda data: data.apply(lambda row: pd.Series({"low": row.n - 1, "high": row.n + 1}), axis=1),
        lambda data: data[["n", "x"]].map(lambda value: value * 2),
        lambda data: data[data.n > 0].n.map(lambda n: n + 1),
        lambda data: data.set_index("word").n.map(lambda n: n + 1),
        lambda data: data.sort_values("n").n.map(lambda n: n + 1),
        lambda data: data.n.map(lambda n: n + 1).sum(),
        lambda data: data[data.n.map(lambda n: n % 2 == 1)],
        lambda data: data.n.map(lambda n: n + 1).map(lambda n: n * 2),
        lambda data: data.assign(z=data.n.map(lambda n: n + 1), y=data.word.map(str)).drop(columns="at"),
        lambda data: data.assign(z=data.n.map(lambda n: n % 3)).groupby("z").n.sum(),
    ],
)
def test_functions_of_values_and_rows_are_those_of_pandas(client: ms.Client, operation: Any) -> None:
    check(client, operation)


def test_columns_of_functions_stay_beside_the_others(client: ms.Client, shared_path: Path) -> None:
    data = _many(shared_path / "many")
    frame = ms.read_parquet(shared_path / "many", client=client)
    frame["twice"] = frame.n.map(lambda n: n * 2)
    frame["half"] = frame.twice / 4
    equal(frame.compute(), data.assign(twice=data.n * 2, half=data.n / 2))
    assert len(frame) == len(data)


def test_a_function_that_nobody_reads_is_not_called(client: ms.Client) -> None:
    def fail(n: int) -> int:
        raise ArithmeticError("called")

    frame = ms.from_pandas(table(), client=client)
    frame["z"] = frame.n.apply(fail, meta=("z", "int64"))
    assert frame.n.sum().compute() == table().n.sum()
    with pytest.raises(ArithmeticError, match="called"):
        frame.z.compute()


def test_what_functions_return_is_checked(client: ms.Client) -> None:
    frame = ms.from_pandas(table(), client=client)
    with pytest.raises(ValueError, match="meta="):
        frame.word.map(json.loads)
    found = frame.word.map(lambda word: json.loads("[1, 2]"), meta=pd.Series([[1]]))
    assert [list(value) for value in found.compute()] == [[1, 2]] * 8
    with pytest.raises(TypeError, match="meta="):
        frame.n.map(lambda n: "text" if n > 3 else n, meta=("n", "int64")).compute()
    with pytest.raises(NotImplementedError, match="assign or merge"):
        frame.map_partitions(lambda part, other: part, frame)
    with pytest.raises(NotImplementedError, match="axis=1"):
        frame.apply(lambda column: column)
    with pytest.raises(TypeError, match="map takes a function"):
        frame.n.map(3)


# ---- parts


def test_parts_are_called_in_order(client: ms.Client, shared_path: Path) -> None:
    data = _many(shared_path / "many")
    frame = ms.read_parquet(shared_path / "many", client=client)
    equal(frame.map_partitions(lambda part: part[part.n % 2 == 0]).compute(), data[data.n % 2 == 0])
    equal(frame.map_partitions(lambda part, add: part.n + add, 3).compute(), data.n + 3)
    sizes = frame.map_partitions(len).compute()
    assert sizes.sum() == len(data)
    renamed = frame.map_partitions(lambda part: part.rename(columns={"n": "m"}).set_index("key"))
    assert list(renamed.columns) == ["m"]
    equal(renamed.groupby("key").m.max().compute(), data.rename(columns={"n": "m"}).groupby("key").m.max())


def test_parts_that_are_not_as_foretold_are_refused(client: ms.Client) -> None:
    frame = ms.from_pandas(table(), client=client)
    with pytest.raises(ValueError, match=r"columns \['n'\], and meta= says \['m'\]"):
        frame[["n"]].map_partitions(lambda part: part, meta={"m": "int64"}).compute()
    with pytest.raises(TypeError, match="says a column"):
        frame.map_partitions(lambda part: part, meta=("m", "int64")).compute()


def test_parts_without_rows_make_an_empty_table(client: ms.Client) -> None:
    frame = ms.from_pandas(table(), client=client)
    none = frame[frame.n > 1000]
    found = none.map_partitions(lambda part: part[["n"]]).compute()
    assert (list(found.columns), len(found), str(found.n.dtype)) == (["n"], 0, "int64")
    assert none.n.map(lambda n: n / 2).compute().dtype == "float64"
    equal(
        none.assign(z=none.n.map(lambda n: n / 2)).groupby("key").z.sum().compute(),
        table()[:0].groupby("key").x.sum().rename("z"),
    )


def test_what_functions_raise_has_its_type_and_its_place(client: ms.Client) -> None:
    def divide(n: int) -> int:
        return 1 // (n - n)

    frame = ms.from_pandas(table(), client=client)
    with pytest.raises(ZeroDivisionError) as raised:
        frame.n.map(divide, meta=("n", "int64")).sum().compute()
    assert "return 1 // (n - n)" in str(raised.value.__cause__)


def test_nothing_is_left_behind(client: ms.Client, shared_path: Path) -> None:
    fail = ms.delayed(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        ms.dataframe.from_delayed([fail()], meta={"n": "int64"}, client=client).compute()
    ms.from_pandas(table(), client=client).n.to_bag().compute()
    assert os.listdir(shared_path / "scratch") == []


def test_a_folder_that_workers_may_not_write_to_is_named(client: ms.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLSTREAM_SCRATCH", "/proc/nowhere")
    with pytest.raises(OSError, match="/proc/nowhere"):
        ms.from_pandas(table(), client=client).n.to_delayed()


def test_plans_show_functions_and_what_follows_them(client: ms.Client) -> None:
    def halved(part: pd.DataFrame) -> pd.DataFrame:
        return part.assign(n=part.n / 2)

    plan = ms.from_pandas(table(), client=client).map_partitions(halved).sort_values("n").explain()
    assert "Sort" in plan
    assert "PythonExec: halved, calls=" in plan


def test_statements_read_what_functions_made(client: ms.Client) -> None:
    frame = ms.from_pandas(table(), client=client)
    made = frame.assign(z=frame.n.map(lambda n: n * 10))
    assert client.sql("SELECT sum(z) AS z FROM t WHERE n > 2", t=made).compute().z.item() == 140


# ---- groups


@pytest.mark.parametrize(
    "operation",
    [
        lambda data: data.groupby("key").n.apply(lambda n: n.max() - n.min()),
        lambda data: data.groupby("key")[["n", "x"]].apply(lambda rows: rows.n.sum() + rows.x.count()),
        lambda data: data.groupby("key").n.apply(lambda n: n.head(1)),
        lambda data: data.groupby("key")[["n", "x"]].apply(lambda rows: rows.sort_values("n").head(2)),
        lambda data: data.groupby("key")[["n", "flag"]].apply(lambda rows: pd.Series({"a": rows.n.sum(), "b": 1})),
        lambda data: data.groupby(["key", "flag"]).n.apply(lambda n, by: n.sum() * by, 2),
        lambda data: data.groupby("key", dropna=False).n.apply(lambda n: n.sum()),
        lambda data: data.groupby(data.n % 3).x.apply(lambda x: x.sum()),
        lambda data: data.groupby("key").n.transform(lambda n: n - n.min()),
        lambda data: data.groupby("key").pipe(lambda groups: groups.n.sum()),
    ],
)
def test_functions_of_groups_are_those_of_pandas(client: ms.Client, operation: Any) -> None:
    check(client, operation)


def test_groups_are_whole_however_many_files_there_are(client: ms.Client, shared_path: Path) -> None:
    data = _many(shared_path / "many")
    frame = ms.read_parquet(shared_path / "many", client=client)

    def spread(n: Any) -> float:
        return float(n.max() - n.min() + len(n) / 1e3)

    equal(frame.groupby("key").n.apply(spread).compute(), data.groupby("key").n.apply(spread))
    first = frame.groupby("key").apply(lambda rows: rows.head(2))
    equal(first.compute(), data.groupby("key").apply(lambda rows: rows.head(2)))
    ranks = frame.assign(r=frame.groupby("key").n.transform(lambda n: n.rank(ascending=False)))
    equal(ranks.compute(), data.assign(r=data.groupby("key").n.transform(lambda n: n.rank(ascending=False))))


# ---- in and out


def test_frames_are_made_of_calls(client: ms.Client) -> None:
    def make(start: int, count: int, word: str = "a") -> pd.DataFrame:
        return pd.DataFrame({"n": range(start, start + count), "word": word})

    frame = ms.dataframe.from_map(make, [0, 10, 20], [3, 0, 2], word="b", client=client)
    expected = pd.concat([make(0, 3, "b"), make(20, 2, "b")])
    equal(frame.compute(), expected)
    equal(frame[frame.n > 1].n.sum().compute(), expected[expected.n > 1].n.sum())
    typed = ms.dataframe.from_map(make, [5], args=(1,), meta={"n": "int64", "word": "str"}, client=client)
    assert typed.compute().to_dict("list") == {"n": [5], "word": ["a"]}
    with pytest.raises(ValueError, match="at least one"):
        ms.dataframe.from_map(make, [], client=client)


def test_frames_are_made_of_delayed_values_and_of_futures(client: ms.Client) -> None:
    make = ms.delayed(lambda n: pd.DataFrame({"n": [n, n + 1]}, index=pd.Index(["a", "b"], name="row")))
    expected = pd.DataFrame({"n": [1, 2, 5, 6]}, index=pd.Index(list("abab"), name="row"))
    frame = ms.dataframe.from_delayed([make(1), make(5)], client=client)
    equal(frame.compute(), expected)
    futures = client.map(lambda n: pd.Series([n, n * n], name="n"), [2, 3])
    assert ms.dataframe.from_delayed(futures, client=client).compute().tolist() == [2, 4, 3, 9]
    with pytest.raises(TypeError, match="delayed values or futures"):
        ms.dataframe.from_delayed([1], client=client)


def test_parts_become_delayed_values_and_bags(client: ms.Client, shared_path: Path) -> None:
    data = _many(shared_path / "many")
    frame = ms.read_parquet(shared_path / "many", client=client)
    parts = [part.compute() for part in frame.map_partitions(lambda part: part).to_delayed()]
    equal(pd.concat(parts).sort_index(), data)
    assert frame.n[frame.n < 3].to_bag().map(lambda n: n + 1).compute() == [1, 2, 3]
    assert frame[frame.n < 2].to_bag(index=True).compute() == [(0, 0, 0), (1, 1, 7919 % 13)]
    assert frame[frame.n < 1].to_bag(format="dict").compute() == [{"n": 0, "key": 0}]
    assert os.listdir(shared_path / "scratch") == []
