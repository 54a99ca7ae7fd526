"""Runs the queries of TPC-H through `millstream.dataframe` and compares with DuckDB's own answers on the same rows.

::

    pip install -r tests/conformance/tpch_frames/requirements.txt
    python tests/conformance/tpch_frames/run.py --scale 0.05
    python tests/conformance/tpch_frames/run.py --pandas 1 4 22    # the queries themselves, on pandas

The cluster is what ``MILLSTREAM_GATEWAY`` names, else one of this machine; it must read the folder of the data
(``--data``, which the first run fills). Rows are compared in their order, numbers up to one millionth. Ends with 1
if an answer differs.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import millstream as ms
import pandas as pd

import queries_12_22  # noqa: F401
from queries_1_11 import QUERIES

TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")
# Each table is written as so many files, so that several tasks read it.
FILES = 4
RELATIVE = 1e-6


def main() -> int:
    """Run what is asked for, and say what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queries", nargs="*", type=int, help="numbers of queries; all by default")
    parser.add_argument("--scale", type=float, default=0.05, help="size of the data; 1 is a gigabyte")
    parser.add_argument("--data", type=Path, help="a folder for the data; one that is gone afterwards by default")
    parser.add_argument("--workers", type=int, help="start a cluster of so many workers, with a slot each")
    parser.add_argument("--pandas", action="store_true", help="run the queries on pandas, in this process")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tpch-frames-") as temporary:
        folder = (asked.data or Path(temporary)) / f"scale-{asked.scale:g}"
        database = made(folder, asked.scale)
        numbers = asked.queries or sorted(QUERIES)
        if asked.pandas:
            return compared(numbers, {name: pd.read_parquet(folder / name) for name in TABLES}, database)
        cluster = ms.LocalCluster(workers=asked.workers, slots=1) if asked.workers else None
        with ms.Client(cluster) as client, cluster or nullcontext():
            tables = {name: ms.read_parquet(folder / name, client=client) for name in TABLES}
            return compared(numbers, tables, database)


def made(folder: Path, scale: float) -> duckdb.DuckDBPyConnection:
    """A database with the tables; their rows are in the folder, too, money as floats and days as times."""
    database = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    spec = find_spec("duckdb_extension_tpch")
    if spec is None or spec.origin is None:
        raise SystemExit("duckdb-extension-tpch is not installed: see requirements.txt")
    extension = next(Path(spec.origin).parent.glob("extensions/*/tpch.duckdb_extension"))
    database.execute(f"LOAD '{extension}'")
    database.execute(f"CALL dbgen(sf={scale})")
    for name in TABLES:
        target = folder / name
        if not target.exists():
            target.mkdir(parents=True)
            write(database, name, target)
    return database


def write(database: duckdb.DuckDBPyConnection, name: str, target: Path) -> None:
    """Write a table as some files."""
    casts = {"DATE": "TIMESTAMP", "DECIMAL(15,2)": "DOUBLE"}
    columns = database.execute(f"DESCRIBE {name}").fetchall()
    selected = ", ".join(f"{column}::{casts.get(kind, kind)} AS {column}" for column, kind, *_ in columns)
    rows = database.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
    size = max(1, math.ceil(rows / FILES))
    for number in range(0, rows, size):
        part = f"SELECT {selected} FROM {name} LIMIT {size} OFFSET {number}"
        database.execute(f"COPY ({part}) TO '{target / f'{number:09}.parquet'}' (FORMAT parquet)")


def compared(numbers: list[int], tables: Mapping[str, Any], database: duckdb.DuckDBPyConnection) -> int:
    """Print how each query went; return 1 if an answer differs."""
    texts = dict(database.execute("SELECT query_nr, query FROM tpch_queries()").fetchall())
    failures = 0
    for number in numbers:
        started = time.monotonic()
        try:
            found = QUERIES[number](tables)
            found = found.compute() if hasattr(found, "compute") else found
            answer = database.execute(texts[number]).df()
            problem = difference(found, answer)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        failures += problem is not None
        said = problem or f"equal, {len(answer)} rows"
        print(f"q{number:<2} {time.monotonic() - started:6.2f} s  {said}", flush=True)
    print(f"{len(numbers) - failures} of {len(numbers)} equal")
    return int(failures > 0)


def difference(found: Any, answer: pd.DataFrame) -> str | None:
    """What is not equal, or nothing."""
    if not isinstance(found, pd.DataFrame):
        found = pd.DataFrame({answer.columns[0]: [found]})
    if list(found.columns) != list(answer.columns):
        return f"columns {list(found.columns)}, not {list(answer.columns)}"
    if len(found) != len(answer):
        return f"{len(found)} rows, not {len(answer)}"
    for name in answer.columns:
        pairs = zip(found[name], answer[name], strict=True)
        for row, (left, right) in enumerate(pairs):
            if not is_equal(left, right):
                return f"row {row}, column {name}: {left!r}, not {right!r}"
    return None


def is_equal(left: Any, right: Any) -> bool:
    """Whether two values are the same, numbers up to rounding."""
    if pd.isna(left) or pd.isna(right):
        return bool(pd.isna(left) and pd.isna(right))
    if isinstance(right, str | pd.Timestamp):
        return bool(left == right)
    return math.isclose(float(left), float(right), rel_tol=RELATIVE)


if __name__ == "__main__":
    sys.exit(main())
