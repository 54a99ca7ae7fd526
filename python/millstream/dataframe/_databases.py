"""What Python tasks do with databases: parts of a query's rows are read, and rows written so that each is there once.

Pickled by value, because workers need not have this package: nothing here may use any other part of it. SQLite is
reached by Python's own library, all else by SQLAlchemy.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pandas as pd

_SQLITE = "sqlite:///"
# Seconds to wait for another task that writes to the same SQLite file.
_PATIENCE = 120
_PREFIX = "millstream_part_"


@dataclass(frozen=True)
class Database:
    """Where a database is.

    Parameters
    ----------
    con : str or callable
        Its URL, or a function that makes what pandas takes for a connection.
    options : mapping
        Of the engine that SQLAlchemy makes of the URL.
    """

    con: str | Callable[[], Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Any]:
        """A connection: of SQLAlchemy, or of sqlite3."""
        if isinstance(self.con, str) and self.con.startswith(_SQLITE):
            import sqlite3

            # Transactions are begun and ended in words.
            with contextlib.closing(
                sqlite3.connect(self.con.removeprefix(_SQLITE), timeout=_PATIENCE, isolation_level=None)
            ) as sqlite:
                yield sqlite
            return
        made = self.con() if callable(self.con) else self._engine()
        if hasattr(made, "connect"):
            with made.connect() as connection:
                yield connection
            made.dispose()
        else:
            with contextlib.closing(made):
                yield made

    def _engine(self) -> Any:
        try:
            sqlalchemy = import_module("sqlalchemy")
        except ImportError as error:
            raise ImportError("databases other than SQLite need SQLAlchemy in the tasks' environment") from error
        return sqlalchemy.create_engine(str(self.con), **self.options)


@dataclass(frozen=True)
class Source:
    """The rows of a query, or of a table, whose names are quoted as the database wants it."""

    database: Database
    query: str = ""
    table: str = ""
    schema: str | None = None
    columns: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    params: Any = None
    parse_dates: Any = None
    by: str | None = None

    def read(self, low: Any, high: Any, is_null: bool = False) -> pd.DataFrame:
        """The rows from one bound of the column that divides them up to before another, or those without a value."""
        with self.database.opened() as connection:
            wanted = []
            if self.by is not None:
                by = quoted(connection, self.by)
                wanted = [f"{by} IS NULL"] if is_null else []
                wanted += [f"{by} >= {literal(low)}"] if low is not None else []
                wanted += [f"{by} < {literal(high)}"] if high is not None else []
                if not is_null and not wanted:
                    wanted = [f"{by} IS NOT NULL"]
            return self._rows(connection, f"WHERE {' AND '.join(wanted)}" if wanted else "")

    def head(self, count: int) -> pd.DataFrame:
        """The first rows, which tell names and types."""
        with self.database.opened() as connection:
            return self._rows(connection, f"LIMIT {count}")

    def limits(self) -> tuple[Any, Any]:
        """The least and the largest value of the column that divides the rows."""
        with self.database.opened() as connection:
            by = quoted(connection, str(self.by))
            text = f"SELECT min({by}) AS low, max({by}) AS high FROM {self._all(connection)}"
            found = pd.read_sql(text, connection, params=self.params)
        low, high = found.low[0], found.high[0]
        if pd.isna(low):
            return None, None
        return (low.item(), high.item()) if hasattr(low, "item") else (low, high)

    def _rows(self, connection: Any, rest: str) -> pd.DataFrame:
        text = f"SELECT {self._selected(connection)} FROM {self._all(connection)} {rest}".rstrip()
        found = pd.read_sql(text, connection, params=self.params, parse_dates=self.parse_dates)
        return found.set_index(list(self.index)) if self.index else found

    def _selected(self, connection: Any) -> str:
        names = [*(name for name in self.index if name not in self.columns), *self.columns]
        return ", ".join(quoted(connection, name) for name in names) if self.columns else "*"

    def _all(self, connection: Any) -> str:
        if self.table:
            schema = f"{quoted(connection, self.schema)}." if self.schema else ""
            return f"{schema}{quoted(connection, self.table)}"
        return f"({self.query.rstrip().rstrip(';')}\n) AS part"


def quoted(connection: Any, name: str) -> str:
    """A name as the database writes it."""
    if hasattr(connection, "dialect"):
        return str(connection.dialect.identifier_preparer.quote_identifier(name))
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def literal(value: Any) -> str:
    """A value in a statement."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool | int | float):
        return repr(value)
    text = str(value).replace("'", "''")
    return f"'{text}'"


