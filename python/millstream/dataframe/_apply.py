# mypy: disable-error-code="no-any-return"
"""Methods that call a user's functions, in Python tasks of the cluster.

What a function returns is foretold by calling it with two rows of a sample, in this process, unless `meta` tells it.
Functions may be called several times for the same rows: each computation calls them anew, and so does a retry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream._functions import carry
from millstream.dataframe import _calls, _meta
from millstream.dataframe._calls import OfGroups, OfMethod, OfPart
from millstream.dataframe._expr import both, not_null

if TYPE_CHECKING:
    from millstream.bag import Bag
    from millstream.dataframe._groupby import DataFrameGroupBy
    from millstream.dataframe._series import Series

carry(_calls)


class Applied:
    """What frames and columns have in common."""

    def map_partitions(self: Any, func: Callable[..., Any], *args: Any, meta: Any = None, **kwargs: Any) -> Any:
        """Return what a function makes of each part of the rows, one after the other.

        Parameters
        ----------
        func : callable
            It is called with a pandas object of the same columns and index as this one, and with the other
            arguments, and returns a frame, a column or a value. How many parts there are is the cluster's choice.
        meta : object, optional
            What it returns: an empty pandas object, types by name, or a pair of a name and a type. By default that
            is told by calling it with a sample of two rows, in this process.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = ms.from_pandas(pd.DataFrame({"n": [1, 2, 3]}))
        >>> frame.map_partitions(lambda part: part[part.n > 1]).compute().n.tolist()
        [2, 3]
        """
        from millstream.dataframe import _python

        _python.check_arguments(args, kwargs)
        call = OfPart(func, args, kwargs)
        shown = _python.foretold(meta, call, _python.sample_of(self), "map_partitions")
        return _python.table_of_parts(self, call, shown)

    def to_delayed(self: Any) -> list[Any]:
        """Compute it, and return its parts as delayed pandas objects.

        The parts stay on the cluster while the delayed values, or what is made of them, are there.

        Examples
        --------
        >>> import pandas as pd
        >>> parts = ms.from_pandas(pd.Series([1, 2])).to_delayed()
        >>> sum(part.sum().compute().item() for part in parts)
        3
        """
        from millstream import delayed
        from millstream.dataframe import _break, _parts, _python, _run, _tree

        named, layout = _python.layout_of(self)
        columns = [*named, (layout.position, self._rows.position)]
        root = _tree.project(self._rows.node, columns)
        task = partial(_parts.load, layout)
        return [delayed(future) for future in _break.parts_of(_run.current(self._client), root, task)]

    def to_bag(self: Any, index: bool = False, format: str = "tuple") -> Bag:  # noqa: A002 - Dask's name
        """Compute it, and return its rows as a bag, with a partition for each part.

        Parameters
        ----------
        index : bool
            Whether tuples begin with the label of the row.
        format : str
            ``"tuple"``, or ``"dict"`` of the columns by name; a column's items are its values.

        Examples
        --------
        >>> import pandas as pd
        >>> ms.from_pandas(pd.DataFrame({"n": [1], "word": ["a"]})).to_bag(format="dict").compute()
        [{'n': 1, 'word': 'a'}]
        """
        from millstream import bag, delayed

        if format not in ("tuple", "dict"):
            raise ValueError(f"format is 'tuple' or 'dict', got {format!r}")
        items = delayed(_calls.items_of)
        return bag.from_delayed([items(part, index, format) for part in self.to_delayed()])


class FrameApplied(Applied):
    """Methods of frames."""

    def apply(
        self: Any,
        func: Callable[..., Any],
        axis: Any = 0,
        raw: bool = False,
        result_type: str | None = None,
        args: Sequence[Any] = (),
        *,
        meta: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Return what a function makes of each row, for ``axis=1``: a value, or a pandas column of several.

        Parameters
        ----------
        func : callable
            It is called with a row, and with the other arguments.
        axis : int or str
            1, for rows; functions of whole columns are reductions, which have methods of their own.
        raw, result_type, args
            As in pandas.
        meta : object, optional
            What it returns; see :meth:`map_partitions`.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = ms.from_pandas(pd.DataFrame({"a": [1, 2], "b": [3, 4]}))
        >>> frame.apply(lambda row: row.a * row.b, axis=1).compute().tolist()
        [3, 8]
        """
        from millstream.dataframe import _python

        if axis not in (1, "columns"):
            raise NotImplementedError(
                "apply(axis=0) calls functions with whole columns, which are in parts here: use agg(), or "
                "map_partitions() for functions of parts; apply(axis=1) calls them with rows"
            )
        _python.check_arguments(args, kwargs)
        options = {"axis": 1, "raw": raw, "result_type": result_type, "args": tuple(args), **kwargs}
        call = OfMethod("apply", [func], options)
        shown = _python.foretold(meta, call, _python.sample_of(self), "apply")
        return _python.values_of_rows(self, call, shown)

    def map(
        self: Any, func: Callable[..., Any], na_action: str | None = None, *, meta: Any = None, **kwargs: Any
    ) -> Any:
        """Return what a function makes of each value; see :meth:`Series.map`."""
        from millstream.dataframe import _python

        _python.check_arguments((), kwargs)
        call = OfMethod("map", [func], {"na_action": na_action, **kwargs})
        shown = _python.foretold(meta, call, _python.sample_of(self), "map")
        return _python.values_of_rows(self, call, shown)


