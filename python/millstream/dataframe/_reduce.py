"""Values of many rows: how each reduction of pandas is made of the engine's aggregates.

An aggregate node computes only aggregates. What is to be done with them afterwards is an expression over its columns:
a :class:`Collector` keeps both apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from millstream.dataframe import _kinds, _tree
from millstream.dataframe._expr import FALSE, TRUE, Expr, Operand, agg, call, case, cast, lit, not_null
from millstream.dataframe._tree import Named, Node


@dataclass
class Collector:
    """Aggregates of one node, each once.

    Parameters
    ----------
    order : sequence of mapping
        Keys that the rows are in the order of.
    """

    order: Sequence[dict[str, Any]] = ()
    columns: list[Named] = field(default_factory=list)

    def add(self, aggregate: Expr) -> Expr:
        """Compute an aggregate; return the expression that reads it."""
        for name, known in self.columns:
            if known == aggregate:
                return {"col": name}
        name = _tree.fresh("agg")
        self.columns.append((name, aggregate))
        return {"col": name}

    def table(self, node: Node, keys: Sequence[Named] = ()) -> Node:
        """The table of the aggregates of each group."""
        columns = self.columns if self.columns or keys else [(_tree.fresh("agg"), agg("count"))]
        return _tree.aggregate(node, keys, columns)


@dataclass(frozen=True)
class Reduced:
    """What a reduction is asked for.

    Parameters
    ----------
    side : Operand
        The column.
    labels : sequence of mapping
        Its index, for those that give a label.
    options : mapping
        What the user passed.
    """

    side: Operand
    labels: Sequence[Expr]
    options: dict[str, Any]

    @property
    def expr(self) -> Expr:
        """The column's values."""
        return self.side.expr

    @property
    def number(self) -> Expr:
        """The column's values as numbers."""
        return cast(self.expr, "int64") if self.side.kind in ("bool", "datetime", "duration") else self.expr

    def timed(self, value: Expr) -> Expr:
        """A number as a value of the column's type, if that is a time."""
        if self.side.kind not in ("datetime", "duration"):
            return value
        return cast(cast(value, "int64"), _kinds.arrow_type(self.side.dtype))


Reduction = Callable[[Collector, Reduced], Expr]


def _refuse_text(asked: Reduced, name: str) -> None:
    if asked.side.kind == "str":
        raise TypeError(f"there is no {name} of texts on the cluster: choose columns of numbers, or numeric_only=True")


def _sum(to: Collector, asked: Reduced) -> Expr:
    _refuse_text(asked, "sum")
    total = asked.timed(to.add(agg("sum", asked.number)))
    least = asked.options.get("min_count", 0)
    if least <= 0:
        return total
    return case([(call("ge", to.add(agg("count", asked.expr)), lit(least)), total)])


def _product(to: Collector, asked: Reduced) -> Expr:
    _refuse_text(asked, "product")
    total = to.add(agg("prod", asked.number))
    least = asked.options.get("min_count", 0)
    return total if least <= 0 else case([(call("ge", to.add(agg("count", asked.expr)), lit(least)), total)])


def _mean(to: Collector, asked: Reduced) -> Expr:
    _refuse_text(asked, "mean")
    return asked.timed(to.add(agg("mean", asked.number)))


def _median(to: Collector, asked: Reduced) -> Expr:
    _refuse_text(asked, "median")
    return asked.timed(to.add(agg("median", asked.number)))


def _quantile(to: Collector, asked: Reduced) -> Expr:
    _refuse_text(asked, "quantile")
    share = asked.options.get("q", 0.5)
    if not 0 <= share <= 1:
        raise ValueError(f"percentiles should all be in the interval [0, 1], got {share}")
    return asked.timed(to.add(agg("quantile", asked.number, lit(float(share)))))


def _spread(name: str) -> Reduction:
    def reduced(to: Collector, asked: Reduced) -> Expr:
        _refuse_text(asked, name)
        if asked.side.kind == "datetime":
            raise NotImplementedError(f"there is no {name} of times on the cluster: subtract a time first")
        value = to.add(agg(name, cast(asked.number, "float64"), lit(int(asked.options.get("ddof", 1)))))
        return asked.timed(value)

    return reduced


def _standard_error(to: Collector, asked: Reduced) -> Expr:
    count = to.add(agg("count", asked.expr))
    return call("div", _spread("std")(to, asked), call("sqrt", cast(count, "float64")))


def _extreme(name: str) -> Reduction:
    return lambda to, asked: to.add(agg(name, asked.expr))


def _count(to: Collector, asked: Reduced) -> Expr:
    return to.add(agg("count", asked.expr))


def _size(to: Collector, asked: Reduced) -> Expr:
    return to.add(agg("count"))


