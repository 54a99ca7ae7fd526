"""Turns callables into operations of the graph."""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import linecache
import os
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from millstream._environment import is_own_file
from millstream._errors import SerializationError
from millstream._serialize import culprit
from millstream._wire import OpSpec

# An operation is one message of at most 900 KiB, beside everything else in it.
MAX_FUNCTION_BYTES = 256 << 10

# A longer file would weigh more than its lines in a traceback are worth.
_MAX_SOURCE = 64 << 10

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_ATOMS = (int, float, complex, str, bytes, bool, type(None), types.ModuleType, types.BuiltinFunctionType)

# Pickles of functions whose globals cannot change unnoticed, with what those globals were.
_pickles: WeakKeyDictionary[Callable[..., Any], tuple[tuple[Any, ...], bytes]] = WeakKeyDictionary()


class NativeFunction:
    """A function compiled into the workers, by name.

    Examples
    --------
    >>> import millstream as ms
    >>> ms.native("bench:inc")
    native('bench:inc')
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"native({self.name!r})"

    def __call__(self, *args: Any) -> Any:
        """Refuse: the function exists on the workers only."""
        raise TypeError(f"{self.name!r} exists on the workers only: submit it, or make it delayed")


def native(name: str) -> NativeFunction:
    """Name a function that is compiled into the workers, to use it like a Python function.

    Parameters
    ----------
    name : str
        Its name, such as ``"bench:inc"``.

    Examples
    --------
    >>> client.submit(ms.native("bench:inc"), 41).result()
    42
    """
    return NativeFunction(name)


def carry(module: types.ModuleType) -> None:
    """Let functions of a module of this package travel with tasks: workers need not have the package."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function for people: in keys, lists and pictures.

    Examples
    --------
    >>> import functools, operator
    >>> name_of(operator.add), name_of(functools.partial(max, 1)), name_of(lambda: 0)
    ('add', 'max', 'lambda')
    """
    if isinstance(function, functools.partial):
        return name_of(function.func)
    if isinstance(function, NativeFunction):
        return function.name.rpartition(":")[2]
    name = getattr(function, "__name__", None) or type(function).__name__
    return str(name).strip("<>")


def full_name_of(function: Callable[..., Any]) -> str:
    """Return a function's name with its module, as ``pkg.mod:qualname``."""
    if isinstance(function, functools.partial):
        return full_name_of(function.func)
    module = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{module}:{name}"


def python_op(
    pickled: bytes,
    name: str,
    *,
    pure: bool,
    serializer: str = "cloudpickle",
    companions: Mapping[str, Any] | None = None,
    sources: Mapping[str, str] | None = None,
) -> OpSpec:
    """Return the operation that calls a pickled function; `companions` are what goes with it."""
    import msgpack

    params = {"fn": pickled, "ser": serializer, "py": _PYTHON, "sources": sources or None, **(companions or {})}
    code = hashlib.sha256(pickled).digest()
    return OpSpec("python", name, msgpack.packb(params), code, determinate=pure, weight=len(pickled))


def pickle_function(function: Callable[..., Any], serializer: str = "cloudpickle") -> bytes:
    """Pickle a function; one whose globals are constants only once.

    Raises
    ------
    SerializationError
        If it cannot be pickled; names what cannot.
    """
    surroundings = _surroundings(function)
    known = _pickles.get(function) if surroundings is not None else None
    if known is not None and known[0] == surroundings and serializer == "cloudpickle":
        return known[1]
    pickled = _dump(function, serializer)
    if surroundings is not None and serializer == "cloudpickle":
        _pickles[function] = surroundings, pickled
    return pickled


def sources_of(function: Callable[..., Any]) -> dict[str, str]:
    """Return the text of the file, or cell, that a function was written in, so that tracebacks show its lines."""
    code = _code_of(inspect.unwrap(function))
    if code is None or not is_own_file(code.co_filename):
        return {}
    text = "".join(linecache.getlines(code.co_filename))
    return {code.co_filename: text} if 0 < len(text) <= _MAX_SOURCE else {}


def _code_of(function: Any) -> types.CodeType | None:
    if isinstance(function, type):
        own = (member for member in vars(function).values() if isinstance(member, types.FunctionType))
        function = next(own, None)
    return getattr(function, "__code__", None)


def _dump(function: Callable[..., Any], serializer: str) -> bytes:
    try:
        if serializer == "dill":
            import dill

            return bytes(dill.dumps(function, protocol=5, recurse=True))
        return _cloudpickled(function)
    except Exception as error:
        path, kind = culprit(function, serializer)
        raise SerializationError(
            f"function {full_name_of(function)} cannot be sent to the cluster: its{path or ' own'} "
            f"({kind}) cannot be pickled: {error}"
        ) from error


def _cloudpickled(function: Callable[..., Any]) -> bytes:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            # By its name: a copy would hold this process's variables, secrets among them, not those of the task.
            return "environ" if value is os.environ else super().reducer_override(value)

    content = io.BytesIO()
    Pickler(content, protocol=5).dump(function)
    return content.getvalue()


def _surroundings(function: Callable[..., Any]) -> tuple[Any, ...] | None:
    """What a plain function refers to, if all of it is constant; ``None`` if the function is not that simple."""
    if type(function) is not types.FunctionType or function.__dict__:
        return None
    code, namespace = function.__code__, function.__globals__
    if any(isinstance(constant, types.CodeType) for constant in code.co_consts):
        return None
    values: list[Any] = [code, function.__defaults__, *(function.__kwdefaults__ or {}).items()]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:
            return None
    values += [namespace[name] for name in code.co_names if name in namespace]
    is_constant = all(isinstance(value, _ATOMS) or value is code for value in values[2:])
    defaults = function.__defaults__ or ()
    return tuple(values) if is_constant and all(isinstance(value, _ATOMS) for value in defaults) else None