# ---- writing


@dataclass(frozen=True)
class Target:
    """A table that rows are written to.

    Each part goes into a table of its own, whose name only the attempt knows that made it. In the end one
    transaction copies the tables that were told to the client, and drops them: whatever is tried twice, each row is
    there once.
    """

    database: Database
    name: str
    schema: str | None
    if_exists: str
    labels: tuple[str, ...] | None
    run: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def flat(self, part: Any) -> pd.DataFrame:
        """The part with its index as columns, if that is wanted."""
        frame = part.to_frame() if isinstance(part, pd.Series) else part
        if self.labels is None:
            return frame.reset_index(drop=True)
        return frame.set_axis(frame.index.set_names(list(self.labels)), axis=0).reset_index()

    def check(self) -> None:
        """Refuse a table that is there, if it must not be."""
        with self.database.opened() as connection:
            if self.if_exists == "fail" and self._is_there(connection):
                raise ValueError(f"the table {self.name!r} is there already: pass if_exists='append' or 'replace'")

    def write(self, part: Any) -> tuple[str, int]:
        """Write a part to a table of its own; return the table's name and the number of rows."""
        name = f"{_PREFIX}{self.run}_{uuid.uuid4().hex[:8]}"
        frame = self.flat(part)
        with self.database.opened() as connection:
            if not hasattr(connection, "dialect"):
                # pandas ends transactions of its own; without them each row would be one.
                connection.isolation_level = "IMMEDIATE"
            frame.to_sql(name, connection, schema=self.schema, if_exists="fail", index=False, **self.options)
            if hasattr(connection, "dialect"):
                connection.commit()
        return name, len(frame)

    def commit(self, like: Any, parts: Sequence[str]) -> None:
        """Copy the parts into the table, and drop them; nothing is done if they are gone, because it was done."""
        with self.database.opened() as connection, _transaction(connection) as execute:
            if parts and not self._has(connection, parts[0]):
                return
            frame = self.flat(like)
            if self.if_exists == "replace":
                execute(f"DROP TABLE IF EXISTS {self._full(connection, self.name)}")
            if self.if_exists != "append" or not self._is_there(connection):
                dtype = self.options.get("dtype")
                execute(pd.io.sql.get_schema(frame, self.name, con=connection, dtype=dtype, schema=self.schema))
            columns = ", ".join(quoted(connection, str(label)) for label in frame.columns)
            for part in parts:
                full = self._full(connection, part)
                execute(f"INSERT INTO {self._full(connection, self.name)} ({columns}) SELECT {columns} FROM {full}")
            for part in self._left(connection):
                execute(f"DROP TABLE {self._full(connection, part)}")

    def sweep(self) -> None:
        """Drop what is left of the parts of a run that failed."""
        with self.database.opened() as connection, _transaction(connection) as execute:
            for part in self._left(connection):
                execute(f"DROP TABLE {self._full(connection, part)}")

    def _full(self, connection: Any, name: str) -> str:
        schema = f"{quoted(connection, self.schema)}." if self.schema else ""
        return f"{schema}{quoted(connection, name)}"

    def _is_there(self, connection: Any) -> bool:
        return self._has(connection, self.name)

    def _has(self, connection: Any, name: str) -> bool:
        return name in self._tables(connection)

    def _left(self, connection: Any) -> list[str]:
        return [name for name in self._tables(connection) if name.startswith(f"{_PREFIX}{self.run}_")]

    def _tables(self, connection: Any) -> list[str]:
        if not hasattr(connection, "dialect"):
            return [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return list(import_module("sqlalchemy").inspect(connection).get_table_names(self.schema))


@contextlib.contextmanager
def _transaction(connection: Any) -> Iterator[Callable[[str], Any]]:
    """All or nothing of what is executed."""
    if hasattr(connection, "dialect"):
        with connection.begin():
            yield connection.exec_driver_sql
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection.execute
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
