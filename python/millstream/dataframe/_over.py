"""Values of the rows before, after and around each row of a column.

A window function is a column of its own table, after which the rows are out of order; the number of each row puts
them back. The same functions serve whole columns and columns in groups: these have keys that part the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream.dataframe import _expr, _kinds, _tree
from millstream.dataframe._expr import Expr, both, call, case, cast, lit, not_null, window

if TYPE_CHECKING:
    from millstream.dataframe._rows import Rows
    from millstream.dataframe._series import Series

# First and last row of a frame, counted from the current one.
Bounds = tuple[int | None, int | None]
_BEFORE: Bounds = (None, 0)


@dataclass(frozen=True)
class Over:
    """Rows that see each other.

    Parameters
    ----------
    keys : sequence of mapping
        Expressions that are equal in them; none for all rows.
    dropna : bool
        Whether rows with a missing key have no value.
    """

    keys: Sequence[Expr] = ()
    dropna: bool = True

    def windows(self, column: Series, exprs: Sequence[Expr]) -> tuple[Rows, list[Expr]]:
        """The rows of a column with these window functions, and what reads them."""
        return column._rows.extended(exprs, "w")

    def guarded(self, value: Expr) -> Expr:
        """The value, or nothing in rows without a key."""
        if not self.keys or not self.dropna:
            return value
        return case([(both(*map(not_null, self.keys)), value)])


ALL = Over()


def order_of(column: Series, *, backwards: bool = False) -> list[dict[str, Any]]:
    """The order of the rows as a key of a window."""
    return [_tree.sort_key(column._rows.position, descending=backwards)]


def _number(column: Series) -> Expr:
    return cast(column._expr, "int64") if column._operand.kind in ("bool", "duration") else column._expr


def cumulated(column: Series, name: str, over: Over = ALL) -> Series:
    """`sum`, `prod`, `min`, `max` or `count` of the values up to each row; nothing where the value is missing."""
    kind = column._operand.kind
    if kind == "str" and name in ("sum", "prod"):
        raise TypeError(f"there is no cum{name} of texts on the cluster")
    value = _number(column) if name in ("sum", "prod") else column._expr
    made = window(name, value, partition=over.keys, by=order_of(column), rows=_BEFORE)
    rows, (total,) = over.windows(column, [made])
    if kind == "duration":
        total = cast(cast(total, "int64"), _kinds.arrow_type(column.dtype))
    dtype = "int64" if kind == "bool" and name in ("sum", "prod") else column.dtype
    return column._typed(over.guarded(case([(not_null(column._expr), total)])), dtype, rows)


def shifted(column: Series, periods: int = 1, fill_value: Any = None, over: Over = ALL) -> Series:
    """The value of the row so many rows before."""
    name = "lag" if periods >= 0 else "lead"
    made = [window(name, column._expr, lit(abs(periods)), partition=over.keys, by=order_of(column))]
    kind = column._operand.kind
    dtype = "float64" if kind == "int" else ("object" if kind == "bool" else column.dtype)
    if fill_value is None:
        rows, (value,) = over.windows(column, made)
        return column._typed(over.guarded(value), column.dtype if periods == 0 else dtype, rows)
    # A value that is missing in its own row stays so.
    made.append(window("count", partition=over.keys, by=order_of(column, backwards=periods < 0), rows=_BEFORE))
    rows, (value, count) = over.windows(column, made)
    filled = case([(call("le", count, lit(abs(periods))), _expr.literal(fill_value, column.dtype).expr)], value)
    return column._typed(over.guarded(filled), column.dtype, rows)


def carried(column: Series, *, backwards: bool = False, limit: int | None = None, over: Over = ALL) -> Series:
    """The last value before each row, or the next after it, where its own is missing."""
    by = order_of(column, backwards=backwards)
    # A value and the missing ones after it are a group: they have seen equally many values.
    counted = window("count", column._expr, partition=over.keys, by=by, rows=_BEFORE)
    rows, (count,) = over.windows(column, [counted])
    group = [*over.keys, count]
    made = [window("max", column._expr, partition=group)]
    if limit is not None:
        made.append(window("row_number", partition=group, by=by))
    rows, values = rows.extended(made, "w")
    value = values[0]
    if limit is not None:
        value = case([(call("le", values[1], lit(limit + 1)), value)])
    return column._typed(over.guarded(case([(call("gt", count, lit(0)), value)])), column.dtype, rows)


def ranked(
    column: Series, method: str = "average", ascending: bool = True, pct: bool = False, over: Over = ALL
) -> Series:
    """The rank of each value from 1; equal ones share theirs as `method` says."""
    if method not in ("average", "min", "max", "first", "dense"):
        raise ValueError(f"rank method must be one of 'average', 'min', 'max', 'first', 'dense', got {method!r}")
    value = _expr.present(column._expr) if column._operand.kind == "float" else column._expr
    keys = [*over.keys, not_null(value)]
    by = [_tree.sort_key(value, descending=not ascending)]
    name = {"first": "row_number", "dense": "dense_rank"}.get(method, "rank")
    made = [window(name, partition=keys, by=[*by, *(order_of(column) if method == "first" else [])])]
    made.append(window("count", partition=[*keys, value]))
    made.append(window("nunique" if method == "dense" else "count", value, partition=keys))
    rows, (rank, ties, total) = over.windows(column, made)
    rank = cast(rank, "float64")
    if method == "average":
        rank = call("add", rank, call("div", call("sub", ties, lit(1)), lit(2)))
    elif method == "max":
        rank = call("add", rank, cast(call("sub", ties, lit(1)), "float64"))
    if pct:
        rank = call("div", rank, total)
    return column._typed(over.guarded(case([(not_null(value), rank)])), "float64", rows)


def spread_value(column: Series, name: str, over: Over, **options: Any) -> Series:
    """A reduction of a row's group, in each row."""
    from millstream.dataframe._reduce import Collector, Reduced, reduced

    to = Collector(column._rows.order)
    expr = reduced(name, to, Reduced(column._operand, column._index, options))
    names = [name for name, _ in to.columns]
    made = [_as_window(aggregate, over.keys) for _, aggregate in to.columns]
    rows, values = over.windows(column, made)
    value = _replaced(expr, dict(zip(names, values, strict=True)))
    return column._typed(over.guarded(value), column._reduced_type(name, options), rows)