class SeriesApplied(Applied):
    """Methods of columns."""

    def apply(
        self: Any,
        func: Callable[..., Any] | str,
        args: Sequence[Any] = (),
        *,
        meta: Any = None,
        by_row: Any = "compat",
        **kwargs: Any,
    ) -> Any:
        """Return what a function makes of each value.

        Parameters
        ----------
        func : callable or str
            It is called with a value, and with the other arguments; or the name of a method.
        args : sequence
            Further arguments.
        meta : object, optional
            What it returns; see :meth:`map_partitions`.
        by_row : str
            Only that: functions of whole columns are for `map_partitions`.

        Examples
        --------
        >>> import pandas as pd
        >>> ms.from_pandas(pd.Series(["a", "bc"])).apply(len).compute().tolist()
        [1, 2]
        """
        from millstream.dataframe import _python

        _meta.only(by_row=(by_row, "compat"))
        if isinstance(func, str):
            return getattr(self, func)(*args, **kwargs)
        _python.check_arguments(args, kwargs)
        call = OfMethod("apply", [func], {"args": tuple(args), **kwargs})
        shown = _python.foretold(meta, call, _python.sample_of(self), "apply")
        return _python.values_of_rows(self, call, shown)


def mapped(column: Series, function: Callable[[Any], Any], na_action: str | None, meta: Any) -> Any:
    """What a function makes of each value of a column."""
    from millstream.dataframe import _python

    call = OfMethod("map", [function], {"na_action": na_action})
    shown = _python.foretold(meta, call, _python.sample_of(column), "map")
    return _python.values_of_rows(column, call, shown)


def of_groups(
    groups: DataFrameGroupBy,
    place: int | None,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    meta: Any,
    method: str = "apply",
) -> Any:
    """What a function makes of each group: for `apply` anything, for `transform` a value for each row.

    Groups are of the column at a place, or of all columns that are no keys.
    """
    from millstream.dataframe import _python

    if not groups._as_index or not groups._sort:
        raise NotImplementedError(f"{method} of a function needs as_index=True and sort=True: reset_index() afterwards")
    _python.check_arguments(args, kwargs)
    frame, keys = groups._frame, groups._key_columns
    places = groups._places() if place is None else [place]
    chosen = [frame._column(one) for one in places]
    labels = [*frame.columns[places], *(f"__key_{place}__" for place in range(len(keys)))]
    part = frame._of([*chosen, *keys], labels)
    names = [key.name for key in keys]
    call = OfGroups(method, names, place is not None, function, args, kwargs, dropna=groups._dropna)
    shown = _python.foretold(meta, call, _python.sample_of(part), f"groupby.{method}")
    exprs = [key._expr for key in keys]
    if method == "transform":
        return _python.values_of_rows(part, call, shown, exprs)
    if groups._dropna:
        # A part of nothing but rows without a key has no group to tell columns by.
        part = part._taken(part._rows.filtered(both(*(not_null(expr) for expr in exprs))))
    return _python.table_of_groups(part, call, shown, exprs, len(keys))
