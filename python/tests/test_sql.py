"""Queries from Python, compared with pandas on the same files."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import json
from pathlib import Path

import pytest

import millstream as ms
from millstream.dataframe import QueryError

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

ROWS = 1000


@pytest.fixture(autouse=True)
def _needs_a_real_cluster(is_real: bool) -> None:
    if not is_real:
        pytest.skip("the fake cluster has no engine for queries")


@pytest.fixture
def frame() -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=ROWS, freq="h")
    return pd.DataFrame(
        {"key": [f"k{n % 7}" for n in range(ROWS)], "n": range(ROWS), "x": [n / 8 for n in range(ROWS)], "at": days}
    )


@pytest.fixture
def parquet(frame: pd.DataFrame, shared_path: Path) -> str:
    path = shared_path / "rows.parquet"
    frame.to_parquet(path)
    return str(path)


def test_a_file_is_read_by_its_path(client: ms.Client, parquet: str, frame: pd.DataFrame) -> None:
    rows = client.sql(f"SELECT * FROM '{parquet}' ORDER BY n")
    assert list(rows.columns) == list(frame.columns)
    assert rows.shape == frame.shape
    pd.testing.assert_frame_equal(rows.compute(), frame, check_dtype=False)
    pd.testing.assert_frame_equal(rows.head(3), frame.head(3), check_dtype=False)
    assert rows.to_arrow().num_rows == ROWS


def test_tables_and_parameters_have_names_and_numbers(client: ms.Client, parquet: str, frame: pd.DataFrame) -> None:
    rows = client.sql(
        "SELECT key, sum(x) AS total FROM events WHERE n >= $1 AND at < $2 GROUP BY key ORDER BY key",
        [100, datetime.datetime(2024, 1, 20)],
        events=parquet,
    )
    kept = frame[(frame.n >= 100) & (frame["at"] < "2024-01-20")]
    expected = kept.groupby("key", as_index=False).x.sum().rename(columns={"x": "total"})
    pd.testing.assert_frame_equal(rows.to_pandas(), expected, check_dtype=False)


def test_csv_files_have_the_types_that_pandas_sees(client: ms.Client, shared_path: Path) -> None:
    path = shared_path / "some.csv"
    path.write_text("a,b,c\n1,x,1.5\n2,NA,\n3,z,2.5\n")
    pd.testing.assert_frame_equal(client.sql("SELECT * FROM t", t=path).to_pandas(), pd.read_csv(path))


def test_json_lines_have_the_rows_that_python_reads(client: ms.Client, shared_path: Path) -> None:
    rows = [
        {"id": n, "user": {"name": f"user {n % 3}", "tags": ["x"] * (n % 4)}, "score": n / 4 if n % 5 else None}
        for n in range(ROWS)
    ]
    path = shared_path / "some.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    assert client.sql("SELECT * FROM t ORDER BY id", t=path).to_arrow().to_pylist() == rows
    frame = client.sql("SELECT * FROM t ORDER BY id", t=path).to_pandas()
    assert [{**user, "tags": list(user["tags"])} for user in frame.user] == [row["user"] for row in rows]
    names = client.sql(f"SELECT \"user\"['name'] AS name FROM '{path}' WHERE id = 4").to_arrow()
    assert names["name"].to_pylist() == ["user 1"]


def test_folders_that_pandas_writes_are_columns(client: ms.Client, frame: pd.DataFrame, shared_path: Path) -> None:
    frame = frame.assign(year=frame["at"].dt.year + frame.n % 2)
    folder = shared_path / "by_year"
    frame.to_parquet(folder, partition_cols=["year", "key"])
    rows = client.sql("SELECT key, n, x, at, year FROM t ORDER BY n", t=folder).to_pandas()
    pd.testing.assert_frame_equal(rows, frame, check_dtype=False)
    wanted = client.sql("SELECT n FROM t WHERE year = 2025 AND key = 'k3' ORDER BY n", t=folder)
    assert wanted.to_pandas().n.tolist() == frame[(frame.year == 2025) & (frame.key == "k3")].n.tolist()
    assert "key=k2" not in wanted.explain()


def test_feather_files_are_read(client: ms.Client, frame: pd.DataFrame, shared_path: Path) -> None:
    path = shared_path / "some.feather"
    frame.astype({"key": "category"}).to_feather(path)
    rows = client.sql(f"SELECT * FROM '{path}' ORDER BY n").to_pandas()
    pd.testing.assert_frame_equal(rows, frame, check_dtype=False)


def test_mistakes_show_their_place(client: ms.Client, parquet: str) -> None:
    with pytest.raises(QueryError) as caught:
        client.sql(f"SELECT n\nFROM '{parquet}'\nWHERE nn > 1")
    assert (caught.value.line, caught.value.column) == (3, 7)
    assert "\n    WHERE nn > 1\n          ^ line 3, column 7" in str(caught.value)
    with pytest.raises(QueryError, match="no/such"):
        client.sql("SELECT * FROM '/no/such.parquet'")
    with pytest.raises(TypeError, match="a parameter is"):
        client.sql("SELECT $1", [object()])
    with pytest.raises(TypeError, match="table 't' is a path"):
        client.sql("SELECT * FROM t", t=7)


def test_a_result_beyond_the_limit_is_refused_before_it_is_fetched(client: ms.Client, parquet: str) -> None:
    rows = client.sql(f"SELECT a.*, b.n AS m FROM '{parquet}' a CROSS JOIN '{parquet}' b WHERE b.n < 100")
    with pytest.raises(MemoryError, match="limit=None"):
        rows.to_arrow(limit="100kB")
    assert rows.to_arrow(limit=None).num_rows == 100 * ROWS


def test_plans_and_rows_can_be_shown(client: ms.Client, parquet: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = client.sql(f"SELECT n FROM '{parquet}' ORDER BY n; ")
    assert "rows.parquet" in rows.explain()
    rows.show(2)
    assert capsys.readouterr().out == "+---+\n| n |\n+---+\n| 0 |\n| 1 |\n+---+\n"
    assert list(rows.columns) == ["n"]
    assert repr(rows) == "<DataFrame (n: int64)>"
    assert len(client.sql("EXPLAIN SELECT 1").compute()) > 0


def test_queries_can_be_run_beside_an_event_loop(gateway: tuple[str, str | None]) -> None:
    async def main() -> list[int]:
        async with ms.AsyncClient(gateway[0], token=gateway[1]) as client:
            table = await asyncio.to_thread(client.sql("SELECT 7 AS n").to_arrow)
            numbers: list[int] = table["n"].to_pylist()
            return numbers

    assert asyncio.run(main()) == [7]


def test_a_query_leaves_no_job_behind(client: ms.Client) -> None:
    import time

    def named() -> int:
        jobs = client._get("/v1/jobs?limit=100")["jobs"]
        return sum("leaves_nothing" in str(job.get("name")) for job in jobs)

    assert client.sql("SELECT 1 AS leaves_nothing").to_arrow().num_rows == 1
    deadline = time.monotonic() + 30
    while named():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_methods_work_or_say_what_the_cluster_lacks(client: ms.Client, takes_trees: bool) -> None:
    rows = client.sql("SELECT 2 AS n")
    if takes_trees:
        assert (rows.n + 1).compute().tolist() == [3]
    else:
        with pytest.raises(NotImplementedError, match="no expression trees"):
            (rows.n + 1).compute()


def test_views_and_tables_are_there_for_later_statements(client: ms.Client, parquet: str, frame: pd.DataFrame) -> None:
    made = client.sql(f"CREATE EXTERNAL TABLE events STORED AS PARQUET LOCATION '{parquet}'")
    assert made.to_arrow().to_pylist() == [{"result": "table 'events' is made"}]
    client.sql("-- of one key\nCREATE VIEW third AS SELECT * FROM events WHERE key = 'k3'")
    rows = client.sql("SELECT * FROM third ORDER BY n")
    wanted = frame[frame.key == "k3"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows.compute(), wanted, check_dtype=False)
    assert rows.n.sum() == wanted.n.sum()
    shown = client.sql("SHOW TABLES").to_pandas()
    assert shown[["name", "kind"]].to_numpy().tolist() == [["events", "table"], ["third", "view"]]
    columns = client.sql("DESCRIBE third").to_arrow().to_pylist()
    assert [(each["column"], each["type"]) for each in columns][:3] == [
        ("key", "VARCHAR"),
        ("n", "BIGINT"),
        ("x", "DOUBLE"),
    ]
    with pytest.raises(QueryError, match="view 'third' already"):
        client.sql("CREATE VIEW third AS SELECT 1")


def test_names_are_those_of_their_client(client: ms.Client, gateway: tuple[str, str]) -> None:
    client.sql("CREATE VIEW mine AS SELECT 1 AS n")
    url, token = gateway
    with (
        ms.Client(url, token=token, set_as_default=False) as other,
        pytest.raises(QueryError, match="'mine' not found"),
    ):
        other.sql("SELECT * FROM mine")


def test_a_table_is_made_of_rows_and_added_to(
    client: ms.Client, parquet: str, frame: pd.DataFrame, shared_path: Path
) -> None:
    folder = shared_path / "made"
    count = client.sql(
        f"CREATE TABLE made STORED AS PARQUET LOCATION '{folder}' AS SELECT key, n FROM '{parquet}' WHERE n < 10;"
        f"INSERT INTO made (n, key) SELECT n, key FROM '{parquet}' WHERE n >= $1",
        [ROWS - 5],
    )
    assert count.to_arrow().to_pylist() == [{"count": 5}]
    expected = pd.concat([frame[:10], frame[-5:]])[["key", "n"]].reset_index(drop=True)
    read = client.sql("SELECT * FROM made ORDER BY n").to_pandas()
    pd.testing.assert_frame_equal(read, expected, check_dtype=False)
    pd.testing.assert_frame_equal(
        pd.read_parquet(folder).sort_values("n", ignore_index=True), expected, check_dtype=False
    )


def test_of_several_statements_the_last_answers_and_mistakes_show_theirs(client: ms.Client) -> None:
    rows = client.sql("CREATE VIEW one AS SELECT 1 AS n;\nSELECT n FROM one; SELECT n + 1 AS m FROM one")
    assert rows.to_arrow().to_pylist() == [{"m": 2}]
    with pytest.raises(QueryError, match="statement 2: column 'k' not found") as caught:
        client.sql("SELECT n FROM one;\nSELECT k FROM one")
    assert (caught.value.line, caught.value.column) == (2, 8)
    assert "\n    SELECT k FROM one\n           ^ line 2, column 8" in str(caught.value)
