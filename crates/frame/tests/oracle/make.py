"""Makes the expected results that the tests compare with, from engines that are not ours.

TPC-H: DuckDB's answers at scale factor 0.01. SQL: DuckDB's answers over two small tables. CSV: what pandas reads from the same files.
JSON lines: what DuckDB reads from the same files. Arrow: files that pyarrow writes, and what is in them.

    python -m venv venv && venv/bin/pip install duckdb==1.5.5 duckdb-extension-tpch==1.5.5 pandas==3.1.1 pyarrow==26.0.1 tpchgen-cli==4.0.0
    PATH=venv/bin:$PATH python make.py

The results are committed, so the tests need neither Python nor DuckDB.
"""

import datetime
import json
import subprocess
import tempfile
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

HERE = Path(__file__).parent
KINDS = {"Int64": "int", "Float64": "float", "boolean": "bool", "string": "text", "str": "text"}

# Options beside each file are those of the table in the test; `read` are those of pandas.
UGLY = {
    "na_markers": {"text": "id,delay,carrier\n1,NA,UA\n2,5,NA\n3,,B6\n4,-3,null\n5,NaN,n/a\n"},
    "crlf_and_bom": {"text": "\ufeffa,b\r\n1,x\r\n\r\n2,y\r\n"},
    "quoted_newlines": {"text": 'id,note\n1,"two\nlines"\n2,"a ""quoted"" word"\n3,"comma, inside"\n'},
    "widened": {"text": "a,b,c\n1,1,true\n2.5,2,FALSE\n3,x,True\n"},
    "spaces_and_signs": {"text": "a,b,c\n 1,+2, .5\n-7,03,1e3\n"},
    "big_integers": {"text": "a,b\n9223372036854775807,99999999999999999999999\n1,2\n"},
    "duplicate_names": {"text": "a,a,,b\n1,2,3,4\n"},
    "no_final_newline": {"text": "a,b\n1,x\n2,y"},
    "semicolons": {"text": "a;b\n1,5;x\n", "options": {"delimiter": ";"}, "read": {"sep": ";"}},
    "own_na": {
        "text": "a,b\n-,1\nNA,2\n",
        "options": {"na_values": ["-"], "keep_default_na": False},
        "read": {"na_values": ["-"], "keep_default_na": False},
    },
    "literal_quote": {"text": 'size,name\n5" pipe,a\n6,b\n'},
    "unicode": {"text": "stadt,größe\nKöln,1\n東京,2\n"},
}

# Lines of JSON, with what people put into them.
LINES = {
    "widened": [
        '{"a": 1, "b": [1], "c": true}',
        '{"a": 2.5, "b": [0.5], "c": false}',
        '{"a": null, "b": [null, 2], "c": null}',
    ],
    "missing_members": ['{"a": 1}', '{"b": "x", "a": 2}', "{}", '{"c": [1]}'],
    "nested": [
        '{"id": 1, "user": {"name": "Ann", "tags": ["x", "y"]}, "points": [[1, 2], [3]]}',
        '{"id": 2, "user": {"name": null, "age": 7}, "points": []}',
        '{"id": 3, "user": null, "points": [null, [4.5, null]]}',
    ],
    "objects_in_lists": ['{"items": [{"n": 1}, {"n": 2, "m": "x"}]}', '{"items": []}', '{"items": null}'],
    "escapes": [r'{"text": "a\"b\\c\/d\n\t\u00e9\ud83d\ude00"}', '{"text": "Köln 東京"}', '{"text": ""}'],
    "dates": [
        '{"d": "2024-01-31", "t": "2024-01-31T10:00:00"}',
        '{"d": "2024-02-29", "t": "2024-02-01T05:06:07"}',
        '{"d": null}',
    ],
    "numbers": ['{"i": -7, "f": 1e3, "g": -2.5E-2}', '{"i": 9223372036854775807, "f": 0.1, "g": 1}'],
    "blank_lines": ["", '{"a": 1}', "   ", '\t{"a" : 2 }  ', ""],
    "all_null": ['{"a": null, "b": 1}', '{"a": null, "b": 2}'],
}
DUCKDB_KINDS = {
    "BIGINT": "Int64",
    # What it makes of integers of both signs.
    "HUGEINT": "Int64",
    "DOUBLE": "Float64",
    "BOOLEAN": "Boolean",
    "VARCHAR": "Utf8View",
    "JSON": "Utf8View",
    "DATE": "Date32",
    "TIMESTAMP": "Timestamp(Microsecond, None)",
}

