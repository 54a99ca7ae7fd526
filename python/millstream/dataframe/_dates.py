# mypy: disable-error-code="no-any-return"
"""Operations on columns of times and durations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _kinds, _meta
from millstream.dataframe._expr import Expr, both, call, case, cast, lit, not_null

if TYPE_CHECKING:
    from millstream.dataframe._series import Series

# Fields by their names in the engine.
_FIELDS = {
    "year": "year",
    "month": "month",
    "day": "day",
    "hour": "hour",
    "minute": "minute",
    "quarter": "quarter",
    "dayofyear": "doy",
    "day_of_year": "doy",
}
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_DAY = 86_400 * 10**9


class Dates:
    """Operations on times, by the names of pandas: ``column.dt``.

    Examples
    --------
    >>> times = client.sql("SELECT TIMESTAMP '2024-05-06 07:08:09' AS at")["at"]
    >>> times.dt.month.compute().item(), times.dt.day_name().compute().item()
    (5, 'Monday')
    """

    def __init__(self, column: Series) -> None:
        self._kind = _kinds.kind_of(column.dtype)
        if self._kind not in ("datetime", "duration"):
            raise AttributeError(f"Can only use .dt accessor with datetimelike values, got {column.dtype}")
        self._column = column

    @property
    def _expr(self) -> Expr:
        return self._column._expr

    def _times(self) -> Expr:
        if self._kind != "datetime":
            raise AttributeError("durations have days, seconds and total_seconds()")
        return self._expr

    def _whole(self, expr: Expr, dtype: str = "int32") -> Series:
        return self._column._typed(cast(expr, dtype), dtype)

    def _part(self, name: str) -> Expr:
        return call("date_part", lit(name), self._times())

    @property
    def second(self) -> Series:
        """Seconds of the minute."""
        return self._whole(call("floor", self._part("second")))

    @property
    def microsecond(self) -> Series:
        """Microseconds of the second."""
        return self._whole(call("mod", cast(self._part("microsecond"), "int64"), lit(10**6)))

    @property
    def dayofweek(self) -> Series:
        """Days of the week, from Monday, which is 0."""
        return self._whole(call("mod", call("add", cast(self._part("dow"), "int64"), lit(6)), lit(7)))

    weekday = day_of_week = dayofweek

    @property
    def days_in_month(self) -> Series:
        """Numbers of days of the months."""
        return self._whole(self._days_in_month())

    daysinmonth = days_in_month

    def _days_in_month(self) -> Expr:
        month, year = cast(self._part("month"), "int64"), cast(self._part("year"), "int64")
        short = {"in": month, "list": [lit(number) for number in (4, 6, 9, 11)]}
        february = case([(_is_leap(year), lit(29))], lit(28))
        known = [(call("eq", month, lit(2)), february), (short, lit(30))]
        return case([(not_null(month), case(known, lit(31)))])

    def _is(self, expr: Expr) -> Series:
        return self._column._typed(call("coalesce", expr, lit(False)), "bool")

    def _equals(self, **fields: int) -> Expr:
        return both(*(call("eq", cast(self._part(name), "int64"), lit(value)) for name, value in fields.items()))

    @property
    def is_leap_year(self) -> Series:
        """Whether the year has 366 days."""
        return self._is(_is_leap(cast(self._part("year"), "int64")))

    @property
    def is_month_start(self) -> Series:
        """Whether it is the first day of the month."""
        return self._is(self._equals(day=1))

    @property
    def is_month_end(self) -> Series:
        """Whether it is the last day of the month."""
        return self._is(call("eq", cast(self._part("day"), "int64"), self._days_in_month()))

    @property
    def is_quarter_start(self) -> Series:
        """Whether it is the first day of a quarter."""
        first = call("eq", call("mod", cast(self._part("month"), "int64"), lit(3)), lit(1))
        return self._is(both(first, self._equals(day=1)))

    @property
    def is_quarter_end(self) -> Series:
        """Whether it is the last day of a quarter."""
        last = call("eq", call("mod", cast(self._part("month"), "int64"), lit(3)), lit(0))
        return self._is(both(last, call("eq", cast(self._part("day"), "int64"), self._days_in_month())))

    @property
    def is_year_start(self) -> Series:
        """Whether it is the first day of the year."""
        return self._is(self._equals(month=1, day=1))

    @property
    def is_year_end(self) -> Series:
        """Whether it is the last day of the year."""
        return self._is(self._equals(month=12, day=31))

    def day_name(self) -> Series:
        """Return the English names of the days of the week."""
        return self._named("%A")

    def month_name(self) -> Series:
        """Return the English names of the months."""
        return self._named("%B")

    def strftime(self, date_format: str) -> Series:
        """Return the times as texts of a format."""
        return self._named(date_format)

    def _named(self, form: str) -> Series:
        return self._column._typed(call("to_char", self._times(), lit(form)), "str")

    @property
    def date(self) -> Series:
        """The days as dates of Python."""
        return self._column._typed(cast(self._times(), "date32"), "object")

    # ---- other times

    def normalize(self) -> Series:
        """Return the starts of the days."""
        return self._truncated("day")

    def _truncated(self, unit: str) -> Series:
        expr = cast(call("date_trunc", lit(unit), self._times()), _kinds.arrow_type(self._column.dtype))
        return self._column._derived(expr, self._column._meta)

    def floor(self, freq: str) -> Series:
        """Return the times, rounded down to a multiple of days, hours, minutes, seconds or less."""
        return self._stepped(freq, up=False)

    def ceil(self, freq: str) -> Series:
        """Return the times, rounded up to a multiple of days, hours, minutes, seconds or less."""
        return self._stepped(freq, up=True)

    def _stepped(self, freq: str, *, up: bool) -> Series:
        if getattr(self._column.dtype, "tz", None) is not None:
            raise NotImplementedError("floor and ceil are of times without a zone")
        dtype = self._column.dtype
        scale = _NANOSECONDS[_kinds.unit_of(dtype)]
        step, rest = divmod(pd.tseries.frequencies.to_offset(freq).nanos if freq != "D" else _DAY, scale)
        if rest or not step:
            raise NotImplementedError(f"{freq!r} is finer than the column's unit")
        number = cast(self._expr, "int64")
        if up:
            number = call("add", number, lit(step - 1))
        floored = call("mul", call("floordiv", number, lit(step)), lit(step))
        return self._column._derived(cast(cast(floored, "int64"), _kinds.arrow_type(dtype)), self._column._meta)

    # ---- durations

    def tz_convert(self, tz: str) -> Series:
        """Return times of a zone as the same moments in another."""
        if getattr(self._column.dtype, "tz", None) is None:
            raise TypeError("Cannot convert tz-naive timestamps, use tz_localize to localize")
        meta = _meta.applied(lambda: self._column._meta.dt.tz_convert(tz))
        return self._column._derived(cast(self._expr, _kinds.arrow_type(meta.dtype)), meta)

    def total_seconds(self) -> Series:
        """Return durations as seconds."""
        return self._column._typed(call("div", self._ticks(), lit(self._per_second())), "float64")

    @property
    def days(self) -> Series:
        """Whole days of durations."""
        return self._whole(call("floordiv", self._ticks(), lit(86_400 * self._per_second())), "int64")

    @property
    def seconds(self) -> Series:
        """Seconds of durations beyond whole days."""
        per_second = self._per_second()
        rest = call("mod", self._ticks(), lit(86_400 * per_second))
        return self._whole(call("floordiv", rest, lit(per_second)))

    def _ticks(self) -> Expr:
        if self._kind != "duration":
            raise AttributeError("times have no such part: it is one of durations")
        return cast(self._expr, "int64")

    def _per_second(self) -> int:
        return 10**9 // _NANOSECONDS[_kinds.unit_of(self._column.dtype)]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_FIELDS]

    def __getattr__(self, name: str) -> Any:
        if name in _FIELDS:
            return self._whole(self._part(_FIELDS[name]))
        _meta.own_error(self, name)
        raise _meta.unavailable("dt", name, [*dir(type(self)), *_FIELDS], pd.core.indexes.accessors.DatetimeProperties)


def _is_leap(year: Expr) -> Expr:
    def divides(number: int) -> Expr:
        return call("eq", call("mod", year, lit(number)), lit(0))

    return call("or", call("and", divides(4), call("not", divides(100))), divides(400))
