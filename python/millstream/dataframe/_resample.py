# mypy: disable-error-code="no-any-return"
"""Rows in spans of time."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _asof, _kinds, _meta, _tree
from millstream.dataframe._expr import call, cast, lit

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series

# What a span without rows has; nothing where it is not said.
_OF_NONE = {"sum": 0, "count": 0, "size": 0, "nunique": 0, "prod": 1}
_REDUCTIONS = (
    "sum", "mean", "min", "max", "count", "size", "std", "var", "sem", "median", "first", "last", "nunique", "prod",
)  # fmt: skip
# Spans that end with a whole day, which pandas counts to the left of their end.
_WHOLE_DAYS = ("BME", "ME", "W", "BQE", "BYE", "QE", "YE")


@dataclass(frozen=True)
class Spans:
    """Spans of time without gaps.

    Parameters
    ----------
    starts, labels : DatetimeIndex
        Where they begin, and what they are called.
    is_right : bool
        Whether a span has its end, and not its start.
    """

    starts: pd.DatetimeIndex
    labels: pd.DatetimeIndex
    is_right: bool

    @classmethod
    def over(cls, first: Any, last: Any, rule: Any, options: dict[str, Any]) -> Spans:
        """Those that pandas makes for times from `first` to `last`."""
        ends = pd.Series(0, index=pd.DatetimeIndex([first, last]))
        labels = ends.resample(rule, **options).size().index
        starts = ends.resample(rule, **{**options, "label": "left"}).size().index
        name = pd.tseries.frequencies.to_offset(rule).rule_code.split("-")[0]
        closed = options.get("closed") or ("right" if name in _WHOLE_DAYS else "left")
        if closed == "right" and name in _WHOLE_DAYS:
            starts = starts + pd.Timedelta(days=1) - pd.Timedelta(1, "ns")
        return cls(starts.as_unit("ns"), labels, closed == "right")

    def number(self, times: Series) -> Series | None:
        """The number of each time's span, if the spans are equally long."""
        widths = {int(width) for width in self.starts.asi8[1:] - self.starts.asi8[:-1]}
        if len(widths) > 1:
            return None
        zone = getattr(times.dtype, "tz", None)
        instant = cast(cast(times._expr, "timestamp[ns]" if zone is None else f"timestamp[ns, {zone}]"), "int64")
        since = call("sub", instant, lit(int(self.starts.asi8[0]) + self.is_right))
        number = call("floordiv", since, lit(widths.pop())) if widths else call("mul", since, lit(0))
        return times._typed(number, "int64")

    def found(self, frame: DataFrame, times: Hashable) -> tuple[DataFrame, Series]:
        """The same rows in another table, with the number of the span in which a column's times lie."""
        from millstream.dataframe._read import from_pandas

        start, number = _tree.fresh("start"), _tree.fresh("number")
        data = pd.DataFrame({start: self.starts, number: range(len(self.starts))})
        spans = from_pandas(data, client=frame._client)
        exact = not self.is_right
        zone = getattr(frame._meta[times].dtype, "tz", None)
        exactly = frame[times].astype("datetime64[ns]" if zone is None else f"datetime64[ns, {zone}]")
        frame = frame.assign(**{str(times): exactly})
        merged = _asof.merge_asof(frame, spans, left_on=times, right_on=start, allow_exact_matches=exact)
        return merged, merged[number]


class Resampler:
    """A frame's rows, or a column's, in spans of time; made by ``frame.resample(rule)``.

    Where the spans begin and end is computed when it is made, from the first and the last time.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.to_datetime(["2024-01-01 05:00", "2024-01-01 07:00", "2024-01-03 01:00"])
    >>> frame = ms.from_pandas(pd.DataFrame({"n": [1, 2, 4]}, index=times))
    >>> frame.resample("D").n.sum().compute().tolist()
    [3, 0, 4]
    """

    def __init__(self, part: Any, times: Series, spans: Spans, chosen: Any = None) -> None:
        self._part = part
        self._times = times
        self._spans = spans
        self._chosen = chosen

    def __getitem__(self, key: Any) -> Resampler:
        for label in key if isinstance(key, list) else [key]:
            self._part._place(label)
        return Resampler(self._part, self._times, self._spans, key)

    def __getattr__(self, name: str) -> Any:
        if name in _REDUCTIONS:
            return lambda: self.agg(name)
        if not name.startswith("_") and name in getattr(self._part, "columns", ()):
            return self[name]
        raise _meta.unavailable("resample", name, _REDUCTIONS, pd.api.typing.Resampler)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_REDUCTIONS})

    def agg(self, func: Any = None, **named: Any) -> Any:
        """Reductions of the rows of each span; see :meth:`DataFrameGroupBy.agg`."""
        frame, number = self._numbered()
        groups = frame.groupby(number)
        if self._chosen is not None:
            groups = groups[self._chosen]
        elif hasattr(self._part, "_expr"):
            groups = groups[frame.columns[0]]
        found = groups.size() if func == "size" else groups.agg(func, **named)
        if hasattr(self._part, "_expr") and hasattr(found, "_expr"):
            found = found.rename(self._part.name)
        filled = self._filled(found)
        empty = _OF_NONE.get(func) if isinstance(func, str) else None
        if empty is None:
            return filled
        kept = found._meta.dtype if hasattr(filled, "_expr") else None
        whole = filled.fillna(empty)
        return whole.astype(kept) if kept is not None and _kinds.kind_of(kept) == "int" else whole

    aggregate = agg

    def ohlc(self) -> Any:
        """The first, largest, smallest and last value of each span of a column."""
        return self.agg(["first", "max", "min", "last"]).rename(
            columns={"first": "open", "max": "high", "min": "low", "last": "close"}
        )

    def _numbered(self) -> tuple[Any, Series]:
        """The rows, and the number of each one's span over the same rows."""
        frame = self._part.to_frame("value") if hasattr(self._part, "_expr") else self._part
        labels, name = list(frame.columns), _tree.fresh("time")
        frame = frame._of([*frame._columns(), self._times], [*labels, name])
        # What is first in a span is so by its time; no rows are sorted for anything else.
        frame = frame.sort_values(name)
        number = self._spans.number(frame[name])
        if number is None:
            frame, number = self._spans.found(frame, name)
        return frame[labels], number.rename(name)

    def _filled(self, found: Any) -> Any:
        """The result with all spans, in their order."""
        from millstream.dataframe._read import from_pandas

        labels = self._spans.labels
        label = _tree.fresh("label")
        spans = from_pandas(pd.DataFrame({label: labels}, index=range(len(labels))), client=self._part._client)
        is_column = hasattr(found, "_expr")
        frame = found.to_frame("value") if is_column else found
        joined = spans.join(frame).sort_index().set_index(label).rename_axis(self._name())
        return joined["value"].rename(found.name) if is_column else joined

    def _name(self) -> Hashable:
        return self._times.name


def resampled(part: Any, rule: Any, on: Hashable | None, options: dict[str, Any]) -> Resampler:
    """The rows of a part in spans of time.

    Raises
    ------
    TypeError
        If there are no times.
    """
    if on is None:
        times = part.index._level(0)
    else:
        times = part._column(part._place(on))
        part = part.drop(columns=[on])
    if _kinds.kind_of(times.dtype) != "datetime":
        raise TypeError(f"Only valid with a column or an index of times, got {times.dtype}")
    given = {name: value for name, value in options.items() if value is not None}
    first, last = (getattr(times, name)().compute() for name in ("min", "max"))
    if pd.isna(first):
        raise ValueError("there are no times to make spans of")
    return Resampler(part, times, Spans.over(first, last, rule, given))
