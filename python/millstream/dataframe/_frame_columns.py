# mypy: disable-error-code="no-any-return"
"""What changes a frame's columns, and keeps its rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _expr, _meta
from millstream.dataframe._collection import Collection
from millstream.dataframe._expr import both, call, not_null, one_of

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series


class FrameColumns(Collection):
    """Methods that give a frame of the same rows, or of those that pass a condition."""

    # ---- names

    def assign(self: Any, **columns: Any) -> DataFrame:
        """Return the frame with further columns: columns, values, or functions of the frame that give one.

        Examples
        --------
        >>> frame = client.sql("SELECT 2 AS n").assign(double=lambda table: table.n * 2)
        >>> frame.compute().double.item()
        4
        """
        frame = self
        for name, value in columns.items():
            frame = frame._with(name, value(frame) if callable(value) else value)
        return frame

    def _with(self: Any, name: Hashable, value: Any) -> DataFrame:
        from millstream.dataframe._series import Series

        column = value if isinstance(value, Series) else self._constant(value)
        if not isinstance(value, Series) or value._rows.base is self._rows.base:
            columns, labels = self._columns(), list(self._meta.columns)
            if name in labels:
                columns[self._place(name)] = column
            else:
                columns, labels = [*columns, column], [*labels, name]
            if isinstance(self._meta.columns, pd.MultiIndex):
                return self._of(columns, pd.MultiIndex.from_tuples(labels))
            return self._of(columns, labels)
        raise ValueError(
            f"the column {name!r} is of other rows: merge the frames, or map() its values by a label of the index"
        )

    def _constant(self: Any, value: Any) -> Series:
        """A column of one value."""
        from millstream.dataframe._frame import scalar_column
        from millstream.dataframe._scalar import Scalar

        if isinstance(value, Scalar):
            rows, expr = value._beside(self._rows)
            return self._taken(rows)._constant_of(expr, value._meta.dtype)
        if hasattr(value, "__len__") and not isinstance(value, str | bytes):
            raise TypeError(
                f"a {type(value).__name__} is not on the cluster: use from_pandas() on a whole table and merge"
            )
        operand = _expr.literal(value)
        return scalar_column(self, operand.expr, operand.dtype if operand.dtype is not None else "object")

    def _constant_of(self: Any, expr: Any, dtype: Any) -> Series:
        from millstream.dataframe._frame import scalar_column

        return scalar_column(self, expr, dtype)

    def insert(self: Any, loc: int, column: Hashable, value: Any) -> None:
        """Put a further column at a place."""
        if column in self._meta.columns:
            raise ValueError(f"cannot insert {column}, already exists")
        labels = list(self._meta.columns)
        self._become(self._with(column, value)[[*labels[:loc], column, *labels[loc:]]])

    def pop(self: Any, item: Hashable) -> Series:
        """Take a column out of the frame, and return it."""
        column = self[item]
        self._become(self.drop(columns=[item]))
        return column

    def drop(
        self: Any, labels: Any = None, *, axis: Any = 0, columns: Any = None, index: Any = None, errors: str = "raise"
    ) -> DataFrame:
        """Return the frame without some columns, or without the rows of some labels."""
        if axis in (1, "columns"):
            columns, labels = labels, None
        frame = self
        gone = index if index is not None else labels
        if gone is not None:
            frame = frame._without(gone)
        if columns is None:
            return frame
        with _meta.naming(self._meta.columns):
            kept = self._meta.drop(columns=columns, errors=errors)
        return frame._of([frame._column(frame._place(label)) for label in kept.columns], kept.columns)

    def _without(self: Any, labels: Any) -> DataFrame:
        if len(self._index) != 1:
            raise NotImplementedError("rows are dropped by labels of an index of one level")
        listed = list(labels) if isinstance(labels, list | tuple | pd.Index) else [labels]
        return self._taken(self._rows.filtered(_expr.negated(one_of(self._index[0], listed))))

    def rename(
        self: Any, mapper: Any = None, *, columns: Any = None, index: Any = None, axis: Any = 0, errors: str = "ignore"
    ) -> DataFrame:
        """Return the frame with other names of columns."""
        if mapper is not None and axis in (1, "columns"):
            columns = mapper
        elif mapper is not None or index is not None:
            raise NotImplementedError("labels of rows cannot be renamed: assign a column and set_index() it")
        with _meta.naming(self._meta.columns):
            meta = self._meta.rename(columns=columns, errors=errors)
        return self._of(self._columns(), meta.columns)

    def add_prefix(self: Any, prefix: str) -> DataFrame:
        """Return the frame with a text before each name."""
        return self.rename(columns=lambda name: f"{prefix}{name}")

    def add_suffix(self: Any, suffix: str) -> DataFrame:
        """Return the frame with a text after each name."""
        return self.rename(columns=lambda name: f"{name}{suffix}")

    def set_axis(self: Any, labels: Any, *, axis: Any = 0) -> DataFrame:
        """Return the frame with other names of all columns."""
        if axis not in (1, "columns"):
            raise NotImplementedError("labels of rows come from columns: use set_index()")
        return self._of(self._columns(), self._meta.set_axis(labels, axis=1).columns)

    def filter(self: Any, items: Any = None, like: Any = None, regex: Any = None, axis: Any = 1) -> DataFrame:
        """Return the columns with some names."""
        return self[list(self._meta.filter(items=items, like=like, regex=regex, axis=1).columns)]

    def select_dtypes(self: Any, include: Any = None, exclude: Any = None) -> DataFrame:
        """Return the columns of some types."""
        return self[list(self._meta.select_dtypes(include=include, exclude=exclude).columns)]

    def get(self: Any, key: Any, default: Any = None) -> Any:
        """Return a column, or a default if it is not there."""
        return self[key] if key in self._meta.columns else default

    def items(self: Any) -> list[tuple[Hashable, Series]]:
        """Return names and columns."""
        return list(zip(self._meta.columns, self._columns(), strict=True))

    def keys(self: Any) -> pd.Index:
        """Return the names of the columns."""
        return self._meta.columns

    # ---- values

    def isna(self: Any) -> DataFrame:
        """Whether each value is missing."""
        return self._mapped(lambda column: column.isna())

    def notna(self: Any) -> DataFrame:
        """Whether each value is there."""
        return self._mapped(lambda column: column.notna())

    isnull, notnull = isna, notna

    def fillna(self: Any, value: Any = None, **unknown: Any) -> DataFrame:
        """Return the frame with a value, or one for each column by name, in the place of missing ones."""
        if value is None or unknown:
            raise TypeError("fillna takes a value or a mapping; to carry values on use ffill() or bfill()")
        by_label = getattr(value, "_by_label", None) or value
        if not isinstance(by_label, Mapping):
            return self._mapped(lambda column: column.fillna(value))
        return self._mapped(lambda c: c.fillna(by_label[c.name]) if c.name in by_label else c)

    def dropna(
        self: Any, *, how: str = "any", thresh: int | None = None, subset: Any = None, axis: Any = 0
    ) -> DataFrame:
        """Return the rows without missing values."""
        if axis not in (0, "index"):
            raise NotImplementedError("columns cannot be dropped by their values, which are not known: use drop()")
        labels = [subset] if isinstance(subset, str) else (self._meta.columns if subset is None else subset)
        exprs = [not_null(self._exprs[self._place(label)]) for label in labels]
        if not exprs:
            return self.copy()
        if thresh is not None:
            counted = [_expr.cast(expr, "int64") for expr in exprs]
            total = counted[0]
            for one in counted[1:]:
                total = call("add", total, one)
            return self._taken(self._rows.filtered(call("ge", total, _expr.lit(thresh))))
        if how not in ("any", "all"):
            raise ValueError(f"invalid how option: {how}")
        where = exprs[0]
        for expr in exprs[1:]:
            where = both(where, expr) if how == "any" else call("or", where, expr)
        return self._taken(self._rows.filtered(where))

    def where(self: Any, cond: Any, other: Any = None) -> DataFrame:
        """Return the frame with `other`, by default nothing, where a condition is not true."""
        return self._chosen("where", cond, other)

    def mask(self: Any, cond: Any, other: Any = None) -> DataFrame:
        """Return the frame with `other`, by default nothing, where a condition is true."""
        return self._chosen("mask", cond, other)

    def _chosen(self: Any, name: str, cond: Any, other: Any) -> DataFrame:
        cond = cond(self) if callable(cond) else cond
        columns = []
        for column in self._columns():
            mask = cond[column.name] if hasattr(cond, "_exprs") else cond
            value = other[column.name] if hasattr(other, "_exprs") else other
            columns.append(getattr(column, name)(mask, value))
        return self._of(columns, self._meta.columns)

    def clip(self: Any, lower: Any = None, upper: Any = None) -> DataFrame:
        """Return the frame with values beyond the bounds replaced by these."""
        return self._mapped(lambda column: column.clip(lower, upper))

    def isin(self: Any, values: Any) -> DataFrame:
        """Whether each value is one of a list, or of the list that a mapping has for its column."""
        if isinstance(values, Mapping):
            return self._mapped(lambda column: column.isin(values.get(column.name, [])))
        return self._mapped(lambda column: column.isin(values))

    def replace(self: Any, to_replace: Any = None, value: Any = None, *, regex: bool = False) -> DataFrame:
        """Return the frame with some values replaced by others."""
        nested = isinstance(to_replace, Mapping) and any(isinstance(one, Mapping) for one in to_replace.values())
        if nested:
            chosen = lambda c: c.replace(to_replace[c.name], regex=regex) if c.name in to_replace else c  # noqa: E731
            return self._mapped(chosen)
        return self._mapped(lambda column: column.replace(to_replace, value, regex=regex))

    def astype(self: Any, dtype: Any) -> DataFrame:
        """Return the frame with columns of other types: one for all, or one for each by name."""
        if not isinstance(dtype, Mapping):
            return self._mapped(lambda column: column.astype(dtype))
        for name in dtype:
            self._place(name)
        return self._mapped(lambda c: c.astype(dtype[c.name]) if c.name in dtype else c)

    def round(self: Any, decimals: int | Mapping[Hashable, int] = 0) -> DataFrame:
        """Return the frame with rounded numbers."""
        if isinstance(decimals, Mapping):
            return self._mapped(lambda c: c.round(decimals[c.name]) if c.name in decimals else c)
        return self._mapped(lambda column: column.round(decimals) if column._operand.kind == "float" else column)

    # ---- expressions as text

    def query(self: Any, expr: str, **kwargs: Any) -> DataFrame:
        """Return the rows for which a text of pandas' syntax is true; ``@name`` is a variable of the caller."""
        from millstream.dataframe._query_text import evaluated

        return self[evaluated(self, expr, kwargs.pop("local_dict", None), depth=2)]

    def eval(self: Any, expr: str, **kwargs: Any) -> Any:
        """Return what a text of pandas' syntax says: a column, or, with ``name = …``, the frame with it."""
        from millstream.dataframe._query_text import assigned

        return assigned(self, expr, kwargs.pop("local_dict", None), depth=2)


def listed(labels: Any) -> Sequence[Hashable]:
    """One label, or several, as a list."""
    return list(labels) if isinstance(labels, list | tuple | pd.Index) else [labels]
