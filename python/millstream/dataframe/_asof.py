"""Rows paired with the nearest ones of another table."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _expr, _kinds, _meta, _tree
from millstream.dataframe._expr import Expr, call, case, cast, col, lit, not_null, window
from millstream.dataframe._rows import Rows, numbered
from millstream.dataframe._tree import Named, Node

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame

_WAYS = {"backward": ["backward"], "forward": ["forward"], "nearest": ["backward", "forward"]}


def merge_asof(
    left: DataFrame,
    right: DataFrame,
    on: Any = None,
    left_on: Any = None,
    right_on: Any = None,
    left_index: bool = False,
    right_index: bool = False,
    by: Any = None,
    left_by: Any = None,
    right_by: Any = None,
    suffixes: Sequence[str | None] = ("_x", "_y"),
    tolerance: Any = None,
    allow_exact_matches: bool = True,
    direction: str = "backward",
) -> DataFrame:
    """Return each row of a frame with the row of another whose key is nearest before it, after it, or either.

    The frames need not be sorted; the rows come in the order of the left one.

    Parameters
    ----------
    left, right : DataFrame
        The frames.
    on, left_on, right_on : label
        The columns of numbers or times that are compared.
    left_index, right_index : bool
        Whether it is the index instead.
    by, left_by, right_by : label or list of labels
        Columns that must be equal.
    suffixes : pair of str
        What is added to names that both have.
    tolerance : number or Timedelta, optional
        How far the keys may be from each other.
    allow_exact_matches : bool
        Whether they may be equal.
    direction : str
        ``"backward"``, ``"forward"`` or ``"nearest"``.

    Examples
    --------
    >>> import pandas as pd
    >>> trades = ms.from_pandas(pd.DataFrame({"at": [1, 5, 9]}))
    >>> quotes = ms.from_pandas(pd.DataFrame({"at": [2, 5, 6], "price": [7.0, 8.0, 9.0]}))
    >>> ms.dataframe.merge_asof(trades, quotes, on="at").price.fillna(0).compute().tolist()
    [0.0, 8.0, 9.0]
    """
    from millstream.dataframe._frame import DataFrame

    if direction not in _WAYS:
        raise ValueError(f"direction invalid: {direction}{_meta.near(direction, _WAYS)}")
    for side in (left, right):
        if not isinstance(side, DataFrame):
            raise TypeError(f"a {type(side).__name__} is not on the cluster: use from_pandas() on it first")
    options: dict[str, Any] = {"on": on, "left_on": left_on, "right_on": right_on, "by": by}
    options |= {"left_by": left_by, "right_by": right_by, "suffixes": suffixes}
    options |= {"left_index": left_index, "right_index": right_index}
    with _meta.naming([*left.columns, *right.columns]):
        meta = _meta.applied(lambda: pd.merge_asof(left._meta, right._meta, **options))[:0]
    pairs = [(on, on), (left_on, right_on), *((label, label) for label in _listed(by))]
    pairs += zip(_listed(left_by), _listed(right_by), strict=True)
    shared = {first for first, second in pairs if first == second and first is not None}
    keys = (_on(left, on if left_on is None else left_on, left_index),
            _on(right, on if right_on is None else right_on, right_index))  # fmt: skip
    if (_kinds.kind_of(keys[0].dtype) in ("int", "float")) != (_kinds.kind_of(keys[1].dtype) in ("int", "float")):
        raise ValueError(f"the keys are of {keys[0].dtype} and {keys[1].dtype}: astype() one of them first")
    groups = (_columns(left, left_by if by is None else by), _columns(right, right_by if by is None else by))
    return _Nearest(left, right, keys, groups).result(meta, shared, direction, allow_exact_matches, tolerance)


def _on(frame: DataFrame, label: Hashable, is_index: bool) -> Any:
    if is_index:
        return frame.index._level(0)
    column = frame._column(frame._place(label))
    if _kinds.kind_of(column.dtype) not in ("int", "float", "datetime", "duration"):
        raise TypeError(f"the key {label!r} is a column of {column.dtype}: numbers or times have nearest ones")
    return column


def _columns(frame: DataFrame, labels: Any) -> list[Expr]:
    return [frame._column(frame._place(label))._expr for label in _listed(labels)]


def _listed(labels: Any) -> list[Hashable]:
    if labels is None:
        return []
    return list(labels) if isinstance(labels, list) else [labels]


class _Nearest:
    """Both tables one below the other, sorted by their keys: each row of the left one sees what is before it."""

    def __init__(
        self, left: DataFrame, right: DataFrame, keys: tuple[Any, Any], groups: tuple[list[Expr], list[Expr]]
    ) -> None:
        self._left, self._right = left, right
        kinds = [_kinds.kind_of(key.dtype) for key in keys]
        floats = "float" in kinds
        self._keys = [cast(key._expr, "float64") if floats else key._expr for key in keys]
        self._groups = groups
        self._is_time = kinds[0] in ("datetime", "duration")
        self._names = [[_tree.fresh("side") for _ in side._exprs] for side in (left, right)]
        self._levels = [_tree.fresh("level") for _ in left._index]
        self._by = [_tree.fresh("by") for _ in groups[0]]
        self._on, self._place, self._rank, self._side = (_tree.fresh(name) for name in ("on", "place", "rank", "side"))

    def result(
        self, meta: pd.DataFrame, shared: set[Hashable], direction: str, exact: bool, tolerance: Any
    ) -> DataFrame:
        from millstream.dataframe._frame import DataFrame

        ranked = self._ranked()
        found = {way: _tree.fresh(way) for way in _WAYS[direction]}
        both = _tree.union([self._of_left(), self._of_right(ranked)])
        both = _tree.extend(both, [(name, self._seen(way, exact)) for way, name in found.items()])
        node = _tree.filtered(both, not_null(col(self._place)))
        sides = []
        for name in found.values():
            node, columns, key = self._joined(node, ranked, name)
            sides.append((columns, self._within(key, tolerance), key))
        rows = numbered(_tree.sort(node, [_tree.sort_key(col(self._place))]))
        left, right = self._left, self._right
        exprs = [col(name) for name in self._names[0]]
        for place, label in enumerate(right.columns):
            if label not in shared:
                exprs.append(self._chosen([(columns[place], within, key) for columns, within, key in sides]))
        index = [rows.position] if left._has_range_index else [col(name) for name in self._levels]
        return DataFrame(rows, index, exprs, self._labelled(meta, rows), left._client)

    def _labelled(self, meta: pd.DataFrame, rows: Rows) -> pd.DataFrame:
        if self._left._has_range_index:
            return _meta.default_index(meta)
        return meta.set_axis(self._left._meta.index, axis=0)

    def _ranked(self) -> Node:
        """The right table, its rows numbered by their keys; equal numbers would make pairs of wrong rows."""
        right = self._right
        named: list[Named] = [*zip(self._names[1], right._exprs, strict=True), (self._on, self._keys[1])]
        named += list(zip(self._by, self._groups[1], strict=True))
        position = _tree.fresh("row")
        node = _tree.project(right._rows.node, [*named, (position, right._rows.position)])
        node = _tree.filtered(node, not_null(col(self._on)))
        by = [_tree.sort_key(col(name)) for name in (self._on, *self._by, position)]
        return _tree.extend(node, [(self._rank, window("row_number", by=by))])

    def _of_left(self) -> Node:
        left = self._left
        named: list[Named] = [*zip(self._names[0], left._exprs, strict=True)]
        named += list(zip(self._levels, left._index, strict=True))
        named += [(self._on, self._keys[0]), *zip(self._by, self._groups[0], strict=True)]
        named += [(self._place, left._rows.position), (self._side, lit(1)), (self._rank, cast(_expr.NULL, "int64"))]
        return _tree.project(left._rows.node, named)

    def _of_right(self, ranked: Node) -> Node:
        named: list[Named] = [(name, _expr.NULL) for name in (*self._names[0], *self._levels)]
        named += [(name, col(name)) for name in (self._on, *self._by)]
        named += [
            (self._place, cast(_expr.NULL, "int64")),
            (self._side, lit(0)),
            (self._rank, cast(col(self._rank), "int64")),
        ]
        return _tree.project(ranked, named)

    def _seen(self, way: str, exact: bool) -> Expr:
        """The number of the last row of the right table up to each row, or of the first after it."""
        # Of equal keys the right one comes first if it counts.
        by = [_tree.sort_key(col(self._on), descending=way == "forward")]
        by.append(_tree.sort_key(col(self._side), descending=not exact))
        name = "max" if way == "backward" else "min"
        seen = window(name, col(self._rank), partition=[col(name) for name in self._by], by=by, rows=(None, 0))
        return case([(not_null(col(self._on)), seen)])

    def _joined(self, node: Node, ranked: Node, found: str) -> tuple[Node, list[Expr], Expr]:
        """The rows with those of the right table that were found."""
        renamed = {name: _tree.fresh("right") for name in (*self._names[1], self._on, self._rank)}
        right = _tree.project(ranked, [(new, col(old)) for old, new in renamed.items()])
        right_rank = cast(col(renamed[self._rank]), "int64")
        joined = _tree.join(node, right, "left", [(col(found), right_rank)])
        return joined, [col(renamed[name]) for name in self._names[1]], col(renamed[self._on])

    def _distance(self, key: Expr) -> Expr:
        first, second = col(self._on), key
        if self._is_time:
            first, second = (cast(cast(side, "timestamp[ns]"), "int64") for side in (first, second))
        return call("abs", call("sub", first, second))

    def _within(self, key: Expr, tolerance: Any) -> Expr:
        if tolerance is None:
            return not_null(key)
        most = pd.Timedelta(tolerance).value if self._is_time else tolerance
        return _expr.truth(call("le", self._distance(key), lit(most)))

    def _chosen(self, sides: Sequence[tuple[Expr, Expr, Expr]]) -> Expr:
        """The value of the row that was found; of two the nearer one, and of equally near ones that before."""
        if len(sides) == 1:
            value, within, _ = sides[0]
            return case([(within, value)])
        (before, is_before, first), (after, is_after, second) = sides
        nearer = _expr.truth(call("le", self._distance(first), self._distance(second)))
        is_first = call("and", is_before, call("or", nearer, call("not", is_after)))
        return case([(is_first, before), (is_after, after)])
