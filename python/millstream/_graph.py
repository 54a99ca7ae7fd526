"""Graphs of tasks that have not been submitted: their order, and chains that are fused into one task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from millstream._compile import MAX_PARAMS, Functions, Group, chain_op, chain_params, make_group
from millstream._options import TaskOptions
from millstream._task import Literals, Task

# A chain is one message, and one failure makes all of it run again.
_MAX_CHAIN = 64
_MAX_CHAIN_BYTES = MAX_PARAMS // 4


class _Node:
    """A task with its arguments packed."""

    __slots__ = ("deps", "group", "task")

    def __init__(self, task: Task, group: Group) -> None:
        self.task = task
        self.group = group
        self.deps = [target for target in group.references_of(0) if isinstance(target, Task)]


def build_groups(outputs: Sequence[Task], *, functions: Functions | None = None, fuse: bool = True) -> list[Group]:
    """Return the calls of a graph in an order in which inputs come first; `functions` makes their operations.

    Each task is made once, however many others read it. Linear chains of Python tasks with equal options become one
    task each, unless `fuse` is false.
    """
    return _numbered(outputs, functions or Functions(), fuse=fuse)[0]


def with_inputs(group: Group, functions: Functions) -> list[Group]:
    """Return calls after those that make the lazy values they refer to, to which they then refer by number."""
    references = group.references or ()
    tasks = {id(target): target for each in references for target in each if isinstance(target, Task)}
    if not tasks:
        return [group]
    groups, numbers = _numbered(list(tasks.values()), functions, fuse=True)
    for made in groups:
        made.wanted = False
    group.references = [_by_number(each, numbers) for each in references]
    return [*groups, group]


def _numbered(outputs: Sequence[Task], functions: Functions, *, fuse: bool) -> tuple[list[Group], dict[int, int]]:
    """Return the calls of a graph, and which of them makes each task, by the task's id."""
    nodes = _pack_all(outputs, functions, Literals())
    wanted = {id(task) for task in outputs}
    chains = _chains(nodes, wanted) if fuse else [[node] for node in nodes.values()]
    numbers: dict[int, int] = {}
    groups: list[Group] = []
    for chain in chains:
        group = _fused(chain) if len(chain) > 1 else chain[0].group
        references = group.references_of(0)
        if references:
            group.references = [_by_number(references, numbers)]
        group.wanted = id(chain[-1].task) in wanted
        numbers[id(chain[-1].task)] = len(groups)
        groups.append(group)
    return groups, numbers


def _by_number(references: Sequence[Any], numbers: dict[int, int]) -> list[Any]:
    return [numbers[id(target)] if isinstance(target, Task) else target for target in references]


def order(outputs: Sequence[Task]) -> list[Task]:
    """Return all tasks of a graph, inputs first."""
    return [node.task for node in _pack_all(outputs, Functions(), Literals()).values()]


def inputs_of(outputs: Sequence[Task]) -> dict[Task, list[Task]]:
    """Return the tasks of a graph, each with those it reads."""
    return {node.task: node.deps for node in _pack_all(outputs, Functions(), Literals()).values()}


def _pack_all(outputs: Sequence[Task], functions: Functions, literals: Literals) -> dict[int, _Node]:
    """Pack every task that is reachable, in depth-first order, inputs first."""
    packed: dict[int, _Node] = {}
    done: dict[int, _Node] = {}
    for output in outputs:
        stack = [output]
        while stack:
            task = stack[-1]
            if id(task) in done:
                stack.pop()
                continue
            node = packed.get(id(task))
            if node is None:
                node = packed[id(task)] = _pack(task, functions, literals)
                missing = [dep for dep in reversed(node.deps) if id(dep) not in done]
                for dep in missing:
                    if id(dep) in packed:
                        raise ValueError(f"tasks wait for each other in a circle through {dep.key!r}")
                if missing:
                    stack += missing
                    continue
            done[id(task)] = node
            stack.pop()
    return done


def _pack(task: Task, functions: Functions, literals: Literals) -> _Node:
    group = make_group(
        task.function,
        [(task.args, dict(task.kwargs))],
        [task.key],
        functions=functions,
        literals=literals,
        options=task.options,
        pure=task.pure,
    )
    return _Node(task, group)


def _chains(nodes: dict[int, _Node], wanted: set[int]) -> Iterator[list[_Node]]:
    """Part the graph into linear chains, in an order in which inputs come first."""
    readers = Counter(id(dep) for node in nodes.values() for dep in node.deps)
    next_of: dict[int, _Node] = {}
    for node in nodes.values():
        if len(node.deps) != 1 or len(node.group.references_of(0)) != 1:
            continue
        before = nodes[id(node.deps[0])]
        if readers[id(before.task)] == 1 and id(before.task) not in wanted and _are_alike(before, node):
            next_of[id(before.task)] = node
    inner = {id(node.task) for node in next_of.values()}
    # A chain stands where its last task stood: everything it reads comes before.
    chains: dict[int, list[_Node]] = {}
    for node in nodes.values():
        if id(node.task) in inner:
            continue
        chain, size = [node], _size(node)
        while (following := next_of.get(id(chain[-1].task))) is not None:
            size += _size(following)
            if size > _MAX_CHAIN_BYTES or len(chain) == _MAX_CHAIN:
                chains[id(chain[-1].task)] = chain
                chain, size = [], _size(following)
            chain.append(following)
        chains[id(chain[-1].task)] = chain
    for key in nodes:
        if key in chains:
            yield chains[key]


def _are_alike(first: _Node, second: _Node) -> bool:
    if first.group.op.kind != "python" or second.group.op.kind != "python":
        return False
    return _annotations(first.task.options) == _annotations(second.task.options)


def _annotations(options: TaskOptions) -> tuple[bytes, Any]:
    return options.identity(), options.env


def _size(node: _Node) -> int:
    return len(node.group.params[0]) + node.group.op.weight


_known_chains: dict[tuple[bytes, ...], Any] = {}


def _fused(chain: Sequence[_Node]) -> Group:
    """One call that makes the calls of a chain, under the key of the last."""
    first, last = chain[0], chain[-1]
    identity = tuple(node.group.op.params for node in chain)
    op = _known_chains.get(identity)
    if op is None:
        if len(_known_chains) > 1000:
            _known_chains.clear()
        op = _known_chains[identity] = chain_op([node.group.op for node in chain])
    references = first.group.references_of(0)
    params = chain_params(range(len(references)), [node.group.params[0] for node in chain])
    return Group(op, last.task.options, [params], [references], [last.task.key])
