"""Turns tasks into the graph of a job: operations, helper tasks for what is large, numbers for references."""

from __future__ import annotations

import hashlib
import pickle
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import cloudpickle

from millstream import _actor_task, _plugins, _remote
from millstream._companions import Luggage, companions_of
from millstream._environment import MAX_EMBEDDED_BYTES, Environment
from millstream._functions import (
    MAX_FUNCTION_BYTES,
    NativeFunction,
    carry,
    full_name_of,
    pickle_function,
    python_op,
    sources_of,
)
from millstream._options import PLAIN, TaskOptions
from millstream._task import Literal, Literals, pack, pack_plain
from millstream._uploads import UPLOAD_OP, Upload
from millstream._wire import Dep, GraphEncoder, OpSpec, TaskRange

if TYPE_CHECKING:
    from millstream._future import Future

carry(_actor_task)
carry(_remote)
carry(_plugins)

# Parameters of a task are one message of at most 900 KiB, beside everything else in it.
MAX_PARAMS = 700 << 10
LEAST_PARAMS = 64 << 10
CHUNK = 640 << 10


@dataclass
class Group:
    """Calls of one function that were submitted together; their numbers within a job are consecutive."""

    op: OpSpec
    options: TaskOptions
    # Of each call; what the parameters refer to is left out where none refers to anything.
    params: list[bytes]
    references: list[Sequence[Any]] | None
    keys: list[str] | str
    wanted: bool = True

    def __post_init__(self) -> None:
        self._count = len(self.params)

    def __len__(self) -> int:
        return self._count

    def references_of(self, number: int) -> Sequence[Any]:
        """What the parameters of the group's call `number` refer to."""
        return self.references[number] if self.references else ()

    def forget(self) -> None:
        """Let the arguments go: the calls will not be made again."""
        self.params, self.references = [], None

    def key_of(self, number: int) -> str:
        """The key of the group's call `number`."""
        return f"{self.keys}-{number}" if isinstance(self.keys, str) else self.keys[number]


@dataclass
class Carried:
    """The end of a task of another job, as this one reads it: where it is, what it is, or what it raised.

    Attributes
    ----------
    kind : str
        Kind of the operation that made it.
    raw : bytes
        The result as it is stored, where it is small and known already.
    error : BaseException, optional
        What the task raised.
    source : tuple of str and int, optional
        The job and the number of the task in its graph: the result stays where it is.
    """

    kind: str = "python"
    raw: bytes = b""
    error: BaseException | None = None
    source: tuple[str, int] | None = None


@dataclass
class Functions:
    """Makes operations; each function is pickled once per submission."""

    serializer: str = "cloudpickle"
    luggage: Luggage = field(default_factory=Luggage)
    # The environment of functions that are given none.
    env: Any = None
    _known: dict[tuple[Any, ...], OpSpec] = field(default_factory=dict)
    # Zipped files that are too large for an operation, by its id.
    _files: dict[int, bytes] = field(default_factory=dict)

    def op(self, function: Callable[..., Any] | NativeFunction, *, pure: bool, env: Any = None) -> OpSpec:
        """Return the operation that calls `function`."""
        env = self.env if env is None else env
        identity = (id(function), pure, id(env))
        known = self._known.get((*identity, len(self.luggage.modules)))
        if known is None:
            known = self._make(function, pure, Environment.of(env))
            # Modules that were found with it, or since, make it another.
            self._known[*identity, len(self.luggage.modules)] = known
        return known

    def _make(self, function: Callable[..., Any] | NativeFunction, pure: bool, env: Environment | None) -> OpSpec:
        if isinstance(function, NativeFunction):
            return OpSpec("native", function.name, determinate=True)
        if not callable(function):
            raise TypeError(f"a function is expected, got {type(function).__name__}: {function!r:.100}")
        pickled = pickle_function(function, self.serializer)
        # Of an actor's task it is the actor's class that matters.
        function = getattr(function, "__millstream_inner__", function)
        companions = companions_of(function, pickled, env, self.luggage)
        files = companions["modules"]
        is_large = files is not None and len(files) > MAX_EMBEDDED_BYTES
        if is_large:
            digest = hashlib.sha256(files).hexdigest()
            pickled = pickle_function(_remote.WithFiles(pickled, digest))
            variables = (companions["env"] or {}).get("env_vars", {})
            # Tasks with other files need another process.
            env_vars = variables | {"MILLSTREAM_FILES": digest}
            companions |= {"modules": None, "env": (companions["env"] or {}) | {"env_vars": env_vars}}
        spec = python_op(
            pickled,
            full_name_of(function),
            pure=pure,
            serializer="cloudpickle" if is_large else self.serializer,
            companions=companions,
            sources=sources_of(function),
        )
        if is_large:
            self._files[id(spec)] = files
        return spec

    def files_of(self, op: OpSpec) -> bytes | None:
        """Return the zipped files that calls of an operation take as their first argument, if there are any."""
        return self._files.get(id(op))


