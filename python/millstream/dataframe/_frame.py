"""A table on the cluster."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _expr, _meta, _run
from millstream.dataframe._apply import FrameApplied
from millstream.dataframe._collection import Collection, plain_names
from millstream.dataframe._expr import Expr
from millstream.dataframe._frame_columns import FrameColumns
from millstream.dataframe._frame_order import FrameOrder
from millstream.dataframe._frame_reductions import FrameReductions
from millstream.dataframe._frame_shapes import FrameShapes
from millstream.dataframe._operators import Operators
from millstream.dataframe._rows import Rows
from millstream.dataframe._series import Series
from millstream.dataframe._tree import Named

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._client import Client
    from millstream.dataframe._groupby import DataFrameGroupBy
    from millstream.dataframe._index import Index
    from millstream.dataframe._locate import Iloc, Loc


class DataFrame(FrameApplied, FrameColumns, FrameReductions, FrameOrder, FrameShapes, Operators, Collection):
    """A table, computed when it is asked for, with the methods and the meaning of :class:`pandas.DataFrame`.

    Made by :func:`read_parquet`, :func:`read_csv`, :func:`from_pandas`, :func:`from_arrow` and
    :meth:`millstream.Client.sql`. Each method tells names, types and errors at once, and computes nothing;
    :meth:`compute` gives the rows as a pandas frame.

    Examples
    --------
    >>> frame = client.sql("SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, 'a')) AS rows (number, letter)")
    >>> frame.shape
    (3, 2)
    >>> frame.groupby("letter")["number"].sum().compute().to_dict()
    {'a': 4, 'b': 2}
    """

    _exprs: tuple[Expr, ...]
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, rows: Rows, index: Sequence[Expr], exprs: Sequence[Expr], meta: pd.DataFrame, client: Client | None
    ) -> None:
        super().__init__(rows, index, meta, client)
        self._exprs = tuple(exprs)

    # ---- what a collection needs

    def _named(self) -> list[Named]:
        return list(zip(plain_names(list(self._meta.columns)), self._exprs, strict=True))

    def _taken(self, rows: Rows, index: Sequence[Expr] | None = None) -> DataFrame:
        return DataFrame(rows, self._index if index is None else index, self._exprs, self._meta, self._client)

    def _assembled(self, columns: list[pd.Series[Any]], index: pd.Index) -> pd.DataFrame:
        made = pd.DataFrame({place: values.set_axis(index) for place, values in enumerate(columns)}, index=index)
        made.columns = self._meta.columns
        return made

    def _dtypes(self) -> list[Any]:
        return list(self._meta.dtypes)

    # ---- columns

    def _column(self, place: int) -> Series:
        meta = self._meta.iloc[:, place]
        return Series(self._rows, self._index, self._exprs[place], meta, self._client)

    def _columns(self) -> list[Series]:
        return [self._column(place) for place in range(len(self._exprs))]

    def _place(self, label: Hashable) -> int:
        """Where a column is.

        Raises
        ------
        KeyError
            If it is not there; the message names those that resemble it.
        """
        with _meta.naming(self._meta.columns):
            place = self._meta.columns.get_loc(label)
        if not isinstance(place, int):
            raise NotImplementedError(f"{label!r} names several columns: use their full names")
        return place

    def _of(self, columns: Sequence[Series], labels: Iterable[Hashable] | pd.Index | None = None) -> DataFrame:
        """A frame of columns over the rows of this one."""
        rows = self._rows
        for column in columns:
            if column._index != self._index and column._rows.base is rows.base:
                raise ValueError("the columns have different indexes: reset_index() of both, or merge them")
            rows = rows.joined(column._rows)
        names = [column.name for column in columns] if labels is None else labels
        meta = _meta.frame([(None, column.dtype) for column in columns], self._meta.index)
        meta.columns = names if isinstance(names, pd.Index) else pd.Index(list(names), tupleize_cols=False)
        if not len(meta.columns):
            meta.columns = self._meta.columns[:0]
        return DataFrame(rows, self._index, [column._expr for column in columns], meta, self._client)

    def _mapped(self, function: Callable[[Series], Series]) -> DataFrame:
        """The frame with each column changed."""
        return self._of([function(column) for column in self._columns()], self._meta.columns)

    def _binary(self, name: str, other: Any, *, reflected: bool = False, fill_value: Any = None) -> Any:
        others: list[Any]
        if isinstance(other, DataFrame):
            if list(other.columns) != list(self.columns):
                raise NotImplementedError("operations on two frames need the same columns in the same order")
            others = list(other._columns())
        elif isinstance(other, Series):
            by_label = other._by_label
            if by_label is None:
                raise NotImplementedError(
                    "a column in an operation with a frame is taken for a row by pandas: use frame[name] "
                    "for each column"
                )
            others = [by_label[label] for label in self._meta.columns]
        else:
            others = [other] * len(self._exprs)
        options = {"reflected": reflected, "fill_value": fill_value}
        pairs = zip(self._columns(), others, strict=True)
        return self._of([column._binary(name, value, **options) for column, value in pairs], self._meta.columns)

    def _unary(self, name: str) -> DataFrame:
        return self._mapped(lambda column: column._unary(name))

    def _ufunc(self, name: str) -> DataFrame:
        return self._mapped(lambda column: column._ufunc(name))

    def __getitem__(self, key: Any) -> Any:
        if callable(key):
            key = key(self)
        if isinstance(key, Series):
            rows = self._rows.joined(key._rows).filtered(_expr.condition(key._as_mask()))
            return self._taken(rows)
        if isinstance(key, list | pd.Index):
            return self._of([self._column(self._place(label)) for label in key])
        if isinstance(key, slice):
            return self.iloc[key]
        if isinstance(key, DataFrame):
            return self.where(key)
        return self._column(self._place(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, list):
            values = value._columns() if isinstance(value, DataFrame) else [value] * len(key)
            changed = self.assign(**dict(zip(key, values, strict=True)))
        elif isinstance(key, Series):
            changed = self.mask(key, value)
        else:
            changed = self._with(key, value)
        self._become(changed)

    def __delitem__(self, key: Any) -> None:
        self._become(self.drop(columns=[key]))

    def _become(self, other: DataFrame) -> None:
        """Stand for another frame from now on; what was made of this one before stays as it is."""
        self._rows, self._index, self._exprs, self._meta = other._rows, other._index, other._exprs, other._meta

    def __contains__(self, key: object) -> bool:
        return key in self._meta.columns

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._meta.columns)

    def __getattr__(self, name: str) -> Any:
        labels = () if name.startswith("_") else self._meta.columns
        if name in labels:
            return self[name]
        _meta.own_error(self, name)
        raise _meta.unavailable("DataFrame", name, [*dir(type(self)), *map(str, labels)], pd.DataFrame)

    def __dir__(self) -> list[str]:
        names = [name for name in self._meta.columns if isinstance(name, str) and name.isidentifier()]
        return sorted({*super().__dir__(), *names})

    # ---- what it is

    @property
    def columns(self) -> pd.Index:
        """The names of the columns."""
        return self._meta.columns

    @columns.setter
    def columns(self, labels: Sequence[Hashable]) -> None:
        meta = self._meta.copy()
        meta.columns = labels
        self._meta = meta

    @property
    def dtypes(self) -> pd.Series[Any]:
        """The types of the columns, by name; integers come out as floats if some are missing."""
        return self._meta.dtypes

    @property
    def schema(self) -> pa.Schema:
        """Names and Arrow types of the columns; they are planned for it, and no rows are read."""
        return _run.schema(self._client, self._root())

    @property
    def ndim(self) -> int:
        """Two."""
        return 2

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows, which are counted now, and of columns."""
        return len(self), len(self._meta.columns)

    @property
    def size(self) -> int:
        """The number of values; the rows are counted now."""
        return len(self) * len(self._meta.columns)

    @property
    def index(self) -> Index:
        """The labels of the rows."""
        from millstream.dataframe._index import Index

        return Index.of(self)

    @property
    def loc(self) -> Loc:
        """Rows by label or condition, and columns."""
        from millstream.dataframe._locate import Loc

        return Loc(self)

    @property
    def iloc(self) -> Iloc:
        """Rows by place."""
        from millstream.dataframe._locate import Iloc

        return Iloc(self)

    def copy(self, deep: bool = True) -> DataFrame:
        """Return the same frame; changes to one are not seen in the other."""
        return self._taken(self._rows)

    def pipe(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what a function makes of this frame."""
        return function(self, *args, **kwargs)

    def groupby(
        self,
        by: Any = None,
        *,
        level: Any = None,
        as_index: bool = True,
        sort: bool = True,
        dropna: bool = True,
        observed: bool = True,
        group_keys: bool = True,
    ) -> DataFrameGroupBy:
        """Return the rows in groups of equal keys.

        Parameters
        ----------
        by : label, column or list of these
            What makes the groups.
        level : int or label
            A level of the index instead.
        as_index : bool
            Whether the keys are the index of what is computed, not columns.
        sort : bool
            Whether groups come in the order of their keys, not in that in which they occur first.
        dropna : bool
            Whether rows with a missing key are left out.
        observed, group_keys : bool
            For what calls pandas; there are no categories here.
        """
        from millstream.dataframe._groupby import group_frame

        return group_frame(self, by, level, as_index=as_index, sort=sort, dropna=dropna)

    def itertuples(self, index: bool = True, name: str | None = "Pandas") -> Iterator[Any]:
        """Compute it, and return its rows one by one."""
        return iter(self.compute().itertuples(index=index, name=name))

    def iterrows(self) -> Iterator[Any]:
        """Compute it, and return labels and rows one by one."""
        return iter(self.compute().iterrows())

    def to_dict(self, orient: Any = "dict") -> Any:
        """Compute it as a mapping, as pandas makes it."""
        return self.compute().to_dict(orient=orient)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Compute it for another library that reads Arrow tables."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}: {dtype}" for name, dtype in self._meta.dtypes.items())
        return f"<DataFrame ({fields})>"


def scalar_column(frame: DataFrame, expr: Expr, dtype: Any) -> Series:
    """A column of a frame's rows with an expression."""
    meta = _meta.series(dtype, None, frame._meta.index)
    return Series(frame._rows, frame._index, expr, meta, frame._client)
