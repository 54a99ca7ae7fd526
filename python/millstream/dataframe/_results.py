"""Computed tables as pandas objects of the types that were foretold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from millstream.dataframe._kinds import kind_of
from millstream.dataframe._views import readable

if TYPE_CHECKING:
    import pyarrow as pa


def column(values: pa.ChunkedArray, dtype: Any) -> pd.Series[Any]:
    """An Arrow column as pandas has one of this type; missing values make floats of integers."""
    kind = kind_of(dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        return _category(values, dtype)
    if isinstance(dtype, pd.ArrowDtype):
        return pd.Series(dtype.__from_arrow__(values.cast(dtype.pyarrow_dtype)))
    plain = values.cast(readable(values.type)).to_pandas()
    is_extension = isinstance(dtype, pd.api.extensions.ExtensionDtype)
    if str(values.type) == "bool" and values.null_count and not is_extension:
        return _with_nan(plain)
    if plain.dtype == dtype:
        return plain
    if kind == "object":
        return plain.astype(object)
    if kind in ("datetime", "duration", "str") or is_extension:
        return plain.astype(dtype)
    if kind == "float":
        return pd.to_numeric(plain).astype(dtype) if kind_of(plain.dtype) == "object" else plain.astype(dtype)
    if values.null_count:
        # Integers are floats then, as in pandas.
        return plain.astype("float64")
    return plain.astype(dtype) if _fits(plain, kind) else plain


def _with_nan(plain: pd.Series[Any]) -> pd.Series[Any]:
    """Bools with NaN for what is missing, which is what pandas makes of such columns."""
    made = plain.astype(object)
    return made.where(made.notna(), np.nan)


def _fits(plain: pd.Series[Any], kind: str) -> bool:
    if kind == "int" and kind_of(plain.dtype) == "float":
        return bool(np.isfinite(plain).all() and (plain % 1 == 0).all())
    return True


def _category(values: pa.ChunkedArray, dtype: pd.CategoricalDtype) -> pd.Series[Any]:
    plain = values.to_pandas()
    if isinstance(dtype.categories, pd.IntervalIndex):
        # An interval travels as its text.
        places = {str(interval): place for place, interval in enumerate(dtype.categories)}
        codes = [places.get(value, -1) for value in plain]
        return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype))
    return plain.astype(dtype)


def index(columns: list[pa.ChunkedArray], meta: pd.Index) -> pd.Index:
    """Arrow columns as an index like `meta`."""
    if isinstance(meta, pd.MultiIndex):
        levels = [column(values, level.dtype) for values, level in zip(columns, meta.levels, strict=True)]
        return pd.MultiIndex.from_arrays(levels, names=meta.names)
    dtype = np.dtype("int64") if isinstance(meta, pd.RangeIndex) else meta.dtype
    return pd.Index(column(columns[0], dtype)).rename(meta.name)


def backed(table: Any, dtype_backend: str) -> Any:
    """A pandas object with the types of a backend.

    Raises
    ------
    ValueError
        If there is no such backend.
    """
    if dtype_backend in ("pyarrow", "numpy_nullable"):
        return table.convert_dtypes(dtype_backend=dtype_backend)
    raise ValueError(f"dtype_backend is 'numpy', 'pyarrow' or 'numpy_nullable', got {dtype_backend!r}")
