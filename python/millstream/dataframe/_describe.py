"""Summaries of columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _kinds, _meta, _tree
from millstream.dataframe._expr import Expr, cast
from millstream.dataframe._reduce import Collector, Reduced, reduced, stacked
from millstream.dataframe._rows import numbered

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series

_QUARTILES = (0.25, 0.5, 0.75)


def described(column: Series, percentiles: Iterable[float] | None = None) -> Series:
    """A summary of one column."""
    frame = of_frame(column.to_frame("0"), percentiles)
    result = frame["0"]
    return result._derived(result._expr, result._meta.rename(column.name))  # type: ignore[no-any-return]


def of_frame(frame: DataFrame, percentiles: Iterable[float] | None = None) -> DataFrame:
    """A summary of a frame's columns of numbers.

    Raises
    ------
    NotImplementedError
        If there are none.
    """
    from millstream.dataframe._frame import DataFrame

    numeric = [c for c in frame._columns() if _kinds.kind_of(c.dtype) in ("int", "float")]
    if not numeric:
        raise NotImplementedError("describe is for columns of numbers: use value_counts() or nunique() for others")
    shares = list(_QUARTILES if percentiles is None else percentiles)
    names = [column.name for column in numeric]
    meta = _meta.applied(lambda: _meta.sample(frame._meta[names]).describe(percentiles=shares))
    specs = _specs(list(meta.index), shares)
    to = Collector()
    columns: list[list[Expr]] = []
    for column in numeric:
        asked = [(name, Reduced(column._operand, (), options)) for name, options in specs]
        columns.append([cast(reduced(name, to, one), "float64") for name, one in asked])
    node, place, (label, *values) = stacked(to.table(frame._rows.node), list(meta.index), columns)
    rows = numbered(_tree.sort(node, [_tree.sort_key(place)]))
    return DataFrame(rows, [label], values, meta[:0], frame._client)


def _specs(labels: list[str], shares: Iterable[float]) -> list[tuple[str, dict[str, Any]]]:
    by_text = {text: share for share, text in zip(sorted(shares), [x for x in labels if x.endswith("%")], strict=False)}
    return [("quantile", {"q": by_text[label]}) if label in by_text else (label, {}) for label in labels]


def common_type(dtypes: Iterable[Any]) -> Any:
    """The type of a column of values of several types.

    Raises
    ------
    NotImplementedError
        If they have none in common.
    """
    listed = list(dtypes)
    kinds = {_kinds.kind_of(dtype) for dtype in listed}
    if len(kinds) > 1 and not kinds <= {"int", "float"}:
        raise NotImplementedError(
            f"one column cannot hold {' and '.join(sorted(kinds))} values: choose columns of one kind, or "
            "numeric_only=True"
        )
    return pd.concat(
        [pd.Series([0, 0]).astype(dtype) if _kinds.is_number(dtype) else pd.Series([], dtype=dtype) for dtype in listed]
    ).dtype
