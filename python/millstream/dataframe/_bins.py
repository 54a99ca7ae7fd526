"""Values in intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from millstream.dataframe import _expr, _kinds
from millstream.dataframe._expr import Operand, case, is_null, lit

if TYPE_CHECKING:
    from millstream.dataframe._series import Series


def cut(
    x: Series,
    bins: Any,
    right: bool = True,
    labels: Any = None,
    retbins: bool = False,
    precision: int = 3,
    include_lowest: bool = False,
    duplicates: str = "raise",
    ordered: bool = True,
) -> Any:
    """Return the interval in which each value of a column lies.

    Where pandas has categories, which know their order, these are plain values: texts of intervals such as
    ``"(0, 10]"``, or the labels. ``labels=False`` gives numbers, whose order is that of the intervals.

    Parameters
    ----------
    x : Series
        A column of numbers or times.
    bins : int or sequence
        The edges of the intervals, or how many there are between the smallest and the largest value, which are
        computed now.
    right, include_lowest, precision, duplicates
        As in pandas.
    labels : sequence or False, optional
        What the intervals are called, or False for their numbers, from 0.
    retbins : bool
        Whether the edges are returned, too.
    ordered : bool
        For what calls pandas.

    Examples
    --------
    >>> import pandas as pd
    >>> ages = ms.from_pandas(pd.Series([3, 30, 70]))
    >>> ms.dataframe.cut(ages, [0, 18, 99], labels=["child", "adult"]).compute().tolist()
    ['child', 'adult', 'adult']
    """
    column = _checked(x, "cut")
    if isinstance(bins, pd.IntervalIndex):
        raise NotImplementedError("bins are edges or a number of intervals")
    shown = pd.Series([], dtype=column.dtype)
    if np.ndim(bins) == 0:
        ends = [column.min().compute(), column.max().compute()]
        if any(map(pd.isna, ends)):
            raise ValueError("Cannot cut empty array")
        shown = pd.Series(ends, dtype=column.dtype)
    options = {"right": right, "labels": labels, "precision": precision, "include_lowest": include_lowest}
    made, edges = pd.cut(shown, bins, **options, duplicates=duplicates, ordered=ordered, retbins=True)
    names = range(len(edges) - 1) if labels is False else list(made.cat.categories) if labels is None else list(labels)
    found = _binned(column, list(edges), names, right=right, include_lowest=include_lowest)
    return (found, edges) if retbins else found


def qcut(
    x: Series, q: Any, labels: Any = None, retbins: bool = False, precision: int = 3, duplicates: str = "raise"
) -> Any:
    """Return the interval between quantiles in which each value of a column lies; see :func:`cut`.

    Parameters
    ----------
    x : Series
        A column of numbers.
    q : int or sequence
        How many intervals, or the quantiles, which are computed now.
    labels, retbins, precision, duplicates
        As for :func:`cut`.

    Examples
    --------
    >>> import pandas as pd
    >>> ms.dataframe.qcut(ms.from_pandas(pd.Series([1, 2, 3, 9])), 2, labels=False).compute().tolist()
    [0, 0, 1, 1]
    """
    column = _checked(x, "qcut")
    shares = np.linspace(0, 1, q + 1) if np.ndim(q) == 0 else np.asarray(q)
    edges = column.quantile(list(shares)).compute().to_numpy()
    # What pandas calls the intervals, it tells by the values at their edges.
    made, edges = pd.cut(
        pd.Series(edges), edges, labels=labels, precision=precision, include_lowest=True, duplicates=duplicates,
        retbins=True,
    )  # fmt: skip
    names = range(len(edges) - 1) if labels is False else list(made.cat.categories) if labels is None else list(labels)
    found = _binned(column, list(edges), names, right=True, include_lowest=True)
    return (found, edges) if retbins else found


def _checked(x: Any, name: str) -> Series:
    from millstream.dataframe._series import Series

    if not isinstance(x, Series):
        raise TypeError(
            f"{name} takes a column on the cluster, got {type(x).__name__}: pandas has pd.{name} for others"
        )
    if _kinds.kind_of(x.dtype) not in ("int", "float", "bool", "datetime", "duration"):
        raise TypeError(f"{name} is for numbers and times, got {x.dtype}")
    return x


def _binned(column: Series, edges: Sequence[Any], names: Sequence[Any], *, right: bool, include_lowest: bool) -> Series:
    """For each value the name of the interval that it lies in."""

    def is_before(edge: Any, *, or_at: bool) -> Any:
        return _expr.compare("le" if or_at else "lt", column._operand, _literal(column, edge))

    plain = [str(name) if isinstance(name, pd.Interval) else name for name in names]
    cases = [(is_null(column._expr), _expr.NULL)]
    cases.append((is_before(edges[0], or_at=right and not include_lowest), _expr.NULL))
    cases += [(is_before(edge, or_at=right), lit(name)) for edge, name in zip(edges[1:], plain, strict=True)]
    return column._typed(case(cases), pd.Series(plain).dtype if plain else "str")


def _literal(column: Series, edge: Any) -> Operand:
    return _expr.literal(edge, column.dtype)
