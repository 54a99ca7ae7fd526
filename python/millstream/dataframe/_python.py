"""Python functions on the parts and rows of frames, and the types of what they return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cloudpickle
import pandas as pd

from millstream._functions import name_of
from millstream.dataframe import _break, _meta, _parts, _run, _tree
from millstream.dataframe._expr import Expr, lit
from millstream.dataframe._frame import DataFrame
from millstream.dataframe._rows import Rows, numbered
from millstream.dataframe._series import Series

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._client import Client
    from millstream.dataframe._tree import Named, Node

Part = DataFrame | Series
# The key of rows that are all in one part.
WHOLE: list[Expr] = [lit(0)]


def check_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments of a function that are on the cluster themselves."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, DataFrame | Series):
            raise NotImplementedError(
                "a function on the parts of a frame takes no other frame or column: assign or merge it first, or "
                "compute() it if it is small"
            )


# ---- the types of results


def foretold(meta: Any, function: Callable[[Any], Any], sample: Any, name: str) -> Any:
    """A result with a few rows or none that tells names and types: as `meta` says, else that of a sample.

    Raises
    ------
    ValueError
        If the function cannot be called with the sample.
    """
    if meta is not None:
        return _declared(meta)
    try:
        made = _meta.applied(function, sample)
    except Exception as error:
        raise ValueError(
            f"{name} cannot tell what the function returns: called with a sample it raised {error!r}. "
            "Tell it by meta=: ('name', 'float64'), {'a': 'int64', 'b': 'str'}, or an empty pandas object"
        ) from error
    return pd.Series([made]) if pd.api.types.is_scalar(made) else made


def _declared(meta: Any) -> Any:
    if isinstance(meta, pd.DataFrame | pd.Series):
        return meta
    if isinstance(meta, tuple) and len(meta) == 2:
        return _meta.series(meta[1], meta[0])
    if isinstance(meta, Mapping):
        return _meta.frame(list(meta.items()))
    if isinstance(meta, Sequence) and not isinstance(meta, str):
        return _meta.frame([(name, dtype) for name, dtype in meta])
    return _meta.series(meta)


def types_of(shown: Any, names: Sequence[str]) -> pa.Schema:
    """The Arrow types of a result's columns, by a sample of it; objects of which none is shown are texts."""
    import pyarrow as pa

    columns = [shown] if isinstance(shown, pd.Series) else [shown.iloc[:, place] for place in range(shown.shape[1])]
    return pa.schema([(name, _arrow_type(values)) for name, values in zip(names, columns, strict=True)])


def _arrow_type(values: pd.Series[Any]) -> pa.DataType:
    import pyarrow as pa

    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.dtype.categories.dtype)
    found = pa.array(values, from_pandas=True).type
    return pa.string() if pa.types.is_null(found) else found


def plain(shown: Any) -> Any:
    """An empty result with the types that come back: categories are plain values."""
    columns = [shown] if isinstance(shown, pd.Series) else [shown.iloc[:, place] for place in range(shown.shape[1])]
    dtypes = [
        values.dtype.categories.dtype if isinstance(values.dtype, pd.CategoricalDtype) else values.dtype
        for values in columns
    ]
    labels = _meta.empty_index(shown.index)
    if isinstance(shown, pd.Series):
        return _meta.series(dtypes[0], shown.name, labels)
    made = _meta.frame([(None, dtype) for dtype in dtypes], labels)
    made.columns = shown.columns
    return made


# ---- a value for each row


def values_of_rows(part: Part, function: Callable[[Any], Any], shown: Any, keys: Sequence[Expr] = ()) -> Any:
    """What a function makes of the rows of a frame or column, as columns over the same rows.

    Parameters
    ----------
    part : DataFrame or Series
        The rows.
    function : callable
        The function; it is called with some of the rows, and returns a value, or several, for each.
    shown : object
        A result of it with a few rows or none.
    keys : sequence
        Expressions; rows with equal values are in one part.
    """
    columns = 1 if isinstance(shown, pd.Series) else shown.shape[1]
    makes = types_of(shown, [_tree.fresh("made") for _ in range(columns)])
    named, layout = layout_of(part)
    by = [(_tree.fresh("key"), key) for key in keys]
    name, packed = packed_of(part._client, _parts.AddColumns(function, layout, makes), function)

    def step(node: Node) -> Node:
        source = _tree.extend(node, [*named, *by])
        return _tree.python(
            source, name, packed, _wire(makes), reads=layout.names, by=[{"col": key} for key, _ in by], keep=True
        )

    rows = part._rows.step(step, scrambles=bool(keys))
    exprs: list[Expr] = [{"col": made} for made in makes.names]
    empty = plain(shown).set_axis(part._meta.index, axis=0)
    return _over(rows, part._index, exprs, empty, part._client)