def make_group(
    function: Callable[..., Any] | NativeFunction,
    calls: Sequence[tuple[tuple[Any, ...], dict[str, Any]]],
    keys: list[str] | str,
    *,
    functions: Functions,
    literals: Literals,
    options: TaskOptions = PLAIN,
    pure: bool = False,
) -> Group:
    """Pack calls of one function."""
    params, references = _pack_calls(function, calls, literals)
    if references is not None and not isinstance(function, NativeFunction):
        functions.luggage.note_values(params)
    op = functions.op(function, pure=pure, env=options.env)
    shipped: list[Any] = []
    if op.weight > MAX_FUNCTION_BYTES and op.kind == "python":
        # Shipped as a value: the function is the same large object in all calls, and travels once.
        shipped = [literals.of(function)]
        function = _remote.call
        op = functions.op(function, pure=pure, env=options.env)
    files = functions.files_of(op)
    if files is not None:
        shipped.insert(0, literals.of(files))
    if shipped:
        params, references = _pack_calls(function, [((*shipped, *args), kwargs) for args, kwargs in calls], literals)
    return Group(op, options, params, references if references and any(references) else None, keys)


def _pack_calls(
    function: Callable[..., Any] | NativeFunction,
    calls: Sequence[tuple[tuple[Any, ...], dict[str, Any]]],
    literals: Literals,
) -> tuple[list[bytes], list[Sequence[Any]] | None]:
    """The parameters of calls, and what they refer to unless all arguments are plain."""
    if not isinstance(function, NativeFunction):
        plain = pack_plain(calls)
        if plain is not None:
            return plain, None
    packed = [pack(function, args, kwargs, literals) for args, kwargs in calls]
    return [each.params for each in packed], [each.references for each in packed]


class JobBuilder:
    """Encodes groups as one job.

    Parameters
    ----------
    groups : sequence of Group
        The calls, in an order in which what is referred to comes first; references to calls of this job are their
        numbers. The calls' tasks are numbered on from `offset`; helper tasks come before.
    carried : mapping
        The ends of the futures of other jobs that are referred to.
    uploads : mapping
        Literals that workers have already.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        carried: Mapping[Future[Any], Carried],
        uploads: Mapping[Literal, Upload] = MappingProxyType({}),
    ) -> None:
        self._groups = groups
        self._carried = carried
        self._uploads = uploads
        self._helper_ops: dict[tuple[Any, ...], int] = {}
        self._helpers: dict[int, int] = {}
        self._graph = GraphEncoder()
        self._plain = self._graph.options(PLAIN)
        self._split: dict[tuple[int, int], list[int]] = {}
        self.offset = 0

    def encode(self) -> bytes:
        """Return the graph; :attr:`offset` is then the number of the first call's task."""
        for group in self._groups:
            self._help(group)
        self.offset = self._graph.task_count
        for group in self._groups:
            self._add(group)
        return self._graph.encode()

    def _help(self, group: Group) -> None:
        """Make the helper tasks that calls need: literals, results of other jobs, their own large parameters."""
        if group.op is UPLOAD_OP:
            return
        for references in group.references or ():
            for target in references:
                if not isinstance(target, int) and id(target) not in self._helpers:
                    self._helpers[id(target)] = self._help_with(target, group.op)
        limit = _limit_beside(group.op, MAX_PARAMS)
        if max(map(len, group.params), default=0) > limit:
            for number, params in enumerate(group.params):
                if len(params) > limit:
                    self._split[id(group), number] = self._chunks(params)

    def _help_with(self, target: Literal | Future[Any], reader: OpSpec) -> int:
        if isinstance(target, Literal):
            if target in self._uploads:
                return self._upload(self._uploads[target])
            return self._helper(_remote.load_joined, reader, cloudpickle.dumps(target.value, 5))
        carried = self._carried[target]
        if carried.error is not None:
            return self._helper(_remote.raise_again, reader, cloudpickle.dumps(carried.error, 5))
        if carried.source is not None:
            return self._import(*carried.source)
        return self._helper(_remote.load_result, reader, carried.raw, carried.kind)

    def _upload(self, upload: Upload, key: str | None = None) -> int:
        options = self._graph.options(TaskOptions(workers=upload.workers))
        return self._graph.task(self._graph.op(UPLOAD_OP), options, upload.params(), (), key)

    def _import(self, job_id: str, task: int) -> int:
        import msgpack

        named = {"task": {"job": uuid.UUID(job_id).bytes, "task": {"index": task}}}
        op = self._graph.op(OpSpec("import", "object", determinate=True))
        return self._graph.task(op, self._plain, msgpack.packb(named), ())

    def _helper(self, function: Callable[..., Any], reader: OpSpec, content: bytes, *args: Any) -> int:
        """A task that unpickles what its reader reads, where the reader's modules and packages are."""
        if len(content) <= _limit_beside(reader, CHUNK):
            params = pickle.dumps(((*args, content), {}), 5)
            return self._task(function, params, [], reader)
        chunks = self._chunks(content)
        if not args:
            return self._task(function, b"", chunks, reader)
        names = [self._task(_remote.identity, pickle.dumps(((value,), {}), 5), []) for value in args]
        return self._task(function, b"", [*names, *chunks], reader)

    def _chunks(self, content: bytes) -> list[int]:
        view = memoryview(content)
        return [
            self._task(_remote.identity, pickle.dumps(((bytes(view[at : at + CHUNK]),), {}), 5), [])
            for at in range(0, len(content), CHUNK)
        ]

    def _task(
        self, function: Callable[..., Any], params: bytes, deps: Sequence[int], reader: OpSpec | None = None
    ) -> int:
        identity = (function, id(reader))
        op = self._helper_ops.get(identity)
        if op is None:
            surroundings = surroundings_of(reader) if reader is not None and reader.kind == "python" else {}
            spec = python_op(pickle_function(function), full_name_of(function), pure=True, companions=surroundings)
            op = self._helper_ops[identity] = self._graph.op(spec)
        return self._graph.task(op, self._plain, params, map(Dep, deps))

    def _add(self, group: Group) -> None:
        graph = self._graph
        if group.op is UPLOAD_OP:
            self._add_uploads(group)
            return
        op, options = graph.op(group.op), graph.options(group.options)
        tasks = TaskRange(graph.task_count, len(group))
        if isinstance(group.keys, str):
            graph.number_keys(tasks, group.keys)
        if group.wanted:
            graph.want_all(tasks)
        if isinstance(group.keys, str) and group.references is None and not self._split:
            graph.map(op, options, group.params)
            return
        named = group.keys if isinstance(group.keys, list) else None
        for number in range(len(group)):
            self._add_call(group, number, op, options, named[number] if named is not None else None)

    def _add_uploads(self, group: Group) -> None:
        self._graph.want_all(TaskRange(self._graph.task_count, len(group)))
        for number in range(len(group)):
            (literal,) = group.references_of(number)
            self._upload(self._uploads[literal], group.key_of(number))

    def _add_call(self, group: Group, number: int, op: int, options: int, key: str | None) -> None:
        deps = [self._number(target) for target in group.references_of(number)]
        chunks = self._split.get((id(group), number))
        if chunks is None:
            self._graph.task(op, options, group.params[number], map(Dep, deps), key)
            return
        chain = chain_op([group.op])
        inputs, pieces = range(len(deps)), range(len(deps), len(deps) + len(chunks))
        params = chain_params(inputs, [pieces])
        self._graph.task(self._graph.op(chain), options, params, map(Dep, [*deps, *chunks]), key)

    def _number(self, target: Any) -> int:
        return self.offset + target if isinstance(target, int) else self._helpers[id(target)]


