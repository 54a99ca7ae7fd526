# mypy: disable-error-code="no-any-return"
"""Groups of rows with equal keys."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _meta, _tree
from millstream.dataframe._expr import agg, both, not_null
from millstream.dataframe._group_values import GroupValues
from millstream.dataframe._over import Over
from millstream.dataframe._reduce import Collector, Reduced, name_of, reduced
from millstream.dataframe._rows import Rows, numbered

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series

# A reduction of a column: the column's place, the name, and its options.
Spec = tuple[int, str, dict[str, Any]]


def group_frame(frame: DataFrame, by: Any, level: Any, *, as_index: bool, sort: bool, dropna: bool) -> DataFrameGroupBy:
    """The groups of a frame."""
    keys = _keys(frame, by, level)
    return DataFrameGroupBy(frame, keys, as_index=as_index, sort=sort, dropna=dropna)


def group_column(column: Series, by: Any, level: Any, *, sort: bool, dropna: bool) -> SeriesGroupBy:
    """The groups of a column."""
    frame = column.to_frame()
    groups = DataFrameGroupBy(frame, _keys(frame, by, level, columns=False), as_index=True, sort=sort, dropna=dropna)
    return SeriesGroupBy(groups, 0)


def _keys(frame: DataFrame, by: Any, level: Any, *, columns: bool = True) -> list[Series]:
    from millstream.dataframe._series import Series

    if level is not None:
        levels = level if isinstance(level, list | tuple) else [level]
        return [frame.index._level(one) for one in levels]
    if by is None:
        raise TypeError("You have to supply one of 'by' and 'level'")
    if callable(by) or isinstance(by, Mapping | pd.Series | pd.Grouper):
        raise NotImplementedError("groups are of columns: assign what the function gives for each row to one first")
    keys: list[Series] = []
    for key in by if isinstance(by, list) else [by]:
        if isinstance(key, Series):
            keys.append(key)
        elif not columns:
            raise KeyError(key)
        elif key not in frame.columns and key in frame._meta.index.names:
            keys.append(frame.index._level(key))
        else:
            keys.append(frame._column(frame._place(key)))
    if not keys:
        raise ValueError("No group keys passed!")
    return keys


class DataFrameGroupBy(GroupValues):
    """Groups of a frame's rows; made by :meth:`DataFrame.groupby`.

    Examples
    --------
    >>> frame = client.sql("SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, 'a')) AS rows (number, letter)")
    >>> frame.groupby("letter").agg(total=("number", "sum"), rows=("number", "size")).compute().total.tolist()
    [4, 2]
    """

    def __init__(
        self,
        frame: DataFrame,
        keys: Sequence[Series],
        *,
        as_index: bool,
        sort: bool,
        dropna: bool,
        chosen: Sequence[Hashable] | None = None,
    ) -> None:
        rows = frame._rows
        for key in keys:
            rows = rows.joined(key._rows)
        self._frame = frame._taken(rows)
        self._key_columns = list(keys)
        self._as_index = as_index
        self._sort = sort
        self._dropna = dropna
        self._chosen = chosen

    # ---- which columns

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, list):
            for label in key:
                self._frame._place(label)
            return DataFrameGroupBy(
                self._frame,
                self._key_columns,
                as_index=self._as_index,
                sort=self._sort,
                dropna=self._dropna,
                chosen=key,
            )
        return SeriesGroupBy(self, self._frame._place(key))

    def __getattr__(self, name: str) -> Any:
        labels = () if name.startswith("_") else map(str, self._frame.columns)
        if not name.startswith("_") and name in self._frame.columns:
            return self[name]
        raise _meta.unavailable("groupby", name, [*dir(type(self)), *labels], pd.core.groupby.DataFrameGroupBy)

    def _places(self, numeric_only: bool = False) -> list[int]:
        """Where the columns are that are neither keys nor left out."""
        if self._chosen is not None:
            places = [self._frame._place(label) for label in self._chosen]
        else:
            taken = self._key_places()
            places = [place for place in range(len(self._frame._exprs)) if place not in taken]
        if not numeric_only:
            return places
        return [p for p in places if pd.api.types.is_numeric_dtype(self._frame._meta.dtypes.iloc[p])]

    def _key_places(self) -> set[int]:
        """Columns of the frame that are keys themselves."""
        found = set()
        for key in self._key_columns:
            if key.name in self._frame.columns and self._frame[key.name]._expr == key._expr:
                found.add(self._frame._place(key.name))
        return found

    @property
    def _over(self) -> Over:
        return Over([key._expr for key in self._key_columns], self._dropna)

    @property
    def _result(self) -> DataFrameGroupBy:
        return self

    # ---- how pandas sees it

    def _sampled(self) -> Any:
        """The groups of a sample, for pandas to tell names and types by."""
        sample = _meta.sample(self._frame._meta)
        sample.index = _meta.sample_index(self._frame._meta.index)
        taken = self._key_places()
        keys: list[Any] = []
        for key in self._key_columns:
            is_column = key.name in self._frame.columns and self._frame._place(key.name) in taken
            keys.append(key.name if is_column else _meta.sample(key._meta).set_axis(sample.index))
        # A name alone stays one; a list of one would make tuples of labels in some results.
        by = keys[0] if len(keys) == 1 else keys
        return sample.groupby(by, as_index=self._as_index, sort=self._sort, dropna=self._dropna, observed=True)

    # ---- reductions

    def _aggregated(self, specs: Sequence[Spec], meta: Any) -> Any:
        """The table of reductions, as pandas foretells it."""
        frame = self._frame
        to = Collector(frame._rows.order)
        values = []
        for place, name, options in specs:
            asked = Reduced(frame._column(place)._operand, frame._index, options)
            values.append(reduced(name, to, asked))
        return self._assembled(to, values, meta)

    def _assembled(self, to: Collector, values: list[Any], meta: Any) -> Any:
        from millstream.dataframe._frame import DataFrame
        from millstream.dataframe._series import Series

        keys = [(_tree.fresh("key"), key._expr) for key in self._key_columns]
        rows = self._grouped_rows(to, keys)
        exprs = [{"col": name} for name, _ in keys]
        client = self._frame._client
        if not self._as_index:
            meta = _meta.default_index(meta[:0])
            shown = [expr for expr, key in zip(exprs, self._key_columns, strict=True) if key.name in meta.columns]
            return DataFrame(rows, [rows.position], [*shown, *values], meta, client)
        if isinstance(meta, pd.Series):
            return Series(rows, exprs, values[0], meta[:0], client)
        return DataFrame(rows, exprs, values, meta[:0], client)

    def _grouped_rows(self, to: Collector, keys: Sequence[tuple[str, Any]]) -> Rows:
        node = self._frame._rows.node
        if self._dropna:
            node = _tree.filtered(node, both(*(not_null(expr) for _, expr in keys)))
        first = [] if self._sort else [to.add(agg("min", self._frame._rows.position))]
        by = first or [{"col": name} for name, _ in keys]
        return numbered(_tree.sort(to.table(node, keys), [_tree.sort_key(expr) for expr in by]))

    def _reduce(self, name: str, numeric_only: bool = False, **options: Any) -> Any:
        """One reduction of each column."""
        places = self._places(numeric_only)
        labels = [self._frame.columns[place] for place in places]
        sampled = self._sampled()[labels]
        meta = _meta.applied(lambda: _called(sampled, name, options))
        return self._aggregated([(place, name, options) for place in places], _plain(meta))

    def agg(self, func: Any = None, **named: Any) -> Any:
        """Reductions of the columns of each group.

        Parameters
        ----------
        func : str, list or mapping
            One reduction for all columns, several, or some for each column by name.
        **named
            Columns of the result: pairs of a column and a reduction.
        """
        if func is None and not named:
            raise TypeError("Must provide 'func' or tuples of column and reduction")
        meta = _meta.applied(lambda: self._sampled_agg(func, named))
        return self._aggregated(self._specs(func, named), _plain(meta))

    aggregate = agg

    def _sampled_agg(self, func: Any, named: dict[str, Any]) -> Any:
        sampled = self._sampled()
        if func is None:
            return sampled.agg(**{key: (pair[0], _pandas_name(pair[1])) for key, pair in named.items()})
        labels = [self._frame.columns[place] for place in self._places()]
        if isinstance(func, Mapping):
            for label in func:
                self._frame._place(label)
            return sampled.agg({label: _renamed(one) for label, one in func.items()})
        return sampled[labels].agg(_renamed(func))

    def _specs(self, func: Any, named: dict[str, Any]) -> list[Spec]:
        if func is None:
            return [(self._frame._place(column), name_of(one), {}) for column, one in named.values()]
        if isinstance(func, Mapping):
            pairs = [(self._frame._place(label), one) for label, ones in func.items() for one in _listed(ones)]
        else:
            pairs = [(place, one) for place in self._places() for one in _listed(func)]
        return [(place, name_of(one), {}) for place, one in pairs]

    def size(self) -> Any:
        """The number of rows of each group."""
        meta = _meta.applied(lambda: self._sampled().size())
        to = Collector()
        return self._assembled(to, [to.add(agg("count"))], meta)

    def value_counts(self, subset: Any = None, sort: bool = True, ascending: bool = False, dropna: bool = True) -> Any:
        """Raise: use groupby of more keys."""
        raise NotImplementedError("use groupby([*keys, *columns]).size() and sort it")

    def get_group(self, name: Any) -> Any:
        """The rows of one group: of a key, or a tuple of keys."""
        values = name if isinstance(name, tuple) else (name,)
        if len(values) != len(self._key_columns):
            raise ValueError(f"there are {len(self._key_columns)} keys, got {name!r}")
        where = both(*((key == value)._expr for key, value in zip(self._key_columns, values, strict=True)))
        taken = self._frame._taken(self._frame._rows.filtered(where))
        return taken if self._chosen is None else taken[list(self._chosen)]

    @property
    def ngroups(self) -> int:
        """The number of groups; it is computed now."""
        return len(self.size())

    def __iter__(self) -> Any:
        raise NotImplementedError("groups are not made one by one: compute() first, or filter by each key")


class SeriesGroupBy(GroupValues):
    """Groups of a column's rows; made by ``frame.groupby(key)[name]``."""

    _place: int

    def __init__(self, groups: DataFrameGroupBy, place: int) -> None:
        self._groups = groups
        self._place = place
        self._frame = groups._frame

    @property
    def _over(self) -> Over:
        return self._groups._over

    def _places(self, numeric_only: bool = False) -> list[int]:
        return [self._place]

    @property
    def _result(self) -> DataFrameGroupBy:
        return self._groups

    @property
    def _label(self) -> Hashable:
        return self._frame.columns[self._place]

    def _sampled(self) -> Any:
        return self._groups._sampled()[self._label]

    def _reduce(self, name: str, numeric_only: bool = False, **options: Any) -> Any:
        meta = _meta.applied(lambda: _called(self._sampled(), name, options))
        return self._groups._aggregated([(self._place, name, options)], _plain(meta))

    def agg(self, func: Any = None, **named: Any) -> Any:
        """One reduction of each group, or several, as columns."""
        if func is None:
            meta = _meta.applied(lambda: self._sampled().agg(**{k: _pandas_name(v) for k, v in named.items()}))
            return self._groups._aggregated([(self._place, name_of(one), {}) for one in named.values()], meta)
        meta = _meta.applied(lambda: self._sampled().agg(_renamed(func)))
        return self._groups._aggregated([(self._place, name_of(one), {}) for one in _listed(func)], _plain(meta))

    aggregate = agg

    def size(self) -> Any:
        """The number of rows of each group."""
        meta = _meta.applied(lambda: self._sampled().size())
        to = Collector()
        return self._groups._assembled(to, [to.add(agg("count"))], meta)

    def value_counts(self, sort: bool = True, ascending: bool = False, dropna: bool = True) -> Series:
        """How often each value occurs in each group."""
        keys = [*self._groups._key_columns, self._frame._column(self._place)]
        # In the order of their first rows, which equal counts keep.
        groups = DataFrameGroupBy(self._frame, keys, as_index=True, sort=False, dropna=dropna)
        counts = groups.size()
        meta = _meta.applied(lambda: self._sampled().value_counts())[:0]
        levels = [_tree.sort_key(expr) for expr in counts._index[:-1]]
        by = [*levels, _tree.sort_key(counts._expr, descending=not ascending)] if sort else levels
        sorted_counts: Series = counts._taken(counts._rows.sorted(by))._with_meta(meta)
        return sorted_counts

    def unique(self) -> Any:
        """Raise: use drop_duplicates."""
        raise NotImplementedError("use drop_duplicates() of the keys and the column")

    def __getattr__(self, name: str) -> Any:
        raise _meta.unavailable("groupby", name, dir(type(self)), pd.core.groupby.SeriesGroupBy)


def _called(sampled: Any, name: str, options: dict[str, Any]) -> Any:
    known = {key: value for key, value in options.items() if key in ("ddof", "q", "min_count", "dropna")}
    return getattr(sampled, name)(**known)


def _listed(func: Any) -> list[Any]:
    return list(func) if isinstance(func, list | tuple) else [func]


def _pandas_name(func: Any) -> Any:
    """What pandas is told for a reduction: its name, or `list` itself."""
    name = name_of(func)
    return list if name == "list" else name


def _renamed(func: Any) -> Any:
    return [_pandas_name(one) for one in func] if isinstance(func, list | tuple) else _pandas_name(func)


def _plain(meta: Any) -> Any:
    """The foretold table; it must have rows of groups, and nothing else."""
    return meta[:0]
