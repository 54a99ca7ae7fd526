"""Tables put together: one after the other, or side by side."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _expr, _kinds, _meta, _tree
from millstream.dataframe._expr import Expr, case, cast, col
from millstream.dataframe._rows import Rows, numbered
from millstream.dataframe._tree import Named, Node

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame


def concat(
    objs: Iterable[Any] | Mapping[Any, Any], *, axis: Any = 0, join: str = "outer", ignore_index: bool = False
) -> Any:
    """Put frames or columns one after the other; or, with ``axis=1``, columns of the same rows side by side.

    Parameters
    ----------
    objs : list of DataFrame or Series
        What is put together.
    axis : int
        0 for rows, 1 for columns.
    join : str
        Whether columns that some lack are filled (``"outer"``) or left out (``"inner"``).
    ignore_index : bool
        Whether the rows are numbered anew.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = ms.from_pandas(pd.DataFrame({"n": [1, 2]}))
    >>> ms.concat([frame, frame], ignore_index=True).n.compute().tolist()
    [1, 2, 1, 2]
    """
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series

    if isinstance(objs, Mapping):
        raise NotImplementedError("concat takes a list: assign a column with the key to each frame")
    parts = [obj for obj in objs if obj is not None]
    if not parts:
        raise ValueError("No objects to concatenate")
    for part in parts:
        if not isinstance(part, DataFrame | Series):
            raise TypeError(f"a {type(part).__name__} is not on the cluster: use from_pandas() on it first")
    if join not in ("outer", "inner"):
        raise ValueError("Only can inner (intersect) or outer (union) join the other axis")
    if axis in (1, "columns"):
        return _beside(parts)
    is_columns = all(isinstance(part, Series) for part in parts)
    frames = [part.to_frame("value" if is_columns else None) if isinstance(part, Series) else part for part in parts]
    result = _below(frames, join, ignore_index)
    if not is_columns:
        return result
    names = {part.name for part in parts}
    return result._column(0).rename(names.pop() if len(names) == 1 else None)


def _beside(parts: Sequence[Any]) -> DataFrame:
    columns = [column for part in parts for column in (part._columns() if hasattr(part, "_columns") else [part])]
    first = columns[0].to_frame()
    if any(column._rows.base is not first._rows.base for column in columns):
        raise NotImplementedError("concat(axis=1) is of columns of the same rows: merge or join the others")
    unnamed = iter(range(len(columns)))
    result: DataFrame = first._of(columns, [next(unnamed) if c.name is None else c.name for c in columns])
    return result


def _below(frames: Sequence[DataFrame], join: str, ignore_index: bool) -> DataFrame:
    from millstream.dataframe._frame import DataFrame

    samples = [_meta.sample(frame._meta).set_axis(_meta.sample_index(frame._meta.index), axis=0) for frame in frames]
    meta = _meta.applied(lambda: pd.concat(samples, join=join, ignore_index=ignore_index))[:0]
    labels = list(meta.columns)
    levels = 0 if ignore_index else len(frames[0]._index)
    if any(len(frame._index) != levels for frame in frames) and not ignore_index:
        raise NotImplementedError("the frames have indexes of different levels: pass ignore_index=True")
    names = [_tree.fresh("part") for _ in range(levels + len(labels))]
    nodes = []
    for frame in frames:
        exprs = [
            *frame._index[:levels],
            *(_part_of(frame, label, meta.dtypes.iloc[at]) for at, label in enumerate(labels)),
        ]
        nodes.append(_tree.project(frame._rows.in_order(), zip(names, exprs, strict=True)))
    rows = numbered(_tree.union(nodes))
    columns = [col(name) for name in names]
    index = columns[:levels] or [rows.position]
    if ignore_index:
        meta = _meta.default_index(meta)
    return DataFrame(rows, index, columns[levels:], meta, frames[0]._client)


def _part_of(frame: DataFrame, label: Hashable, dtype: Any) -> Expr:
    """A column of a frame in a table of more frames: of the common type, or nothing."""
    kind = _kinds.kind_of(dtype)
    if label not in frame._meta.columns:
        return _expr.NULL
    column = frame._column(frame._place(label))
    if kind == "object" and column._operand.kind in ("int", "float", "datetime", "duration"):
        raise NotImplementedError(
            f"the column {label!r} has values of different kinds in the frames: astype() one of them first"
        )
    if kind == "float" and column._operand.kind in ("int", "bool"):
        return cast(column._expr, "float64")
    return column._expr


# ---- pairs of rows


def merge(
    left: DataFrame,
    right: DataFrame,
    how: str = "inner",
    on: Any = None,
    left_on: Any = None,
    right_on: Any = None,
    left_index: bool = False,
    right_index: bool = False,
    suffixes: Sequence[str | None] = ("_x", "_y"),
    **unknown: Any,
) -> DataFrame:
    """Return pairs of rows with equal keys; missing keys are equal to each other.

    The rows come in any order; sort them if it matters. Merged on columns, they are numbered from 0.

    Parameters
    ----------
    left, right : DataFrame
        The frames.
    how : str
        ``"inner"``, ``"left"``, ``"right"``, ``"outer"`` or ``"cross"``.
    on, left_on, right_on : label or list of labels
        Columns of keys; by default all that both have.
    left_index, right_index : bool
        Whether the index is the key.
    suffixes : pair of str
        What is added to names that both have.

    Examples
    --------
    >>> import pandas as pd
    >>> names = ms.from_pandas(pd.DataFrame({"id": [1, 2], "name": ["a", "b"]}))
    >>> sales = ms.from_pandas(pd.DataFrame({"id": [2, 2], "price": [5, 7]}))
    >>> ms.merge(names, sales, on="id").price.sum().compute().item()
    12
    """
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series

    unknown = {
        name: value for name, value in unknown.items() if not (name in ("sort", "copy") or value in (None, False))
    }
    if unknown:
        raise NotImplementedError(f"merge has no {', '.join(unknown)} here: compute the column afterwards")
    left, right = (side.to_frame() if isinstance(side, Series) else side for side in (left, right))
    for side in (left, right):
        if not isinstance(side, DataFrame):
            raise TypeError(f"a {type(side).__name__} is not on the cluster: use from_pandas() on it first")
    if how not in ("inner", "left", "right", "outer", "cross"):
        raise NotImplementedError(f"how is 'inner', 'left', 'right', 'outer' or 'cross', got {how!r}")
    options: dict[str, Any] = {"how": how, "on": on, "left_on": left_on, "right_on": right_on}
    options |= {"left_index": left_index, "right_index": right_index, "suffixes": suffixes}
    with _meta.naming([*left.columns, *right.columns]):
        meta = _meta.applied(lambda: left._meta.merge(right._meta, **options))[:0]
    return _Merge(left, right, options, meta).result()


class _Merge:
    def __init__(self, left: DataFrame, right: DataFrame, options: Mapping[str, Any], meta: pd.DataFrame) -> None:
        self._sides = (left, right)
        self._how: str = options["how"]
        self._by_index = (bool(options["left_index"]), bool(options["right_index"]))
        self._meta = meta
        self._labels = self._keys_of(options)
        # Of each side the names of its columns in the joined table.
        self._names = tuple([_tree.fresh("side") for _ in side._exprs] for side in self._sides)
        self._levels = tuple([_tree.fresh("level") for _ in side._index] for side in self._sides)
        self._keys = tuple([_tree.fresh("on") for _ in self._exprs_of(place)] for place in (0, 1))

    def _keys_of(self, options: Mapping[str, Any]) -> tuple[list[Hashable], list[Hashable]]:
        left, right = self._sides
        if self._how == "cross":
            return [], []
        if options["on"] is not None:
            labels = _listed(options["on"])
            return labels, labels
        if options["left_on"] is None and options["right_on"] is None and not any(self._by_index):
            common = [label for label in left.columns if label in right.columns]
            return common, common
        return _listed(options["left_on"]), _listed(options["right_on"])

    def _exprs_of(self, place: int) -> list[Expr]:
        side = self._sides[place]
        if self._by_index[place]:
            return list(side._index)
        exprs = []
        for label in self._labels[place]:
            column = side._column(side._place(label))
            exprs.append(_expr.present(column._expr) if column._operand.kind == "float" else column._expr)
        return exprs

    def _types_of(self, place: int) -> list[Any]:
        side = self._sides[place]
        if self._by_index[place]:
            return [side.index._level(level).dtype for level in range(len(side._index))]
        return [side._meta.dtypes.iloc[side._place(label)] for label in self._labels[place]]

    def _check(self) -> None:
        types = [self._types_of(place) for place in (0, 1)]
        if len(types[0]) != len(types[1]):
            raise ValueError("len(right_on) must equal len(left_on)")
        for first, second in zip(*types, strict=True):
            if _kinds.is_number(first) != _kinds.is_number(second) and "object" not in map(
                _kinds.kind_of, (first, second)
            ):
                raise ValueError(f"You are trying to merge on {first} and {second} columns: astype() one of them first")
        if self._by_index in ((True, False), (False, True)):
            allowed = ("inner", "left") if self._by_index[1] else ("inner", "right")
            if self._how not in allowed:
                raise NotImplementedError(
                    f"how={self._how!r} of a column and an index is not available: reset_index() and merge on columns"
                )

    def _node(self, place: int) -> Node:
        side = self._sides[place]
        named: list[Named] = [
            *zip(self._names[place], side._exprs, strict=True),
            *zip(self._levels[place], side._index, strict=True),
            *zip(self._keys[place], self._exprs_of(place), strict=True),
        ]
        return _tree.project(side._rows.node, named)

    def result(self) -> DataFrame:
        from millstream.dataframe._frame import DataFrame

        self._check()
        keys = [(col(first), col(second)) for first, second in zip(*self._keys, strict=True)]
        how = {"outer": "full"}.get(self._how, self._how)
        rows = numbered(_tree.join(self._node(0), self._node(1), how, keys, nulls_equal=bool(keys)))
        index = self._index(rows, keys)
        meta = self._meta if index != [rows.position] else _meta.default_index(self._meta)
        return DataFrame(rows, index, self._columns(keys), meta, self._sides[0]._client)

    def _index(self, rows: Rows, keys: Sequence[tuple[Expr, Expr]]) -> list[Expr]:
        if all(self._by_index):
            return [self._key(pair) for pair in keys]
        if self._by_index[1]:
            return [col(name) for name in self._levels[0]]
        if self._by_index[0]:
            return [col(name) for name in self._levels[1]]
        return [rows.position]

    def _key(self, pair: tuple[Expr, Expr]) -> Expr:
        """A key of both sides: of an outer join that of the side that has a row."""
        if self._how == "right":
            return pair[1]
        return _expr.call("coalesce", *pair) if self._how == "outer" else pair[0]

    def _columns(self, keys: Sequence[tuple[Expr, Expr]]) -> list[Expr]:
        shared: dict[Hashable, Expr] = {}
        if not any(self._by_index):
            pairs = zip(*self._labels, keys, strict=True)
            shared = {first: self._key(pair) for first, second, pair in pairs if first == second}
        left, right = self._sides
        exprs = [shared.get(label, col(name)) for label, name in zip(left.columns, self._names[0], strict=True)]
        named = zip(right.columns, self._names[1], strict=True)
        return [*exprs, *(col(name) for label, name in named if label not in shared)]


def _listed(labels: Any) -> list[Hashable]:
    if labels is None:
        return []
    return list(labels) if isinstance(labels, list) else [labels]


# ---- columns as rows


def melted(
    frame: DataFrame, id_vars: Any, value_vars: Any, var_name: Any, value_name: Hashable, ignore_index: bool
) -> DataFrame:
    """One row for each of some columns of each row, with its name and value."""
    from millstream.dataframe._describe import common_type
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._reduce import stacked

    if not ignore_index:
        raise NotImplementedError(
            "melt(ignore_index=False) is not available: reset_index() first, and name it in id_vars"
        )
    kept = _listed(id_vars)
    chosen = [label for label in frame.columns if label not in kept] if value_vars is None else _listed(value_vars)
    columns = [frame._column(frame._place(label)) for label in chosen]
    if not columns:
        raise NotImplementedError("there are no columns to melt")
    dtype = common_type([column.dtype for column in columns])
    meta = frame._meta.melt(id_vars=id_vars, value_vars=value_vars, var_name=var_name, value_name=value_name)[:0]
    exprs = [cast(c._expr, "float64") if _kinds.kind_of(dtype) == "float" else c._expr for c in columns]
    node, place, (label, value) = stacked(frame._rows.node, chosen, [exprs])
    rows = numbered(_tree.sort(node, [_tree.sort_key(place), *frame._rows.order]))
    meta = meta.astype({value_name: dtype})
    exprs = [*(frame._column(frame._place(one))._expr for one in kept), label, value]
    return DataFrame(rows, [rows.position], exprs, _meta.default_index(meta), frame._client)


def pivoted(frame: DataFrame, values: Any, index: Any, columns: Hashable, aggfunc: Any, fill_value: Any) -> DataFrame:
    """Reductions of groups in a table of two keys; the values of `columns` are computed now."""
    from millstream.dataframe._reduce import Collector, Reduced, name_of, reduced

    if isinstance(columns, list) or columns is None or values is None or index is None:
        raise NotImplementedError("pivot_table takes values, index and one label as columns; else use groupby")
    name = name_of(aggfunc)
    across = frame._column(frame._place(columns))
    found = across.dropna().unique().compute().sort_values()
    groups = frame.dropna(subset=[columns]).groupby(index)
    source = groups._frame
    to = Collector(source._rows.order)
    results: list[Expr] = []
    places = [source._place(label) for label in _listed(values)]
    key = source._column(source._place(columns))
    for place in places:
        column = source._column(place)
        for one in found:
            where = _expr.truth((key == one)._expr)
            masked = _expr.Operand(case([(where, column._expr)]), column.dtype)
            value = reduced(name, to, Reduced(masked, source._index, {}))
            count = to.add(_expr.agg("count", case([(where, column._expr)])))
            results.append(case([(_expr.call("gt", count, _expr.lit(0)), value)]))
    metas = [source._column(place)._reduced_type(name, {}) for place in places]
    names: pd.Index = pd.Index(found.tolist(), name=columns, dtype=found.dtype)
    if isinstance(values, list):
        names = pd.MultiIndex.from_product([values, names], names=[None, columns])
    sampled = _meta.applied(lambda: groups.size()._meta)
    meta = _meta.frame([(None, dtype) for dtype in metas for _ in found], sampled.index[:0])
    meta.columns = names
    result: DataFrame = groups._assembled(to, results, meta)
    return result if fill_value is None else result.fillna(fill_value)