def _as_window(aggregate: Expr, keys: Sequence[Expr]) -> Expr:
    """An aggregate of the rows of equal keys."""
    name, args = aggregate["agg"], list(aggregate["args"])
    where = aggregate.get("where")
    if name in ("first", "last"):
        # Those rows that count come first; the frame is all rows.
        value = args[0]
        by = [*([_tree.sort_key(where, descending=True)] if where is not None else []), *aggregate["by"]]
        if name == "last":
            tail = [{**key, "descending": not key["descending"]} for key in aggregate["by"]]
            by = [*by[: len(by) - len(tail)], *tail]
        value = case([(where, value)]) if where is not None else value
        return window("first_value", value, partition=keys, by=by, rows=(None, None))
    if where is not None:
        args[0] = case([(where, args[0])])
    return window(name, *args, partition=keys)


def _replaced(value: Any, columns: dict[str, Expr]) -> Any:
    """An expression with other columns."""
    if isinstance(value, dict):
        if set(value) == {"col"}:
            return columns.get(value["col"], value)
        return {key: _replaced(inner, columns) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(inner, columns) for inner in value]
    return value


def rolled(
    column: Series, name: str, bounds: Bounds, least: int, over: Over = ALL, ddof: int = 1, q: float = 0.5
) -> Series:
    """A reduction of the rows around each row, where at least so many of them have a value."""
    if column._operand.kind not in ("int", "float", "bool"):
        raise TypeError(f"windows are of numbers, got {column.dtype}")
    value = cast(column._expr, "float64")
    extra = {"std": [lit(ddof)], "var": [lit(ddof)], "quantile": [lit(q)]}.get(name, [])
    by = order_of(column)
    made = [window("count", value, partition=over.keys, by=by, rows=bounds)]
    if name not in ("count", "sem"):
        made.append(window(name, value, *extra, partition=over.keys, by=by, rows=bounds))
    if name == "sem":
        made.append(window("std", value, lit(ddof), partition=over.keys, by=by, rows=bounds))
    if name == "count":
        # Rows count here, not values, when it is asked whether there are enough.
        made.append(window("count", partition=over.keys, by=by, rows=bounds))
    rows, (count, result) = over.windows(column, made)
    seen = result if name == "count" else count
    if name == "sem":
        result = call("div", result, call("sqrt", cast(count, "float64")))
    shown = cast(count if name == "count" else result, "float64")
    return column._typed(over.guarded(case([(call("ge", seen, lit(least)), shown)])), "float64", rows)
