# mypy: disable-error-code="no-any-return"
"""What makes other tables of a frame: merged, spread, and with values of neighbouring rows."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from millstream.dataframe import _kinds, _meta, _pivots, _reshape, _tree
from millstream.dataframe._collection import Collection
from millstream.dataframe._column_values import element_type
from millstream.dataframe._resample import Resampler, resampled
from millstream.dataframe._rows import numbered
from millstream.dataframe._whole import Ewm, ewm_options
from millstream.dataframe._window import Rolling, rolling_bounds

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series


class FrameShapes(Collection):
    """Methods that give frames of other rows, and those that look at the rows before and after each row."""

    def merge(
        self: Any,
        right: Any,
        how: str = "inner",
        on: Any = None,
        left_on: Any = None,
        right_on: Any = None,
        left_index: bool = False,
        right_index: bool = False,
        suffixes: Any = ("_x", "_y"),
        **unknown: Any,
    ) -> DataFrame:
        """Return pairs of rows with equal keys, in any order; see :func:`merge`."""
        keys = {
            "on": on,
            "left_on": left_on,
            "right_on": right_on,
            "left_index": left_index,
            "right_index": right_index,
        }
        return _reshape.merge(self, right, how, suffixes=suffixes, **keys, **unknown)

    def join(
        self: Any, other: Any, on: Any = None, how: str = "left", lsuffix: str = "", rsuffix: str = ""
    ) -> DataFrame:
        """Return the rows with those of another frame whose index is equal to theirs, or to the column `on`."""
        keys = {"left_index": True} if on is None else {"left_on": on}
        return _reshape.merge(self, other, how, right_index=True, suffixes=(lsuffix, rsuffix), **keys)

    def explode(self: Any, column: Hashable) -> DataFrame:
        """Return a row for each element of a column of lists."""
        from millstream.dataframe._frame import DataFrame

        if isinstance(column, list):
            raise NotImplementedError("explode takes one column: call it for each")
        place = self._place(column)
        name = _tree.fresh("element")
        node = _tree.unnest(_tree.extend(self._rows.in_order(), [(name, self._exprs[place])]), name)
        exprs = [{"col": name} if at == place else expr for at, expr in enumerate(self._exprs)]
        meta = self._meta.astype({column: element_type(self, node, name)})
        return DataFrame(numbered(node), self._index, exprs, meta, self._client)

    def melt(
        self: Any,
        id_vars: Any = None,
        value_vars: Any = None,
        var_name: Any = None,
        value_name: Hashable = "value",
        *,
        ignore_index: bool = True,
    ) -> DataFrame:
        """Return a row for each of some columns of each row, with its name and value.

        Examples
        --------
        >>> frame = client.sql("SELECT 1 AS id, 5 AS low, 9 AS high").melt(id_vars="id")
        >>> frame.compute().value.tolist()
        [5, 9]
        """
        return _reshape.melted(self, id_vars, value_vars, var_name, value_name, ignore_index)

    def pivot_table(
        self: Any,
        values: Any = None,
        index: Any = None,
        columns: Any = None,
        aggfunc: Any = "mean",
        fill_value: Any = None,
    ) -> DataFrame:
        """Return reductions of groups of two keys as a table; which columns it has is computed now."""
        return _reshape.pivoted(self, values, index, columns, aggfunc, fill_value)

    def pivot(self: Any, *, columns: Hashable, index: Any = None, values: Any = None) -> DataFrame:
        """Return a table of two keys with the one value of each pair; which columns it has is computed now."""
        return _pivots.pivot(self, columns, index, values)

    def stack(self: Any, level: Any = -1, dropna: Any = None, sort: Any = None, future_stack: bool = True) -> Series:
        """Return the columns of each row one below the other, missing values too."""
        _meta.only(level=(level, -1), dropna=(dropna, None), sort=(sort, None))
        return _pivots.stack(self)

    # ---- neighbouring rows

    def shift(self: Any, periods: int = 1, fill_value: Any = None) -> DataFrame:
        """Return the values of the rows so many rows before."""
        return self._mapped(lambda column: column.shift(periods, fill_value=fill_value))

    def diff(self: Any, periods: int = 1) -> DataFrame:
        """Return the differences to the rows so many rows before."""
        return self._mapped(lambda column: column.diff(periods))

    def pct_change(self: Any, periods: int = 1) -> DataFrame:
        """Return the relative changes from the rows so many rows before."""
        return self._mapped(lambda column: column.pct_change(periods))

    def ffill(self: Any, *, axis: Any = 0, limit: int | None = None) -> DataFrame:
        """Return the frame with the last values before in the place of missing ones."""
        _meta.only(axis=(axis, 0))
        return self._mapped(lambda column: column.ffill(limit=limit))

    def bfill(self: Any, *, axis: Any = 0, limit: int | None = None) -> DataFrame:
        """Return the frame with the next values in the place of missing ones."""
        _meta.only(axis=(axis, 0))
        return self._mapped(lambda column: column.bfill(limit=limit))

    def cumsum(self: Any) -> DataFrame:
        """Return sums up to each row."""
        return self._mapped(lambda column: column.cumsum())

    def cumprod(self: Any) -> DataFrame:
        """Return products up to each row."""
        return self._mapped(lambda column: column.cumprod())

    def cummin(self: Any) -> DataFrame:
        """Return the smallest values up to each row."""
        return self._mapped(lambda column: column.cummin())

    def cummax(self: Any) -> DataFrame:
        """Return the largest values up to each row."""
        return self._mapped(lambda column: column.cummax())

    def rank(self: Any, method: str = "average", ascending: bool = True, pct: bool = False) -> DataFrame:
        """Return the ranks of the values of each column, from 1."""
        return self._mapped(lambda column: column.rank(method=method, ascending=ascending, pct=pct))

    def rolling(self: Any, window: int, min_periods: int | None = None, center: bool = False) -> Rolling:
        """Return each row with those before it, so many in all, for what is computed of them."""
        return Rolling(self, *rolling_bounds(window, min_periods, center))

    def expanding(self: Any, min_periods: int = 1) -> Rolling:
        """Return each row with all before it, for what is computed of them."""
        return Rolling(self, (None, 0), min_periods)

    def resample(
        self: Any,
        rule: Any,
        closed: str | None = None,
        label: str | None = None,
        on: Hashable | None = None,
        origin: Any = None,
        offset: Any = None,
    ) -> Resampler:
        """Return the rows in spans of time, by the index or a column; where spans begin is computed now."""
        options = {"closed": closed, "label": label, "origin": origin, "offset": offset}
        return resampled(self, rule, on, options)

    def ewm(
        self: Any,
        com: float | None = None,
        span: float | None = None,
        halflife: Any = None,
        alpha: float | None = None,
        min_periods: int | None = 0,
        adjust: bool = True,
        ignore_na: bool = False,
    ) -> Ewm:
        """Return exponentially weighted windows of each column; one Python task computes each."""
        given = {"com": com, "span": span, "halflife": halflife, "alpha": alpha, "min_periods": min_periods}
        return Ewm(self, ewm_options(**given, adjust=adjust, ignore_na=ignore_na))

    def interpolate(self: Any, method: str = "linear", **options: Any) -> DataFrame:
        """Return the frame with missing numbers computed from those around; one Python task computes each column."""
        return self._mapped(
            lambda column: column.interpolate(method, **options) if _kinds.is_number(column.dtype) else column
        )
