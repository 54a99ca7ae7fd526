"""Values of a column looked up in another table's column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from millstream.dataframe import _expr, _tree
from millstream.dataframe._rows import Rows
from millstream.dataframe._tree import Expr, Node

if TYPE_CHECKING:
    from millstream.dataframe._series import Series


def is_in_column(column: Series, values: Series) -> Series:
    """Whether each value is one of another column's."""
    key, found = _tree.fresh("value"), _tree.fresh("found")
    distinct = _tree.aggregate(values._rows.node, [(key, values._expr)], [])
    rows = _beside(column, _tree.extend(distinct, [(found, _expr.TRUE)]), key)
    return column._typed(_expr.truth(_expr.col(found)), "bool", rows)


def looked_up(column: Series, table: Series) -> Series:
    """For each value what a column has at that label of its index.

    The first is taken of equal labels; pandas refuses them.
    """
    if len(table._index) != 1:
        raise NotImplementedError("map takes a column with an index of one level: merge the tables instead")
    key, value = _tree.fresh("label"), _tree.fresh("value")
    first = _tree.distinct(table._rows.node, [table._index[0]], table._rows.order)
    rows = _beside(column, _tree.project(first, [(key, table._index[0]), (value, table._expr)]), key)
    meta = pd.Series([], dtype=table.dtype, name=column.name, index=column._meta.index)
    return column._derived(_expr.col(value), meta, rows)


def _beside(column: Series, table: Node, key: str) -> Rows:
    on: list[tuple[Expr, Expr]] = [(column._expr, _expr.col(key))]
    return column._rows.step(lambda node: _tree.join(node, table, "left", on, nulls_equal=True), scrambles=True)
