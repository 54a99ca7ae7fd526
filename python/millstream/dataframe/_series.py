# mypy: disable-error-code="no-any-return"
"""A column of a table on the cluster."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _expr, _kinds, _meta
from millstream.dataframe._accessors import Accessors
from millstream.dataframe._apply import SeriesApplied
from millstream.dataframe._collection import Collection, plain_names
from millstream.dataframe._column_values import ColumnValues
from millstream.dataframe._expr import Expr, Operand
from millstream.dataframe._operators import OPERATIONS, UFUNCS, Operators, combined
from millstream.dataframe._rows import Rows
from millstream.dataframe._series_order import SeriesOrder
from millstream.dataframe._series_reductions import SeriesReductions
from millstream.dataframe._tree import Named
from millstream.dataframe._window import SeriesWindows

if TYPE_CHECKING:
    from millstream._client import Client
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._groupby import SeriesGroupBy
    from millstream.dataframe._index import Index
    from millstream.dataframe._locate import Iloc, Loc


class Series(
    SeriesApplied, Accessors, ColumnValues, SeriesReductions, SeriesOrder, SeriesWindows, Operators, Collection
):
    """A column, computed when it is asked for, with the methods and the meaning of :class:`pandas.Series`.

    Made from frames: ``frame["name"]``, and from other columns.

    Examples
    --------
    >>> import pandas as pd
    >>> numbers = ms.dataframe.from_pandas(pd.Series([1, 2, None], name="n"))
    >>> (numbers * 2).sum().compute().item()
    6.0
    """

    _expr: Expr
    # Of the reductions of a frame: their values by column.
    _by_label: dict[Hashable, Any] | None = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, rows: Rows, index: Sequence[Expr], expr: Expr, meta: pd.Series[Any], client: Client | None
    ) -> None:
        super().__init__(rows, index, meta, client)
        self._expr = expr

    # ---- what a collection needs

    def _named(self) -> list[Named]:
        return [(plain_names(["0" if self.name is None else self.name])[0], self._expr)]

    def _taken(self, rows: Rows, index: Sequence[Expr] | None = None) -> Series:
        return Series(rows, self._index if index is None else index, self._expr, self._meta, self._client)

    def _assembled(self, columns: list[pd.Series[Any]], index: pd.Index) -> pd.Series[Any]:
        return columns[0].set_axis(index, axis=0).rename(self.name)

    # ---- others like it

    def _derived(self, expr: Expr, meta: Any, rows: Rows | None = None) -> Series:
        """Another column of the same rows, or of these, which are the same with more columns."""
        rows, (expr,) = (self._rows if rows is None else rows).compact([expr])
        return Series(rows, self._index, expr, meta, self._client)

    def _typed(self, expr: Expr, dtype: Any, rows: Rows | None = None) -> Series:
        return self._derived(expr, _meta.series(dtype, self.name, self._meta.index), rows)

    @property
    def _operand(self) -> Operand:
        return Operand(self._expr, self.dtype)

    def _beside(self, other: Any) -> tuple[Rows, Operand, Any]:
        """The rows with both, the other side of an operation, and what pandas is to see for it."""
        from millstream.dataframe._scalar import Scalar

        if isinstance(other, Series):
            if self._rows.base is other._rows.base and self._index != other._index:
                raise ValueError("the columns have different indexes: reset_index() of both, or merge them")
            return self._rows.joined(other._rows), other._operand, other._meta
        if isinstance(other, Scalar):
            rows, expr = other._beside(self._rows)
            return rows, Operand(expr, other._meta.dtype), other._sample()
        if hasattr(other, "__len__") and not isinstance(other, str | bytes):
            raise TypeError(
                f"a {type(other).__name__} is not on the cluster: use from_pandas() on a whole table and merge, or a "
                "list with isin() or map()"
            )
        operand = _expr.literal(other, self.dtype)
        return self._rows, operand, other

    # ---- operators

    def _binary(self, name: str, other: Any, *, reflected: bool = False, fill_value: Any = None) -> Any:
        from millstream.dataframe._frame import DataFrame

        if isinstance(other, DataFrame):
            return NotImplemented
        if fill_value is not None:
            filled = other.fillna(fill_value) if isinstance(other, Series) else other
            return self.fillna(fill_value)._binary(name, filled, reflected=reflected)
        rows, operand, shown = self._beside(other)
        sides = (operand, self._operand) if reflected else (self._operand, operand)
        metas = (shown, self._meta) if reflected else (self._meta, shown)
        meta = _meta.applied(OPERATIONS[name][0], *metas)
        return self._derived(combined(name, *sides), meta, rows)

    def _unary(self, name: str) -> Series:
        if name == "invert":
            if _kinds.kind_of(self.dtype) not in ("bool", "object"):
                raise TypeError(f"~ is for conditions, got {self.dtype}")
            return self._typed(_expr.negated(self._expr), "bool")
        meta = abs(self._meta) if name == "abs" else -self._meta
        if _kinds.kind_of(self.dtype) == "duration":
            kind = _kinds.arrow_type(self.dtype)
            return self._derived(_expr.cast(_expr.call(name, _expr.cast(self._expr, "int64")), kind), meta)
        return self._derived(_expr.call(name, self._expr), meta)

    def _ufunc(self, name: str) -> Series:
        if not _kinds.is_number(self.dtype):
            raise TypeError(f"numpy.{name} is for numbers, got {self.dtype}")
        argument = _expr.cast(self._expr, "float64")
        return self._typed(_expr.present(_expr.call(UFUNCS[name], argument)), "float64")

    # ---- what it is

    @property
    def name(self) -> Hashable:
        """Its name."""
        return self._meta.name

    @property
    def dtype(self) -> Any:
        """The type of its values; integers come out as floats if some are missing."""
        return self._meta.dtype

    @property
    def ndim(self) -> int:
        """One."""
        return 1

    @property
    def shape(self) -> tuple[int]:
        """The number of rows, which are counted now."""
        return (len(self),)

    @property
    def size(self) -> int:
        """The number of rows, which are counted now."""
        return len(self)

    @property
    def index(self) -> Index:
        """The labels of the rows."""
        from millstream.dataframe._index import Index

        return Index.of(self)

    def to_frame(self, name: Hashable | None = None) -> DataFrame:
        """Return a frame of this column."""
        from millstream.dataframe._frame import DataFrame

        meta = self._meta.to_frame() if name is None else self._meta.to_frame(name)
        return DataFrame(self._rows, self._index, [self._expr], meta, self._client)

    def unstack(self, level: Any = -1, fill_value: Any = None, sort: bool = True) -> DataFrame:
        """Return a level of the index as columns; which there are is computed now."""
        from millstream.dataframe import _pivots

        _meta.only(sort=(sort, True))
        return _pivots.unstack(self, level, fill_value)

    def rename(self, index: Hashable | None = None) -> Series:
        """Return the column under another name."""
        if callable(index) or isinstance(index, dict):
            raise NotImplementedError("labels of rows cannot be renamed: assign a new column and set_index it")
        return self._derived(self._expr, self._meta.rename(index))

    def copy(self, deep: bool = True) -> Series:
        """Return the same column; it never changes."""
        return self._taken(self._rows)

    # ---- choosing rows

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, Series):
            return self._filtered(key)
        if isinstance(key, slice):
            return self.iloc[key] if self._has_range_index else self.loc[key]
        return self.loc[key]

    def _filtered(self, mask: Series) -> Series:
        rows = self._rows.joined(mask._rows).filtered(_expr.condition(mask._as_mask()))
        return self._taken(rows)

    def _as_mask(self) -> Expr:
        if _kinds.kind_of(self.dtype) not in ("bool", "object"):
            raise TypeError(f"rows are chosen by a column of bools, got {self.dtype}")
        return self._expr

    @property
    def loc(self) -> Loc:
        """Rows by label."""
        from millstream.dataframe._locate import Loc

        return Loc(self)

    @property
    def iloc(self) -> Iloc:
        """Rows by place."""
        from millstream.dataframe._locate import Iloc

        return Iloc(self)

    # ---- doors to more

    def groupby(
        self,
        by: Any = None,
        *,
        level: Any = None,
        sort: bool = True,
        dropna: bool = True,
        observed: bool = True,
        group_keys: bool = True,
    ) -> SeriesGroupBy:
        """Return the column in groups of equal keys."""
        from millstream.dataframe._groupby import group_column

        return group_column(self, by, level, sort=sort, dropna=dropna)

    def to_list(self) -> list[Any]:
        """Compute it as a list."""
        return list(self.compute().tolist())

    tolist = to_list

    def to_dict(self) -> dict[Any, Any]:
        """Compute it as a mapping of labels to values."""
        return dict(self.compute().to_dict())

    def pipe(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what a function makes of this column."""
        return function(self, *args, **kwargs)

    def __iter__(self) -> Any:
        return iter(self.compute())

    def __repr__(self) -> str:
        return f"<Series {self.name!r} of {self.dtype}; compute() gives its values>"
