"""DuckDB's answers, computed once on the files that the cluster reads."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
from data import connect, tables
from queries import Query

# Part of the answers' names: answers that were computed otherwise are not found again.
_FORM = "2"
RANK = "__rank"
ROW = "__row"


@dataclass(frozen=True)
class Answer:
    """The rows that may be in the result.

    Parameters
    ----------
    rows : pyarrow.Table
        The rows of the result, and, if a limit cuts rows that are equal by its order, all of these.
    ranks : list of int or None
        Their places in the order, equal ones for equal keys; None if the order uses what is not in the result.
    count : int
        How many rows the result has.
    seconds : float
        How long DuckDB took for the query itself.
    """

    rows: pa.Table
    ranks: list[int] | None
    count: int
    seconds: float


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
        content = f"{_FORM} {duckdb.__version__} {query.text}"
        path = self._cache / f"{query.number:02}-{hashlib.sha256(content.encode()).hexdigest()[:16]}.arrow"
        if not path.exists():
            self._compute(query, path)
        with pa.ipc.open_file(path) as file:
            table = file.read_all()
        facts = json.loads(table.schema.metadata[b"facts"])
        ranks = table[RANK].to_pylist() if RANK in table.column_names else None
        rows = table.drop_columns([RANK]) if ranks is not None else table
        return Answer(rows, ranks, facts["count"], facts["seconds"])

    def ranks_of(self, rows: pa.Table, query: Query, names: list[str]) -> list[int]:
        """Places of the rows by the query's order, which :meth:`answer` must have ranks for."""
        numbered = rows.rename_columns(names).append_column(ROW, pa.array(range(rows.num_rows)))
        ranked = f"SELECT {self._rank(query, names)} FROM numbered ORDER BY {ROW}"
        assert numbered is not None
        return [rank for (rank,) in self._connection.execute(ranked).fetchall()]

    def _compute(self, query: Query, path: Path) -> None:
        began = time.monotonic()
        result = self._connection.sql(query.text).to_arrow_table()
        seconds = time.monotonic() - began
        if query.order is not None:
            result = self._with_ranks(query, result)
        count = result.num_rows
        if query.limit is not None and RANK in result.column_names:
            count = min(query.limit, count)
            last = result[RANK][count - 1].as_py() if count else 0
            result = result.filter(pa.compute.less_equal(result[RANK], last))
        facts = json.dumps({"count": count, "seconds": seconds})
        with pa.ipc.new_file(path, result.schema.with_metadata({"facts": facts})) as file:
            file.write_table(result.replace_schema_metadata({"facts": facts}))

    def _with_ranks(self, query: Query, result: pa.Table) -> pa.Table:
        """All rows without the limit, with their places; the result as it is if the order uses what is not in it."""
        rank = self._rank(query, self._connection.sql(f"SELECT * FROM ({query.unordered})").columns)
        ranked = f"SELECT *, {rank} FROM ({query.unordered}) ORDER BY {RANK}"
        try:
            return self._connection.sql(ranked).to_arrow_table()
        except duckdb.BinderException:
            return result

    def _rank(self, query: Query, names: list[str]) -> str:
        order = re.sub(r"\b[a-z_]\w*\.(\w+)", r"\1", query.order or "", flags=re.IGNORECASE)
        # Columns may be ordered by their numbers, which are constants in a window.
        position = r"(^|,)(\s*)(\d+)\b(?=\s*(?:,|$|ASC|DESC|NULLS))"
        order = re.sub(position, lambda found: f'{found[1]}{found[2]}"{names[int(found[3]) - 1]}"', order)
        return f"dense_rank() OVER (ORDER BY {order}) AS {RANK}"
