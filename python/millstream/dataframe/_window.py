# mypy: disable-error-code="no-any-return"
"""Cumulative and rolling values, and those of neighbouring rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from millstream.dataframe import _kinds, _meta, _over
from millstream.dataframe._collection import Collection
from millstream.dataframe._over import ALL, Bounds, Over
from millstream.dataframe._resample import Resampler, resampled
from millstream.dataframe._whole import Ewm, ewm_options, whole

if TYPE_CHECKING:
    from millstream.dataframe._series import Series

ROLLED = ("sum", "mean", "min", "max", "count", "std", "var", "median", "quantile", "sem")


class SeriesWindows(Collection):
    """Methods of a column that look at the rows before and after each row."""

    _over: Over = ALL

    def cumsum(self: Any, axis: Any = 0, skipna: bool = True) -> Series:
        """Sums up to each row."""
        _meta.only(axis=(axis, 0), skipna=(skipna, True))
        return _over.cumulated(self, "sum")

    def cumprod(self: Any, axis: Any = 0, skipna: bool = True) -> Series:
        """Products up to each row."""
        _meta.only(axis=(axis, 0), skipna=(skipna, True))
        return _over.cumulated(self, "prod")

    def cummin(self: Any, axis: Any = 0, skipna: bool = True) -> Series:
        """The smallest value up to each row."""
        _meta.only(axis=(axis, 0), skipna=(skipna, True))
        return _over.cumulated(self, "min")

    def cummax(self: Any, axis: Any = 0, skipna: bool = True) -> Series:
        """The largest value up to each row."""
        _meta.only(axis=(axis, 0), skipna=(skipna, True))
        return _over.cumulated(self, "max")

    def shift(self: Any, periods: int = 1, freq: Any = None, axis: Any = 0, fill_value: Any = None) -> Series:
        """The value of the row so many rows before; after, if the number is negative."""
        if freq is not None:
            raise NotImplementedError("shift(freq=) is not available: add a Timedelta to the column of times")
        return _over.shifted(self, periods, fill_value)

    def diff(self: Any, periods: int = 1) -> Series:
        """The difference to the row so many rows before."""
        return self - self.shift(periods)

    def pct_change(self: Any, periods: int = 1) -> Series:
        """The relative change from the row so many rows before."""
        return self / self.shift(periods) - 1

    def resample(
        self: Any,
        rule: Any,
        closed: str | None = None,
        label: str | None = None,
        origin: Any = None,
        offset: Any = None,
    ) -> Resampler:
        """Return the rows in spans of time, by the index; where spans begin is computed now."""
        options = {"closed": closed, "label": label, "origin": origin, "offset": offset}
        return resampled(self, rule, None, options)

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
        """Return exponentially weighted windows; one Python task computes them, and holds the column."""
        given = {"com": com, "span": span, "halflife": halflife, "alpha": alpha, "min_periods": min_periods}
        return Ewm(self, ewm_options(**given, adjust=adjust, ignore_na=ignore_na))

    def interpolate(self: Any, method: str = "linear", **options: Any) -> Series:
        """Return the column with missing numbers computed from those around, by one Python task that holds it."""
        if not _kinds.is_number(self.dtype):
            raise TypeError(f"interpolate is for numbers, got {self.dtype}")
        return whole(self, [("interpolate", {"method": method, **options})])

    def ffill(self: Any, *, axis: Any = 0, limit: int | None = None) -> Series:
        """Return the column with the last value before in the place of missing ones."""
        _meta.only(axis=(axis, 0))
        return _over.carried(self, limit=limit)

    def bfill(self: Any, *, axis: Any = 0, limit: int | None = None) -> Series:
        """Return the column with the next value in the place of missing ones."""
        _meta.only(axis=(axis, 0))
        return _over.carried(self, backwards=True, limit=limit)

    def rank(
        self: Any,
        axis: Any = 0,
        method: str = "average",
        numeric_only: bool = False,
        na_option: str = "keep",
        ascending: bool = True,
        pct: bool = False,
    ) -> Series:
        """The rank of each value, from 1."""
        if na_option != "keep":
            raise NotImplementedError("na_option is 'keep': missing values have no rank")
        return _over.ranked(self, method, ascending, pct)

    def rolling(self: Any, window: int, min_periods: int | None = None, center: bool = False) -> Rolling:
        """Return each row with those before it, so many in all, for what is computed of them."""
        return Rolling(self, *rolling_bounds(window, min_periods, center))

    def expanding(self: Any, min_periods: int = 1) -> Rolling:
        """Return each row with all before it, for what is computed of them."""
        return Rolling(self, (None, 0), min_periods)


def rolling_bounds(window: Any, min_periods: int | None, center: bool) -> tuple[Bounds, int]:
    """The frame of a rolling window, and how many values it needs.

    Raises
    ------
    NotImplementedError
        If it is not a number of rows.
    ValueError
        If there cannot be so many.
    """
    if not isinstance(window, int):
        raise NotImplementedError(f"a window is a number of rows, got {window!r}: for times use sql() with RANGE")
    if window < 1:
        raise ValueError(f"window must be an integer 1 or greater, got {window}")
    after = (window - 1) // 2 if center else 0
    least = window if min_periods is None else min_periods
    if least > window:
        raise ValueError(f"min_periods {least} must be <= window {window}")
    return (after - (window - 1), after), least


class Rolling:
    """Windows around the rows of a column or a frame, of which something is to be computed.

    Parameters
    ----------
    part : Series, DataFrame or grouped column
        What they are of.
    bounds : tuple of int or None
        First and last row, counted from each.
    least : int
        How many values there must be.
    over : Over
        Rows that see each other.
    """

    def __init__(self, part: Any, bounds: Bounds, least: int, over: Over = ALL) -> None:
        self._part = part
        self._bounds = bounds
        self._least = least
        self._over = over

    def _rolled(self, name: str, **options: Any) -> Any:
        from millstream.dataframe._frame import DataFrame

        def one(column: Series) -> Series:
            return _over.rolled(column, name, self._bounds, self._least, self._over, **options)

        return self._part._mapped(one) if isinstance(self._part, DataFrame) else one(self._part)

    def __getitem__(self, key: Any) -> Rolling:
        return Rolling(self._part[key], self._bounds, self._least, self._over)

    def sum(self) -> Any:
        """Sums of the windows."""
        return self._rolled("sum")

    def mean(self) -> Any:
        """Means of the windows."""
        return self._rolled("mean")

    def min(self) -> Any:
        """The smallest values of the windows."""
        return self._rolled("min")

    def max(self) -> Any:
        """The largest values of the windows."""
        return self._rolled("max")

    def count(self) -> Any:
        """Numbers of values of the windows that are not missing."""
        return self._rolled("count")

    def median(self) -> Any:
        """Medians of the windows."""
        return self._rolled("median")

    def std(self, ddof: int = 1) -> Any:
        """Standard deviations of the windows."""
        return self._rolled("std", ddof=ddof)

    def var(self, ddof: int = 1) -> Any:
        """Variances of the windows."""
        return self._rolled("var", ddof=ddof)

    def sem(self, ddof: int = 1) -> Any:
        """Standard errors of the means of the windows."""
        return self._rolled("sem", ddof=ddof)

    def quantile(self, q: float) -> Any:
        """Quantiles of the windows."""
        return self._rolled("quantile", q=q)

    def agg(self, func: Any) -> Any:
        """One of these by name."""
        from millstream.dataframe._meta import near

        if not isinstance(func, str) or func not in ROLLED:
            raise NotImplementedError(f"windows have {', '.join(ROLLED)}, got {func!r}{near(func, ROLLED)}")
        return self._rolled(func)

    aggregate = agg

    def skew(self) -> Any:
        """Skewness of the windows; one Python task computes each column."""
        return self._whole("skew")

    def kurt(self) -> Any:
        """Kurtosis of the windows; one Python task computes each column."""
        return self._whole("kurt")

    def apply(self, func: Callable[..., Any], raw: bool = False, args: Any = None, kwargs: Any = None) -> Any:
        """Return what a function makes of each window; one Python task calls it for each column."""
        return self._whole("apply", func=func, raw=raw, args=args, kwargs=kwargs)

    def _whole(self, name: str, **options: Any) -> Any:
        if self._over is not ALL:
            raise NotImplementedError(f"{name} of windows in groups is not available: use apply() of the groups")
        first, last = self._bounds
        if first is None or last is None:
            windows: tuple[str, dict[str, Any]] = ("expanding", {"min_periods": self._least})
        else:
            options_of = {"window": last - first + 1, "center": last > 0, "min_periods": self._least}
            windows = ("rolling", options_of)
        steps = [windows, (name, options)]
        mapped = getattr(self._part, "_mapped", None) if getattr(self._part, "ndim", 1) > 1 else None
        return mapped(lambda column: whole(column, steps)) if mapped else whole(self._part, steps)
