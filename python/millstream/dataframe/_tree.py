"""Table expressions as data: nodes that refer to the nodes whose rows they take.

Nodes never change, and may be shared: `_flatten` writes each once. A node knows the names of its columns, so that
what nobody reads need not be computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Expr = dict[str, Any]
Named = tuple[str, Expr]

_fresh = itertools.count()


@dataclass(frozen=True, eq=False)
class Node:
    """A table.

    Parameters
    ----------
    op : str
        What it does, by its name on the wire.
    columns : tuple of str
        Names of its columns, which are distinct.
    inputs : tuple of Node
        The tables that it takes rows from.
    body : mapping
        Its other members, as they are on the wire.
    source : object, optional
        What a `table` is read from: a path, a list of paths, or a mapping with options or rows.
    """

    op: str
    columns: tuple[str, ...]
    inputs: tuple[Node, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)
    source: Any = None


def fresh(hint: str) -> str:
    """A column name that nothing else has."""
    return f"__{hint}_{next(_fresh)}__"


def table(source: Any, columns: Iterable[str]) -> Node:
    """The rows of files, or of a request."""
    return Node("table", tuple(columns), source=source)


def sql(
    query: str,
    params: Sequence[Any],
    inputs: Mapping[str, Node],
    columns: Iterable[str],
    tables: Mapping[str, Any] | None = None,
) -> Node:
    """The rows of a statement over named nodes and the tables of the request."""
    body = {"query": query, "params": list(params), "names": list(inputs)}
    return Node("sql", tuple(columns), tuple(inputs.values()), body, source=dict(tables or {}))


def project(node: Node, columns: Iterable[Named]) -> Node:
    """Exactly these columns."""
    listed = tuple(columns)
    return Node("project", tuple(name for name, _ in listed), (node,), {"columns": listed})


def extend(node: Node, columns: Iterable[Named]) -> Node:
    """All columns of the node, then these."""
    return project(node, [*((name, {"col": name}) for name in node.columns), *columns])


def filtered(node: Node, where: Expr) -> Node:
    """The rows for which the expression is true."""
    return Node("filter", node.columns, (node,), {"where": where})


def aggregate(node: Node, keys: Iterable[Named], columns: Iterable[Named]) -> Node:
    """One row for each group of equal keys; without keys exactly one."""
    keys, columns = tuple(keys), tuple(columns)
    names = tuple(name for name, _ in (*keys, *columns))
    return Node("aggregate", names, (node,), {"keys": keys, "columns": columns})


def join(
    left: Node,
    right: Node,
    how: str,
    on: Iterable[tuple[Expr, Expr]] = (),
    *,
    nulls_equal: bool = False,
) -> Node:
    """Pairs of rows; the columns of both must have distinct names."""
    names = left.columns if how in ("semi", "anti") else (*left.columns, *right.columns)
    return Node("join", names, (left, right), {"how": how, "on": tuple(on), "nulls_equal": nulls_equal})


def sort_key(expr: Expr, *, descending: bool = False, nulls_first: bool = False) -> dict[str, Any]:
    """A key to sort by."""
    return {"expr": expr, "descending": descending, "nulls_first": nulls_first}


def sort(node: Node, by: Iterable[Mapping[str, Any]], fetch: int | None = None) -> Node:
    """The rows in the order of the keys, or the first of them."""
    body: dict[str, Any] = {"by": tuple(by)}
    if fetch is not None:
        body["fetch"] = fetch
    return Node("sort", node.columns, (node,), body)


def limit(node: Node, skip: int = 0, fetch: int | None = None) -> Node:
    """The rows after the first `skip`, at most `fetch` of them."""
    return Node("limit", node.columns, (node,), {"skip": skip, "fetch": fetch})


def union(nodes: Sequence[Node]) -> Node:
    """All rows, one input after the other; columns by position, named as those of the first."""
    return Node("union", nodes[0].columns, tuple(nodes))


def distinct(node: Node, on: Iterable[Expr], by: Iterable[Mapping[str, Any]]) -> Node:
    """Of the rows with equal `on` the first by `by`."""
    return Node("distinct", node.columns, (node,), {"on": tuple(on), "by": tuple(by)})


def number(node: Node, name: str) -> Node:
    """The rows with their number, from 0, in a further column."""
    return Node("number", (*node.columns, name), (node,), {"name": name})


def unnest(node: Node, column: str, *, keep_empty: bool = True) -> Node:
    """One row for each element of the column's lists."""
    return Node("unnest", node.columns, (node,), {"column": column, "keep_empty": keep_empty})


def python(
    node: Node | None,
    name: str,
    function: bytes,
    makes: Iterable[tuple[str, str]],
    *,
    reads: Iterable[str] = (),
    by: Iterable[Expr] = (),
    calls: Iterable[bytes] = (),
    keep: bool = False,
) -> Node:
    """The rows that calls of a Python function make of a node's rows, or of arguments.

    With `keep` the rows stay, and get further columns; else they are other rows. What the function reads is no member
    on the wire.
    """
    columns = tuple(makes)
    body: dict[str, Any] = {"name": name, "function": function, "columns": columns}
    body |= {"by": tuple(by), "calls": tuple(calls), "keep": keep}
    kept = node.columns if node is not None and keep else ()
    names = (*kept, *(column for column, _ in columns))
    return Node("python", names, () if node is None else (node,), body, source=tuple(reads))


def delayed(work: Any, makes: Iterable[str]) -> Node:
    """The rows that delayed values stand for; `_break` puts a table of files in its place."""
    return Node("delayed", tuple(makes), body={"work": work})


def columns_in(value: Any) -> set[str]:
    """Names of the columns that an expression, or a list or mapping of them, reads."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Mapping):
            column = current.get("col")
            if isinstance(column, str) and len(current) == 1:
                found.add(column)
            else:
                waiting.extend(current.values())
        elif isinstance(current, list | tuple):
            waiting.extend(current)
    return found


def has_window(value: Any) -> bool:
    """Whether an expression looks at other rows than its own."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Mapping):
            if "window" in current:
                return True
            waiting.extend(current.values())
        elif isinstance(current, list | tuple):
            waiting.extend(current)
    return False


def size_of(value: Any, most: int) -> int:
    """How many expressions an expression is made of, counted up to `most`."""
    count = 0
    waiting = [value]
    while waiting and count <= most:
        current = waiting.pop()
        if isinstance(current, Mapping):
            count += 1
            waiting.extend(current.values())
        elif isinstance(current, list | tuple):
            waiting.extend(current)
    return count
