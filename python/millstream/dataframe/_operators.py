"""Operators of columns, frames and values: one method each, and one place that they all go to."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from millstream.dataframe import _expr
from millstream.dataframe._expr import Expr, Operand

# What pandas does, and what the engine is told.
OPERATIONS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "add": (operator.add, "add"),
    "sub": (operator.sub, "sub"),
    "mul": (operator.mul, "mul"),
    "truediv": (operator.truediv, "div"),
    "floordiv": (operator.floordiv, "floordiv"),
    "mod": (operator.mod, "mod"),
    "pow": (operator.pow, "pow"),
    "eq": (operator.eq, "eq"),
    "ne": (operator.ne, "ne"),
    "lt": (operator.lt, "lt"),
    "le": (operator.le, "le"),
    "gt": (operator.gt, "gt"),
    "ge": (operator.ge, "ge"),
    "and": (operator.and_, "and"),
    "or": (operator.or_, "or"),
    "xor": (operator.xor, "xor"),
}
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_LOGIC = ("and", "or", "xor")

# numpy's functions by the names that the engine has.
UFUNCS = {
    "sqrt": "sqrt",
    "exp": "exp",
    "log": "ln",
    "log2": "log2",
    "log10": "log10",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "floor": "floor",
    "ceil": "ceil",
}


def combined(name: str, left: Operand, right: Operand) -> Expr:
    """The expression of an operation."""
    engine = OPERATIONS[name][1]
    if name in _COMPARISONS:
        return _expr.compare(engine, left, right)
    if name in _LOGIC:
        return _expr.logic(engine, left, right)
    return _expr.arithmetic(engine, left, right)


class Operators:
    """Python's operators, and pandas' methods of the same meaning."""

    def _binary(self, name: str, other: Any, *, reflected: bool = False, fill_value: Any = None) -> Any:
        raise NotImplementedError

    def _unary(self, name: str) -> Any:
        raise NotImplementedError

    def _ufunc(self, name: str) -> Any:
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return self._binary("add", other)

    def __radd__(self, other: Any) -> Any:
        return self._binary("add", other, reflected=True)

    def __sub__(self, other: Any) -> Any:
        return self._binary("sub", other)

    def __rsub__(self, other: Any) -> Any:
        return self._binary("sub", other, reflected=True)

    def __mul__(self, other: Any) -> Any:
        return self._binary("mul", other)

    def __rmul__(self, other: Any) -> Any:
        return self._binary("mul", other, reflected=True)

    def __truediv__(self, other: Any) -> Any:
        return self._binary("truediv", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._binary("truediv", other, reflected=True)

    def __floordiv__(self, other: Any) -> Any:
        return self._binary("floordiv", other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._binary("floordiv", other, reflected=True)

    def __mod__(self, other: Any) -> Any:
        return self._binary("mod", other)

    def __rmod__(self, other: Any) -> Any:
        return self._binary("mod", other, reflected=True)

    def __pow__(self, other: Any) -> Any:
        return self._binary("pow", other)

    def __rpow__(self, other: Any) -> Any:
        return self._binary("pow", other, reflected=True)

    def __eq__(self, other: object) -> Any:
        return self._binary("eq", other)

    def __ne__(self, other: object) -> Any:
        return self._binary("ne", other)

    def __lt__(self, other: Any) -> Any:
        return self._binary("lt", other)

    def __le__(self, other: Any) -> Any:
        return self._binary("le", other)

    def __gt__(self, other: Any) -> Any:
        return self._binary("gt", other)

    def __ge__(self, other: Any) -> Any:
        return self._binary("ge", other)

    def __and__(self, other: Any) -> Any:
        return self._binary("and", other)

    def __rand__(self, other: Any) -> Any:
        return self._binary("and", other, reflected=True)

    def __or__(self, other: Any) -> Any:
        return self._binary("or", other)

    def __ror__(self, other: Any) -> Any:
        return self._binary("or", other, reflected=True)

    def __xor__(self, other: Any) -> Any:
        return self._binary("xor", other)

    def __rxor__(self, other: Any) -> Any:
        return self._binary("xor", other, reflected=True)

    def __neg__(self) -> Any:
        return self._unary("neg")

    def __pos__(self) -> Any:
        return self

    def __invert__(self) -> Any:
        return self._unary("invert")

    def __abs__(self) -> Any:
        return self._unary("abs")

    def abs(self) -> Any:
        """Absolute values."""
        return self._unary("abs")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Numpy's functions of one column, such as ``np.sqrt``."""
        if method == "__call__" and len(inputs) == 1 and not kwargs and ufunc.__name__ in UFUNCS:
            return self._ufunc(ufunc.__name__)
        if method == "__call__" and len(inputs) == 1 and ufunc.__name__ in ("absolute", "fabs"):
            return self._unary("abs")
        swapped = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "power": "pow"}
        comparisons = {"less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "equal": "eq"}
        name = (swapped | comparisons | {"not_equal": "ne"}).get(ufunc.__name__)
        if method == "__call__" and name is not None and len(inputs) == 2 and not kwargs:
            # A value of numpy on the left, or a column there and anything on the right.
            if inputs[0] is self:
                return self._binary(name, inputs[1])
            return self._binary(name, inputs[0], reflected=True)
        raise NotImplementedError(
            f"numpy.{ufunc.__name__} does not run on the cluster: of numpy's functions {', '.join(UFUNCS)} do"
        )


def _method(name: str, *, reflected: bool = False) -> Callable[..., Any]:
    def method(self: Any, other: Any, axis: Any = None, level: Any = None, fill_value: Any = None) -> Any:
        if level is not None:
            raise NotImplementedError("level= is not available: merge the tables instead")
        return self._binary(name, other, reflected=reflected, fill_value=fill_value)

    method.__name__ = ("r" if reflected else "") + name
    method.__doc__ = f"The operation {name!r}{', with the sides swapped' if reflected else ''}, as pandas has it."
    return method


for _name in OPERATIONS:
    if _name in _LOGIC:
        continue
    setattr(Operators, _name, _method(_name))
    if _name not in _COMPARISONS:
        setattr(Operators, f"r{_name}", _method(_name, reflected=True))
for _alias, _name in (("div", "truediv"), ("divide", "truediv"), ("multiply", "mul"), ("subtract", "sub")):
    setattr(Operators, _alias, _method(_name))
Operators.rdiv = _method("truediv", reflected=True)  # type: ignore[attr-defined]
