# mypy: disable-error-code="no-any-return"
"""What puts a frame's rows in another order, gives them other labels, or leaves some out."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from millstream.dataframe import _meta, _tree
from millstream.dataframe._collection import Collection
from millstream.dataframe._expr import agg
from millstream.dataframe._frame_columns import listed
from millstream.dataframe._rows import numbered
from millstream.dataframe._series_order import (
    index_keys,
    is_duplicate,
    numbered_frame,
    refuse_options,
    sampled,
    sort_key,
    without_duplicates,
)

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series


class FrameOrder(Collection):
    """Methods that give the rows of a frame in another order, under other labels, or some of them."""

    def sort_values(
        self: Any,
        by: Any,
        *,
        ascending: Any = True,
        na_position: str = "last",
        ignore_index: bool = False,
        **unknown: Any,
    ) -> DataFrame:
        """Return the rows in the order of some columns; equal ones keep theirs.

        Examples
        --------
        >>> frame = client.sql("SELECT * FROM (VALUES (2, 'b'), (3, 'a'), (1, 'b')) AS rows (n, letter)")
        >>> frame.sort_values(["letter", "n"], ascending=[True, False]).compute().n.tolist()
        [3, 2, 1]
        """
        refuse_options(unknown)
        labels = listed(by)
        ways = list(ascending) if isinstance(ascending, list | tuple) else [ascending] * len(labels)
        if len(ways) != len(labels):
            raise ValueError(f"Length of ascending ({len(ways)}) != length of by ({len(labels)})")
        keys = [sort_key(self._key(label), way, na_position) for label, way in zip(labels, ways, strict=True)]
        result = self._taken(self._rows.sorted(keys))
        return numbered_frame(result) if ignore_index else result

    def _key(self: Any, label: Hashable) -> dict[str, Any]:
        """The expression of a column, or of a level of the index."""
        if label not in self._meta.columns and label is not None and label in self._meta.index.names:
            return self._index[list(self._meta.index.names).index(label)]
        return self._exprs[self._place(label)]

    def sort_index(self: Any, *, ascending: Any = True, na_position: str = "last", **unknown: Any) -> DataFrame:
        """Return the rows in the order of the index."""
        refuse_options(unknown)
        return self._taken(self._rows.sorted(index_keys(self, ascending, na_position)))

    def nlargest(self: Any, n: int, columns: Any, keep: str = "first") -> DataFrame:
        """Return the rows with the largest values of some columns, in order."""
        return self._extremes(n, columns, keep, ascending=False)

    def nsmallest(self: Any, n: int, columns: Any, keep: str = "first") -> DataFrame:
        """Return the rows with the smallest values of some columns, in order."""
        return self._extremes(n, columns, keep, ascending=True)

    def _extremes(self: Any, n: int, columns: Any, keep: str, *, ascending: bool) -> DataFrame:
        if keep != "first":
            raise NotImplementedError(f"keep={keep!r} is not available: only 'first' is")
        keys = [sort_key(self._key(label), ascending, "last") for label in listed(columns)]
        return self._taken(self._rows.sorted(keys, max(0, n)))

    # ---- labels

    def set_index(
        self: Any, keys: Any, *, drop: bool = True, append: bool = False, verify_integrity: bool = False, **unknown: Any
    ) -> DataFrame:
        """Return the frame with columns as its index; the rows keep their order."""
        from millstream.dataframe._frame import DataFrame
        from millstream.dataframe._series import Series

        refuse_options(
            {name: value for name, value in unknown.items() if name not in ("sorted", "divisions", "npartitions")}
        )
        if isinstance(keys, Series):
            rows = self._rows.joined(keys._rows)
            meta = self._meta.set_index(keys._meta)
            return DataFrame(rows, [keys._expr], self._exprs, meta, self._client)
        labels = listed(keys)
        exprs = [self._exprs[self._place(label)] for label in labels]
        meta = self._meta.set_index(list(labels), drop=drop, append=append)
        kept = [self._exprs[self._place(label)] for label in meta.columns]
        index = [*self._index, *exprs] if append else exprs
        return DataFrame(self._rows, index, kept, meta, self._client)

    def reset_index(
        self: Any, level: Any = None, *, drop: bool = False, names: Any = None, **unknown: Any
    ) -> DataFrame:
        """Return rows numbered from 0, the old index as columns unless `drop`."""
        from millstream.dataframe._frame import DataFrame

        refuse_options(unknown)
        if level is not None:
            return self._reset_levels(listed(level), drop)
        if drop:
            return numbered_frame(self)
        meta = self._meta.reset_index(names=names)
        exprs = [*self._index, *self._exprs]
        wide = DataFrame(self._rows, self._index, exprs, meta.set_axis(self._meta.index, axis=0), self._client)
        return numbered_frame(wide)

    def _reset_levels(self: Any, levels: Any, drop: bool) -> DataFrame:
        from millstream.dataframe._frame import DataFrame

        places = [self._meta.index._get_level_number(level) for level in levels]
        if len(places) == len(self._index):
            return self.reset_index(drop=drop)
        meta = self._meta.reset_index(level=list(levels), drop=drop)
        kept = [expr for place, expr in enumerate(self._index) if place not in places]
        exprs = self._exprs if drop else [*(self._index[place] for place in sorted(places)), *self._exprs]
        return DataFrame(self._rows, kept, exprs, meta, self._client)

    def rename_axis(self: Any, mapper: Any = None, **unknown: Any) -> DataFrame:
        """Return the frame with another name of its index."""
        from millstream.dataframe._frame import DataFrame

        meta = self._meta.rename_axis(mapper, **unknown)
        return DataFrame(self._rows, self._index, self._exprs, meta, self._client)

    # ---- some rows

    def drop_duplicates(self: Any, subset: Any = None, *, keep: Any = "first", ignore_index: bool = False) -> DataFrame:
        """Return one row of those with the same values in some columns, by default in all."""
        result = self._taken(without_duplicates(self, self._keys(subset), keep))
        return numbered_frame(result) if ignore_index else result

    def duplicated(self: Any, subset: Any = None, keep: Any = "first") -> Series:
        """Whether a row with the same values came before."""
        return is_duplicate(self, self._keys(subset), keep)

    def _keys(self: Any, subset: Any) -> list[dict[str, Any]]:
        labels = self._meta.columns if subset is None else listed(subset)
        return [self._exprs[self._place(label)] for label in labels]

    def sample(
        self: Any, n: int | None = None, frac: float | None = None, *, random_state: int | None = None, **unknown: Any
    ) -> DataFrame:
        """Return some rows at random; those of a `frac` are chosen one by one, about that part of all."""
        refuse_options(unknown)
        return self._taken(sampled(self, n, frac, random_state))

    def value_counts(
        self: Any,
        subset: Any = None,
        normalize: bool = False,
        sort: bool = True,
        ascending: bool = False,
        dropna: bool = True,
    ) -> Series:
        """How often each row occurs, the most frequent first."""
        from millstream.dataframe._series import Series

        labels = list(self._meta.columns) if subset is None else listed(subset)
        source = self.dropna(subset=labels) if dropna else self
        keys = [(_tree.fresh("key"), source._exprs[self._place(label)]) for label in labels]
        count, first = _tree.fresh("count"), _tree.fresh("first")
        columns = [(count, agg("count")), (first, agg("min", source._rows.position))]
        node = _tree.aggregate(source._rows.node, keys, columns)
        by = [_tree.sort_key({"col": count}, descending=not ascending)] if sort else []
        rows = numbered(_tree.sort(node, [*by, *(_tree.sort_key({"col": name}) for name, _ in keys)]))
        meta = _meta.applied(lambda: _meta.sample(self._meta)[list(labels)].value_counts(normalize=normalize))[:0]
        result = Series(rows, [{"col": name} for name, _ in keys], {"col": count}, meta, self._client)
        if not normalize:
            return result
        share = result / result.sum()
        return result._derived(share._expr, meta, share._rows)
