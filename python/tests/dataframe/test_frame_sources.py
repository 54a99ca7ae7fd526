"""Frames of files that pandas or pyarrow wrote, beside what pandas reads from the same files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from comparing import equal, table

import millstream as ms


def _lines(path: Path, data: pd.DataFrame, **options: Any) -> Path:
    data.to_json(path, orient="records", lines=True, date_format="iso", **options)
    return path


def _hive(folder: Path) -> pd.DataFrame:
    """Files in folders of years and words; returns the rows."""
    data = pd.DataFrame({"n": range(6), "year": [2023, 2023, 2024, 2024, 2025, 2025], "word": list("aabbba")})
    data.to_parquet(folder, partition_cols=["year", "word"])
    return data


# ---- lines of JSON


def test_json_lines_are_read_as_pandas_reads_them(client: ms.Client, shared_path: Path) -> None:
    path = _lines(shared_path / "rows.jsonl", table())
    equal(ms.read_json(path, client=client).compute(), pd.read_json(path, lines=True))


def test_only_names_that_pandas_takes_for_times_are_times(client: ms.Client, shared_path: Path) -> None:
    text = '{"date": "2024-01-31", "day": "2024-01-31", "sent_at": "2024-01-31T10:00:00", "Modified": "2024-02-01"}\n'
    path = shared_path / "times.json"
    path.write_text(text * 2)
    equal(ms.read_json(path, client=client).compute(), pd.read_json(path, lines=True), check_dtype=False)
    plain = ms.read_json(path, convert_dates=False, client=client)
    assert plain.compute().loc[0].tolist() == ["2024-01-31", "2024-01-31", "2024-01-31T10:00:00", "2024-02-01"]
    chosen = ms.read_json(path, convert_dates=["day"], client=client)
    assert [str(dtype) for dtype in chosen.dtypes] == ["str", "datetime64[us]", "str", "str"]
    assert chosen.day.dt.day.compute().tolist() == [31, 31]


def test_json_keeps_what_is_in_objects_and_lists(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "deep.jsonl"
    path.write_text('{"who": {"name": "Ann", "age": 3}, "tags": ["a", "b"]}\n{"who": {"name": "Bo"}, "tags": []}\n')
    found = ms.read_json(path, client=client).compute()
    assert found.who.tolist() == [{"name": "Ann", "age": 3}, {"name": "Bo", "age": None}]
    assert [list(tags) for tags in found.tags] == [["a", "b"], []]


def test_types_of_json_can_be_told(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "codes.jsonl"
    path.write_text('{"code": 7, "n": 1}\n{"code": "x", "n": 2}\n')
    frame = ms.read_json(path, dtype={"code": str, "n": float}, client=client)
    assert frame.compute().to_dict("list") == {"code": ["7", "x"], "n": [1.0, 2.0]}
    assert frame.n.dtype == "float64"
    with pytest.raises(NotImplementedError, match="from_pandas"):
        ms.read_json(path, lines=False, client=client)
    with pytest.raises(NotImplementedError, match="read_json has no nrows"):
        ms.read_json(path, nrows=1, client=client)


@pytest.mark.parametrize(("name", "compression"), [("gz", "gzip"), ("bz2", "bz2"), ("xz", "xz"), ("zst", "zstd")])
def test_compressed_files_are_read(client: ms.Client, shared_path: Path, name: str, compression: str) -> None:
    if compression == "zstd":
        pytest.importorskip("zstandard")
    data = table()[["n", "x", "word"]]
    lines = _lines(shared_path / f"rows.jsonl.{name}", data, compression=compression)
    equal(ms.read_json(lines, compression=compression, client=client).compute(), pd.read_json(lines, lines=True))
    text = shared_path / f"rows.csv.{name}"
    data.to_csv(text, index=False, compression=compression)
    equal(ms.read_csv(text, compression=compression, client=client).compute(), pd.read_csv(text))


def test_a_compression_that_names_do_not_tell_is_refused(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "rows.csv"
    path.write_bytes(gzip.compress(b"n\n1\n"))
    with pytest.raises(NotImplementedError, match=r"does not fit .*rows\.csv"):
        ms.read_csv(path, compression="gzip", client=client)
    with pytest.raises(NotImplementedError, match="does not fit"):
        ms.read_csv("rows.csv.gz", compression=None, client=client)
    with pytest.raises(ValueError, match="'lzma'"):
        ms.read_csv(path, compression="lzma", client=client)


# ---- Arrow files


def test_feather_files_and_streams_are_read(client: ms.Client, shared_path: Path) -> None:
    data = table()
    path = shared_path / "rows.feather"
    data.to_feather(path)
    equal(ms.read_feather(path, client=client).compute(), pd.read_feather(path))
    equal(ms.read_feather(path, columns=["x", "n"], client=client).compute(), pd.read_feather(path, ["x", "n"]))
    stream = shared_path / "rows.arrows"
    rows = pa.Table.from_pandas(data)
    with pa.ipc.new_stream(stream, rows.schema) as writer:
        writer.write_table(rows)
    equal(ms.read_ipc(stream, client=client).compute(), data)


# ---- folders, patterns, filters


def test_folders_named_by_values_are_columns_as_in_pandas(client: ms.Client, shared_path: Path) -> None:
    _hive(shared_path / "by")
    expected = pd.read_parquet(shared_path / "by")
    found = ms.read_parquet(shared_path / "by", client=client)
    assert list(found.columns) == list(expected.columns) == ["n", "year", "word"]
    # To pandas they are categories; here they are plain values.
    equal(found.compute(), expected.astype({"year": "int64", "word": "str"}))
    assert found.groupby("year").n.sum().compute().to_dict() == {2023: 1, 2024: 5, 2025: 9}
    assert ms.read_parquet(shared_path / "by", columns=["word"], client=client).compute().word.tolist() == list(
        "aabbab"
    )


def test_folders_of_text_files_are_columns_too(client: ms.Client, shared_path: Path) -> None:
    for day in ("2024-01-31", "2024-02-01"):
        folder = shared_path / "logs" / f"day={day}"
        folder.mkdir(parents=True)
        (folder / "part.csv").write_text("n\n1\n2\n")
    found = ms.read_csv(shared_path / "logs", client=client).compute()
    assert found.n.tolist() == [1, 2, 1, 2]
    assert [str(day) for day in found.day] == ["2024-01-31"] * 2 + ["2024-02-01"] * 2


def test_patterns_and_lists_are_read_in_order(client: ms.Client, shared_path: Path) -> None:
    for number in (2, 1, 3):
        pd.DataFrame({"n": [number, number]}).to_parquet(shared_path / f"part-{number}.parquet")
    found = ms.read_parquet(shared_path / "part-*.parquet", client=client).compute()
    assert found.n.tolist() == [1, 1, 2, 2, 3, 3]
    assert found.index.tolist() == list(range(6))
    listed = [shared_path / "part-3.parquet", shared_path / "part-1.parquet"]
    assert ms.read_parquet(listed, client=client).compute().n.tolist() == [3, 3, 1, 1]


@pytest.mark.parametrize(
    "filters",
    [
        [("n", ">", 1)],
        [("n", ">=", 1), ("x", "<", 3)],
        [[("n", "==", 1)], [("key", "=", "b")]],
        [("key", "!=", "a")],
        [("x", "<=", 0.5)],
        [("key", "in", ["a", "c"])],
        [("key", "not in", ["a", "c"])],
        [("at", "<", pd.Timestamp("2024-01-01"))],
    ],
)
def test_filters_choose_the_rows_that_pandas_chooses(client: ms.Client, shared_path: Path, filters: Any) -> None:
    path = shared_path / "rows.parquet"
    table().to_parquet(path)
    equal(ms.read_parquet(path, filters=filters, client=client).compute(), pd.read_parquet(path, filters=filters))


def test_filters_of_folders_and_of_columns_that_are_not_wanted(client: ms.Client, shared_path: Path) -> None:
    _hive(shared_path / "by")
    wanted: dict[str, Any] = {"columns": ["n"], "filters": [("year", ">", 2023), ("word", "==", "b")]}
    equal(
        ms.read_parquet(shared_path / "by", client=client, **wanted).compute(),
        pd.read_parquet(shared_path / "by", **wanted),
    )
    with pytest.raises(KeyError, match="did you mean 'year'"):
        ms.read_parquet(shared_path / "by", filters=[("yaer", ">", 1)], client=client)
    with pytest.raises(ValueError, match="'~' is no operator"):
        ms.read_parquet(shared_path / "by", filters=[("year", "~", 1)], client=client)


def test_columns_become_the_index(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "rows.parquet"
    data = table()[["word", "n", "x"]]
    data.to_parquet(path)
    equal(ms.read_parquet(path, ["n"], index="word", client=client).compute(), data.set_index("word")[["n"]])


# ---- what is in this process


class _Interchange:
    """Something with `__dataframe__` alone, as older libraries have it."""

    def __init__(self, data: pd.DataFrame) -> None:
        self._table = pa.Table.from_pandas(data)

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> Any:
        return self._table.__dataframe__(nan_as_null, allow_copy)


def test_tables_of_other_libraries_are_taken(client: ms.Client) -> None:
    polars = pytest.importorskip("polars")
    data = pd.DataFrame({"n": [1, 2, 3], "word": ["a", None, "c"]})
    equal(ms.from_arrow(polars.from_pandas(data), client=client).compute(), data)
    equal(ms.from_arrow(_Interchange(data), client=client).compute(), data)
    equal(ms.from_arrow(pa.RecordBatch.from_pandas(data), client=client).compute(), data)
    found = client.sql("SELECT sum(n) AS n FROM t", t=polars.from_pandas(data)).compute()
    assert found.n.tolist() == [6]


def test_what_is_too_large_to_travel_is_refused_at_once(client: ms.Client) -> None:
    noise = np.random.default_rng(1).integers(0, 1 << 62, 5 << 20)
    with pytest.raises(MemoryError, match="write it to a Parquet file"):
        ms.from_pandas(pd.DataFrame({"n": noise}), client=client)
    # What counts is its size when it is compressed.
    zeros = ms.from_pandas(pd.DataFrame({"n": np.zeros(5 << 20, dtype="int64")}), client=client)
    assert len(zeros) == 5 << 20