# What decides which process runs a task.
_SURROUNDINGS = ("env", "modules", "plugins")


def surroundings_of(op: OpSpec) -> dict[str, Any]:
    """Return the parameters of a python operation that its process depends on."""
    import msgpack

    params = msgpack.unpackb(op.params)
    return {name: params[name] for name in _SURROUNDINGS if params.get(name)}


def _limit_beside(op: OpSpec, limit: int) -> int:
    """Most bytes of a task's parameters: it may travel in one message with its operation."""
    return max(LEAST_PARAMS, limit - len(op.params))


def chain_op(ops: Sequence[OpSpec]) -> OpSpec:
    """Return the operation that calls the functions of several python operations one after the other."""
    import msgpack

    params = [msgpack.unpackb(op.params) for op in ops]
    chain = _remote.Chain([each["fn"] for each in params], [op.name for op in ops])
    companions = {name: params[0].get(name) for name in _SURROUNDINGS}
    for name in ("packages", "loaded", "origins", "sources"):
        companions[name] = {key: value for each in params for key, value in (each.get(name) or {}).items()} or None
    return python_op(
        bytes(cloudpickle.dumps(chain, 5)),
        " | ".join(op.name.rpartition(":")[2] for op in ops),
        pure=all(op.determinate for op in ops),
        companions=companions,
    )


def chain_params(inputs: Sequence[int], steps: Sequence[bytes | Sequence[int]]) -> bytes:
    """Return the parameters of a chain: its inputs, and each step's arguments or the inputs that hold them."""
    import io

    content = io.BytesIO()
    listed = [[_Input(n) for n in step] if not isinstance(step, bytes) else step for step in steps]
    pickler = _InputPickler(content, 5)
    pickler.dump((([_Input(n) for n in inputs], *listed), {}))
    return content.getvalue()


@dataclass
class _Input:
    number: int


class _InputPickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> tuple[str, int] | None:
        return ("input", value.number) if isinstance(value, _Input) else None
