"""Rows written to files of the cluster by its tasks, without passing through this process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream.dataframe import _run
from millstream.dataframe._query import TreeQuery

if TYPE_CHECKING:
    import pandas as pd

    from millstream._client import Client
    from millstream.dataframe._tree import Named, Node


class Sinks:
    """The methods of a collection that write it.

    A path is one of the cluster. It is a file if its name ends like one of the format, and is replaced then; else it is
    a folder, into which each task writes a file of its own. Whatever happens to tasks and workers meanwhile, each row
    is written once, and files are seen only when all of them are complete.
    """

    _client: Client | None

    if TYPE_CHECKING:

        @property
        def _has_range_index(self) -> bool: ...
        @property
        def _labels(self) -> pd.Index: ...
        def _levels(self) -> list[Named]: ...
        def _named(self) -> list[Named]: ...
        def _root(self, columns: Sequence[Named] | None = None) -> Node: ...

    def to_parquet(
        self,
        path: str | os.PathLike[str],
        *,
        compression: str | None = None,
        partition_on: str | Sequence[str] | None = None,
        index: bool | None = None,
        append: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Write it as Parquet: to one file, or to a folder that gets a file of each task.

        Parameters
        ----------
        path : str or path-like
            A path of the cluster: a file, if it ends in ``.parquet``, else a folder.
        compression : str, optional
            ``"zstd"``, which is the default, ``"snappy"``, ``"gzip"``, ``"lz4"`` or ``"none"``.
        partition_on : str or sequence of str, optional
            Columns whose values name folders (``year=2024``) instead of being in the files.
        index : bool, optional
            Whether the index is written as columns; by default unless it only counts the rows.
        append, overwrite : bool
            Whether files are added to the data of a folder, or replace it; with neither the folder must have none.

        Raises
        ------
        QueryError
            If it cannot be computed, or the path cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> path = tempfile.mktemp(suffix=".parquet")
        >>> client.sql("SELECT 2 AS n UNION ALL SELECT 4").to_parquet(path)
        >>> ms.read_parquet(path, client=client).n.sum().compute().item()
        6
        """
        into = {"format": "parquet", "compression": compression, "partition_by": _names(partition_on)}
        self._write(path, into, index, append=append, overwrite=overwrite)

    def to_csv(
        self,
        path: str | os.PathLike[str],
        *,
        sep: str | None = None,
        header: bool = True,
        compression: str | None = None,
        partition_on: str | Sequence[str] | None = None,
        index: bool | None = None,
        append: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Write it as CSV: to one file, or to a folder that gets a file of each task.

        Parameters
        ----------
        path : str or path-like
            A path of the cluster: a file, if it ends in ``.csv``, ``.tsv`` or one of these and ``.gz``, else a folder.
        sep : str, optional
            What is between fields: by default a comma, and a tab in ``.tsv`` files.
        header : bool
            Whether each file begins with the names of the columns.
        compression : str, optional
            ``"gzip"`` or ``"none"``; by default as the path says.
        partition_on : str or sequence of str, optional
            Columns whose values name folders (``year=2024``) instead of being in the files.
        index : bool, optional
            Whether the index is written as columns; by default unless it only counts the rows.
        append, overwrite : bool
            Whether files are added to the data of a folder, or replace it; with neither the folder must have none.

        Raises
        ------
        QueryError
            If it cannot be computed, or the path cannot be written.
        """
        into = {
            "format": "csv",
            "compression": compression,
            "partition_by": _names(partition_on),
            "delimiter": sep,
            "header": bool(header),
        }
        self._write(path, into, index, append=append, overwrite=overwrite)

    def to_json(
        self,
        path: str | os.PathLike[str],
        *,
        orient: str = "records",
        lines: bool = True,
        compression: str | None = None,
        partition_on: str | Sequence[str] | None = None,
        index: bool | None = None,
        append: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Write it as JSON with an object on each line: to one file, or to a folder that gets a file of each task.

        Parameters
        ----------
        path : str or path-like
            A path of the cluster: a file, if it ends in ``.json``, ``.jsonl``, ``.ndjson`` or one of these and ``.gz``,
            else a folder.
        orient, lines
            Only ``"records"`` and true: other forms cannot be written in parts.
        compression : str, optional
            ``"gzip"`` or ``"none"``; by default as the path says.
        partition_on : str or sequence of str, optional
            Columns whose values name folders (``year=2024``) instead of being in the files.
        index : bool, optional
            Whether the index is written as columns; by default unless it only counts the rows.
        append, overwrite : bool
            Whether files are added to the data of a folder, or replace it; with neither the folder must have none.

        Raises
        ------
        NotImplementedError
            For other forms than one object per line.
        QueryError
            If it cannot be computed, or the path cannot be written.
        """
        if orient != "records" or not lines:
            raise NotImplementedError(
                'JSON is written as orient="records", lines=True: for another form use compute().to_json()'
            )
        into = {"format": "json", "compression": compression, "partition_by": _names(partition_on)}
        self._write(path, into, index, append=append, overwrite=overwrite)

    def to_sql(
        self,
        name: str,
        con: Any,
        schema: str | None = None,
        if_exists: str = "fail",
        index: bool = True,
        index_label: Any = None,
        *,
        chunksize: int | None = None,
        dtype: Any = None,
        method: Any = None,
        engine_kwargs: Mapping[str, Any] | None = None,
        **unknown: Any,
    ) -> int:
        """Write it to a table of a database by Python tasks, one for each part; return the number of rows.

        Parts go into tables of their own, from which one transaction copies all rows in the end: the table has each row
        once or none at all, on databases whose transactions can make tables (PostgreSQL and SQLite can).

        Parameters
        ----------
        name : str
            The table.
        con : str or callable
            Where the database is; see :func:`~millstream.dataframe.read_sql_query`.
        schema : str, optional
            Where the table is in the database.
        if_exists : str
            ``"fail"``, ``"replace"`` or ``"append"`` if the table is there.
        index, index_label
            Whether the index is written, and as which columns.
        chunksize, dtype, method
            As in pandas.
        engine_kwargs : mapping, optional
            Options of SQLAlchemy's engine.

        Examples
        --------
        >>> import tempfile, pandas as pd
        >>> url = f"sqlite:///{tempfile.mktemp(suffix='.db')}"
        >>> ms.from_pandas(pd.DataFrame({"n": [1, 2]})).to_sql("t", url, index=False)
        2
        >>> ms.dataframe.read_sql("t", url, client=client).n.sum().compute().item()
        3
        """
        from millstream.dataframe import _files, _sql_tables

        for idle in ("compute", "parallel"):
            unknown.pop(idle, None)
        _files.refuse("to_sql", unknown)
        return _sql_tables.to_sql(
            self,
            name,
            con,
            schema=schema,
            if_exists=if_exists,
            index=index,
            index_label=index_label,
            engine_kwargs=engine_kwargs,
            options={"chunksize": chunksize, "dtype": dtype, "method": method},
        )

    def _write(
        self,
        path: str | os.PathLike[str],
        options: dict[str, Any],
        index: bool | None,
        *,
        append: bool,
        overwrite: bool,
    ) -> None:
        if append and overwrite:
            raise ValueError("either append or overwrite: they exclude each other")
        into = {"path": os.fspath(path), **{name: value for name, value in options.items() if value not in (None, [])}}
        if append or overwrite:
            into["mode"] = "append" if append else "overwrite"
        columns = self._named()
        if index is None:
            index = not self._has_range_index
        if index:
            columns = [*self._named_levels([name for name, _ in columns]), *columns]
        if not columns:
            raise ValueError("there is no column to write")
        _run.table(self._client, TreeQuery(self._root(columns), into=into))

    def _named_levels(self, taken: Sequence[str]) -> list[Named]:
        """The levels of the index under the names that ``reset_index`` gives them."""
        levels = self._levels()
        named = []
        for place, ((_, expr), label) in enumerate(zip(levels, self._labels.names, strict=True)):
            unnamed = "index" if len(levels) == 1 else f"level_{place}"
            name = unnamed if label is None else str(label)
            if name in taken:
                raise ValueError(f"the index and a column are both called {name!r}: rename one, or pass index=False")
            named.append((name, expr))
        return named


def _names(columns: str | Sequence[str] | None) -> list[str]:
    if columns is None:
        return []
    return [columns] if isinstance(columns, str) else [str(column) for column in columns]
