"""Exceptions as the worker is told of them."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from .. import _serialize
from .failures import LoadError
from .ops import Op

USER, UNPICKLABLE, BAD_INPUT, ENVIRONMENT, OUT_OF_MEMORY, CANCELLED = range(1, 7)

# What the leader keeps of one failure.
MESSAGE_LIMIT = 8 << 10
TRACEBACK_LIMIT = 32 << 10
EXCEPTION_LIMIT = 64 << 10

_LENGTH = struct.Struct("<I")
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class UnpicklableError(Exception):
    """A result that cannot leave the process."""


def unpicklable(name: str, value: Any, serializer: str, error: Exception) -> UnpicklableError:
    """The error that names what of a result cannot be pickled."""
    path, kind = _serialize.culprit(value, serializer)
    what = f"its part `{path.strip()}` is a `{kind}`" if path else f"it is a `{kind}`"
    return UnpicklableError(
        f"the result of `{name}` cannot be pickled: {what} ({type(error).__name__}: {error}); "
        "return something else, or leave that part out with __getstate__"
    )


def _users(tb: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is not this package's."""
    at = tb
    while at is not None and at.tb_frame.f_code.co_filename.startswith(_OWN):
        at = at.tb_next
    return at


def _bounded(text: str, limit: int) -> bytes:
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data
    half = limit // 2
    return data[:half] + "\n[…]\n".encode() + data[-half:]


class _Rebuilt:
    """Stands for an exception whose own way of being pickled fails: it is made without its constructor."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        error, kind = self._error, type(self._error)
        args = tuple([arg if _is_picklable(arg) else repr(arg) for arg in error.args])
        state = {name: value for name, value in vars(error).items() if _is_picklable(value)}
        # Some leave the arguments to the constructor.
        return kind.__new__, (kind, *args), state | {"args": args}


def _is_picklable(value: Any) -> bool:
    try:
        pickle.loads(b"".join(_serialize.dumps(value)[:1]))
    except Exception:
        return False
    return True


def _pickled(error: BaseException) -> bytes:
    """The exception itself, if it can be rebuilt from bytes that are not too many."""
    for form in (error, _Rebuilt(error)):
        try:
            stream = b"".join(_serialize.dumps(form)[:1])
            if len(stream) <= EXCEPTION_LIMIT and isinstance(pickle.loads(stream), BaseException):
                return stream
        except Exception:
            continue
    return b""


def _kind(error: BaseException) -> int:
    if isinstance(error, UnpicklableError):
        return UNPICKLABLE
    if isinstance(error, LoadError):
        return ENVIRONMENT
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    return USER


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = "its text cannot be made"
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__


def describe(error: BaseException, cancelled: bool, op: Op | None = None) -> bytes:
    """Kind, then message, traceback and pickled exception, each with its length before it."""
    kind = CANCELLED if cancelled else _kind(error)
    shown = error.__cause__ if isinstance(error, LoadError) and error.__cause__ is not None else error
    is_own_text = isinstance(error, LoadError | UnpicklableError)
    message = str(error) if is_own_text else _text(error)
    if shown is not error:
        message += f": {_text(shown)}"
    if isinstance(shown, ModuleNotFoundError):
        hint = _hint(shown, op.origins if op else {})
        message += f"; {hint}"
        # Travels with the exception.
        shown.add_note(hint)
    # A failure before the user's code began has no frame of it, and is shown whole.
    tb = _users(shown.__traceback__) or shown.__traceback__
    text = "".join(traceback.format_exception(type(shown), shown, tb))
    parts = [bytes([kind])]
    # An error of this package is told by its message: clients do not have its type.
    exception = b"" if cancelled or isinstance(shown, LoadError | UnpicklableError) else _pickled(shown)
    for data in (_bounded(message, MESSAGE_LIMIT), _bounded(text, TRACEBACK_LIMIT), exception):
        parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)


def _hint(error: ModuleNotFoundError, origins: Mapping[str, str]) -> str:
    """What to do about a module that is missing, and where the client has it."""
    name = (error.name or "it").partition(".")[0]
    origin = origins.get(name)
    at_client = f"the client has it at {origin}: " if origin else ""
    return (
        f"{at_client}install `{name}` where the worker's python runs ({sys.executable}), name it in "
        "env={'pip': [...]}, or ship it with env={'working_dir': '.'} or client.upload_file"
    )