def packed_of(client: Client | None, task: Any, function: Callable[..., Any]) -> tuple[str, bytes]:
    """What people see of a function, and the operation as the process of a task takes it."""
    import msgpack

    users = getattr(function, "function", None) or next(iter(getattr(function, "args", ())), function)
    users = users if callable(users) else function
    # Whose lines tracebacks show, and whose modules travel.
    task.__millstream_inner__ = users
    op = _run.current(client).session.functions().op(task, pure=False)
    return name_of(users), bytes(msgpack.packb({**msgpack.unpackb(op.params), "table": True}))


def _wire(makes: pa.Schema) -> list[tuple[str, str]]:
    return [(field.name, str(field.type)) for field in makes]


def layout_of(part: Part) -> tuple[list[Named], _parts.Layout]:
    """The columns and labels of a frame or column under names of their own, and how they are made one again."""
    position = part._rows.base.position
    columns = [(_tree.fresh("given"), expr) for _, expr in part._named()]
    levels = [] if part._has_range_index else [(_tree.fresh("level"), expr) for expr in part._index]
    names = tuple(name for name, _ in columns)
    labels = tuple(name for name, _ in levels) or (position,)
    meta = part._meta
    if part._has_range_index:
        meta = meta.set_axis(pd.Index([], dtype="int64", name=meta.index.name), axis=0)
    return [*columns, *levels], _parts.Layout(names, labels, position, meta)


def _over(rows: Rows, index: Sequence[Expr], exprs: Sequence[Expr], meta: Any, client: Client | None) -> Any:
    if isinstance(meta, pd.Series):
        return Series(rows, index, exprs[0], meta, client)
    return DataFrame(rows, index, exprs, meta, client)


# ---- other rows


def table_of_parts(part: Part, function: Callable[[Any], Any], shown: Any) -> Any:
    """What a function makes of each part of a frame or column, one after the other."""
    named, layout = layout_of(part)
    return made_table(function, shown, part._client, source=_tree.extend(part._rows.in_order(), named), layout=layout)


def table_of_groups(
    part: DataFrame, function: Callable[[Any], Any], shown: Any, keys: Sequence[Expr], levels: int
) -> Any:
    """What a function makes of parts that hold whole groups, in the order of the first levels of its index."""
    named, layout = layout_of(part)
    by = [(_tree.fresh("key"), key) for key in keys]
    source = _tree.extend(part._rows.node, [*named, *by])
    labels: list[Expr] = [{"col": key} for key, _ in by]
    return made_table(function, shown, part._client, source=source, layout=layout, by=labels, order=levels)


def sample_of(part: Part) -> Any:
    """A frame or column like it with two rows."""
    return _meta.sample(part._meta).set_axis(_meta.sample_index(part._meta.index), axis=0)


def made_table(
    function: Callable[[Any], Any],
    shown: Any,
    client: Client | None,
    *,
    source: Node | None = None,
    layout: _parts.Layout | None = None,
    by: Sequence[Expr] = (),
    items: Sequence[Any] = (),
    order: int = 0,
) -> Any:
    """A frame or column of what Python tasks make.

    Parameters
    ----------
    function : callable
        The function.
    shown : object
        A result of it with a few rows or none.
    client : Client, optional
        Where.
    source : Node, optional
        The table before.
    layout : Layout, optional
        How the function is given its parts.
    by : sequence
        Expressions; rows with equal values are in one part.
    items : sequence, optional
        In place of a table: a value for each call, which may be delayed.
    order : int
        By how many levels of the index the rows are sorted in the end.
    """
    width = 1 if isinstance(shown, pd.Series) else shown.shape[1]
    names = [_tree.fresh("made") for _ in range(width + shown.index.nlevels)]
    makes = types_of(shown, names[:width])
    for field in types_of(shown.index.to_frame(index=False), names[width:]):
        makes = makes.append(field)
    task = _parts.MakeTable(function, layout, makes, None if isinstance(shown, pd.Series) else list(shown.columns))
    if any(_break.is_elsewhere(item) for item in items):
        node = _tree.delayed(_break.Work(_parts.Store(task), makes, items), names)
    else:
        name, packed = packed_of(client, task, function)
        calls = [cloudpickle.dumps(((item,), {})) for item in items]
        reads = () if layout is None else layout.names
        node = _tree.python(source, name, packed, _wire(makes), reads=reads, by=by, calls=calls)
    rows = numbered(node)
    if order:
        rows = rows.sorted([_tree.sort_key({"col": name}) for name in names[width : width + order]])
    index: list[Expr] = [{"col": name} for name in names[width:]]
    exprs: list[Expr] = [{"col": name} for name in names[:width]]
    empty = plain(shown)
    if isinstance(empty.index, pd.RangeIndex):
        empty = empty.set_axis(pd.Index([], dtype="int64", name=empty.index.name), axis=0)
    return _over(rows, index, exprs, empty, client)
