"""Frames written to files, read back by pandas."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from comparing import equal, table

import millstream as ms


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file())


def test_a_frame_becomes_one_file(client: ms.Client, shared_path: Path) -> None:
    data = table()
    frame = ms.from_pandas(data, client=client)
    path = shared_path / "all.parquet"
    assert frame.to_parquet(str(path)) is None
    equal(pd.read_parquet(path), data)
    frame[["key", "n"]].to_parquet(str(path), compression="snappy")
    equal(pd.read_parquet(path), data[["key", "n"]])
    numbers = shared_path / "numbers.csv"
    frame[["n", "key"]].sort_values(["n", "key"]).to_csv(str(numbers), sep=";", index=False)
    text = data[["n", "key"]].sort_values(["n", "key"]).to_csv(sep=";", index=False)
    assert numbers.read_text() == text
    assert sorted(path.name for path in shared_path.iterdir()) == ["all.parquet", "numbers.csv"]


def test_an_index_with_labels_is_written(client: ms.Client, shared_path: Path) -> None:
    data = pd.DataFrame({"n": [1, 2], "x": [0.5, None]}, index=pd.Index(["a", "b"], name="word"))
    frame = ms.from_pandas(data, client=client)
    path = shared_path / "labels.parquet"
    frame.to_parquet(str(path))
    equal(pd.read_parquet(path), data.reset_index())
    frame.to_parquet(str(path), index=False)
    equal(pd.read_parquet(path), data.reset_index(drop=True))
    with pytest.raises(ValueError, match="both called 'word'"):
        frame.assign(word=1).to_parquet(str(path))


def test_a_folder_is_added_to_or_replaced_only_on_demand(client: ms.Client, shared_path: Path) -> None:
    data = pd.DataFrame({"n": range(10)})
    frame = ms.from_pandas(data, client=client)
    folder = shared_path / "many"
    frame.to_parquet(str(folder))
    with pytest.raises(ms.GatewayError, match="has data already"):
        frame.to_parquet(str(folder))
    frame.to_parquet(str(folder), append=True)
    assert sorted(pd.read_parquet(folder).n) == sorted([*range(10), *range(10)])
    frame.to_parquet(str(folder), overwrite=True)
    equal(ms.read_parquet(str(folder), client=client).sort_values("n").compute().reset_index(drop=True), data)
    assert all(name.startswith("part-") for name in _names(folder))
    with pytest.raises(ValueError, match="exclude each other"):
        frame.to_parquet(str(folder), append=True, overwrite=True)


def test_columns_name_folders(client: ms.Client, shared_path: Path) -> None:
    data = pd.DataFrame({"year": [2024, 2025, 2024], "n": [1, 2, 3]})
    ms.from_pandas(data, client=client).to_parquet(str(shared_path / "by"), partition_on="year")
    assert set(_names(shared_path / "by")) == {"year=2024", "year=2025"}
    found = pd.read_parquet(shared_path / "by").astype({"year": int}).sort_values("n")
    assert found[["year", "n"]].to_dict("list") == data.sort_values("n").to_dict("list")
    with pytest.raises(ms.GatewayError, match="did you mean 'year'"):
        ms.from_pandas(data, client=client).to_parquet(str(shared_path / "other"), partition_on="yaer")


def test_lines_of_json_are_written(client: ms.Client, shared_path: Path) -> None:
    data = pd.DataFrame({"n": [1, 2], "word": ["a", None]})
    path = shared_path / "lines.jsonl"
    ms.from_pandas(data, client=client).to_json(str(path))
    assert path.read_text() == '{"n":1,"word":"a"}\n{"n":2,"word":null}\n'
    with pytest.raises(NotImplementedError, match="lines=True"):
        ms.from_pandas(data, client=client).to_json(str(path), lines=False)


def test_a_query_is_written(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "query.parquet"
    client.sql("SELECT 1 AS one, 'x' AS word").to_parquet(str(path))
    assert pd.read_parquet(path).to_dict("list") == {"one": [1], "word": ["x"]}
    count = client.sql(f"COPY (SELECT 1 AS one UNION ALL SELECT 2) TO '{shared_path}/copy.csv'").compute()
    assert count.to_dict("list") == {"count": [2]}
    assert sorted((shared_path / "copy.csv").read_text().split()) == ["1", "2", "one"]
