# mypy: disable-error-code="no-any-return"
"""What is done with the values of a column one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _expr, _kinds, _meta, _run, _tree
from millstream.dataframe._collection import Collection
from millstream.dataframe._expr import Expr, call, case, cast, is_null, lit, not_null
from millstream.dataframe._rows import numbered

if TYPE_CHECKING:
    from millstream.dataframe._series import Series

# Types that a text of Python names.
_NAMED: dict[Any, Any] = {str: "str", int: "int64", float: "float64", bool: "bool"}


class ColumnValues(Collection):
    """Methods of a column that look at one row at a time."""

    # ---- missing values

    def isna(self: Any) -> Series:
        """Whether each value is missing."""
        return self._typed(is_null(self._expr), "bool")

    def notna(self: Any) -> Series:
        """Whether each value is there."""
        return self._typed(not_null(self._expr), "bool")

    isnull, notnull = isna, notna

    def fillna(self: Any, value: Any = None, **unknown: Any) -> Series:
        """Return the column with a value, or another column's values, in the place of missing ones."""
        if value is None or unknown:
            raise TypeError("fillna takes a value or a column; to carry values on use ffill() or bfill()")
        rows, operand, shown = self._beside(value)
        meta = _meta.applied(self._meta.fillna, _first(shown) if isinstance(shown, pd.Series) else shown)
        present = _expr.present(self._expr) if self._operand.kind == "float" else self._expr
        return self._derived(call("coalesce", present, operand.expr), meta, rows)

    def dropna(self: Any) -> Series:
        """Return the rows whose value is there."""
        return self._taken(self._rows.filtered(not_null(self._expr)))

    def combine_first(self: Any, other: Any) -> Series:
        """Return the column with another's values in the place of missing ones."""
        return self.fillna(other)

    # ---- choosing between values

    def where(self: Any, cond: Any, other: Any = None) -> Series:
        """Return the column with `other`, by default nothing, where the condition is not true."""
        mask = cond(self) if callable(cond) else cond
        return self._chosen(mask, other, keep=True)

    def mask(self: Any, cond: Any, other: Any = None) -> Series:
        """Return the column with `other`, by default nothing, where the condition is true."""
        mask = cond(self) if callable(cond) else cond
        return self._chosen(mask, other, keep=False)

    def _chosen(self: Any, mask: Series, other: Any, *, keep: bool) -> Series:
        rows, condition, _ = self._beside(mask)
        dtype = self.dtype
        replaced = _expr.NULL
        if other is not None:
            more, operand, shown = self._beside(other)
            rows, replaced = rows.joined(more), operand.expr
            dtype = _meta.applied(_union_type, self._meta, shown)
        truth = _expr.truth(condition.expr)
        pair = (self._expr, replaced) if keep else (replaced, self._expr)
        return self._typed({"case": [[truth, pair[0]]], "else": pair[1]}, dtype, rows)

    def clip(self: Any, lower: Any = None, upper: Any = None) -> Series:
        """Return the column with values beyond the bounds replaced by these."""
        result = self
        for bound, worse in ((lower, "lt"), (upper, "gt")):
            if bound is not None:
                result = result.mask(getattr(result, worse)(bound), bound)
        return result

    def between(self: Any, left: Any, right: Any, inclusive: str = "both") -> Series:
        """Whether each value lies between two."""
        if inclusive not in ("both", "neither", "left", "right"):
            raise ValueError(f"inclusive is 'both', 'neither', 'left' or 'right', got {inclusive!r}")
        above = self >= left if inclusive in ("both", "left") else self > left
        below = self <= right if inclusive in ("both", "right") else self < right
        return above & below

    def isin(self: Any, values: Any) -> Series:
        """Whether each value is one of a list, or one of another column's."""
        from millstream.dataframe._lookup import is_in_column
        from millstream.dataframe._series import Series

        if isinstance(values, Series):
            return is_in_column(self, values)
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"only list-like objects are allowed to be passed to isin(), you passed {values!r}")
        listed = list(values)
        # A value of another family is equal to none, as in pandas.
        kinds = {"int", "float", "bool"} if _kinds.is_number(self.dtype) else None
        fitting = [v for v in listed if kinds is None or _expr.literal(v).kind in kinds or lit(v) is _expr.NULL]
        literals = [_expr.literal(value, self.dtype).expr for value in fitting]
        if self._operand.kind == "str":
            literals = [expr for expr in literals if expr is _expr.NULL or isinstance(expr["lit"], str)]
        known = [expr for expr in literals if expr is not _expr.NULL]
        found = call("coalesce", {"in": self._expr, "list": known}, _expr.FALSE) if known else _expr.FALSE
        if len(known) < len(literals):
            found = call("or", found, is_null(self._expr))
        return self._typed(found, "bool")

    def replace(self: Any, to_replace: Any = None, value: Any = None, *, regex: bool = False) -> Series:
        """Return the column with some values replaced by others: one, a list, or a mapping."""
        if regex:
            raise NotImplementedError("replace(regex=True) is not available: use .str.replace(..., regex=True)")
        if isinstance(to_replace, Mapping):
            pairs = list(to_replace.items())
        elif isinstance(to_replace, list | tuple):
            others = list(value) if isinstance(value, list | tuple) else [value] * len(to_replace)
            pairs = list(zip(to_replace, others, strict=True))
        else:
            pairs = [(to_replace, value)]
        meta = _meta.applied(_meta.sample(self._meta).replace, dict(pairs))[:0]
        dtype = _widened([self.dtype, *(pd.Series([new]).dtype for _, new in pairs if new is not None)], meta.dtype)
        cases = [
            (
                is_null(self._expr)
                if lit(old) is _expr.NULL
                else call("eq", self._expr, _expr.literal(old, self.dtype).expr),
                lit(new),
            )
            for old, new in pairs
            if _is_comparable(self.dtype, old)
        ]
        return self._typed(case(cases, self._expr) if cases else self._expr, dtype)

    def map(self: Any, arg: Any, na_action: str | None = None, *, meta: Any = None) -> Series:
        """Return what a function, a mapping, or a column by its index, has for each value.

        A mapping and a column give nothing where they have none. Functions are called in Python tasks; `meta` tells
        what they return, as for :meth:`map_partitions`.
        """
        from millstream.dataframe._apply import mapped
        from millstream.dataframe._lookup import looked_up
        from millstream.dataframe._series import Series

        if isinstance(arg, Series):
            return looked_up(self, arg)
        if isinstance(arg, pd.Series):
            arg = arg.to_dict()
        if not isinstance(arg, Mapping):
            if not callable(arg):
                raise TypeError(f"map takes a function, a dict or a column with an index, got {type(arg).__name__}")
            return mapped(self, arg, na_action, meta)
        items = {key: value for key, value in arg.items() if _is_comparable(self.dtype, key)}
        cases = [
            (
                is_null(self._expr)
                if lit(key) is _expr.NULL
                else call("eq", self._expr, _expr.literal(key, self.dtype).expr),
                lit(value),
            )
            for key, value in items.items()
        ]
        values = list(arg.values())
        dtype = pd.Series(values).dtype if values else "object"
        return self._typed(case(cases) if cases else cast(_expr.NULL, "string"), dtype)

    # ---- other types

    def astype(self: Any, dtype: Any) -> Series:
        """Return the column as another type."""
        if isinstance(dtype, Mapping):
            dtype = dtype.get(self.name, self.dtype)
        dtype = _NAMED.get(dtype, dtype)
        meta = _meta.applied(self._meta.astype, dtype)
        if isinstance(meta.dtype, pd.CategoricalDtype):
            raise NotImplementedError("categories are not available on the cluster: compute() and astype('category')")
        return self._derived(converted(self._expr, self.dtype, meta.dtype), meta)

    def round(self: Any, decimals: int = 0) -> Series:
        """Return the numbers rounded, those in the middle to the even one."""
        if self._operand.kind not in ("float", "object"):
            return self.copy()
        return self._derived(call("round", self._expr, lit(decimals)), self._meta)

    def explode(self: Any) -> Series:
        """Return a row for each element of each list."""
        from millstream.dataframe._series import Series

        name = _tree.fresh("element")
        node = _tree.unnest(_tree.extend(self._rows.in_order(), [(name, self._expr)]), name)
        # Numbered anew, under the labels that the rows had.
        meta = _meta.series(element_type(self, node, name), self.name, self._meta.index)
        return Series(numbered(node), self._index, {"col": name}, meta, self._client)


