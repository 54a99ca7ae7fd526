"""A single value on the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _expr, _meta
from millstream.dataframe._collection import Collection
from millstream.dataframe._expr import Expr, Operand
from millstream.dataframe._operators import OPERATIONS, Operators, combined
from millstream.dataframe._rows import Rows
from millstream.dataframe._tree import Named

if TYPE_CHECKING:
    from millstream._client import Client


class Scalar(Operators, Collection):
    """A value that is computed when it is asked for: by :meth:`compute`, ``float(x)``, ``int(x)``, or as text.

    Operations with it give further such values, or columns; nothing is computed for them.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, rows: Rows, expr: Expr, meta: pd.Series[Any], client: Client | None) -> None:
        super().__init__(rows, (rows.position,), meta, client)
        self._expr = expr
        self._step: tuple[Rows, Expr] | None = None

    def _named(self) -> list[Named]:
        return [("value", self._expr)]

    def _taken(self, rows: Rows, index: Sequence[Expr] | None = None) -> Scalar:
        return Scalar(rows, self._expr, self._meta, self._client)

    def _assembled(self, columns: list[pd.Series[Any]], index: pd.Index) -> Any:
        return columns[0].iloc[0]

    def _sample(self) -> Any:
        """A value of its type."""
        return _meta.sample(self._meta).iloc[0]

    def _beside(self, rows: Rows) -> tuple[Rows, Expr]:
        """These rows, each with the value."""
        if self._step is None:
            self._step = rows.with_value(self._rows, self._expr)
        made, expr = self._step
        return rows.joined(Rows(rows.base, made.steps[-1:])), expr

    def _binary(self, name: str, other: Any, *, reflected: bool = False, fill_value: Any = None) -> Any:
        from millstream.dataframe._series import Series

        if isinstance(other, Collection) and not isinstance(other, Scalar):
            # A column or a frame: it does the same with its sides swapped.
            return (
                other._binary(name, self, reflected=not reflected) if isinstance(other, Operators) else NotImplemented
            )
        rows, mine = self._rows, Operand(self._expr, self._meta.dtype)
        if isinstance(other, Scalar):
            if other._rows.base is rows.base:
                rows, expr = rows.joined(other._rows), other._expr
            else:
                rows, expr = other._beside(rows)
            theirs, shown = Operand(expr, other._meta.dtype), other._sample()
        else:
            theirs, shown = _expr.literal(other, self._meta.dtype), other
        sides = (theirs, mine) if reflected else (mine, theirs)
        values = (shown, self._sample()) if reflected else (self._sample(), shown)
        meta = pd.Series([_meta.applied(OPERATIONS[name][0], *values)])[:0]
        return Series(rows, (rows.position,), combined(name, *sides), meta, self._client)._as_scalar()

    def _unary(self, name: str) -> Scalar:
        from millstream.dataframe._series import Series

        column = Series(self._rows, self._index, self._expr, self._meta, self._client)
        return column._unary(name)._as_scalar()

    def _ufunc(self, name: str) -> Scalar:
        from millstream.dataframe._series import Series

        column = Series(self._rows, self._index, self._expr, self._meta, self._client)
        return column._ufunc(name)._as_scalar()

    @property
    def dtype(self) -> Any:
        """The type of the value."""
        return self._meta.dtype

    def item(self) -> Any:
        """Compute it as a value of Python."""
        value = self.compute()
        return value.item() if hasattr(value, "item") else value

    def __float__(self) -> float:
        return float(self.compute())

    def __int__(self) -> int:
        return int(self.compute())

    def __index__(self) -> int:
        return self.compute().__index__()  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        return bool(self.compute())

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.compute(), digits)

    def __format__(self, spec: str) -> str:
        return format(self.compute(), spec)

    def __str__(self) -> str:
        return str(self.compute())

    def __repr__(self) -> str:
        return f"<value of {self.dtype}; compute() gives it>"