# Two tables with keys that match once, several times or never, and with missing keys.
LEFT = "k,v\n,5\n" + "".join(f"{k},{k * k % 11}\n" for k in range(40))
RIGHT = "k,w\n" + "".join(f"{k},{k * k % 11}\n" for k in range(10, 60, 3)) + ",7\n13,1\n"

QUERIES = [
    "SELECT l.k, v, w FROM l JOIN r ON l.k = r.k",
    "SELECT l.k, v, r.k, w FROM l LEFT JOIN r ON l.k = r.k",
    "SELECT l.k, v, r.k, w FROM l RIGHT JOIN r ON l.k = r.k",
    "SELECT l.k, v, r.k, w FROM l FULL JOIN r ON l.k = r.k",
    "SELECT l.k, v, r.k, w FROM l FULL JOIN r ON l.k = r.k AND l.v < r.w",
    "SELECT k FROM l WHERE k IN (SELECT k FROM r)",
    "SELECT k FROM l WHERE k NOT IN (SELECT k FROM r)",
    "SELECT k FROM l WHERE k NOT IN (SELECT k FROM r WHERE k IS NOT NULL)",
    "SELECT k FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.k = l.k AND r.w > l.v)",
    "SELECT k FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.k = l.k)",
    "SELECT k FROM l WHERE k IN (SELECT k FROM r) OR v = 1",
    "SELECT l.k, r.k FROM l CROSS JOIN r",
    "SELECT l.k, r.k FROM l JOIN r ON l.k < r.k AND l.v > r.w",
    "SELECT l.k, r.k FROM l LEFT JOIN r ON l.k < r.k AND l.v > r.w",
    "SELECT l.k, r.k FROM l RIGHT JOIN r ON l.k < r.k AND l.v > r.w",
    "SELECT l.k, r.k FROM l FULL JOIN r ON l.k < r.k AND l.v > r.w",
    "SELECT k, v FROM l WHERE v > (SELECT avg(w) FROM r)",
    "SELECT k, (SELECT max(w) FROM r) - v FROM l WHERE v < (SELECT min(w) + 4 FROM r)",
    "SELECT k, (SELECT sum(w) FROM r WHERE r.k = l.k) FROM l",
    "SELECT k FROM l UNION SELECT k FROM r",
    "SELECT k FROM l UNION ALL SELECT k FROM r",
    "SELECT k AS a, v AS b FROM l UNION ALL SELECT w, k FROM r UNION ALL SELECT 1, NULL",
    "SELECT k FROM l INTERSECT SELECT k FROM r",
    "SELECT k FROM l EXCEPT SELECT k FROM r",
    "SELECT DISTINCT v FROM l",
    "SELECT k, row_number() OVER (PARTITION BY v ORDER BY k) FROM l WHERE k IS NOT NULL",
    "SELECT k, sum(v) OVER (ORDER BY k ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM l WHERE k > 3",
    "SELECT k, v - avg(v) OVER (PARTITION BY k % 3) FROM l",
    "SELECT v, count(*), count(k), count(DISTINCT k), min(k), max(k), avg(k), stddev(k) FROM l GROUP BY v",
    "SELECT count(*), sum(k), median(v) FROM l",
    "SELECT sum(v) FILTER (WHERE k > 20), count(*) FROM l WHERE k > 100",
    "SELECT v, w, count(*) FROM l JOIN r ON l.k = r.k GROUP BY ROLLUP (v, w)",
    "SELECT a.s + b.s FROM (SELECT sum(v) s FROM l) a, (SELECT sum(v) s FROM l) b",
    "SELECT v, count(*) AS n FROM l GROUP BY v HAVING count(*) > 3 ORDER BY n DESC, v LIMIT 3 OFFSET 1",
    "SELECT k, CASE WHEN v > 5 THEN 'big' WHEN v > 2 THEN 'mid' END FROM l",
    "WITH c AS (SELECT v, sum(k) AS s FROM l GROUP BY v) SELECT a.v, b.s FROM c a JOIN c b ON a.v = b.v + 1",
]


ARROW_QUERIES = [
    "SELECT count(*) FROM t",
    "SELECT id, name, team FROM t",
    "SELECT team, count(*), count(name), sum(id), sum(amount) FROM t GROUP BY team",
    "SELECT amount, id FROM t WHERE name = 'name 3' AND id > 700",
    "SELECT sum(length(tags[1])) FROM t",
]


def plain(value: object) -> object:
    """A JSON value; missing becomes null."""
    return None if pd.isna(value) else value.item() if hasattr(value, "item") else value