def element_type(part: Any, node: _tree.Node, name: str) -> Any:
    """The type of an unnested column; the cluster is asked for it, since pandas has no types of lists."""
    schema = _run.schema(part._client, _tree.project(node, [(name, _expr.col(name))]))
    return _meta.of_schema(schema).dtypes.iloc[0]


def converted(expr: Expr, source: Any, target: Any) -> Expr:
    """A value of one pandas type as another."""
    before, after = _kinds.kind_of(source), _kinds.kind_of(target)
    if after == "bool" and before in ("int", "float"):
        # A missing number is not zero.
        return call("coalesce", call("ne", expr, lit(0)), _expr.TRUE)
    if after == "bool" and before == "str":
        return call("coalesce", call("ne", expr, lit("")), _expr.TRUE)
    if after in ("str", "object") and before == "bool":
        return case([(expr, lit("True")), (call("not", expr), lit("False"))])
    if after == "object":
        return expr
    if after == "duration" and before == "int":
        return cast(cast(expr, "int64"), _kinds.arrow_type(target))
    return cast(expr, _kinds.arrow_type(target))


def _first(shown: Any) -> Any:
    return _meta.sample(shown).iloc[0]


def _is_comparable(dtype: Any, value: Any) -> bool:
    """Whether a value can be equal to one of a column."""
    if lit(value) is _expr.NULL:
        return True
    if _kinds.is_number(dtype):
        return not isinstance(value, str | bytes)
    return _kinds.kind_of(dtype) != "str" or isinstance(value, str)


def _union_type(meta: pd.Series[Any], other: Any) -> Any:
    value = _first(other) if isinstance(other, pd.Series) else other
    return _widened([meta.dtype, pd.Series([value]).dtype], meta.dtype)


def _widened(dtypes: list[Any], default: Any) -> Any:
    kinds = {_kinds.kind_of(dtype) for dtype in dtypes}
    if kinds == {"int", "float"}:
        return "float64"
    return dtypes[0] if len(kinds) == 1 else ("object" if len(kinds) > 1 else default)
