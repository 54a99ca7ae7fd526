"""DuckDB's answers, computed once on the files that the cluster reads."""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from compare import Answer
from data import connect, tables
from queries import Query

# Part of the answers' names: answers that were computed otherwise are not found again.
_FORM = "4"
RANK = "__rank"
ROW = "__row"


class Oracle:
    """DuckDB with a suite's tables."""

    def __init__(self, suite: str, folder: Path) -> None:
        self._connection = connect(suite)
        # Nulls are last as in PostgreSQL, which the engine follows, too: greater than all values.
        self._connection.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
        for name, path in tables(folder).items():
            self._connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{path}/*.parquet'")
        self._cache = folder.parent / f"{folder.name}-answers"
        self._cache.mkdir(exist_ok=True)

    def answer(self, query: Query) -> Answer:
        """Return the answer, from the cache if it is there."""
        content = f"{_FORM} {duckdb.__version__} {query.text} {query.order_keys}"
        path = self._cache / f"{query.number:02}-{hashlib.sha256(content.encode()).hexdigest()[:16]}.arrow"
        if not path.exists():
            self._compute(query, path)
        with pa.ipc.open_file(path) as file:
            table = file.read_all()
        count = int(table.schema.metadata[b"count"])
        ranks = table[RANK].to_pylist() if RANK in table.column_names else None
        rows = table.drop_columns([RANK]) if ranks is not None else table
        return Answer(rows, ranks, count)

    def seconds(self, query: Query) -> float:
        """How long DuckDB takes for a query now."""
        began = time.monotonic()
        self._connection.sql(query.text).to_arrow_table()
        return time.monotonic() - began

    def ranks_of(self, rows: pa.Table, query: Query, names: list[str]) -> list[int]:
        """Places of the rows by the query's order, which :meth:`answer` must have ranks for."""
        numbered = rows.rename_columns(names).append_column(ROW, pa.array(range(rows.num_rows)))
        self._connection.register("numbered", numbered)
        ranked = f"SELECT {self._rank(query, names)} FROM numbered ORDER BY {ROW}"
        return [rank for (rank,) in self._connection.execute(ranked).fetchall()]

    def _compute(self, query: Query, path: Path) -> None:
        result = self._connection.sql(query.text).to_arrow_table()
        if query.order_keys:
            result = self._with_ranks(query, result)
        count = result.num_rows
        if query.limit is not None and RANK in result.column_names:
            count = min(query.limit, count)
            last = result[RANK][count - 1].as_py() if count else 0
            result = result.filter(pc.less_equal(result[RANK], last))
        result = result.replace_schema_metadata({"count": str(count)})
        unfinished = path.with_suffix(f".{os.getpid()}")
        with pa.ipc.new_file(unfinished, result.schema) as file:
            file.write_table(result)
        unfinished.rename(path)

    def _with_ranks(self, query: Query, result: pa.Table) -> pa.Table:
        """All rows without the limit, with their places; the result as it is if the order uses what is not in it."""
        rank = self._rank(query, self._connection.sql(f"SELECT * FROM ({query.unordered})").columns)
        ranked = f"SELECT *, {rank} FROM ({query.unordered}) ORDER BY {RANK}"
        try:
            return self._connection.sql(ranked).to_arrow_table()
        except duckdb.BinderException:
            return result

    def _rank(self, query: Query, names: list[str]) -> str:
        keys = [_key(key, names) for key in query.order_keys]
        return f"dense_rank() OVER (ORDER BY {', '.join(keys)}) AS {RANK}"


def _key(key: str, names: list[str]) -> str:
    """A key of an order in terms of the result's columns, which it may name by their numbers."""
    number = re.match(r"\d+\b", key)
    if number:
        name = names[int(number[0]) - 1].replace('"', '""')
        return f'"{name}"{key[number.end() :]}'
    return re.sub(r"\b[a-z_]\w*\.(\w+)", r"\1", key, flags=re.IGNORECASE)
