"""Values of a column as columns, and back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _kinds, _meta, _reshape, _tree
from millstream.dataframe._expr import cast
from millstream.dataframe._rows import numbered

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series


def pivot(frame: DataFrame, columns: Hashable, index: Any, values: Any) -> DataFrame:
    """A table of two keys with one value of each pair; which columns there are is computed now.

    Raises
    ------
    ValueError
        If there are several values of a pair.
    """
    if isinstance(columns, list) or index is None or values is None:
        raise NotImplementedError("pivot takes index, values and one label as columns: else use groupby and unstack")
    keys = [*(index if isinstance(index, list) else [index]), columns]
    if (frame.groupby(keys, dropna=False).size().max().compute() or 0) > 1:
        raise ValueError("Index contains duplicate entries, cannot reshape")
    return _reshape.pivoted(frame, values, index, columns, "first", None)


def unstack(column: Series, level: Any, fill_value: Any) -> DataFrame:
    """A level of a column's index as columns; which there are is computed now."""
    names = list(column._meta.index.names)
    if len(names) < 2:
        raise ValueError(f"index must be a MultiIndex to unstack, {type(column._meta.index)} was passed")
    place = names.index(level) if level in names and level is not None else int(level) % len(names)
    frame = column.to_frame("value")
    labels = [f"__level_{at}__" for at in range(len(names))]
    levels = [column.index._level(at) for at in range(len(names))]
    plain = frame._of([*(one.rename(label) for one, label in zip(levels, labels, strict=True)), frame["value"]])
    rest = [label for at, label in enumerate(labels) if at != place]
    found = pivot(plain, labels[place], rest[0] if len(rest) == 1 else rest, "value")
    kept = [name for at, name in enumerate(names) if at != place]
    meta = found._meta.copy()
    meta.index = meta.index.set_names(kept if len(kept) > 1 else kept[0])
    meta.columns = meta.columns.rename(names[place])
    found._meta = meta
    return found if fill_value is None else found.fillna(fill_value)


def stack(frame: DataFrame) -> Series:
    """The columns of each row one below the other, under labels of the row and of the column."""
    from millstream.dataframe._describe import common_type
    from millstream.dataframe._reduce import stacked
    from millstream.dataframe._series import Series

    if frame._meta.columns.nlevels > 1 or not len(frame._meta.columns):
        raise NotImplementedError("stack is for frames whose columns have one level: use melt()")
    dtype = common_type(list(frame._meta.dtypes))
    exprs = [cast(e, "float64") if _kinds.kind_of(dtype) == "float" else e for e in frame._exprs]
    node, place, (label, value) = stacked(frame._rows.node, list(frame._meta.columns), [exprs])
    rows = numbered(_tree.sort(node, [*frame._rows.order, _tree.sort_key(place)]))
    sampled = _meta.sample(frame._meta).set_axis(_meta.sample_index(frame._meta.index), axis=0)
    index = _meta.applied(lambda: sampled.stack()).index[:0]
    meta = _meta.series(dtype, None, index)
    return Series(rows, [*frame._index, label], value, meta, frame._client)


def get_dummies(
    data: Any,
    prefix: Any = None,
    prefix_sep: str = "_",
    dummy_na: bool = False,
    columns: Sequence[Hashable] | None = None,
    sparse: bool = False,
    drop_first: bool = False,
    dtype: Any = bool,
) -> DataFrame:
    """Return a column for each value of a column, which says where it is; which values there are is computed now.

    Parameters
    ----------
    data : DataFrame or Series
        The column, or a frame whose columns of texts are replaced.
    prefix, prefix_sep
        What the names begin with: by default, in a frame, the name of the column.
    dummy_na : bool
        Whether there is a column for missing values.
    columns : list of labels, optional
        Which columns of a frame instead.
    drop_first : bool
        Whether the first value has no column.
    dtype : type
        Of the new columns.

    Examples
    --------
    >>> import pandas as pd
    >>> found = ms.dataframe.get_dummies(ms.from_pandas(pd.Series(["a", "b", "a"])))
    >>> found.compute().a.tolist()
    [True, False, True]
    """
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series

    if sparse:
        raise NotImplementedError("sparse=True is not available: columns are plain")
    options = {"drop_first": drop_first, "dummy_na": dummy_na, "dtype": dtype}
    if isinstance(data, Series):
        made = _dummies(
            data, "" if prefix is None else f"{prefix}{prefix_sep}", has_prefix=prefix is not None, **options
        )
        return data.to_frame()._of(made)
    if not isinstance(data, DataFrame):
        raise TypeError(f"get_dummies takes a frame or a column on the cluster, got {type(data).__name__}")
    if columns is None:
        chosen = [c for c in data.columns if _kinds.kind_of(data._meta[c].dtype) in ("str", "object", "category")]
    else:
        chosen = list(columns)
    prefixes = _prefixes(prefix, chosen)
    found = [data._column(data._place(label)) for label in data.columns if label not in chosen]
    for label, first in zip(chosen, prefixes, strict=True):
        column = data._column(data._place(label))
        found += _dummies(column, f"{first}{prefix_sep}", has_prefix=True, **options)
    return data._of(found)


def _prefixes(prefix: Any, columns: Sequence[Hashable]) -> list[Any]:
    if prefix is None:
        return list(columns)
    if isinstance(prefix, dict):
        return [prefix[label] for label in columns]
    prefixes = [prefix] * len(columns) if isinstance(prefix, str) else list(prefix)
    if len(prefixes) != len(columns):
        raise ValueError(f"there are {len(prefixes)} prefixes for {len(columns)} columns")
    return prefixes


def _dummies(
    column: Series, prefix: str, *, has_prefix: bool, drop_first: bool, dummy_na: bool, dtype: Any
) -> list[Series]:
    values = list(column.dropna().unique().compute().sort_values())
    missing = float("nan")
    wanted = [*values, *([missing] if dummy_na else [])][1 if drop_first else 0 :]
    made = []
    for value in wanted:
        is_missing = pd.isna(value)
        found = column.isna() if is_missing else column == value
        name = f"{prefix}{'nan' if is_missing else value}" if has_prefix else value
        made.append(found.astype(dtype).rename(name))
    return made
