"""Frames read from databases and written to them: SQLite, and what `MILLSTREAM_TEST_SQL` names (a PostgreSQL)."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from comparing import equal, table

import millstream as ms
from millstream.dataframe._databases import Database, Target
from millstream.dataframe._sql_tables import _bounds

SERVER = os.environ.get("MILLSTREAM_TEST_SQL")


@pytest.fixture(autouse=True)
def _scratch(shared_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLSTREAM_SCRATCH", str(shared_path / "scratch"))


@pytest.fixture(params=["sqlite", "server"])
def url(request: pytest.FixtureRequest, shared_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{shared_path / 'rows.db'}"
    if SERVER is None:
        pytest.skip("MILLSTREAM_TEST_SQL names no database")
    return SERVER


@pytest.fixture
def name(url: str) -> Iterator[str]:
    """A table of the test's own, whose name needs quotes."""
    made = f"Rows {uuid.uuid4().hex[:8]}"
    yield made
    with Database(url).opened() as connection:
        run = getattr(connection, "exec_driver_sql", None) or connection.execute
        run(f'DROP TABLE IF EXISTS "{made}"')
        if hasattr(connection, "commit"):
            connection.commit()


def _filled(url: str, name: str, data: pd.DataFrame) -> pd.DataFrame:
    """Write the rows by pandas; return them as pandas reads them."""
    with Database(url).opened() as connection:
        data.to_sql(name, connection, index=False)
        if hasattr(connection, "dialect"):
            connection.commit()
    return data


def _read(url: str, name: str) -> pd.DataFrame:
    with Database(url).opened() as connection:
        return pd.read_sql(f'SELECT * FROM "{name}"', connection)


def _tables(url: str) -> list[str]:
    with Database(url).opened() as connection:
        return [one for one in Target(Database(url), "", None, "fail", None, "")._tables(connection) if "part_" in one]


def _numbers() -> pd.DataFrame:
    values = [None if n % 10 == 3 else n for n in range(100)]
    return pd.DataFrame({"n": values, "word": [f"w{n % 7}" for n in range(100)], "x": [n / 4 for n in range(100)]})


def test_ranges_and_missing_values_are_all_there(client: ms.Client, url: str, name: str) -> None:
    data = _filled(url, name, _numbers())
    for count in (1, 3, 7):
        frame = ms.dataframe.read_sql_table(name, url, partition_col="n", npartitions=count, client=client)
        equal(frame.compute().sort_values("x", ignore_index=True), data)
    assert frame.groupby("word").x.sum().compute().to_dict() == data.groupby("word").x.sum().to_dict()
    # Limits only say where ranges end; what is outside belongs to the first and the last.
    frame = ms.dataframe.read_sql_table(name, url, partition_col="n", npartitions=3, limits=(40, 50), client=client)
    assert len(frame) == 100
    words = ms.dataframe.read_sql_table(name, url, partition_col="word", divisions=["a", "w3", "z"], client=client)
    assert sorted(words.x.compute()) == data.x.tolist()
    with pytest.raises(ValueError, match="divisions="):
        ms.dataframe.read_sql_table(name, url, partition_col="word", npartitions=2, client=client)


def test_bounds_divide_a_range() -> None:
    assert _bounds(0, 99, 4, "n") == [25, 50, 74]
    assert _bounds(5, 5, 4, "n") == []
    assert _bounds(None, None, 4, "n") == []
    assert _bounds(0.0, 1.0, 2, "x") == [0.5]
    assert _bounds("2024-01-01", "2024-01-03 00:00:01", 2, "at") == [pd.Timestamp("2024-01-02")]


def test_queries_columns_and_indexes_are_those_of_pandas(client: ms.Client, url: str, name: str) -> None:
    data = _filled(url, name, _numbers())
    one = ms.dataframe.read_sql_table(name, url, "word", columns=["x"], client=client)
    equal(one.compute(), data.set_index("word")[["x"]])
    text = f'SELECT word, count(*) AS c, max(x) AS "most" FROM "{name}" WHERE x < 20 GROUP BY word;'
    grouped = data[data.x < 20].groupby("word").agg(c=("x", "count"), most=("x", "max"))
    found = ms.dataframe.read_sql(text, url, "word", npartitions=2, divisions=["a", "w3", "z"], client=client)
    equal(found.compute().sort_index(), grouped)
    with pytest.raises(ValueError, match="partition_col"):
        ms.dataframe.read_sql(text, url, npartitions=2, client=client)
    with pytest.raises(NotImplementedError, match="read_sql_table has no coerce_float"):
        ms.dataframe.read_sql_table(name, url, coerce_float=True, client=client)


