"""What groups of a frame and groups of a column have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _over, _tree
from millstream.dataframe._expr import call, cast, lit, window
from millstream.dataframe._over import Over
from millstream.dataframe._reduce import is_named, name_of
from millstream.dataframe._window import Rolling, rolling_bounds

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._groupby import DataFrameGroupBy
    from millstream.dataframe._series import Series


class GroupValues:
    """Reductions of groups, and values of each row among those of its group."""

    _frame: DataFrame
    # Of the groups of one column, where it is in the frame.
    _place: int | None = None

    @property
    def _over(self) -> Over:
        raise NotImplementedError

    @property
    def _result(self) -> DataFrameGroupBy:
        raise NotImplementedError

    def _places(self, numeric_only: bool = False) -> list[int]:
        raise NotImplementedError

    def _reduce(self, name: str, numeric_only: bool = False, **options: Any) -> Any:
        raise NotImplementedError

    # ---- reductions

    def sum(self, numeric_only: bool = False, min_count: int = 0) -> Any:
        """Sums; 0 of nothing."""
        return self._reduce("sum", numeric_only, min_count=min_count)

    def prod(self, numeric_only: bool = False, min_count: int = 0) -> Any:
        """Products; 1 of nothing."""
        return self._reduce("prod", numeric_only, min_count=min_count)

    def mean(self, numeric_only: bool = False) -> Any:
        """Means."""
        return self._reduce("mean", numeric_only)

    def median(self, numeric_only: bool = False) -> Any:
        """Medians."""
        return self._reduce("median", numeric_only)

    def quantile(self, q: float = 0.5, numeric_only: bool = False) -> Any:
        """Quantiles."""
        if not isinstance(q, float | int):
            raise NotImplementedError("quantile of groups takes one number: call it for each")
        return self._reduce("quantile", numeric_only, q=float(q))

    def std(self, ddof: int = 1, numeric_only: bool = False) -> Any:
        """Standard deviations."""
        return self._reduce("std", numeric_only, ddof=ddof)

    def var(self, ddof: int = 1, numeric_only: bool = False) -> Any:
        """Variances."""
        return self._reduce("var", numeric_only, ddof=ddof)

    def sem(self, ddof: int = 1, numeric_only: bool = False) -> Any:
        """Standard errors of the means."""
        return self._reduce("sem", numeric_only, ddof=ddof)

    def min(self, numeric_only: bool = False) -> Any:
        """The smallest values."""
        return self._reduce("min", numeric_only)

    def max(self, numeric_only: bool = False) -> Any:
        """The largest values."""
        return self._reduce("max", numeric_only)

    def count(self) -> Any:
        """Numbers of values that are not missing."""
        return self._reduce("count")

    def nunique(self, dropna: bool = True) -> Any:
        """Numbers of distinct values."""
        return self._reduce("nunique", dropna=dropna)

    def first(self, numeric_only: bool = False) -> Any:
        """The first values that are not missing."""
        return self._reduce("first", numeric_only)

    def last(self, numeric_only: bool = False) -> Any:
        """The last values that are not missing."""
        return self._reduce("last", numeric_only)

    def any(self) -> Any:
        """Whether a value is true."""
        return self._reduce("any")

    def all(self) -> Any:
        """Whether no value is false."""
        return self._reduce("all")

    def idxmin(self) -> Any:
        """Labels of the first smallest values."""
        return self._reduce("idxmin")

    def idxmax(self) -> Any:
        """Labels of the first largest values."""
        return self._reduce("idxmax")

    # ---- a value for each row

    def _each(self, function: Any, numeric_only: bool = False) -> Any:
        """A function of each column, as a table like the frame, or as a column."""
        from millstream.dataframe._groupby import SeriesGroupBy

        columns = [function(self._frame._column(place)) for place in self._places(numeric_only)]
        return columns[0] if isinstance(self, SeriesGroupBy) else self._frame._of(columns)

    def transform(self, func: Any, *args: Any, meta: Any = None, **kwargs: Any) -> Any:
        """A reduction of each group in each of its rows, or what a function makes of each column of a group.

        Functions are called in Python tasks; `meta` tells what they return, as for :meth:`apply`.
        """
        if callable(func) and not is_named(func):
            from millstream.dataframe import _apply

            return _apply.of_groups(self._result, self._place, func, args, kwargs, meta, "transform")
        name = name_of(func)
        if name == "size":
            raise NotImplementedError("transform('size') counts missing values too: use transform('count'), or ngroup")
        return self._each(lambda column: _over.spread_value(column, name, self._over))

    def cumsum(self, numeric_only: bool = False) -> Any:
        """Sums up to each row."""
        return self._each(lambda column: _over.cumulated(column, "sum", self._over), numeric_only)

    def cumprod(self, numeric_only: bool = False) -> Any:
        """Products up to each row."""
        return self._each(lambda column: _over.cumulated(column, "prod", self._over), numeric_only)

    def cummin(self, numeric_only: bool = False) -> Any:
        """The smallest values up to each row."""
        return self._each(lambda column: _over.cumulated(column, "min", self._over), numeric_only)

    def cummax(self, numeric_only: bool = False) -> Any:
        """The largest values up to each row."""
        return self._each(lambda column: _over.cumulated(column, "max", self._over), numeric_only)

    def shift(self, periods: int = 1, fill_value: Any = None) -> Any:
        """The values so many rows of the group before."""
        return self._each(lambda column: _over.shifted(column, periods, fill_value, self._over))

    def diff(self, periods: int = 1) -> Any:
        """Differences to the values so many rows of the group before."""
        return self._each(lambda column: column - _over.shifted(column, periods, None, self._over))

    def pct_change(self, periods: int = 1) -> Any:
        """Relative changes from the values so many rows of the group before."""
        return self._each(lambda column: column / _over.shifted(column, periods, None, self._over) - 1)

    def ffill(self, limit: int | None = None) -> Any:
        """The last values before in the place of missing ones."""
        return self._each(lambda column: _over.carried(column, limit=limit, over=self._over))

    def bfill(self, limit: int | None = None) -> Any:
        """The next values in the place of missing ones."""
        return self._each(lambda column: _over.carried(column, backwards=True, limit=limit, over=self._over))

    def rank(self, method: str = "average", ascending: bool = True, na_option: str = "keep", pct: bool = False) -> Any:
        """Ranks in the group, from 1."""
        if na_option != "keep":
            raise NotImplementedError("na_option is 'keep': missing values have no rank")
        return self._each(lambda column: _over.ranked(column, method, ascending, pct, self._over))

    def rolling(self, window: int, min_periods: int | None = None, center: bool = False) -> Any:
        """Windows of the rows of each group.

        What is computed of them keeps the rows and the index of the frame; pandas sorts by the keys, and puts them
        into the index.
        """
        bounds, least = rolling_bounds(window, min_periods, center)
        chosen = self._each(lambda column: column)
        return Rolling(chosen, bounds, least, self._over)

    # ---- rows of each group

    def _numbers(self, *, backwards: bool = False) -> tuple[Any, dict[str, Any]]:
        """The rows, and the number of each in its group, from 1."""
        rows = self._frame._rows
        by = [_tree.sort_key(rows.position, descending=backwards)]
        rows, (number,) = rows.extended([window("row_number", partition=self._over.keys, by=by)], "w")
        return rows, number

    def _some(self, n: int, *, backwards: bool) -> Any:
        from millstream.dataframe._groupby import SeriesGroupBy

        if n < 0:
            raise NotImplementedError("the number of rows must not be negative here")
        rows, number = self._numbers(backwards=backwards)
        where = self._over.guarded(call("le", number, lit(n)))
        part = self._frame._column(self._places()[0]) if isinstance(self, SeriesGroupBy) else self._frame
        chosen = getattr(self, "_chosen", None)
        taken = part._taken(rows.filtered(where))
        return taken if chosen is None else taken[list(chosen)]

    def head(self, n: int = 5) -> Any:
        """The first rows of each group, in the order of the frame."""
        return self._some(n, backwards=False)

    def tail(self, n: int = 5) -> Any:
        """The last rows of each group, in the order of the frame."""
        return self._some(n, backwards=True)

    def cumcount(self, ascending: bool = True) -> Series:
        """The number of each row in its group, from 0."""
        rows, number = self._numbers(backwards=not ascending)
        return self._row_column(rows, cast(call("sub", number, lit(1)), "int64"))

    def ngroup(self, ascending: bool = True) -> Series:
        """The number of each row's group, from 0, in the order of the keys."""
        by: Sequence[dict[str, Any]] = [_tree.sort_key(key, descending=not ascending) for key in self._over.keys]
        rows, (rank,) = self._frame._rows.extended([window("dense_rank", by=by)], "w")
        return self._row_column(rows, cast(call("sub", rank, lit(1)), "int64"))

    def _row_column(self, rows: Any, expr: dict[str, Any]) -> Series:
        from millstream.dataframe._series import Series

        index = self._frame._meta.index
        meta = pd.Series([], dtype="int64", index=index)
        return Series(rows, self._frame._index, self._over.guarded(expr), meta, self._frame._client)

    def apply(self, func: Callable[..., Any], *args: Any, meta: Any = None, **kwargs: Any) -> Any:
        """Return what a function makes of each group, in the order of the keys.

        Parameters
        ----------
        func : callable
            It is called in Python tasks with the rows of a group as a pandas object, without the keys, and with the
            other arguments; it returns a value, a column or a frame.
        meta : object, optional
            What comes of all groups: an empty pandas object with the keys in its index. By default that is told by
            calling the function with a sample of two rows, in this process.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = ms.from_pandas(pd.DataFrame({"key": ["a", "b", "a"], "n": [1, 2, 4]}))
        >>> frame.groupby("key").n.apply(lambda n: n.max() - n.min()).compute().to_dict()
        {'a': 3, 'b': 0}
        """
        from millstream.dataframe import _apply

        return _apply.of_groups(self._result, self._place, func, args, kwargs, meta)

    def pipe(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what a function makes of these groups."""
        return func(self, *args, **kwargs)

    def __len__(self) -> int:
        return self._result.ngroups