def _distinct(to: Collector, asked: Reduced) -> Expr:
    found = to.add(agg("nunique", asked.expr))
    if asked.options.get("dropna", True):
        return found
    missing = call("lt", to.add(agg("count", asked.expr)), to.add(agg("count")))
    return call("add", found, cast(missing, "int64"))


def _quantified(name: str, of_none: Expr) -> Reduction:
    def reduced(to: Collector, asked: Reduced) -> Expr:
        value = asked.expr
        if asked.side.kind in ("int", "float"):
            value = call("ne", value, lit(0))
        elif asked.side.kind == "str":
            value = call("ne", value, lit(""))
        # What is missing is skipped.
        present = case([(not_null(asked.expr), value)])
        return call("coalesce", to.add(agg(name, present)), of_none)

    return reduced


def _end(name: str) -> Reduction:
    return lambda to, asked: to.add(agg(name, asked.expr, where=not_null(asked.expr), by=to.order))


def _label(*, largest: bool) -> Reduction:
    def reduced(to: Collector, asked: Reduced) -> Expr:
        if len(asked.labels) != 1:
            raise NotImplementedError("idxmin and idxmax need an index of one level: reset_index() first")
        by = [_tree.sort_key(asked.expr, descending=largest), *to.order]
        return to.add(agg("first", asked.labels[0], where=not_null(asked.expr), by=by))

    return reduced


def _listed(to: Collector, asked: Reduced) -> Expr:
    return to.add(agg("array_agg", asked.expr, by=to.order))


REDUCTIONS: dict[str, Reduction] = {
    "sum": _sum,
    "prod": _product,
    "product": _product,
    "mean": _mean,
    "median": _median,
    "quantile": _quantile,
    "std": _spread("std"),
    "var": _spread("var"),
    "sem": _standard_error,
    "min": _extreme("min"),
    "max": _extreme("max"),
    "count": _count,
    "size": _size,
    "nunique": _distinct,
    "any": _quantified("any", FALSE),
    "all": _quantified("all", TRUE),
    "first": _end("first"),
    "last": _end("last"),
    "idxmin": _label(largest=False),
    "idxmax": _label(largest=True),
    "list": _listed,
}
# Functions of Python and numpy that mean one of these.
_FUNCTIONS = {"len": "size", "amin": "min", "amax": "max", "nanmean": "mean", "nansum": "sum"}


def is_named(function: Any) -> bool:
    """Whether it is a reduction's name, or a function of Python, numpy or pandas that is known by one."""
    if isinstance(function, str):
        return function in REDUCTIONS
    home = str(getattr(function, "__module__", "")).partition(".")[0]
    name = getattr(function, "__name__", "")
    return home in ("builtins", "numpy", "pandas") and _FUNCTIONS.get(name, name) in REDUCTIONS


def name_of(function: Any) -> str:
    """The name of a reduction that a user gives by name or by a function that everybody knows.

    Raises
    ------
    NotImplementedError
        If it is a function of the user's.
    AttributeError
        If there is no such name.
    """
    name = function if isinstance(function, str) else getattr(function, "__name__", repr(function))
    name = _FUNCTIONS.get(name, name)
    if name in REDUCTIONS and (isinstance(function, str) or is_named(function)):
        return name
    if isinstance(function, str):
        from millstream.dataframe._meta import near

        raise AttributeError(f"there is no reduction {name!r}{near(name, REDUCTIONS)}")
    raise NotImplementedError(f"{name} is a Python function: use apply() for it, or one of {', '.join(REDUCTIONS)}")


def reduced(name: str, to: Collector, asked: Reduced) -> Expr:
    """The expression of a reduction over the table that the collector makes."""
    value = REDUCTIONS[name](to, asked)
    if asked.options.get("skipna", True) or name in ("count", "size", "nunique", "list"):
        return value
    complete = call("eq", to.add(agg("count", asked.expr)), to.add(agg("count")))
    return case([(complete, value)])


def stacked(node: Node, labels: Sequence[Any], columns: Sequence[Sequence[Expr]]) -> tuple[Node, Expr, list[Expr]]:
    """Rows of a table's columns: for each label one row for each row of the table.

    Parameters
    ----------
    node : Node
        The table.
    labels : sequence
        Their labels.
    columns : sequence of sequences
        For each column of the result its expression for each label.

    Returns
    -------
    Node, mapping, list of mapping
        The table, the number of the label, and the columns, of which the first is the label.
    """
    place = _tree.fresh("place")
    places = call("make_array", *(cast(lit(number), "int64") for number in range(len(labels))))
    spread = _tree.unnest(_tree.extend(node, [(place, places)]), place)

    def chosen(exprs: Sequence[Expr]) -> Expr:
        return case([(call("eq", {"col": place}, lit(number)), expr) for number, expr in enumerate(exprs)])

    listed = [chosen([lit(label) for label in labels]), *(chosen(exprs) for exprs in columns)]
    return spread, {"col": place}, listed
