# mypy: disable-error-code="no-any-return"
"""The labels of rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _meta
from millstream.dataframe._collection import Collection
from millstream.dataframe._operators import Operators
from millstream.dataframe._rows import Rows
from millstream.dataframe._tree import Expr, Named

if TYPE_CHECKING:
    from millstream._client import Client
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series

# Methods that an index of one level has in common with columns.
_OF_COLUMNS = [
    "min",
    "max",
    "nunique",
    "isin",
    "isna",
    "notna",
    "unique",
    "value_counts",
    "map",
    "duplicated",
    "str",
    "dt",
    "astype",
    "any",
    "all",
    "hasnans",
    "is_unique",
]


class Index(Operators, Collection):
    """Labels of rows, computed when they are asked for; made by ``frame.index``.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = ms.from_pandas(pd.DataFrame({"n": [1, 2]}, index=pd.Index(["a", "b"], name="letter")))
    >>> frame.index.compute().tolist()
    ['a', 'b']
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, rows: Rows, index: Sequence[Expr], meta: pd.Index, client: Client | None) -> None:
        super().__init__(rows, index, meta, client)

    @staticmethod
    def of(part: DataFrame | Series) -> Index:
        """The index of a frame or a column."""
        return Index(part._rows, part._index, part._meta.index, part._client)

    def _named(self) -> list[Named]:
        return []

    def _taken(self, rows: Rows, index: Sequence[Expr] | None = None) -> Index:
        return Index(rows, self._index if index is None else index, self._meta, self._client)

    def _assembled(self, columns: list[pd.Series[Any]], index: pd.Index) -> pd.Index:
        return index

    @property
    def _labels(self) -> pd.Index:
        return self._meta

    def _dtypes(self) -> list[Any]:
        return []

    def _level(self, level: Hashable) -> Series:
        """The labels of a level as a column."""
        from millstream.dataframe._series import Series

        place = self._meta._get_level_number(level)
        dtype = self._meta.levels[place].dtype if isinstance(self._meta, pd.MultiIndex) else self._meta.dtype
        meta = _meta.series(dtype, self._meta.names[place], self._meta)
        return Series(self._rows, self._index, self._index[place], meta, self._client)

    @property
    def _column(self) -> Series:
        if len(self._index) != 1:
            raise NotImplementedError(
                "this needs an index of one level: use get_level_values(), or reset_index() first"
            )
        return self._level(0)

    def _binary(self, name: str, other: Any, *, reflected: bool = False, fill_value: Any = None) -> Any:
        other = other._column if isinstance(other, Index) else other
        return self._column._binary(name, other, reflected=reflected, fill_value=fill_value)

    def _unary(self, name: str) -> Any:
        return self._column._unary(name)

    def _ufunc(self, name: str) -> Any:
        return self._column._ufunc(name)

    @property
    def name(self) -> Hashable:
        """Its name."""
        return self._meta.name

    @property
    def names(self) -> list[Hashable]:
        """The names of its levels."""
        return list(self._meta.names)

    @property
    def nlevels(self) -> int:
        """The number of its levels."""
        return len(self._index)

    @property
    def dtype(self) -> Any:
        """The type of the labels."""
        return self._meta.dtype

    def get_level_values(self, level: Hashable) -> Series:
        """Return the labels of a level, as a column."""
        return self._level(level)

    def to_series(self) -> Series:
        """Return the labels as a column."""
        return self._column

    def to_frame(self) -> DataFrame:
        """Return the levels as a frame."""
        from millstream.dataframe._frame import DataFrame

        return DataFrame(self._rows, self._index, self._index, self._meta.to_frame(), self._client)

    def to_arrow(self, *, limit: int | str | None = "auto") -> Any:
        """Compute it as an Arrow table with a column for each level."""
        return self.to_frame().to_arrow(limit=limit)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.compute())

    def __getattr__(self, name: str) -> Any:
        if name in _OF_COLUMNS:
            return getattr(self._column, name)
        _meta.own_error(self, name)
        raise _meta.unavailable("Index", name, [*dir(type(self)), *_OF_COLUMNS], pd.Index)

    def __repr__(self) -> str:
        return f"<Index {', '.join(map(repr, self.names))} of {self.dtype}; compute() gives its labels>"
