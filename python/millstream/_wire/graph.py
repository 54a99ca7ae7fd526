"""Builds the graph of a job, as the protocol's ``Graph`` reads it.

Structures are written by position, enumerations by name, collections as packed columns. Tasks are numbered in the
order in which they are added; those added one by one share a layer, a symbolic layer makes its tasks by a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from millstream._options import TaskOptions
from millstream._wire.columns import pack, pack_rows

# Operations and options are numbered by 16 bits.
MAX_OPS = 1 << 16
_WHOLE = 0xFFFF_FFFF


class Dep(NamedTuple):
    """One input of a task: another task's output, or one part of it."""

    task: int
    part: int | None = None


@dataclass(frozen=True)
class TaskRange:
    """A contiguous range of tasks."""

    first: int
    count: int

    @property
    def last(self) -> int:
        """The range's last task: the root of a tree."""
        return self.first + self.count - 1

    def encoded(self) -> list[int]:
        """Return the range by position."""
        return [self.first, self.count]


@dataclass(frozen=True)
class OpSpec:
    """One operation that many tasks may share."""

    kind: str
    name: str
    params: bytes = b""
    code: bytes | None = None
    determinate: bool = False
    # Bytes of the function itself, without what travels beside it; not on the wire.
    weight: int = field(default=0, compare=False)

    def encoded(self) -> list[Any]:
        """Return the operation by position."""
        return [self.kind, self.name, self.params, self.code, self.determinate]


@dataclass
class _Explicit:
    """The columns of tasks listed one by one."""

    first: int
    ops: list[int] = field(default_factory=list)
    options: list[int] = field(default_factory=list)
    dep_offsets: list[int] = field(default_factory=lambda: [0])
    dep_tasks: list[int] = field(default_factory=list)
    dep_parts: list[int] = field(default_factory=list)
    params: list[bytes] = field(default_factory=list)
    names: list[bytes] | None = None

    def encoded(self) -> dict[str, Any]:
        any_deps = bool(self.dep_tasks)
        any_parts = any(part != _WHOLE for part in self.dep_parts)
        columns = [
            len(self.ops),
            pack(_constant_or_each(self.ops), 2),
            pack(_constant_or_each(self.options), 2),
            pack(self.dep_offsets if any_deps else [], 4),
            pack(self.dep_tasks, 4),
            pack(self.dep_parts if any_parts else [], 4),
            pack_rows(self.params),
        ]
        return {"explicit": columns}


