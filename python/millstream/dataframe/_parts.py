"""What Python tasks do with the parts of a frame: from Arrow tables to Arrow tables.

Pickled by value, because workers need not have this package: of other parts of it only `_results`, `_kinds` and
`_views`, which travel too, may be used here.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe._results import column, index

if TYPE_CHECKING:
    import pyarrow as pa

# What a run leaves behind if its client dies goes when it is so old, with the next run.
_KEPT_SECONDS = 7 * 24 * 3600
_PREFIX = "millstream-scratch-"
# A part of fewer rows is not worth a task, unless there are no more.
_LEAST = 64
# Rows of a batch, so that several tasks can read a file.
_BATCH = 1 << 16


@dataclass(frozen=True)
class Layout:
    """How a part's table becomes a pandas object.

    Parameters
    ----------
    columns, levels : tuple of str
        Names of the columns and of the levels of the index.
    position : str
        The column by which rows are in order.
    meta : object
        An empty pandas object like it.
    """

    columns: tuple[str, ...]
    levels: tuple[str, ...]
    position: str
    meta: Any

    @property
    def names(self) -> tuple[str, ...]:
        """All columns of the table that are read."""
        return (*self.columns, *self.levels, self.position)

    def part(self, table: pa.Table) -> Any:
        """The rows of a table as a pandas object."""
        meta = self.meta
        dtypes = [meta.dtype] if isinstance(meta, pd.Series) else list(meta.dtypes)
        labels = index([table.column(name) for name in self.levels], meta.index)
        columns = [column(table.column(name), dtype) for name, dtype in zip(self.columns, dtypes, strict=True)]
        columns = [values.set_axis(labels) for values in columns]
        if isinstance(meta, pd.Series):
            return columns[0].rename(meta.name)
        made = pd.DataFrame(dict(enumerate(columns)), index=labels)
        made.columns = meta.columns
        return made


@dataclass(frozen=True)
class Part:
    """Rows that a task is given: those of some files, or some of them."""

    paths: tuple[str, ...]
    start: int = 0
    count: int | None = None


class AddColumns:
    """Calls a function with a part; what it returns for each row are further columns of the part's table."""

    def __init__(self, function: Callable[[Any], Any], layout: Layout, makes: pa.Schema) -> None:
        self.function, self.layout, self.makes = function, layout, makes

    def __call__(self, *tables: pa.Table) -> pa.Buffer:
        table = _in_order(_joined(tables), self.layout.position)
        if not table.num_rows:
            return stream(_extended(table, self.makes, self.makes.empty_table().columns))
        part = self.layout.part(table)
        made = self.function(part)
        if not isinstance(made, pd.Series | pd.DataFrame) or len(made) != len(part):
            raise ValueError(f"one value for each of {len(part)} rows is needed, got {made!r:.200}")
        return stream(_extended(table, self.makes, _columns(made, self.makes)))


class MakeTable:
    """Calls a function with a part, or with what it is given; what it returns is a table of its own.

    Parameters
    ----------
    function : callable
        What is called.
    layout : Layout, optional
        How its argument is made of tables; absent if it is given as it is.
    makes : pyarrow.Schema
        The columns of the table: those of the result, then the levels of its index.
    labels : list, optional
        What the columns of the result are called; absent if it is one column.
    """

    def __init__(
        self, function: Callable[[Any], Any], layout: Layout | None, makes: pa.Schema, labels: list[Any] | None
    ) -> None:
        self.function, self.layout, self.makes, self.labels = function, layout, makes, labels

    def __call__(self, *given: Any) -> pa.Buffer:
        if self.layout is None:
            return stream(self.table(given[0]))
        table = _in_order(_joined(given), self.layout.position)
        return stream(self.table(self.layout.part(table)) if table.num_rows else self.makes.empty_table())

    def table(self, given: Any) -> pa.Table:
        """What the function returns."""
        import pyarrow as pa

        made = self._checked(self.function(given))
        levels = [made.index.get_level_values(place).to_series() for place in range(made.index.nlevels)]
        return pa.Table.from_arrays(_columns(made, self.makes, levels), schema=self.makes)

    def _checked(self, made: Any) -> Any:
        if self.labels is None:
            made = pd.Series([made]) if pd.api.types.is_scalar(made) else made
            if not isinstance(made, pd.Series):
                raise TypeError(f"the function returned {type(made).__name__}, and meta= says a column")
        elif not isinstance(made, pd.DataFrame):
            raise TypeError(f"the function returned {type(made).__name__}, and meta= says a frame")
        elif list(made.columns) != self.labels:
            raise ValueError(f"the function returned columns {list(made.columns)}, and meta= says {self.labels}")
        width = 1 if self.labels is None else len(self.labels)
        if made.index.nlevels != len(self.makes) - width:
            raise ValueError(
                f"the function returned an index of {made.index.nlevels} levels, "
                f"and meta= says {len(self.makes) - width}"
            )
        return made


