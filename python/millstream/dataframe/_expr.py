"""Expressions over the columns of a table, as they are on the wire, with the meaning that pandas gives them.

A missing value is a null of the engine. Comparisons with one are false (`ne` true) rather than null, and what makes
NaN out of numbers makes a null here, so that the engine's order of NaN is never seen.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from millstream.dataframe._kinds import arrow_type, kind_of
from millstream.dataframe._tree import Expr

__all__ = ["Expr", "Operand"]

NULL: Expr = {"lit": None}
TRUE: Expr = {"lit": True}
FALSE: Expr = {"lit": False}


@dataclass(frozen=True)
class Operand:
    """One side of an operation.

    Parameters
    ----------
    expr : mapping
        How it is computed.
    dtype : object
        Its pandas type.
    is_literal : bool
        Whether it is a value that the user wrote.
    """

    expr: Expr
    dtype: Any
    is_literal: bool = False

    @property
    def kind(self) -> str:
        """What family of types it belongs to; see :func:`kind_of`."""
        return kind_of(self.dtype)


# ---- constructors


def col(name: str) -> Expr:
    """A column."""
    return {"col": name}


def lit(value: Any) -> Expr:
    """A value.

    Raises
    ------
    TypeError
        If tables have no such values.
    """
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0 and getattr(value, "dtype", None) is not None:
        value = pd.Timestamp(value) if value.dtype.kind == "M" else value
        value = pd.Timedelta(value) if getattr(value, "dtype", None) is not None and value.dtype.kind == "m" else value
        value = value.item() if hasattr(value, "item") else value
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return NULL
    if isinstance(value, bool | int | float | str | bytes):
        return {"lit": value}
    if isinstance(value, datetime.datetime):
        return _instant(pd.Timestamp(value))
    if isinstance(value, datetime.date):
        return {"lit": value.isoformat(), "type": "date32"}
    if isinstance(value, datetime.timedelta):
        duration = pd.Timedelta(value)
        unit = "ns" if duration.value % 1000 else "us"
        return {"lit": duration.value // (1 if unit == "ns" else 1000), "type": f"duration[{unit}]"}
    if isinstance(value, decimal.Decimal):
        exponent = value.as_tuple().exponent
        scale = max(0, -exponent) if isinstance(exponent, int) else 0
        return {"lit": str(value), "type": f"decimal128(38, {scale})"}
    raise TypeError(
        f"a value is None, a bool, a number, a text, bytes, a date or a duration, got {type(value).__name__}: "
        f"{value!r:.100}"
    )


def _instant(value: pd.Timestamp) -> Expr:
    unit = "ns" if value.nanosecond else "us"
    if value.tzinfo is None:
        return {"lit": value.isoformat(), "type": f"timestamp[{unit}]"}
    return {"lit": value.tz_convert("UTC").isoformat(), "type": f"timestamp[{unit}, UTC]"}


def literal(value: Any, beside: Any = None) -> Operand:
    """A value as an operand; a text `beside` a column of times is a time, as in pandas."""
    if isinstance(value, str) and beside is not None and kind_of(beside) == "datetime":
        value = pd.Timestamp(value)
    if isinstance(value, str) and beside is not None and kind_of(beside) == "duration":
        value = pd.Timedelta(value)
    expr = lit(value)
    dtype = pd.Series([value]).dtype if expr is not NULL else None
    return Operand(expr, dtype, is_literal=True)


def call(name: str, *args: Expr) -> Expr:
    """A function of values of one row."""
    return {"call": name, "args": list(args)}


def cast(expr: Expr, kind: str, *, or_null: bool = False) -> Expr:
    """A value as another type; with `or_null` what does not fit is missing."""
    return {"cast": expr, "type": kind, "try": True} if or_null else {"cast": expr, "type": kind}


def case(cases: Iterable[tuple[Expr, Expr]], otherwise: Expr | None = None) -> Expr:
    """The value of the first condition that is true."""
    expr: Expr = {"case": [[condition, value] for condition, value in cases]}
    return expr if otherwise is None or otherwise is NULL else {**expr, "else": otherwise}


def one_of(expr: Expr, values: Iterable[Any]) -> Expr:
    """Whether it is one of some values; a missing value is if one of them is missing."""
    exprs = [lit(value) for value in values]
    found = [value for value in exprs if value is not NULL]
    inside: Expr = call("coalesce", {"in": expr, "list": found}, FALSE) if found else FALSE
    return inside if len(found) == len(exprs) else call("or", inside, is_null(expr))


def agg(name: str, *args: Expr, where: Expr | None = None, by: Sequence[Mapping[str, Any]] = ()) -> Expr:
    """A value of the rows of a group."""
    expr: Expr = {"agg": name, "args": list(args)}
    if where is not None:
        expr["where"] = where
    if by:
        expr["by"] = list(by)
    return expr


def window(
    name: str,
    *args: Expr,
    partition: Sequence[Expr] = (),
    by: Sequence[Mapping[str, Any]] = (),
    rows: tuple[int | None, int | None] | None = None,
) -> Expr:
    """A value of the rows around each row: of the partition, or of those from `rows[0]` to `rows[1]` from it."""
    expr: Expr = {"window": name, "args": list(args), "partition": list(partition), "by": list(by)}
    if rows is not None:
        expr["frame"] = {"unit": "rows", "start": rows[0], "end": rows[1]}
    return expr


# ---- missing values


def is_null(expr: Expr) -> Expr:
    """Whether it is missing."""
    return call("is_null", expr)


def not_null(expr: Expr) -> Expr:
    """Whether it is not missing."""
    return call("not_null", expr)


def present(expr: Expr) -> Expr:
    """The number, or nothing where it is NaN."""
    return call("nullif", expr, {"lit": math.nan, "type": "float64"})


def truth(expr: Expr) -> Expr:
    """A condition that is false where it is missing."""
    is_known = expr in (TRUE, FALSE) or expr.get("call") in ("is_null", "not_null", "coalesce", "and", "or", "not")
    return expr if is_known else call("coalesce", expr, FALSE)


def condition(expr: Expr) -> Expr:
    """The same to a filter, which takes what is missing for false; the engine knows more of the plain comparison."""
    name, args = expr.get("call"), expr.get("args", [])
    if name == "coalesce" and len(args) == 2 and args[1] == FALSE:
        return condition(args[0])
    if name in ("and", "or"):
        return call(name, *(condition(arg) for arg in args))
    return expr


def both(*exprs: Expr) -> Expr:
    """Whether all are true."""
    joined = exprs[0]
    for expr in exprs[1:]:
        joined = call("and", joined, expr)
    return joined


# ---- operators


def compare(name: str, left: Operand, right: Operand) -> Expr:
    """`eq`, `ne`, `lt`, `le`, `gt` or `ge`, as pandas compares: with a missing value nothing is true but `ne`."""
    result = call(name, left.expr, right.expr)
    # NaN of a file is larger than all numbers to the engine, and equal to itself.
    larger = {"gt": [left], "ge": [left], "lt": [right], "le": [right]}.get(name, [])
    if name in ("eq", "ne") and not (left.is_literal or right.is_literal):
        larger = [left]
    for side in larger:
        if side.kind == "float" and not side.is_literal:
            is_nan = call("is_nan", side.expr)
            result = call("or", result, is_nan) if name == "ne" else call("and", result, call("not", is_nan))
    return call("coalesce", result, TRUE if name == "ne" else FALSE)


def arithmetic(name: str, left: Operand, right: Operand) -> Expr:
    """`add`, `sub`, `mul`, `div`, `floordiv`, `mod` or `pow`."""
    kinds = {left.kind, right.kind}
    if kinds == {"bool"} and name in ("add", "mul"):
        return call("or" if name == "add" else "and", truth(left.expr), truth(right.expr))
    if "str" in kinds:
        return _of_texts(name, left, right)
    if "duration" in kinds and name != "add" and name != "sub":
        return _of_durations(name, left, right)
    result = call(name, _number(left), _number(right))
    can_be_nan = name == "div" or ("float" in kinds and name in ("floordiv", "mod", "pow"))
    return present(result) if can_be_nan else result


def _number(side: Operand) -> Expr:
    return cast(side.expr, "int64") if side.kind == "bool" and not side.is_literal else side.expr


def _of_texts(name: str, left: Operand, right: Operand) -> Expr:
    if name == "mul":
        text, times = (left, right) if left.kind == "str" else (right, left)
        return call("repeat", text.expr, times.expr)
    if name != "add":
        raise TypeError(f"texts can be added and repeated; there is no {name!r} of them")
    sides = [side for side in (left, right) if not side.is_literal]
    return case([(both(*(not_null(side.expr) for side in sides)), call("concat", left.expr, right.expr))])


def _of_durations(name: str, left: Operand, right: Operand) -> Expr:
    parts = [cast(side.expr, "int64") if side.kind == "duration" else side.expr for side in (left, right)]
    if left.kind == right.kind:
        # Of one unit, so that their quotient has none.
        nanoseconds = [cast(cast(side.expr, "duration[ns]"), "int64") for side in (left, right)]
        result = call(name, *nanoseconds)
        return present(result) if name == "div" else result
    duration = left if left.kind == "duration" else right
    kind = arrow_type(duration.dtype) if not duration.is_literal else str(duration.expr["type"])
    return cast(cast(call(name, *parts), "int64"), kind)


def logic(name: str, left: Operand, right: Operand) -> Expr:
    """`and`, `or` or `xor` of conditions."""
    for side in (left, right):
        if side.kind not in ("bool", "object"):
            raise NotImplementedError(
                f"&, | and ^ are for conditions, got {side.dtype}: for bits of integers compute() first, or use sql()"
            )
    return call(name, truth(left.expr), truth(right.expr))


def negated(expr: Expr) -> Expr:
    """Whether a condition is not true."""
    return call("not", truth(expr))
