"""Plans broken at Python functions: SQL tasks up to there, Python tasks on the parts, and SQL on what they made.

The parts lie in files of a scratch folder that all workers share, written by tasks and read by tasks; they never pass
through the client. The folder lives as long as the query.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from millstream._errors import MillstreamError
from millstream._functions import carry
from millstream.dataframe import _flatten, _kinds, _parts, _results, _run, _tree, _views
from millstream.dataframe._query import QueryError, TreeQuery
from millstream.dataframe._tree import Node

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream._client import Client

for _module in (_parts, _results, _kinds, _views):
    carry(_module)

SCRATCH = "MILLSTREAM_SCRATCH"
# Parts for each slot, so that a slot that is done early has more to do.
_SHARE = 2


@dataclasses.dataclass(frozen=True, eq=False)
class Work:
    """What Python tasks do at a break.

    Parameters
    ----------
    task : callable
        What each task runs.
    makes : pyarrow.Schema
        The columns that it adds, or all columns of what it makes.
    position : str, optional
        The column by which rows are in order.
    bucket : str, optional
        A column whose values tell parts apart; by default the cluster divides rows as it likes.
    items : sequence, optional
        What the tasks are given if there are no rows before the break: a value for each, which may be delayed.
    """

    task: Any
    makes: pa.Schema
    position: str = ""
    bucket: str | None = None
    items: Sequence[Any] = ()


# How a broken table is replaced: by the node, its input, and the columns that are read of it.
_Replace = Callable[[Node, Node | None, list[str], bool], Node]


def is_broken(root: Node) -> bool:
    """Whether there is a Python function in a tree."""
    return any(node.op == "python" for node in _flatten.topological(root))


def planned(client: Client | None, root: Node) -> Node:
    """The tree with empty tables where functions are: enough to plan what follows them."""

    def empty(node: Node, source: Node | None, wanted: list[str], ordered: bool) -> Node:
        return _empty_of(client, node, source, wanted)

    return _replaced(root, empty)


@contextlib.contextmanager
def prepared(client: Client | None, asked: TreeQuery) -> Iterator[TreeQuery]:
    """Run the functions of a query; while the context is entered their results lie in files that it names.

    Raises
    ------
    MillstreamError
        If a task fails, or there is no folder that all workers share.
    """
    found = _run.current(client)
    folder = found.submit(_parts.new_folder, os.environ.get(SCRATCH)).result()
    count = 0

    def made(node: Node, source: Node | None, wanted: list[str], ordered: bool) -> Node:
        nonlocal count
        count += 1
        run = _Run(found, f"{folder}/in-{count}", f"{folder}/made/{count}")
        return run.table(node, source, wanted, ordered)

    try:
        yield dataclasses.replace(asked, root=_replaced(asked.root, made))
    finally:
        # What cannot be removed now goes with a later run.
        with contextlib.suppress(MillstreamError):
            found.submit(_parts.remove, folder).result()


def parts_of(client: Client, root: Node, task: Callable[[_parts.Part], Any]) -> list[Any]:
    """Futures of what a task makes of each part of a table; all are done when this returns."""
    query = TreeQuery(root)
    if is_broken(root):
        with prepared(client, query) as ready:
            return parts_of(client, ready.root, task)
    folder = client.submit(_parts.new_folder, os.environ.get(SCRATCH)).result()
    try:
        written = _Run(client, f"{folder}/in", "").written(root, None)
        futures = [client.submit(task, part) for part in written]
        client.wait(futures)
        return futures
    finally:
        with contextlib.suppress(MillstreamError):
            client.submit(_parts.remove, folder).result()


@dataclasses.dataclass(frozen=True)
class _Run:
    """One break: where the rows before it lie, and where its tasks write."""

    client: Client
    before: str
    after: str

    def table(self, node: Node, source: Node | None, wanted: list[str], ordered: bool) -> Node:
        work: Work = node.body["work"]
        given = work.items if source is None else self.written(source, work.bucket)
        calls = [self._call(work, one, number, has_rows=source is not None) for number, one in enumerate(given)]
        found = [one for one in self.client.gather(calls) if one.path is not None]
        if not found:
            return _empty_of(self.client, node, source, wanted)
        found.sort(key=lambda one: one.first)
        table = _tree.table({"paths": [one.path for one in found], "format": "arrow"}, node.columns)
        overlap = any(before.last >= after.first for before, after in itertools.pairwise(found))
        is_mixed = node.body["keeps"] and overlap and ordered
        return _tree.sort(table, [_tree.sort_key({"col": work.position})]) if is_mixed else table

    def written(self, source: Node, bucket: str | None) -> list[_parts.Part]:
        """Write the rows before a break; return the parts that they are given to tasks in."""
        into = {"path": f"{self.before}/", "format": "arrow", "partition_by": [bucket] if bucket else []}
        try:
            _run.table(self.client, TreeQuery(source, into=into))
        except QueryError as error:
            if "root" in error.code or "folder" in error.detail:
                error.add_note(
                    "Rows go to Python functions by a folder that all workers can write to: name one of the cluster "
                    f"in the variable {SCRATCH}."
                )
            raise
        # The engine does not divide what it reads quickly; a function may take long for each row.
        wanted = _SHARE * sum(self.client.ncores().values())
        found: list[_parts.Part] = self.client.submit(_parts.parts_in, self.before, max(1, wanted)).result()
        return found

    def _call(self, work: Work, given: Any, number: int, *, has_rows: bool) -> Any:
        target = f"{self.after}-{number:05}.arrow"
        return self.client.submit(work.task, given, target, *([] if has_rows else [number]))


def _replaced(root: Node, replace: _Replace) -> Node:
    order, wanted, ordered = _flatten.needs(root)
    made: dict[int, Node] = {}
    for node in order:
        inputs = tuple(made[id(child)] for child in node.inputs)
        if node.op != "python":
            same = all(new is old for new, old in zip(inputs, node.inputs, strict=True))
            made[id(node)] = node if same else dataclasses.replace(node, inputs=inputs)
            continue
        read, work = wanted[id(node)], node.body["work"]
        if node.body["keeps"] and not read.intersection(work.makes.names):
            # Nobody reads what the function makes.
            made[id(node)] = inputs[0]
            continue
        source = None
        if inputs:
            # In the order of the input, so that the same columns make the same query.
            needed = {*node.body["reads"], *(read if node.body["keeps"] else ())}
            source = _selected(inputs[0], [name for name in node.inputs[0].columns if name in needed])
        made[id(node)] = replace(node, source, sorted(read), id(node) in ordered)
    return made[id(root)]


def _selected(node: Node, names: Sequence[str]) -> Node:
    return _tree.project(node, [(name, {"col": name}) for name in names])


def _empty_of(client: Client | None, node: Node, source: Node | None, wanted: list[str]) -> Node:
    """The table of a break without rows."""
    import pyarrow as pa

    fields = list(node.body["work"].makes)
    if source is not None and node.body["keeps"]:
        kept = [name for name in source.columns if name in wanted]
        fields = [*(_run.schema(client, _selected(source, kept)) if kept else ()), *fields]
    schema = pa.schema(fields)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema):
        pass
    return _tree.table({"arrow": sink.getvalue().to_pybytes()}, schema.names)
