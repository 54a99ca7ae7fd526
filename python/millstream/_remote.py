"""Functions of this package that run inside tasks: they put together what one message cannot carry.

Pickled by value, because workers need not have this package: nothing here may use any other part of it.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from typing import Any

FUNCTION_NOTE = "in step {step} of {steps} of a fused chain: {name}"


def identity(value: Any) -> Any:
    """Return `value`."""
    return value


def load_joined(*chunks: bytes) -> Any:
    """Unpickle a value that came in pieces."""
    return pickle.loads(b"".join(chunks))


def load_result(kind: str, *chunks: bytes) -> Any:
    """Read the stored result of a task of another job, which came in pieces."""
    raw = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if kind == "python":
        try:
            from millstream_runtime._serialize import loads
        except ImportError:
            # Not in a worker's process: in this package's tests.
            from millstream._serialize import loads
        return loads(raw)
    if kind == "native":
        import msgpack

        return msgpack.unpackb(raw, strict_map_key=False)
    return raw


def raise_again(*chunks: bytes) -> None:
    """Raise what a task of another job raised."""
    raise pickle.loads(b"".join(chunks))


def call_method(owner: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method."""
    return getattr(owner, name)(*args, **kwargs)


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function that is an argument."""
    return function(*args, **kwargs)


def versions(packages: Sequence[str]) -> dict[str, Any]:
    """Return the versions of Python and of those packages that are installed."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "packages": found}


class WithFiles:
    """A function whose files, zipped, are the first argument of each call; they are unpacked once in a process.

    Parameters
    ----------
    function : bytes
        The pickled function.
    digest : str
        Names the files.
    """

    def __init__(self, function: bytes, digest: str) -> None:
        self._pickled = function
        self._digest = digest
        self._function: Callable[..., Any] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return WithFiles, (self._pickled, self._digest)

    def __call__(self, files: bytes, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        if self._function is None:
            self._unpack(files)
            self._function = pickle.loads(self._pickled)
        return self._function(*args, **kwargs)

    def _unpack(self, files: bytes) -> None:
        import os
        import sys
        import zipfile

        folder = os.getcwd()
        marker = os.path.join(folder, f".millstream-{self._digest}")
        if not os.path.exists(marker):
            zipfile.ZipFile(io.BytesIO(files)).extractall(folder)
            open(marker, "w").close()
        if folder not in sys.path:
            sys.path.insert(0, folder)


class Chain:
    """Functions called one after the other, each with the result of the one before.

    A step's arguments are the pickle of ``(args, kwargs)``, in which ``("input", n)`` stands for the n-th input of the
    first step, or for the result of the step before.

    Parameters
    ----------
    functions : sequence of bytes
        The pickled functions.
    names : sequence of str
        What to call them in notes on exceptions.
    """

    def __init__(self, functions: Sequence[bytes], names: Sequence[str]) -> None:
        self._pickled = tuple(functions)
        self._names = tuple(names)
        self._functions: list[Callable[..., Any]] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Chain, (self._pickled, self._names)

    def __call__(self, inputs: Sequence[Any], *steps: bytes | Sequence[bytes]) -> Any:
        """Call all functions; `steps` are their arguments."""
        if self._functions is None:
            self._functions = [pickle.loads(function) for function in self._pickled]
        value: Any = None
        for number, (function, arguments) in enumerate(zip(self._functions, steps, strict=True)):
            args, kwargs = _load_arguments(arguments, [value] if number else inputs)
            # A large result of the step before must not outlive its use.
            value = None
            try:
                value = function(*args, **kwargs)
            except Exception as error:
                if len(self._names) > 1:
                    step = FUNCTION_NOTE.format(step=number + 1, steps=len(self._names), name=self._names[number])
                    error.add_note(step)
                raise
        return value


def _load_arguments(
    arguments: bytes | Sequence[bytes], inputs: Sequence[Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    content = arguments if isinstance(arguments, bytes) else b"".join(arguments)
    if not content:
        return tuple(inputs), {}

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, pid: Any) -> Any:
            return list(inputs) if pid[0] == "inputs" else inputs[pid[1]]

    loaded: tuple[tuple[Any, ...], dict[str, Any]] = Unpickler(io.BytesIO(content)).load()
    return loaded
