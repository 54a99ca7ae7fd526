"""Tasks before they are submitted, and how their arguments are packed.

A :class:`Task` is a call that has not happened: a function, its arguments, options and a key. Its arguments may refer,
at any depth, to other tasks and to futures; packing pickles them with numbered references in their places.
"""

from __future__ import annotations

import io
import itertools
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import cloudpickle

from millstream._errors import SerializationError
from millstream._functions import NativeFunction, name_of
from millstream._options import PLAIN, TaskOptions

# Larger values of an argument become tasks of their own, shared by all that refer to them.
LARGE_VALUE = 128 << 10

_SIMPLE = frozenset((int, float, str, bool, bytes, type(None), complex))
_TINY = frozenset((int, float, bool, complex, type(None)))
_EMPTY: dict[str, Any] = {}


class Reference:
    """Something that stands for the output of a task in the arguments of others."""

    __slots__ = ()

    def __millstream_ref__(self) -> Any:
        """Return the :class:`Task`, or the future, that is meant."""
        return self


class Task(Reference):
    """One call that has not happened.

    Attributes
    ----------
    function : callable
        What is called: a Python callable, or a :class:`~millstream.NativeFunction`.
    args, kwargs : tuple, dict
        What it is called with.
    key : str
        Its name.
    options : TaskOptions
        How it is run.
    pure : bool
        Whether the same arguments always give the same result.
    serial : int
        A number that no other task of this process has.
    """

    __slots__ = ("__weakref__", "args", "function", "key", "kwargs", "options", "pure", "serial")

    def __init__(
        self,
        function: Callable[..., Any] | NativeFunction,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] = _EMPTY,
        *,
        key: str | None = None,
        options: TaskOptions = PLAIN,
        pure: bool = False,
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.key = key or new_key(name_of(function))
        self.options = options
        self.pure = pure
        self.serial = next(_numbers)

    def __repr__(self) -> str:
        return f"<Task {self.key}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"task {self.key!r} can be passed as an argument of other tasks, but not be pickled by itself")


