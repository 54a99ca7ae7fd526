"""Families of pandas types, and the names of Arrow's types for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

_OF_LETTERS = {"b": "bool", "i": "int", "u": "int", "f": "float", "M": "datetime", "m": "duration"}
_PLAIN = {"bool": "bool", "str": "string", "object": "string"}


def kind_of(dtype: Any) -> str:
    """`bool`, `int`, `float`, `str`, `datetime`, `duration`, `category` or `object`."""
    if dtype is None:
        return "object"
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "datetime"
    if isinstance(dtype, pd.StringDtype):
        return "str"
    if isinstance(dtype, pd.ArrowDtype):
        if pd.api.types.is_string_dtype(dtype):
            return "str"
        if dtype.kind == "O":
            return "object"
    return _OF_LETTERS.get(getattr(dtype, "kind", "O"), "object")


def is_number(dtype: Any) -> bool:
    """Whether pandas calculates with it as with a number; bools count as such."""
    return kind_of(dtype) in ("bool", "int", "float")


def unit_of(dtype: Any) -> str:
    """The unit of a time or a duration."""
    unit = getattr(dtype, "unit", None)
    return unit if isinstance(unit, str) else np.datetime_data(dtype)[0]


def arrow_type(dtype: Any) -> str:
    """The name of the Arrow type that holds values of a pandas type.

    Raises
    ------
    NotImplementedError
        If there is none.
    """
    kind = kind_of(dtype)
    if isinstance(dtype, pd.ArrowDtype):
        return str(dtype.pyarrow_dtype)
    if kind == "datetime":
        zone = getattr(dtype, "tz", None)
        return f"timestamp[{unit_of(dtype)}]" if zone is None else f"timestamp[{unit_of(dtype)}, {zone}]"
    if kind == "duration":
        return f"duration[{unit_of(dtype)}]"
    if kind in ("int", "float"):
        return str(getattr(dtype, "numpy_dtype", dtype))
    if kind in _PLAIN:
        return _PLAIN[kind]
    raise NotImplementedError(f"there is no column type for {dtype}: use one of its plain types, or compute() first")
