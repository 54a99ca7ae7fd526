# mypy: disable-error-code="no-any-return"
"""Values of a frame's columns, and of its rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _describe, _expr, _kinds, _meta, _tree
from millstream.dataframe._collection import Collection
from millstream.dataframe._expr import call, case, cast, lit, not_null
from millstream.dataframe._reduce import Collector, Reduced, name_of, reduced, stacked
from millstream.dataframe._rows import numbered

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series


class FrameReductions(Collection):
    """Methods that give one value for each column, or, with ``axis=1``, for each row."""

    def _reduced(self: Any, name: str, axis: Any = 0, numeric_only: bool = False, **options: Any) -> Series:
        columns = self._columns()
        if numeric_only:
            columns = [column for column in columns if _kinds.is_number(column.dtype)]
        if axis in (1, "columns"):
            return _across(self, name, columns, options)
        if axis not in (0, "index", None):
            raise ValueError(f"No axis named {axis} for object type DataFrame")
        return _down(self, columns, [(name, options)] * len(columns))

    def sum(self, axis: Any = 0, skipna: bool = True, numeric_only: bool = False, min_count: int = 0) -> Series:
        """The sum of each column."""
        return self._reduced("sum", axis, numeric_only, skipna=skipna, min_count=min_count)

    def prod(self, axis: Any = 0, skipna: bool = True, numeric_only: bool = False, min_count: int = 0) -> Series:
        """The product of each column."""
        return self._reduced("prod", axis, numeric_only, skipna=skipna, min_count=min_count)

    product = prod

    def mean(self, axis: Any = 0, skipna: bool = True, numeric_only: bool = False) -> Series:
        """The mean of each column."""
        return self._reduced("mean", axis, numeric_only, skipna=skipna)

    def median(self, axis: Any = 0, skipna: bool = True, numeric_only: bool = False) -> Series:
        """The median of each column."""
        return self._reduced("median", axis, numeric_only, skipna=skipna)

    def min(self, axis: Any = 0, skipna: bool = True, numeric_only: bool = False) -> Series:
        """The smallest value of each column."""
        return self._reduced("min", axis, numeric_only, skipna=skipna)

    def max(self, axis: Any = 0, skipna: bool = True, numeric_only: bool = False) -> Series:
        """The largest value of each column."""
        return self._reduced("max", axis, numeric_only, skipna=skipna)

    def std(self, axis: Any = 0, skipna: bool = True, ddof: int = 1, numeric_only: bool = False) -> Series:
        """The standard deviation of each column."""
        return self._reduced("std", axis, numeric_only, skipna=skipna, ddof=ddof)

    def var(self, axis: Any = 0, skipna: bool = True, ddof: int = 1, numeric_only: bool = False) -> Series:
        """The variance of each column."""
        return self._reduced("var", axis, numeric_only, skipna=skipna, ddof=ddof)

    def sem(self, axis: Any = 0, skipna: bool = True, ddof: int = 1, numeric_only: bool = False) -> Series:
        """The standard error of the mean of each column."""
        return self._reduced("sem", axis, numeric_only, skipna=skipna, ddof=ddof)

    def count(self, axis: Any = 0, numeric_only: bool = False) -> Series:
        """The number of values of each column that are not missing."""
        return self._reduced("count", axis, numeric_only)

    def nunique(self, axis: Any = 0, dropna: bool = True) -> Series:
        """The number of distinct values of each column."""
        return self._reduced("nunique", axis, dropna=dropna)

    def any(self, axis: Any = 0, skipna: bool = True) -> Series:
        """Whether a value of each column is true."""
        _meta.only(skipna=(skipna, True))
        return self._reduced("any", axis)

    def all(self, axis: Any = 0, skipna: bool = True) -> Series:
        """Whether no value of each column is false."""
        _meta.only(skipna=(skipna, True))
        return self._reduced("all", axis)

    def idxmin(self, axis: Any = 0, skipna: bool = True, numeric_only: bool = False) -> Series:
        """The label of the first smallest value of each column."""
        _meta.only(skipna=(skipna, True), axis=(axis, 0))
        return self._reduced("idxmin", axis, numeric_only)

    def idxmax(self, axis: Any = 0, skipna: bool = True, numeric_only: bool = False) -> Series:
        """The label of the first largest value of each column."""
        _meta.only(skipna=(skipna, True), axis=(axis, 0))
        return self._reduced("idxmax", axis, numeric_only)

    def quantile(self: Any, q: Any = 0.5, axis: Any = 0, numeric_only: bool = False) -> Any:
        """The quantile of each column; a frame of them for several."""
        if isinstance(q, float | int):
            return self._reduced("quantile", axis, numeric_only, q=float(q))
        columns = [c for c in self._columns() if not numeric_only or _kinds.is_number(c.dtype)]
        return _table(self, columns, list(q), [("quantile", {"q": float(share)}) for share in q])

    def describe(self: Any, percentiles: Any = None) -> DataFrame:
        """Count, mean, standard deviation and quantiles of the columns of numbers."""
        return _describe.of_frame(self, percentiles)

    def agg(self: Any, func: Any = None, axis: Any = 0) -> Any:
        """One reduction of each column, several as a frame, or, by a mapping, some of some columns."""
        if isinstance(func, list | tuple):
            names = [name_of(one) for one in func]
            return _table(self, self._columns(), names, [(name, {}) for name in names])
        if isinstance(func, Mapping):
            if any(not isinstance(one, str) and not callable(one) for one in func.values()):
                raise NotImplementedError("agg takes one reduction for each column: use a list for all, or groupby")
            columns = [self._column(self._place(label)) for label in func]
            return _down(self, columns, [(name_of(one), {}) for one in func.values()])
        return self._reduced(name_of(func), axis)

    aggregate = agg

    def corr(self: Any, method: str = "pearson", min_periods: int = 1, numeric_only: bool = False) -> DataFrame:
        """The correlation of each two columns."""
        if method != "pearson":
            raise NotImplementedError(f"method={method!r} is not available: only 'pearson' is")
        _meta.only(min_periods=(min_periods, 1))
        return _of_pairs(self, "corr", numeric_only)

    def cov(self: Any, min_periods: int | None = None, ddof: int = 1, numeric_only: bool = False) -> DataFrame:
        """The covariance of each two columns."""
        _meta.only(min_periods=(min_periods, None), ddof=(ddof, 1))
        return _of_pairs(self, "covar", numeric_only)


def _down(frame: DataFrame, columns: Sequence[Series], specs: Sequence[tuple[str, dict[str, Any]]]) -> Series:
    """One value for each column."""
    from millstream.dataframe._scalar import Scalar
    from millstream.dataframe._series import Series

    to = Collector(frame._rows.order)
    pairs = list(zip(columns, specs, strict=True))
    if not pairs:
        raise NotImplementedError("there are no columns to reduce")
    exprs = [reduced(name, to, Reduced(c._operand, frame._index, options)) for c, (name, options) in pairs]
    dtypes = [c._reduced_type(name, options) for c, (name, options) in pairs]
    dtype = _describe.common_type(dtypes)
    single = numbered(to.table(frame._rows.node))
    labels = [column.name for column in columns]
    same = [cast(expr, "float64") if _kinds.kind_of(dtype) == "float" else expr for expr in exprs]
    node, place, (label, value) = stacked(single.node, labels, [same])
    rows = numbered(_tree.sort(node, [_tree.sort_key(place)]))
    result = Series(rows, [label], value, pd.Series([], dtype=dtype, index=pd.Index(labels)[:0]), frame._client)
    values = [Scalar(single, expr, _meta.series(one), frame._client) for expr, one in zip(exprs, dtypes, strict=True)]
    # pandas takes such a column for a row when it meets a frame.
    result._by_label = dict(zip(labels, values, strict=True))
    return result


def _table(
    frame: DataFrame, columns: Sequence[Series], labels: Sequence[Any], specs: Sequence[tuple[str, dict[str, Any]]]
) -> DataFrame:
    """A row for each reduction."""
    from millstream.dataframe._frame import DataFrame

    to = Collector(frame._rows.order)
    values, dtypes = [], []
    for column in columns:
        exprs = [reduced(name, to, Reduced(column._operand, frame._index, options)) for name, options in specs]
        dtype = _describe.common_type([column._reduced_type(name, options) for name, options in specs])
        values.append([cast(expr, "float64") if _kinds.kind_of(dtype) == "float" else expr for expr in exprs])
        dtypes.append(dtype)
    node, place, (label, *exprs) = stacked(to.table(frame._rows.node), labels, values)
    rows = numbered(_tree.sort(node, [_tree.sort_key(place)]))
    meta = _meta.frame(zip((c.name for c in columns), dtypes, strict=True), pd.Index(list(labels))[:0])
    return DataFrame(rows, [label], exprs, meta, frame._client)


def _of_pairs(frame: DataFrame, name: str, numeric_only: bool) -> DataFrame:
    from millstream.dataframe._frame import DataFrame

    columns = [c for c in frame._columns() if not numeric_only or _kinds.is_number(c.dtype)]
    to = Collector()
    numbers = [cast(column._expr, "float64") for column in columns]

    def pair(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
        return to.add(_expr.agg(name, left, right, where=call("and", not_null(left), not_null(right))))

    values = [[pair(left, right) for left in numbers] for right in numbers]
    labels: list[Hashable] = [column.name for column in columns]
    node, place, (label, *exprs) = stacked(to.table(frame._rows.node), labels, values)
    rows = numbered(_tree.sort(node, [_tree.sort_key(place)]))
    meta = _meta.frame([(one, "float64") for one in labels], pd.Index(labels)[:0])
    return DataFrame(rows, [label], exprs, meta, frame._client)


def _across(frame: DataFrame, name: str, columns: Sequence[Series], options: dict[str, Any]) -> Series:
    """One value for each row."""
    from millstream.dataframe._frame import scalar_column

    if name not in ("sum", "mean", "min", "max", "count", "any", "all"):
        raise NotImplementedError(f"{name}(axis=1) is not available: sum, mean, min, max, count, any and all are")
    if not columns:
        raise NotImplementedError("there are no columns to reduce")
    if not options.get("skipna", True):
        raise NotImplementedError("skipna=False is not available with axis=1: add the columns up")
    kinds = {column._operand.kind for column in columns}
    if name != "count" and not (kinds <= {"int", "float", "bool"} or len(kinds) == 1):
        raise TypeError(f"{name}(axis=1) of columns of different kinds: choose some, or numeric_only=True")
    meta = _meta.applied(lambda: getattr(_meta.sample(frame._meta[[c.name for c in columns]]), name)(axis=1))
    return scalar_column(frame, _row_value(name, columns), meta.dtype)


def _row_value(name: str, columns: Sequence[Series]) -> dict[str, Any]:
    exprs = [column._expr for column in columns]
    if name in ("min", "max"):
        return call("least" if name == "min" else "greatest", *map(_without_nan, columns))
    if name in ("any", "all"):
        values = [_expr.truth(column.astype("bool")._expr) for column in columns]
        return _folded("or" if name == "any" else "and", values)
    counts = _folded("add", [cast(not_null(expr), "int64") for expr in exprs])
    if name == "count":
        return counts
    numbers = [cast(c._expr, "int64") if c._operand.kind == "bool" else _without_nan(c) for c in columns]
    total = _folded("add", [call("coalesce", number, lit(0)) for number in numbers])
    return total if name == "sum" else case([(call("gt", counts, lit(0)), call("div", total, counts))])


def _without_nan(column: Series) -> dict[str, Any]:
    return _expr.present(column._expr) if column._operand.kind == "float" else column._expr


def _folded(name: str, exprs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    result = exprs[0]
    for expr in exprs[1:]:
        result = call(name, result, expr)
    return result
