"""A tree as a request carries it: each node once, without what no other node reads.

Frames number their rows and put them in order whether or not anybody looks. What a result does not need of that is
left out here: first every node is told which of its columns are read, and whether the order of its rows is, then the
nodes are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from millstream.dataframe._tree import Node, columns_in

VERSION = 1


def needs(root: Node) -> tuple[list[Node], dict[int, set[str]], set[int]]:
    """Return all nodes, inputs first, and by their identity which columns are read, and whose order matters."""
    writer = _Writer(root)
    writer.tell()
    return writer.order, writer.wanted, writer.ordered


def flatten(root: Node) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a tree as it is on the wire, and the tables that it names."""
    return _Writer(root).write()


class _Writer:
    def __init__(self, root: Node) -> None:
        self._root = root
        self.order = topological(root)
        # By a node's identity: the columns and the order that others need of it.
        self.wanted: dict[int, set[str]] = {id(node): set() for node in self.order}
        self.ordered: set[int] = set()
        self._nodes: list[dict[str, Any]] = []
        self._tables: dict[str, Any] = {}
        # Of the statements among them, and their first rows, the names of their columns.
        self._statements: dict[int, tuple[str, ...]] = {}

    def tell(self) -> None:
        """Find out what is needed of each node."""
        self._need(self._root, self._root.columns, ordered=True)
        for node in reversed(self.order):
            self._needs_of(node, self.wanted[id(node)], ordered=id(node) in self.ordered)

    def write(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The tree and its tables."""
        self.tell()
        places: dict[int, int] = {}
        for node in self.order:
            inputs = [places[id(child)] for child in node.inputs]
            places[id(node)] = self._written(node, inputs)
        return {"version": VERSION, "nodes": self._nodes}, self._tables

    # ---- what is needed

    def _need(self, node: Node, columns: Iterable[str], *, ordered: bool) -> None:
        self.wanted[id(node)].update(columns)
        if ordered:
            self.ordered.add(id(node))

    def _needs_of(self, node: Node, wanted: set[str], *, ordered: bool) -> None:
        body = node.body
        if node.op == "project":
            read = columns_in([expr for name, expr in body["columns"] if name in wanted])
            self._need(node.inputs[0], read, ordered=ordered)
        elif node.op == "aggregate":
            self._need(node.inputs[0], columns_in([body["keys"], _kept(node, wanted)]), ordered=False)
        elif node.op == "join":
            read = wanted | columns_in(body["on"])
            for child in node.inputs:
                self._need(child, read.intersection(child.columns), ordered=False)
        elif node.op == "union":
            for child in node.inputs:
                self._need(child, [child.columns[place] for place in _places(node, wanted)], ordered=ordered)
        elif node.op == "sql":
            for child in node.inputs:
                self._need(child, child.columns, ordered=True)
        elif node.op == "python":
            for child in node.inputs:
                kept = wanted.intersection(child.columns) if body["keep"] else set()
                is_read = not self._is_unread(node, wanted)
                read = {*node.source, *columns_in(body["by"])} if is_read else set()
                self._need(child, kept | read, ordered=ordered and not body["by"])
        elif node.op == "number":
            name = body["name"]
            self._need(node.inputs[0], wanted - {name}, ordered=ordered or name in wanted)
        elif node.op == "sort" and not ordered and "fetch" not in body:
            # Left out: nothing reads its keys.
            self._need(node.inputs[0], wanted, ordered=False)
        elif node.op not in ("table", "delayed"):
            read = columns_in([body.get("where"), body.get("by"), body.get("on")])
            if node.op == "unnest":
                read.add(body["column"])
            # Sorted and distinct rows have an order of their own; which rows come first needs one.
            keeps = node.op == "limit" or (ordered and node.op not in ("sort", "distinct"))
            self._need(node.inputs[0], wanted | read, ordered=keeps)

    # ---- how it is written

    def _written(self, node: Node, inputs: list[int]) -> int:
        """Write a node, unless its input has all that is needed of it; return its place."""
        wanted = self.wanted[id(node)]
        body = node.body
        if node.op == "table":
            name = f"t{len(self._tables)}"
            self._tables[name] = node.source
            return self._add(op="table", name=name)
        if node.op == "sql":
            self._tables.update(node.source)
            # Exactly their columns, since the statement may ask for all.
            exact = [self._renamed(child, at, child.columns) for child, at in zip(node.inputs, inputs, strict=True)]
            named = dict(zip(body["names"], exact, strict=True))
            place = self._add(op="sql", query=body["query"], params=body["params"], inputs=named)
            self._statements[place] = node.columns
            return place
        if node.op == "project":
            return self._project(node, inputs[0], wanted)
        if node.op == "aggregate":
            columns = _kept(node, wanted)
            return self._add(op="aggregate", input=inputs[0], keys=_pairs(body["keys"]), columns=columns)
        if node.op == "join":
            members = {name: value for name, value in body.items() if name != "on" and value is not False}
            return self._add(op="join", left=inputs[0], right=inputs[1], on=_pairs(body["on"]), **members)
        if node.op == "union":
            return self._union(node, inputs, wanted)
        if node.op == "python":
            return inputs[0] if self._is_unread(node, wanted) else self._python(node, inputs)
        if self._is_idle(node, wanted):
            return inputs[0]
        members = {name: value for name, value in body.items() if value is not None}
        place = self._add(op=node.op, input=inputs[0], **members)
        if node.op == "limit" and inputs[0] in self._statements:
            self._statements[place] = self._statements[inputs[0]]
        return place

    def _is_unread(self, node: Node, wanted: set[str]) -> bool:
        """Whether nobody reads what a function makes."""
        return bool(node.body["keep"]) and not wanted.intersection(name for name, _ in node.body["columns"])

    def _python(self, node: Node, inputs: list[int]) -> int:
        members = {name: value for name, value in node.body.items() if value not in ((), False)}
        if not inputs:
            return self._add(op="python", **members)
        # Exactly what is read: all of it is handed over.
        child = node.inputs[0]
        read = [name for name in child.columns if name in self.wanted[id(child)]]
        return self._add(op="python", input=self._renamed(child, inputs[0], read), **members)

    def _is_idle(self, node: Node, wanted: set[str]) -> bool:
        if node.op == "number":
            return node.body["name"] not in wanted
        return node.op == "sort" and "fetch" not in node.body and id(node) not in self.ordered

    def _project(self, node: Node, source: int, wanted: set[str]) -> int:
        columns = [[name, expr] for name, expr in node.body["columns"] if name in wanted]
        # Only the number of rows is needed, or only columns that the input has already.
        is_idle = all(expr == {"col": name} for name, expr in columns)
        if node is self._root:
            is_idle = is_idle and self._statements.get(source) == tuple(name for name, _ in columns)
        return source if is_idle else self._add(op="project", input=source, columns=columns)

    def _union(self, node: Node, inputs: list[int], wanted: set[str]) -> int:
        # An input may have further columns, which others need, and in an order of its own.
        kept = _places(node, wanted)
        names = [node.columns[place] for place in kept]
        parts = []
        for child, place in zip(node.inputs, inputs, strict=True):
            parts.append(self._renamed(child, place, [child.columns[index] for index in kept], names))
        return self._add(op="union", inputs=parts)

    def _renamed(self, node: Node, place: int, columns: Sequence[str], names: Sequence[str] | None = None) -> int:
        """Exactly these columns of a node, under other names if there are any."""
        names = columns if names is None else names
        written = self._nodes[place]
        if written["op"] == "project" and [name for name, _ in written["columns"]] == list(columns) == list(names):
            return place
        return self._add(
            op="project", input=place, columns=[[n, {"col": c}] for n, c in zip(names, columns, strict=True)]
        )

    def _add(self, **members: Any) -> int:
        self._nodes.append(members)
        return len(self._nodes) - 1


def _kept(node: Node, wanted: set[str]) -> list[list[Any]]:
    """The aggregates that are read; one is needed where there are no keys."""
    columns = _pairs(node.body["columns"])
    return [pair for pair in columns if pair[0] in wanted] or ([] if node.body["keys"] else columns[:1])


def _places(node: Node, wanted: set[str]) -> list[int]:
    """Where the columns are that are read; one is needed to have rows."""
    return [place for place, name in enumerate(node.columns) if name in wanted] or [0]


def _pairs(items: Iterable[tuple[Any, Any]]) -> list[list[Any]]:
    return [[first, second] for first, second in items]


def topological(root: Node) -> list[Node]:
    """All nodes, each once, after those that it refers to."""
    done: dict[int, Node] = {}
    waiting = [(root, False)]
    while waiting:
        node, is_ready = waiting.pop()
        if id(node) in done:
            continue
        if is_ready:
            done[id(node)] = node
        else:
            waiting.append((node, True))
            waiting.extend((child, False) for child in node.inputs)
    return list(done.values())
