# mypy: disable-error-code="no-any-return"
"""What puts the values of a column in another order, or leaves rows out by their order."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _expr, _meta, _tree
from millstream.dataframe._collection import Collection
from millstream.dataframe._expr import Expr, call, lit, window

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series


class SeriesOrder(Collection):
    """Methods of a column that give its rows in another order, or some of them."""

    def sort_values(
        self: Any, *, ascending: bool = True, na_position: str = "last", ignore_index: bool = False, **unknown: Any
    ) -> Series:
        """Return the column in the order of its values; equal ones keep theirs."""
        refuse_options(unknown)
        key = sort_key(self._expr, ascending, na_position)
        result = self._taken(self._rows.sorted([key]))
        return result.reset_index(drop=True) if ignore_index else result

    def sort_index(self: Any, *, ascending: Any = True, na_position: str = "last", **unknown: Any) -> Series:
        """Return the column in the order of its index."""
        refuse_options(unknown)
        return self._taken(self._rows.sorted(index_keys(self, ascending, na_position)))

    def drop_duplicates(self: Any, *, keep: Any = "first", ignore_index: bool = False) -> Series:
        """Return one row of each value: the first, the last, or, with False, those that occur once."""
        result = self._taken(without_duplicates(self, [self._expr], keep))
        return result.reset_index(drop=True) if ignore_index else result

    def duplicated(self: Any, keep: Any = "first") -> Series:
        """Whether each value occurred before."""
        return is_duplicate(self, [self._expr], keep)

    def reset_index(self: Any, level: Any = None, *, drop: bool = False, name: Hashable | None = None) -> Any:
        """Return rows numbered from 0; unless `drop`, a frame with the old index as columns."""
        if not drop:
            return self.to_frame(name).reset_index(level) if name is not None else self.to_frame().reset_index(level)
        rows = dense(self._rows)
        return self._taken(rows, [rows.position])._with_meta(_meta.default_index(self._meta))

    def _with_meta(self: Any, meta: pd.Series[Any]) -> Series:
        from millstream.dataframe._series import Series

        return Series(self._rows, self._index, self._expr, meta, self._client)

    def sample(
        self: Any, n: int | None = None, frac: float | None = None, *, random_state: int | None = None, **unknown: Any
    ) -> Series:
        """Return some rows at random; those of a `frac` are chosen one by one, about that part of all."""
        refuse_options(unknown)
        return self._taken(sampled(self, n, frac, random_state))


def refuse_options(options: dict[str, Any]) -> None:
    """Refuse what pandas takes here and the cluster does not.

    Raises
    ------
    NotImplementedError
        If there are options left.
    """
    if options.pop("inplace", False):
        raise NotImplementedError(
            "inplace=True is not available: assign the result, as in frame = frame.sort_values(…)"
        )
    for harmless in ("axis", "kind", "copy"):
        options.pop(harmless, None)
    if options:
        raise NotImplementedError(f"{', '.join(sorted(options))} is not available here: compute() first, or use sql()")


def sort_key(expr: Expr, ascending: bool, na_position: str) -> dict[str, Any]:
    """A key to sort by, as pandas names it."""
    if na_position not in ("first", "last"):
        raise ValueError(f"invalid na_position: {na_position}")
    return _tree.sort_key(expr, descending=not ascending, nulls_first=na_position == "first")


def index_keys(part: Any, ascending: Any, na_position: str) -> list[dict[str, Any]]:
    """Keys of the levels of the index."""
    ways = list(ascending) if isinstance(ascending, list | tuple) else [ascending] * len(part._index)
    return [sort_key(expr, way, na_position) for expr, way in zip(part._index, ways, strict=True)]


def dense(rows: Any) -> Any:
    """The rows, numbered from 0 without gaps."""
    from millstream.dataframe._rows import numbered

    return rows if rows.base.start == 0 else numbered(rows.in_order())


def without_duplicates(part: Any, keys: Sequence[Expr], keep: Any) -> Any:
    """The rows of distinct keys."""
    from millstream.dataframe._rows import Base, Rows

    rows = part._rows
    if keep is False:
        mask = is_duplicate(part, keys, False)
        return mask._rows.filtered(_expr.negated(mask._expr))
    if keep not in ("first", "last"):
        raise ValueError('keep must be either "first", "last" or False')
    by = [_tree.sort_key(rows.position, descending=keep == "last")]
    return Rows(Base(_tree.distinct(rows.node, keys, by), rows.base.position, None, is_scrambled=True))


def is_duplicate(part: Any, keys: Sequence[Expr], keep: Any) -> Series:
    """Whether the keys of a row occur in another, or before, or after it."""
    from millstream.dataframe._series import Series

    rows = part._rows
    if keep is False:
        counted, least = window("count", partition=keys), 1
    else:
        by = [_tree.sort_key(rows.position, descending=keep == "last")]
        counted, least = window("row_number", partition=keys, by=by), 1
    rows, (count,) = rows.extended([counted])
    meta = _meta.series("bool", None, part._meta.index)
    return Series(rows, part._index, call("gt", count, lit(least)), meta, part._client)


def sampled(part: Any, n: int | None, frac: float | None, random_state: int | None) -> Any:
    """Some rows: the order of a hash of their numbers chooses them, so that the same seed chooses the same."""
    if (n is None) == (frac is None):
        raise ValueError("sample takes either n or frac")
    if random_state is not None and not isinstance(random_state, int):
        raise NotImplementedError("random_state is an int")
    import secrets

    seed = secrets.randbelow(1 << 30) if random_state is None else random_state
    # A number from 0 to 2**63 - 1.
    hashed = call("hash", part._rows.position, lit(seed))
    if n is not None:
        from millstream.dataframe._rows import Base, Rows

        node = _tree.sort(part._rows.node, [_tree.sort_key(hashed), *part._rows.order], n)
        return Rows(Base(node, part._rows.base.position, None, is_scrambled=True))
    if frac is None or not 0 <= frac <= 1:
        raise ValueError(f"frac lies between 0 and 1, got {frac}")
    bound = round(frac * 2**63)
    kept = _expr.TRUE if bound >= 2**63 else call("lt", hashed, lit(bound))
    return part._rows.filtered(kept)


def numbered_frame(frame: DataFrame) -> DataFrame:
    """The frame with rows numbered from 0."""
    from millstream.dataframe._frame import DataFrame

    rows = dense(frame._rows)
    return DataFrame(rows, [rows.position], frame._exprs, _meta.default_index(frame._meta), frame._client)