class Literal(Reference):
    """A large value that travels once, however many tasks refer to it."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.key = new_key(type(value).__name__)


_process = os.urandom(4).hex()
_numbers = itertools.count()
os.register_at_fork(after_in_child=lambda: globals().update(_process=os.urandom(4).hex()))


def new_key(prefix: str) -> str:
    """Return a key that no other task has.

    Examples
    --------
    >>> new_key("inc") != new_key("inc")
    True
    """
    return f"{prefix}-{_process}{next(_numbers):x}"


def given_names(keys: list[str] | str) -> set[str]:
    """Return those of some keys, or of their common prefix, that :func:`new_key` did not make.

    Examples
    --------
    >>> given_names(["mine", new_key("inc")])
    {'mine'}
    """
    return {key for key in ([keys] if isinstance(keys, str) else keys) if _process not in key}


class Packed:
    """The arguments of a task as it carries them, and what they refer to."""

    __slots__ = ("params", "references")

    def __init__(self, params: bytes, references: Sequence[Any]) -> None:
        self.params = params
        self.references = references


def pack(
    function: Callable[..., Any] | NativeFunction,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    literals: Literals,
) -> Packed:
    """Pack the arguments of one call."""
    if isinstance(function, NativeFunction):
        return _pack_native(function, args, kwargs)
    if not kwargs:
        references = _plain_references(args)
        if references is not None:
            return Packed(b"", references)
    content = io.BytesIO()
    pickler = _ArgumentPickler(content, literals)
    try:
        pickler.dump((args, dict(kwargs)))
    except SerializationError:
        raise
    except Exception as error:
        raise _unpicklable(function, args, kwargs, error) from error
    return Packed(content.getvalue(), pickler.references)


def pack_plain(calls: Sequence[tuple[tuple[Any, ...], Mapping[str, Any]]]) -> list[bytes] | None:
    """Pack calls whose arguments are all simple and small; ``None`` if some are not."""
    if any(kwargs for _, kwargs in calls):
        return None
    # Column by column: a check of a million calls is then a few calls.
    for column in zip(*(args for args, _ in calls), strict=False):
        kinds = set(map(type, column))
        if not kinds <= _SIMPLE:
            return None
        if kinds & {str, bytes} and any(isinstance(v, str | bytes) and len(v) > LARGE_VALUE for v in column):
            return None
    if len({len(args) for args, _ in calls}) > 1:
        return None
    return [pickle.dumps((args, _EMPTY), 5) if args else b"" for args, _ in calls]


def _plain_references(args: tuple[Any, ...]) -> list[Any] | None:
    """The arguments, if each is a reference and nothing else: then no parameters are needed."""
    if not all(isinstance(value, Reference) for value in args):
        return None
    return [value.__millstream_ref__() for value in args]


def _pack_native(function: NativeFunction, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Packed:
    import msgpack

    if kwargs:
        raise TypeError(f"{function!r} takes no keyword arguments: functions of the workers take them by position")
    references: list[Any] = []
    packed: list[dict[str, Any]] = []
    for value in args:
        if isinstance(value, Reference):
            packed.append({"i": len(references)})
            references.append(value.__millstream_ref__())
        else:
            packed.append({"v": msgpack.packb(value)})
    return Packed(msgpack.packb(packed) if packed else b"", references)


class Literals:
    """Large values of one submission, each kept once."""

    def __init__(self) -> None:
        self._by_id: dict[int, Literal] = {}

    def of(self, value: Any) -> Literal:
        """Return the literal of a value, the same for the same object."""
        # The literal holds the value, so that its id stays its own.
        return self._by_id.setdefault(id(value), Literal(value))


class _ArgumentPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Replaces references by numbers, and large values by references to literals."""

    _BUFFERS: ClassVar[frozenset[str]] = frozenset(("numpy", "pandas", "pyarrow", "polars", "scipy", "torch"))

    def __init__(self, content: io.BytesIO, literals: Literals) -> None:
        super().__init__(content, protocol=5)
        self.references: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._literals = literals

    def persistent_id(self, value: Any) -> tuple[str, int] | None:
        # Asked of every single object: a list of numbers must not cost more than it has to.
        if type(value) in _TINY:
            return None
        if isinstance(value, Reference):
            return self._number(value.__millstream_ref__())
        if self._size(value) > LARGE_VALUE:
            return self._number(self._literals.of(value))
        return None

    def _number(self, target: Any) -> tuple[str, int]:
        number = self._numbers.setdefault(id(target), len(self.references))
        if number == len(self.references):
            self.references.append(target)
        return ("input", number)

    def _size(self, value: Any) -> int:
        kind = type(value)
        if kind in (bytes, bytearray, str):
            return len(value)
        if kind.__module__.partition(".")[0] not in self._BUFFERS:
            return 0
        try:
            # Lazy collections' nodes are full of empty frames, which are expensive to measure.
            if hasattr(value, "memory_usage") and len(value):
                usage = value.memory_usage()
                return int(usage if isinstance(usage, int) else usage.sum())
            return int(getattr(value, "nbytes", 0) or 0)
        except Exception:
            # Only a guess is lost: the value then travels with its task.
            return 0


def _unpicklable(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], error: Exception
) -> SerializationError:
    from millstream._serialize import culprit

    named = [(f"argument {number}", value) for number, value in enumerate(args, 1)]
    named += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for name, value in named:
        try:
            cloudpickle.dumps(value)
        except Exception:
            path, kind = culprit(value)
            where = f"{name}, at {path}, a {kind}" if path else f"{name}, a {kind}"
            return SerializationError(f"{name_of(function)}: {where}, cannot be pickled: {error}")
    return SerializationError(f"{name_of(function)}: an argument cannot be pickled: {error}")
