"""The rows that columns belong to.

Columns that are computed row by row need no table of their own: they are expressions over the same rows, and can be
combined. What needs other rows (windows, values of other tables) is a step that adds columns; two columns over the
same base, each with steps of its own, have a common table in which all steps are done.

Each base numbers its rows. The number is the order of the rows, and the default index; nothing is numbered or put in
order unless the result needs it (see `_flatten`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from millstream.dataframe import _tree
from millstream.dataframe._tree import Expr, Named, Node

# An expression of more parts than this becomes a column of a table, so that trees do not grow with their squares.
_LARGE = 200


@dataclass(frozen=True, eq=False)
class Base:
    """Rows with a number.

    Parameters
    ----------
    node : Node
        Their table.
    position : str
        The column of their number; it rises in their order.
    start : int or None
        The number of the first if they are numbered without gaps.
    is_scrambled : bool
        Whether the table has lost their order.
    """

    node: Node
    position: str
    start: int | None = 0
    is_scrambled: bool = False
    # The tables after some steps, so that equal ones are one.
    made: dict[tuple[Step, ...], Node] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, eq=False)
class Step:
    """Columns added to a table, whatever other columns it has."""

    apply: Callable[[Node], Node]
    scrambles: bool


class Rows:
    """Rows of a base with the columns of some steps.

    Parameters
    ----------
    base : Base
        The rows.
    steps : tuple of Step
        What was added to them, in order.
    """

    def __init__(self, base: Base, steps: tuple[Step, ...] = ()) -> None:
        self.base = base
        self.steps = steps

    @cached_property
    def node(self) -> Node:
        """The table of all columns."""
        node, made = self.base.node, self.base.made
        for count, step in enumerate(self.steps, start=1):
            done = self.steps[:count]
            if done not in made:
                made[done] = step.apply(node)
            node = made[done]
        return node

    @property
    def is_scrambled(self) -> bool:
        """Whether the table has lost the order of the rows."""
        return self.base.is_scrambled or any(step.scrambles for step in self.steps)

    @property
    def position(self) -> Expr:
        """The number of each row, which rises in their order."""
        return {"col": self.base.position}

    @property
    def order(self) -> list[dict[str, Any]]:
        """The key that the rows are in the order of."""
        return [_tree.sort_key(self.position)]

    # ---- the same rows with more columns

    def joined(self, other: Rows) -> Rows:
        """The same rows with the columns of both.

        Raises
        ------
        ValueError
            If they are other rows.
        """
        if self.base is not other.base:
            raise ValueError(
                "these are columns of different rows: filter, sort or assign on one frame, merge the frames, "
                "or compute() and combine them in pandas"
            )
        steps = [step for step in other.steps if all(step is not mine for mine in self.steps)]
        return Rows(self.base, (*self.steps, *steps)) if steps else self

    def step(self, apply: Callable[[Node], Node], *, scrambles: bool) -> Rows:
        """The same rows after a step."""
        return Rows(self.base, (*self.steps, Step(apply, scrambles)))

    def extended(self, exprs: Iterable[Expr], hint: str = "c") -> tuple[Rows, list[Expr]]:
        """The same rows with columns of these expressions, and expressions that read them."""
        named: list[Named] = [(_tree.fresh(hint), expr) for expr in exprs]
        scrambles = _tree.has_window([expr for _, expr in named])
        rows = self.step(lambda node: _tree.extend(node, named), scrambles=scrambles)
        return rows, [{"col": name} for name, _ in named]

    def compact(self, exprs: Sequence[Expr]) -> tuple[Rows, list[Expr]]:
        """The same rows and expressions, large ones of these as columns."""
        large = [place for place, expr in enumerate(exprs) if _tree.size_of(expr, _LARGE) > _LARGE]
        if not large:
            return self, list(exprs)
        rows, columns = self.extended([exprs[place] for place in large])
        replaced = list(exprs)
        for place, column in zip(large, columns, strict=True):
            replaced[place] = column
        return rows, replaced

    def with_value(self, rows: Rows, expr: Expr) -> tuple[Rows, Expr]:
        """The same rows, each with the value of an expression over a table of one row."""
        name = _tree.fresh("value")
        single = _tree.project(rows.node, [(name, expr)])
        return self.step(lambda node: _tree.join(node, single, "cross"), scrambles=True), {"col": name}

    # ---- other rows

    def filtered(self, where: Expr) -> Rows:
        """Those for which the expression is true."""
        return Rows(Base(_tree.filtered(self.node, where), self.base.position, None, self.is_scrambled))

    def in_order(self) -> Node:
        """The table in the order of the rows."""
        return _tree.sort(self.node, self.order) if self.is_scrambled else self.node

    def sliced(self, skip: int, fetch: int | None) -> Rows:
        """Some of the rows, by their place."""
        start = None if self.base.start is None else self.base.start + skip
        ordered = self.in_order()
        node = _tree.limit(ordered, skip, fetch)
        if fetch is not None and not skip and self.is_scrambled:
            node = _tree.sort(self.node, self.order, fetch)
        return Rows(Base(node, self.base.position, start))

    def last(self, count: int) -> Rows:
        """The last rows."""
        backwards = [_tree.sort_key(self.position, descending=True)]
        node = _tree.sort(self.node, backwards, count)
        return Rows(Base(node, self.base.position, None, is_scrambled=True))

    def sorted(self, by: Iterable[dict[str, Any]], fetch: int | None = None) -> Rows:
        """The rows in the order of keys, those with equal keys in the order that they had; numbered anew."""
        return numbered(_tree.sort(self.node, [*by, *self.order], fetch))


def numbered(node: Node) -> Rows:
    """The rows of a table, in its order."""
    position = _tree.fresh("row")
    return Rows(Base(_tree.number(node, position), position))
