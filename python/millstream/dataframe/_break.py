"""Values of other jobs within plans, and parts of plans for other jobs.

They lie in files of a scratch folder that all workers share, written by tasks and read by tasks; they never pass
through the client. The folder lives as long as the query.
"""

from __future__ import annotations

import contextlib
import dataclasses
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
    """Delayed values that become a table.

    Parameters
    ----------
    task : callable
        What writes each of them.
    makes : pyarrow.Schema
        The columns of the table.
    items : sequence
        The values.
    """

    task: Any
    makes: pa.Schema
    items: Sequence[Any]


# How a table is replaced.
_Replace = Callable[[Node], Node]


def is_elsewhere(item: Any) -> bool:
    """Whether there is a value among an item's that another job makes."""
    from millstream import Future
    from millstream._delayed import Delayed

    return isinstance(item, tuple) and any(isinstance(value, Delayed | Future) for value in item)


def is_broken(root: Node) -> bool:
    """Whether there are delayed values in a tree."""
    return any(node.op == "delayed" for node in _flatten.topological(root))


def planned(root: Node) -> Node:
    """The tree with empty tables where functions and delayed values are: enough to plan what follows them."""

    def empty(node: Node) -> Node:
        if node.op == "delayed":
            return _empty(node.body["work"].makes)
        return _foreseen(node)

    return _replaced(root, empty, ("delayed", "python"))


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

    def made(node: Node) -> Node:
        nonlocal count
        count += 1
        return _stored(found, node.body["work"], f"{folder}/made/{count}")

    try:
        yield dataclasses.replace(asked, root=_replaced(asked.root, made, ("delayed",)))
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
        written = _written(client, root, f"{folder}/in")
        futures = [client.submit(task, part) for part in written]
        client.wait(futures)
        return futures
    finally:
        with contextlib.suppress(MillstreamError):
            client.submit(_parts.remove, folder).result()


def _stored(client: Client, work: Work, before: str) -> Node:
    """The table of delayed values, once they are written."""
    calls = [
        client.submit(work.task, item, f"{before}-{number:05}.arrow", number) for number, item in enumerate(work.items)
    ]
    found = [one for one in client.gather(calls) if one.path is not None]
    if not found:
        return _empty(work.makes)
    found.sort(key=lambda one: one.number)
    return _tree.table({"paths": [one.path for one in found], "format": "arrow"}, work.makes.names)


def _written(client: Client, root: Node, folder: str) -> list[_parts.Part]:
    """Write rows; return the parts that they are given to tasks in."""
    try:
        _run.table(client, TreeQuery(root, into={"path": f"{folder}/", "format": "arrow"}))
    except QueryError as error:
        if "root" in error.code or "folder" in error.detail:
            error.add_note(
                f"Parts go to other tasks by a folder that all workers write to: name one in the variable {SCRATCH}."
            )
        raise
    # The engine does not divide what it reads quickly; what follows may take long for each row.
    wanted = _SHARE * sum(client.ncores().values())
    found: list[_parts.Part] = client.submit(_parts.parts_in, folder, max(1, wanted)).result()
    return found


def _replaced(root: Node, replace: _Replace, ops: Sequence[str]) -> Node:
    made: dict[int, Node] = {}
    for node in _flatten.topological(root):
        inputs = tuple(made[id(child)] for child in node.inputs)
        same = all(new is old for new, old in zip(inputs, node.inputs, strict=True))
        node_now = node if same else dataclasses.replace(node, inputs=inputs)
        made[id(node)] = replace(node_now) if node.op in ops else node_now
    return made[id(root)]


def _foreseen(node: Node) -> Node:
    """The table of what a function makes, without rows."""
    import pyarrow as pa

    values: list[_tree.Named] = [(name, {"lit": None, "type": kind}) for name, kind in node.body["columns"]]
    before = node.inputs[0] if node.body["keep"] else _empty(pa.schema([(_tree.fresh("none"), pa.int64())]))
    made = _tree.extend(_tree.limit(before, fetch=0), values)
    return _tree.project(made, [(name, {"col": name}) for name in node.columns])


def _empty(schema: pa.Schema) -> Node:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema):
        pass
    return _tree.table({"arrow": sink.getvalue().to_pybytes()}, schema.names)
