"""Rows by their labels and by their places."""

from __future__ import annotations

from typing import Any

import pandas as pd

from millstream.dataframe import _expr
from millstream.dataframe._expr import both, call


class Loc:
    """Rows by label or condition, and columns by name: ``frame.loc[rows, columns]``.

    Slices of labels take the rows whose labels lie between the two, which is what pandas does with a sorted index.
    """

    def __init__(self, part: Any) -> None:
        self._part = part

    def __getitem__(self, key: Any) -> Any:
        from millstream.dataframe._frame import DataFrame

        part = self._part
        if isinstance(part, DataFrame) and isinstance(key, tuple):
            rows, columns = _pair(key)
            part = _selected(part, columns)
            return part if _is_all(rows) else Loc(part)[rows]
        if callable(key) and not hasattr(key, "_expr"):
            key = key(part)
        if hasattr(key, "_as_mask"):
            return part[key]
        return part._taken(part._rows.filtered(self._condition(key)))

    def __setitem__(self, key: Any, value: Any) -> None:
        from millstream.dataframe._frame import DataFrame

        part = self._part
        if not isinstance(part, DataFrame):
            raise NotImplementedError("columns do not change: assign series.mask(condition, value) to a name")
        rows, columns = _pair(key) if isinstance(key, tuple) else (key, slice(None))
        labels = list(part.columns) if _is_all(columns) else (columns if isinstance(columns, list) else [columns])
        for label in labels:
            if _is_all(rows):
                part[label] = value
                continue
            mask = self._mask(rows)
            if label in part.columns:
                part[label] = part[label].mask(mask, value)
            else:
                part[label] = (value if hasattr(value, "_expr") else part._constant(value)).where(mask)

    def _mask(self, key: Any) -> Any:
        from millstream.dataframe._frame import scalar_column

        if callable(key) and not hasattr(key, "_expr"):
            key = key(self._part)
        if hasattr(key, "_as_mask"):
            return key
        return scalar_column(self._part, self._condition(key), "bool")

    def _condition(self, key: Any) -> dict[str, Any]:
        """Whether a row has the labels."""
        column = self._part.index._column
        if isinstance(key, slice):
            if key.step is not None:
                raise NotImplementedError("slices of labels have no step")
            bounds = []
            if key.start is not None:
                bounds.append((column >= key.start)._expr)
            if key.stop is not None:
                bounds.append((column <= _last_instant(column, key.stop))._expr)
            return both(*bounds) if bounds else _expr.TRUE
        if isinstance(key, list | pd.Index):
            if any(isinstance(one, bool) for one in key):
                raise NotImplementedError(
                    "rows are chosen by a column of bools of the same frame, not by a list of bools"
                )
            return column.isin(list(key))._expr  # type: ignore[no-any-return]
        if isinstance(column.dtype, pd.CategoricalDtype) or isinstance(key, tuple):
            raise NotImplementedError("rows are chosen by labels of an index of one level")
        if isinstance(key, str) and isinstance(column.index._meta, pd.DatetimeIndex):
            period = pd.Period(key)
            start, end = column >= period.start_time, column <= period.end_time
            return call("and", start._expr, end._expr)
        return (column == key)._expr  # type: ignore[no-any-return]


def _last_instant(column: Any, stop: Any) -> Any:
    """A text of a day or a month as the end of a slice means all of it."""
    is_text = isinstance(stop, str) and isinstance(column.index._meta, pd.DatetimeIndex)
    return pd.Period(stop).end_time if is_text else stop


class Iloc:
    """Rows by their place: slices, a number, or a list of numbers; and columns by theirs."""

    def __init__(self, part: Any) -> None:
        self._part = part

    def __getitem__(self, key: Any) -> Any:
        from millstream.dataframe._frame import DataFrame

        part = self._part
        if isinstance(part, DataFrame) and isinstance(key, tuple):
            rows, columns = _pair(key)
            places = range(len(part.columns))
            if isinstance(columns, int):
                part = part._column(places[columns])
            else:
                chosen = places[columns] if isinstance(columns, slice) else [places[place] for place in columns]
                part = part._of([part._column(place) for place in chosen])
            return part if _is_all(rows) else Iloc(part)[rows]
        if isinstance(key, slice):
            return _sliced(part, key)
        if isinstance(key, int):
            # As in pandas one row is a value of a column, or a column of a frame's values.
            found = _sliced(part, slice(key, key + 1 if key != -1 else None)).compute()
            return found.iloc[0]
        raise NotImplementedError("rows are chosen by a slice of places or by one: use loc with labels, or compute()")


def _sliced(part: Any, key: slice) -> Any:
    if key.step not in (None, 1):
        raise NotImplementedError("slices of rows have no step")
    start, stop = key.start or 0, key.stop
    if start >= 0 and (stop is None or stop >= 0):
        return part._taken(part._rows.sliced(start, None if stop is None else max(0, stop - start)))
    if start < 0 and stop is None:
        return part._taken(part._rows.last(-start))
    first, last, _ = slice(start, stop).indices(len(part))
    return part._taken(part._rows.sliced(first, max(0, last - first)))


def _pair(key: tuple[Any, ...]) -> tuple[Any, Any]:
    if len(key) != 2:
        raise NotImplementedError("rows and columns are one key each; labels of several levels cannot be looked up")
    return key[0], key[1]


def _is_all(key: Any) -> bool:
    return isinstance(key, slice) and key == slice(None)


def _selected(frame: Any, columns: Any) -> Any:
    """The columns of a key of `loc`."""
    if isinstance(columns, slice):
        labels = frame._meta.columns
        chosen = labels[labels.slice_indexer(columns.start, columns.stop, columns.step)]
        return frame[list(chosen)]
    return frame[list(columns) if isinstance(columns, pd.Index) else columns]