def text(value: object) -> str | None:
    """A cell as our results print it."""
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def answer(database: duckdb.DuckDBPyConnection, query: str) -> str:
    """One line of JSON with a query and its rows."""
    rows = database.execute(query).fetchall()
    return json.dumps({"sql": query, "rows": [[text(cell) for cell in row] for row in rows]}) + "\n"


def make_tpch(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    database = duckdb.connect()
    from duckdb_extension_tpch import __file__ as package

    extension = next(Path(package).parent.rglob("*.duckdb_extension"))
    database.execute(f"LOAD '{extension}'")
    # DuckDB's own generator makes other addresses and comments, so it reads what the tests make.
    with tempfile.TemporaryDirectory() as data:
        subprocess.run(["tpchgen-cli", "parquet", "-s", "0.01", "--output-dir", data], check=True)
        for file in Path(data).glob("*.parquet"):
            database.execute(f"CREATE TABLE {file.stem} AS SELECT * FROM '{file}'")
    queries = database.execute("SELECT query FROM tpch_queries() ORDER BY query_nr").fetchall()
    lines = [answer(database, query.strip().rstrip(";")) for (query,) in queries]
    (folder / "answers.jsonl").write_text("".join(lines))


def make_csv(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, case in UGLY.items():
        file = folder / f"{name}.csv"
        file.write_bytes(case["text"].encode())
        frame = pd.read_csv(file, dtype_backend="numpy_nullable", **case.get("read", {}))
        expected = {
            "options": case.get("options", {}),
            "columns": [[column, KINDS[str(kind)]] for column, kind in frame.dtypes.items()],
            "rows": [[plain(value) for value in row] for row in frame.itertuples(index=False, name=None)],
        }
        (folder / f"{name}.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")


def kind(name: str) -> object:
    """A type of DuckDB as the tests spell it: a scalar's Arrow type, a list of one type, or an object of types."""
    name = name.strip()
    if name.endswith("[]"):
        return [kind(name[:-2])]
    if not name.startswith("STRUCT("):
        return DUCKDB_KINDS[name]
    members, depth, start, inner = {}, 0, 0, name[len("STRUCT(") : -1] + ","
    for at, character in enumerate(inner):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            member, _, type_name = inner[start:at].strip().partition(" ")
            members[member.strip('"')] = kind(type_name)
            start = at + 1
    return members


def as_json(value: object) -> object:
    """A value as our results have it in JSON."""
    if isinstance(value, dict):
        return {name: as_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def make_json(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, lines in LINES.items():
        file = folder / f"{name}.jsonl"
        file.write_text("\n".join(lines) + "\n")
        table = duckdb.sql(f"SELECT * FROM read_json('{file}', format='newline_delimited', map_inference_threshold=-1)")
        expected = {
            "columns": [[column, kind(str(type_name))] for column, type_name in zip(table.columns, table.types)],
            "rows": [[as_json(value) for value in row] for row in table.fetchall()],
        }
        (folder / f"{name}.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")


def make_arrow(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    table = pa.table(
        {
            "id": pa.array(range(1000), pa.int32()),
            "name": pa.array([None if i % 7 == 0 else f"name {i % 10}" for i in range(1000)]),
            "team": pa.array([f"team {i % 3}" for i in range(1000)]).dictionary_encode(),
            "tags": pa.array([[f"t{i % 5}"] * (i % 3) for i in range(1000)]),
            "amount": pa.array([i * 0.5 for i in range(1000)], pa.float32()),
        }
    )
    for compression in (None, "lz4", "zstd"):
        options = pa.ipc.IpcWriteOptions(compression=compression)
        for form, new in (("file", pa.ipc.new_file), ("stream", pa.ipc.new_stream)):
            with new(folder / f"{form}_{compression or 'plain'}.arrow", table.schema, options=options) as writer:
                writer.write_table(table, max_chunksize=150)
    duckdb.register("t", table)
    (folder / "answers.jsonl").write_text("".join(answer(duckdb, query) for query in ARROW_QUERIES))


def make_sql(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "l.csv").write_text(LEFT)
    (folder / "r.csv").write_text(RIGHT)
    database = duckdb.connect()
    for table in ("l", "r"):
        database.execute(f"CREATE TABLE {table} AS SELECT * FROM read_csv('{folder / table}.csv')")
    (folder / "answers.jsonl").write_text("".join(answer(database, query) for query in QUERIES))


if __name__ == "__main__":
    make_tpch(HERE / "tpch")
    make_csv(HERE / "csv")
    make_json(HERE / "json")
    make_arrow(HERE / "arrow")
    make_sql(HERE / "sql")
