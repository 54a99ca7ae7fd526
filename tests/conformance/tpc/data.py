"""The suites' tables as Parquet files, made once by DuckDB's generators."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import duckdb

SUITES = {"tpch": "dbgen", "tpcds": "dsdgen"}

# Files of a table, so that scans are divided between tasks even where a file's row groups are few.
FILES = 4
# Tables with fewer rows are one file.
SMALL = 10_000


def connect(suite: str) -> duckdb.DuckDBPyConnection:
    """Open an empty database that knows the suite's generators."""
    connection = duckdb.connect()
    connection.execute(f"LOAD '{_extension(suite)}'")
    return connection


def _extension(suite: str) -> Path:
    # The wheel carries the extension as a file, so nothing is fetched while tests run.
    found = importlib.util.find_spec(f"duckdb_extension_{suite}")
    if found is None or found.origin is None:
        raise SystemExit(f"duckdb-extension-{suite} is not installed: pip install -r requirements.txt")
    return Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{suite}.duckdb_extension"


def cache_folder() -> Path:
    """The folder for data and answers, which later runs find again."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "millstream" / "tpc"


def make(suite: str, scale: float, cache: Path) -> Path:
    """Return the folder with a folder of files for each table; make it if it is not there."""
    folder = cache / f"{suite}-sf{scale:g}"
    if folder.exists():
        return folder
    unfinished = cache / f"{folder.name}.unfinished-{os.getpid()}"
    shutil.rmtree(unfinished, ignore_errors=True)
    with connect(suite) as connection:
        connection.execute(f"CALL {SUITES[suite]}(sf = {scale:g})")
        for (table,) in connection.sql("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall():
            _write(connection, table, unfinished / table)
    unfinished.rename(folder)
    return folder


def _write(connection: duckdb.DuckDBPyConnection, table: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    rows = connection.sql(f"SELECT count(*) FROM {table}").fetchall()[0][0]
    files = 1 if rows < SMALL else FILES
    for number in range(files):
        first, end = rows * number // files, rows * (number + 1) // files
        target = folder / f"part-{number}.parquet"
        connection.execute(
            f"COPY (SELECT * FROM {table} WHERE rowid >= {first} AND rowid < {end}) TO '{target}' (FORMAT parquet)"
        )


def tables(folder: Path) -> dict[str, str]:
    """The path of each table by its name."""
    return {path.name: str(path) for path in sorted(folder.iterdir()) if path.is_dir()}
