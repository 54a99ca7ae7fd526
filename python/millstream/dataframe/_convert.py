"""Columns of texts as times and numbers."""

from __future__ import annotations

from typing import Any

from millstream.dataframe import _kinds
from millstream.dataframe._expr import cast
from millstream.dataframe._series import Series


def to_datetime(arg: Any, *, errors: str = "raise", format: str | None = None, unit: str | None = None) -> Any:  # noqa: A002
    """Return a column of ISO 8601 texts, or of numbers of a unit since 1970, as times.

    Parameters
    ----------
    arg : Series
        The column.
    errors : str
        ``"raise"``, or ``"coerce"`` for nothing in the place of what is no time.
    format : str, optional
        The format of texts, for ``strptime``.
    unit : str, optional
        ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``, of numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> texts = ms.from_pandas(pd.Series(["2024-02-29"]))
    >>> ms.to_datetime(texts).dt.day.compute().item()
    29
    """
    column = _column(arg, "to_datetime", errors)
    kind = _kinds.kind_of(column.dtype)
    if kind == "datetime":
        return column
    or_null = errors == "coerce"
    if kind in ("int", "float"):
        name = f"datetime64[{_unit(unit or 'ns')}]"
        return column._typed(cast(cast(column._expr, "int64"), f"timestamp[{unit or 'ns'}]"), name)
    if unit is not None or kind not in ("str", "object"):
        raise TypeError(f"there are no times in a column of {column.dtype}")
    if format is not None:
        raise NotImplementedError("to_datetime(format=) is not available: of texts only ISO 8601 is read")
    return column._typed(cast(column._expr, "timestamp[us]", or_null=or_null), "datetime64[us]")


def to_timedelta(arg: Any, unit: str = "ns", errors: str = "raise") -> Any:
    """Return a column of whole numbers of a unit as durations."""
    column = _column(arg, "to_timedelta", errors)
    if _kinds.kind_of(column.dtype) != "int":
        raise NotImplementedError(f"to_timedelta takes a column of whole numbers, got {column.dtype}")
    return column._typed(cast(cast(column._expr, "int64"), f"duration[{_unit(unit)}]"), f"timedelta64[{unit}]")


def to_numeric(arg: Any, errors: str = "raise") -> Any:
    """Return a column of texts as numbers, always with a fraction.

    Examples
    --------
    >>> import pandas as pd
    >>> texts = ms.from_pandas(pd.Series(["1.5", "x"]))
    >>> ms.to_numeric(texts, errors="coerce").isna().compute().tolist()
    [False, True]
    """
    column = _column(arg, "to_numeric", errors)
    if _kinds.is_number(column.dtype):
        return column
    return column._typed(cast(column._expr, "float64", or_null=errors == "coerce"), "float64")


def _column(arg: Any, name: str, errors: str) -> Series:
    if errors not in ("raise", "coerce"):
        raise ValueError(f"errors is 'raise' or 'coerce', got {errors!r}")
    if not isinstance(arg, Series):
        raise TypeError(
            f"{name} takes a column on the cluster, got {type(arg).__name__}: pandas has pd.{name} for others"
        )
    return arg


def _unit(unit: str) -> str:
    if unit not in ("s", "ms", "us", "ns"):
        raise NotImplementedError(f"unit is 's', 'ms', 'us' or 'ns', got {unit!r}")
    return unit
