"""Where frames come from, what becomes of them, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from comparing import equal, table

import millstream as ms


def test_frames_come_from_files(client: ms.Client, shared_path: Path) -> None:
    data = table()
    for place, part in enumerate((data[:5], data[5:])):
        part.to_parquet(shared_path / f"part-{place}.parquet", index=False)
        part[["key", "n", "x"]].to_csv(shared_path / f"part-{place}.csv", index=False)
    files = [str(shared_path / f"part-{place}.parquet") for place in range(2)]
    frame = ms.read_parquet(files, client=client)
    equal(frame.compute(), data)
    equal(ms.read_parquet(files, columns=["x", "n"], client=client).compute(), data[["x", "n"]])
    texts = [str(shared_path / f"part-{place}.csv") for place in range(2)]
    equal(ms.read_csv(texts, client=client).compute(), data[["key", "n", "x"]])
    equal(ms.read_csv(texts, usecols=["n"], dtype={"n": float}, client=client).compute(), data[["n"]].astype(float))
    with pytest.raises(ms.GatewayError, match="no/such"):
        ms.read_parquet("/no/such.parquet", client=client)


def test_csv_files_have_the_options_of_pandas(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "some.csv"
    path.write_text("1|2024-01-02 03:04:05|x\n2|2024-01-03|-\n")
    options = {"sep": "|", "header": None, "names": ["n", "at", "word"], "na_values": ["-"]}
    frame = ms.read_csv(str(path), parse_dates=["at"], client=client, **options)
    expected = pd.read_csv(path, **options)
    expected["at"] = pd.to_datetime(expected["at"], format="ISO8601").astype("datetime64[us]")
    equal(frame.compute(), expected)
    with pytest.raises(NotImplementedError, match="skiprows"):
        ms.read_csv(str(path), skiprows=1)


def test_frames_come_from_memory(client: ms.Client) -> None:
    data = table()
    equal(ms.from_pandas(data, client=client).compute(), data)
    labelled = data.set_index(["key", "n"])
    equal(ms.from_pandas(labelled, client=client).compute(), labelled)
    by_time = data.set_index("at")
    equal(ms.from_pandas(by_time, client=client).compute(), by_time)
    equal(ms.from_pandas(data[2:5], client=client).compute(), data[2:5])
    equal(ms.from_pandas(data.x, client=client).compute(), data.x)
    nullable = pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")})
    equal(ms.from_pandas(nullable, client=client).compute(), nullable)
    assert ms.from_arrow(pa.table({"n": [1, 2]}), client=client).n.sum().compute() == 3
    with pytest.raises(TypeError, match="'mixed'"):
        ms.from_pandas(pd.DataFrame({"mixed": [1, "a", {}]}), client=client)


def test_results_come_in_other_forms(client: ms.Client) -> None:
    data = table()
    frame = ms.from_pandas(data, client=client)[["n", "x"]]
    assert frame.to_arrow().column_names == ["n", "x"]
    assert frame.to_arrow()["n"].to_pylist() == data.n.tolist()
    assert frame.to_polars()["n"].to_list() == data.n.tolist()
    assert frame.compute(dtype_backend="pyarrow").dtypes.iloc[0] == pd.ArrowDtype(pa.int64())
    assert "explain" not in repr(frame)
    assert "n: int64" in repr(frame)
    assert isinstance(frame.explain(), str)
    with pytest.raises(MemoryError, match="limit=None"):
        frame.compute(limit=10)


def test_persisted_rows_stay(client: ms.Client) -> None:
    data = table()
    frame = ms.from_pandas(data, client=client)
    kept = frame[frame.n > 0].persist()
    equal(kept.compute(), data[data.n > 0])
    equal((kept.n * 2).persist().compute(), data[data.n > 0].n * 2)


def test_values_are_computed_when_they_are_used(client: ms.Client) -> None:
    frame = ms.from_pandas(table(), client=client)
    total = frame.n.sum()
    assert float(total) == 11.0
    assert int(total) == 11
    assert f"{total:>4}" == "  11"
    assert total > 10
    assert (total * 2 + 1).compute() == 23
    assert np.isclose((frame.x.max() / total).compute(), 1000 / 11)


def test_queries_and_frames_read_each_other(client: ms.Client) -> None:
    data = table()
    frame = ms.from_pandas(data, client=client)
    sql = client.sql("SELECT key, sum(n) AS n FROM t WHERE n > $1 GROUP BY key ORDER BY key NULLS LAST", [0], t=frame)
    expected = data[data.n > 0].groupby("key", dropna=False).n.sum().reset_index()
    equal(sql.compute(), expected)
    equal(sql[sql.n > 3].n.compute(), expected[expected.n > 3].n)
    assert client.sql("SELECT sum(n) AS n FROM t", t=data).n.compute().tolist() == [11]


def test_mistakes_are_told_at_once(client: ms.Client) -> None:
    frame = ms.from_pandas(table(), client=client)
    with pytest.raises(KeyError, match="'wrod'; did you mean 'word'"):
        frame["wrod"]
    with pytest.raises(AttributeError, match="did you mean 'groupby'"):
        frame.groupy("key")
    with pytest.raises(KeyError, match="did you mean 'key'"):
        frame.groupby("keyy")
    with pytest.raises(AttributeError, match="did you mean 'mean'"):
        frame.groupby("key").n.agg("meen")
    with pytest.raises(NotImplementedError, match=r"DataFrame\.to_excel .* \.compute\(\)\.to_excel"):
        frame.to_excel("x")
    with pytest.raises(AttributeError, match="to_excel"):
        frame.to_excel  # noqa: B018
    with pytest.raises(NotImplementedError, match="axis=1"):
        frame.apply(len)
    with pytest.raises(NotImplementedError, match="inplace=True"):
        frame.sort_values("n", inplace=True)
    with pytest.raises(ValueError, match="different rows"):
        frame.n + frame[frame.n > 1].n
    with pytest.raises(ValueError, match="truth"):
        bool(frame)
    with pytest.raises(TypeError, match="from_pandas"):
        frame.merge(table(), on="key")
    with pytest.raises(NotImplementedError, match="pyarrow reads"):
        ms.dataframe.read_orc  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'read_csv'"):
        ms.dataframe.raed_csv  # noqa: B018
    with pytest.raises(NotImplementedError, match="skipna=False"):
        frame.n.cumsum(skipna=False)
    with pytest.raises(NotImplementedError, match="divided"):
        frame.npartitions  # noqa: B018


def test_importing_the_package_imports_no_pandas() -> None:
    code = "import sys, millstream; sys.exit('pandas' in sys.modules or 'pyarrow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