def test_times_divide_rows_too(client: ms.Client, url: str, name: str) -> None:
    times = pd.date_range("2024-01-01", periods=50, freq="37h")
    data = _filled(url, name, pd.DataFrame({"at": times, "n": range(50)}))
    frame = ms.dataframe.read_sql_table(name, url, partition_col="at", npartitions=4, parse_dates=["at"], client=client)
    equal(frame.compute().sort_values("n", ignore_index=True), data, check_dtype=False)
    assert frame[frame["at"] > "2024-02-01"].n.count().compute() == (data["at"] > "2024-02-01").sum()


def test_written_rows_are_those_that_pandas_writes(client: ms.Client, url: str, name: str) -> None:
    data = table()[["key", "n", "x", "word"]].drop_duplicates("n")
    frame = ms.from_pandas(data, client=client)
    assert frame.to_sql(name, url, index=False) == len(data)
    equal(
        _read(url, name).sort_values(["n", "word"], ignore_index=True),
        data.sort_values(["n", "word"], ignore_index=True),
    )
    with pytest.raises(ValueError, match="is there already"):
        frame.to_sql(name, url, index=False)
    assert frame[frame.n > 2].to_sql(name, url, if_exists="append", index=False) == (data.n > 2).sum()
    assert len(_read(url, name)) == len(data) + (data.n > 2).sum()
    frame.set_index("n")[["x"]].to_sql(name, url, if_exists="replace")
    found = _read(url, name)
    assert list(found.columns) == ["n", "x"]
    assert sorted(found.n) == sorted(data.n)
    assert frame[frame.n > 100].to_sql(name, url, if_exists="replace", index_label="row") == 0
    assert (list(_read(url, name).columns), len(_read(url, name))) == (["row", "key", "n", "x", "word"], 0)
    assert _tables(url) == []


def test_many_parts_are_written_once_and_nothing_of_a_failure(client: ms.Client, url: str, name: str) -> None:
    frame = ms.dataframe.from_map(lambda n: pd.DataFrame({"n": [n] * 100}), range(5), client=client)
    assert frame.to_sql(name, url, index=False) == 500
    assert _read(url, name).n.value_counts().to_dict() == dict.fromkeys(range(5), 100)

    def fail(part: Any) -> Any:
        if (part.n == 4).any():
            raise ArithmeticError("the last one")
        return part

    with pytest.raises(ArithmeticError):
        frame.map_partitions(fail, meta={"n": "int64"}).to_sql(name, url, if_exists="append", index=False)
    with pytest.raises(Exception, match=r"(?i)no column named|does not exist"):
        frame.rename(columns={"n": "m"}).to_sql(name, url, if_exists="append", index=False)
    assert len(_read(url, name)) == 500
    assert _tables(url) == []


def test_a_commit_that_is_tried_again_does_nothing(shared_path: Path) -> None:
    path = shared_path / "twice.db"
    target = Target(Database(f"sqlite:///{path}"), "t", None, "append", None, "run")
    data = pd.DataFrame({"n": [1, 2]})
    parts = [target.write(data)[0], target.write(data + 2)[0]]
    abandoned, _ = target.write(data)
    target.commit(data[:0], parts)
    target.commit(data[:0], parts)
    with sqlite3.connect(path) as database:
        assert sorted(database.execute("SELECT n FROM t")) == [(1,), (2,), (3,), (4,)]
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]
    assert abandoned not in parts


def test_connections_are_made_in_the_tasks(client: ms.Client, shared_path: Path) -> None:
    path = str(shared_path / "made.db")
    _filled(f"sqlite:///{path}", "t", _numbers())

    def connect() -> Any:
        import sqlite3

        return sqlite3.connect(path)

    assert ms.dataframe.read_sql("t", connect, client=client).x.sum().compute() == _numbers().x.sum()
    with sqlite3.connect(path) as database, pytest.raises(TypeError, match="cannot travel"):
        ms.dataframe.read_sql("t", database, client=client)