def _columns(made: Any, makes: pa.Schema, levels: Sequence[Any] = ()) -> list[Any]:
    """The columns of a result as Arrow's of the types that were foretold."""
    columns = [made] if isinstance(made, pd.Series) else [made.iloc[:, place] for place in range(made.shape[1])]
    listed = [*columns, *levels]
    if len(listed) != len(makes):
        raise ValueError(f"the function returned {len(columns)} columns, and meta= says {len(makes) - len(levels)}")
    return [_array(values, field.type) for values, field in zip(listed, makes, strict=True)]


def _array(values: pd.Series[Any], kind: pa.DataType) -> Any:
    import pyarrow as pa

    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.dtype.categories.dtype)
    try:
        return pa.array(values, type=kind, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise TypeError(
            f"the function's column {values.name!r} is not of the type {kind} that was foretold: {error}; "
            "tell its type by meta="
        ) from None


def _extended(table: pa.Table, makes: pa.Schema, columns: Sequence[Any]) -> pa.Table:
    for field, values in zip(makes, columns, strict=True):
        table = table.append_column(field, values)
    return table


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return tables[0] if len(tables) == 1 else pa.concat_tables(tables)


def stream(table: pa.Table) -> pa.Buffer:
    """A table as the process of a task hands it on."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=_BATCH)
    return sink.getvalue()


def _in_order(table: pa.Table, position: str) -> pa.Table:
    import pyarrow.compute as pc

    places = table.column(position)
    is_sorted = table.num_rows < 2 or pc.all(pc.less(places[:-1], places[1:])).as_py()
    return table if is_sorted else table.sort_by(position)


# ---- files


@dataclass(frozen=True)
class Written:
    """A file that a task wrote, and which of the files it is."""

    path: str | None
    number: int


class Store:
    """Writes what a task makes of a value of another job to a file."""

    def __init__(self, make: MakeTable) -> None:
        self.make = make

    def __call__(self, given: Any, target: str, number: int) -> Written:
        table = self.make.table(given)
        return Written(_write(table, target) if table.num_rows else None, number)


def _read(part: Part) -> pa.Table:
    import pyarrow as pa

    _check_shared(part.paths[0])
    table = pa.concat_tables([pa.ipc.open_file(pa.memory_map(path)).read_all() for path in part.paths])
    return table.slice(part.start, part.count)


def _write(table: pa.Table, target: str) -> str:
    """Write a file that is seen only when it is complete: an attempt before may have left a part of one."""
    import pyarrow as pa

    _check_shared(target)
    staged = os.path.join(os.path.dirname(target), f".{uuid.uuid4().hex}")
    with pa.ipc.new_file(staged, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table, max_chunksize=_BATCH)
    os.replace(staged, target)
    return target


def _check_shared(path: str) -> None:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"the folder {folder} of another worker is not on this one: name a folder that all workers share in the "
            "variable MILLSTREAM_SCRATCH of the client's process"
        )


def new_folder(root: str | None) -> str:
    """Make a folder for a run, and remove what others left behind long ago."""
    root = root or tempfile.gettempdir()
    os.makedirs(root, exist_ok=True)
    oldest = time.time() - _KEPT_SECONDS
    for entry in os.scandir(root):
        if entry.name.startswith(_PREFIX) and entry.stat().st_mtime < oldest:
            remove(entry.path)
    folder = os.path.join(root, _PREFIX + uuid.uuid4().hex)
    os.makedirs(os.path.join(folder, "made"))
    return folder


def parts_in(folder: str, wanted: int) -> list[Part]:
    """The parts of what a query wrote: one for each folder, or about so many of the rows of the files."""
    import pyarrow as pa

    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    folders = [sorted(file.path for file in os.scandir(entry.path)) for entry in entries if entry.is_dir()]
    if folders:
        return [Part(tuple(paths)) for paths in folders]
    counts = []
    for entry in entries:
        with pa.ipc.open_file(pa.memory_map(entry.path)) as file:
            counts.append(sum(file.get_batch(number).num_rows for number in range(file.num_record_batches)))
    size = max(_LEAST, -(-sum(counts) // wanted))
    return [
        Part((entry.path,), start, min(size, count - start))
        for entry, count in zip(entries, counts, strict=True)
        for start in range(0, count, size)
    ]


def used(function: Callable[[Any], Any], layout: Layout, part: Part) -> Any:
    """What a function makes of the rows of a part."""
    return function(load(layout, part))


def load(layout: Layout, part: Part) -> Any:
    """The rows of a part as a pandas object."""
    return layout.part(_in_order(_read(part), layout.position))


def remove(folder: str) -> None:
    """Remove a folder with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