class GraphEncoder:
    """Collects tasks and encodes them.

    Examples
    --------
    >>> graph = GraphEncoder()
    >>> inc = graph.op(OpSpec("native", "bench:inc", determinate=True))
    >>> plain = graph.options(TaskOptions())
    >>> first = graph.task(inc, plain, b"", [])
    >>> second = graph.task(inc, plain, b"", [Dep(first)])
    >>> graph.want(second)
    >>> graph.task_count
    2
    """

    def __init__(self) -> None:
        self.task_count = 0
        self._ops: list[OpSpec] = []
        self._op_index: dict[OpSpec, int] = {}
        self._options: list[TaskOptions] = []
        self._option_index: dict[bytes, int] = {}
        self._layers: list[dict[str, Any]] = []
        self._keys: list[dict[str, Any]] = []
        self._outputs: list[int] = []
        self._open: _Explicit | None = None

    def op(self, spec: OpSpec) -> int:
        """Return the number of an operation, added if it is new."""
        number = self._op_index.setdefault(spec, len(self._ops))
        if number == len(self._ops):
            if number == MAX_OPS:
                raise ValueError(f"the job has more than {MAX_OPS} different functions: submit it in parts")
            self._ops.append(spec)
        return number

    def options(self, options: TaskOptions) -> int:
        """Return the number of options, added if they are new."""
        number = self._option_index.setdefault(options.identity(), len(self._options))
        if number == len(self._options):
            if number == MAX_OPS:
                raise ValueError(f"the job has more than {MAX_OPS} different options: submit it in parts")
            self._options.append(options)
        return number

    def task(self, op: int, options: int, params: bytes, deps: Iterable[Dep], key: str | None = None) -> int:
        """Add one task and return its number. Tasks with and without keys do not share a layer."""
        layer = self._explicit(is_named=key is not None)
        layer.ops.append(op)
        layer.options.append(options)
        for task, part in deps:
            layer.dep_tasks.append(task)
            layer.dep_parts.append(_WHOLE if part is None else part)
        layer.dep_offsets.append(len(layer.dep_tasks))
        layer.params.append(params)
        if layer.names is not None and key is not None:
            layer.names.append(key.encode())
        return self._take(1).first

    def map(self, op: int, options: int, params: Sequence[bytes]) -> TaskRange:
        """Add a task without inputs for each of `params`."""
        layer = self._explicit(is_named=False)
        count = len(params)
        layer.ops += [op] * count
        layer.options += [options] * count
        layer.dep_offsets += [len(layer.dep_tasks)] * count
        layer.params += params
        return self._take(count)

    def blockwise(self, count: int, op: int, options: int, inputs: Sequence[TaskRange | int] = ()) -> TaskRange:
        """Add `count` tasks; task i reads item i of each range and the whole of each single task."""
        sides = [{"broadcast": side} if isinstance(side, int) else {"aligned": side.encoded()} for side in inputs]
        return self._symbolic({"blockwise": [count, op, options, sides]}, count)

    def tree_reduce(self, source: TaskRange, fan_in: int, op: int, options: int) -> TaskRange:
        """Add a tree that combines a range; the last task of the returned range is its root."""
        count, width = 0, source.count
        while width:
            width = -(-width // fan_in)
            count += width
            if width == 1:
                break
        return self._symbolic({"tree_reduce": [source.encoded(), fan_in, op, options]}, count)

    def all_to_all(self, source: TaskRange, outputs: int, op: int, options: int) -> TaskRange:
        """Add `outputs` tasks that each read their own part of every task of a range."""
        return self._symbolic({"all_to_all": [source.encoded(), outputs, op, options]}, outputs)

    def number_keys(self, tasks: TaskRange, prefix: str) -> None:
        """Call the tasks of a range ``prefix-0``, ``prefix-1``, …."""
        self._keys.append({"numbered": [tasks.encoded(), prefix]})

    def want(self, task: int) -> None:
        """Keep a task's result."""
        self._outputs.append(task)

    def want_all(self, tasks: TaskRange) -> None:
        """Keep the results of a range."""
        self._outputs.extend(range(tasks.first, tasks.first + tasks.count))

    def encode(self) -> bytes:
        """Return the graph in MessagePack."""
        import msgpack

        self._close()
        graph = [
            [op.encoded() for op in self._ops],
            [options.encoded() for options in self._options],
            self._layers,
            self._keys,
            pack(self._outputs, 4),
        ]
        encoded: bytes = msgpack.packb(graph)
        return encoded

    def _take(self, count: int) -> TaskRange:
        taken = TaskRange(self.task_count, count)
        self.task_count += count
        return taken

    def _symbolic(self, layer: dict[str, Any], count: int) -> TaskRange:
        self._close()
        self._layers.append(layer)
        return self._take(count)

    def _explicit(self, *, is_named: bool) -> _Explicit:
        if self._open is not None and (self._open.names is not None) != is_named:
            self._close()
        if self._open is None:
            self._open = _Explicit(self.task_count, names=[] if is_named else None)
        return self._open

    def _close(self) -> None:
        layer, self._open = self._open, None
        if layer is None:
            return
        self._layers.append(layer.encoded())
        if layer.names is not None:
            tasks = [layer.first, len(layer.names)]
            self._keys.append({"named": [tasks, pack_rows(layer.names)]})


def _constant_or_each(column: list[int]) -> list[int]:
    return column[:1] if column.count(column[0]) == len(column) else column
