"""Values as bytes: pickle protocol 5 with its large buffers kept apart.

A value is a *pickle stream* and any number of *buffers* (the data of numpy arrays, Arrow tables and whatever else
exports ``pickle.PickleBuffer``), which are neither copied into the stream nor out of it.

The contiguous form, which the worker stores and ``/v1/jobs/{id}/results/{key}`` streams (little-endian)::

    offset  size  content
    0       4     b"MSP5"
    4       4     number of buffers, n
    8       8     length of the pickle stream
    16      16 n  for each buffer: its offset from the start, a multiple of 64, and its length
    16+16n  …     the pickle stream, then the buffers, with zero bytes between them

This module needs the standard library only; ``cloudpickle`` or ``dill`` are imported when a value needs them.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["SerializationError", "culprit", "dumps", "loads", "pack", "packed_size", "unpack"]

MAGIC = b"MSP5"
ALIGNMENT = 64
# Smaller buffers cost more apart than within the stream.
SMALL_BUFFER = 1024

# Types without parts: what needs no search for buffers and for ``__main__``.
_SIMPLE = frozenset({int, float, bool, type(None), str, bytes})

_HEAD = struct.Struct("<4sIQ")
_ENTRY = struct.Struct("<QQ")

Buffer = bytes | bytearray | memoryview


class SerializationError(ValueError):
    """Bytes that are no value in the contiguous form."""


def _is_small(buffer: pickle.PickleBuffer) -> bool:
    with memoryview(buffer) as view:
        return view.nbytes < SMALL_BUFFER


def _plain(value: Any) -> list[Buffer] | None:
    """Pickle with the C pickler, unless that would refer to a ``__main__`` that the reader does not have."""
    buffers: list[pickle.PickleBuffer] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        if _is_small(buffer):
            return True
        buffers.append(buffer)
        return False

    try:
        stream = pickle.dumps(value, protocol=5, buffer_callback=keep)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError, NotImplementedError):
        return None
    if b"__main__" in stream:
        return None
    return [stream, *(buffer.raw() for buffer in buffers)]


def _rich(value: Any, serializer: str) -> list[Buffer]:
    buffers: list[pickle.PickleBuffer] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        if _is_small(buffer):
            return True
        buffers.append(buffer)
        return False

    if serializer == "cloudpickle":
        import cloudpickle

        stream = cloudpickle.dumps(value, protocol=5, buffer_callback=keep)
    elif serializer == "dill":
        import dill

        stream = dill.dumps(value, protocol=5, recurse=True)
    else:
        raise ValueError(f"unknown serializer {serializer!r}: use 'cloudpickle' or 'dill'")
    return [stream, *(buffer.raw() for buffer in buffers)]


def dumps(obj: Any, serializer: str = "cloudpickle") -> list[Buffer]:
    """Pickle a value into a stream and its buffers.

    Parameters
    ----------
    obj
        Any value.
    serializer
        ``"cloudpickle"`` or ``"dill"``: what pickles what pickle itself cannot, such as lambdas.

    Returns
    -------
    list of bytes-like
        The pickle stream, then its buffers, which share the value's memory.

    Examples
    --------
    >>> loads(dumps({"a": [1, 2.5]}))
    {'a': [1, 2.5]}
    """
    if type(obj) in _SIMPLE:
        return [pickle.dumps(obj, 5)]
    plain = _plain(obj) if serializer == "cloudpickle" else None
    return _rich(obj, serializer) if plain is None else plain


def loads(data: Buffer | Sequence[Buffer]) -> Any:
    """Rebuild a value from what :func:`dumps` returned or from the contiguous form.

    Parameters
    ----------
    data
        The list of :func:`dumps`, or contiguous bytes. Arrays share its memory and are writable where it is.

    Examples
    --------
    >>> loads(pack(dumps((1, "two"))))
    (1, 'two')
    """
    buffers = unpack(data) if isinstance(data, (bytes, bytearray, memoryview)) else data
    return pickle.loads(buffers[0], buffers=buffers[1:])


def _layout(buffers: Sequence[Buffer]) -> tuple[bytes, list[int], int]:
    """The head, the offset of each buffer (the stream's first), and the length of all."""
    sizes = [memoryview(buffer).nbytes for buffer in buffers]
    offset = _HEAD.size + _ENTRY.size * (len(sizes) - 1)
    offsets = [offset]
    head = [_HEAD.pack(MAGIC, len(sizes) - 1, sizes[0])]
    offset += sizes[0]
    for size in sizes[1:]:
        offset += -offset % ALIGNMENT
        offsets.append(offset)
        head.append(_ENTRY.pack(offset, size))
        offset += size
    return b"".join(head), offsets, offset


def packed_size(buffers: Sequence[Buffer]) -> int:
    """The length of the contiguous form."""
    return _layout(buffers)[2]


def pieces(buffers: Sequence[Buffer]) -> Iterable[Buffer]:
    """The contiguous form in pieces, without a copy of the buffers."""
    head, offsets, _ = _layout(buffers)
    yield head
    at = len(head)
    for offset, buffer in zip(offsets, buffers, strict=True):
        if offset > at:
            yield bytes(offset - at)
        view = memoryview(buffer).cast("B")
        yield view
        at = offset + view.nbytes


def pack(buffers: Sequence[Buffer]) -> bytes:
    """Copy a stream and its buffers into the contiguous form."""
    if len(buffers) == 1:
        stream = buffers[0]
        return b"".join((_HEAD.pack(MAGIC, 0, len(stream)), stream))
    return b"".join(pieces(buffers))


def unpack(data: Buffer) -> list[memoryview]:
    """Find the stream and the buffers within the contiguous form. Nothing is copied.

    Raises
    ------
    SerializationError
        If the bytes are truncated or something else.
    """
    view = memoryview(data).cast("B")
    if view.nbytes < _HEAD.size:
        raise SerializationError(f"{view.nbytes} bytes are too few for a value")
    magic, count, length = _HEAD.unpack_from(view)
    start = _HEAD.size + _ENTRY.size * count
    if magic != MAGIC or start + length > view.nbytes:
        raise SerializationError("the bytes are no value: their head is malformed or they are truncated")
    found = [view[start : start + length]]
    for number in range(count):
        offset, size = _ENTRY.unpack_from(view, _HEAD.size + _ENTRY.size * number)
        if offset + size > view.nbytes:
            raise SerializationError(f"the value is truncated: buffer {number} ends at {offset + size}")
        found.append(view[offset : offset + size])
    return found


class _Persistent(pickle.Unpickler):
    def __init__(self, stream: Buffer, resolve: Callable[[Any], Any]) -> None:
        super().__init__(io.BytesIO(stream))
        self._resolve = resolve

    def persistent_load(self, pid: Any) -> Any:
        return self._resolve(pid)


def loads_params(stream: Buffer, resolve: Callable[[Any], Any]) -> Any:
    """Rebuild a task's parameters, whose persistent ids stand for what ``resolve`` returns for them."""
    return _Persistent(stream, resolve).load()


def _children(value: Any) -> Iterable[tuple[str, Any]]:
    """What a value refers to, each with the text that leads from the value to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"[{key!r}]", item
            yield f" key {key!r}", key
        return
    if isinstance(value, (list, tuple, set, frozenset)):
        for number, item in enumerate(value):
            yield f"[{number}]", item
        return
    code, closure = getattr(value, "__code__", None), getattr(value, "__closure__", None)
    if code is not None:
        for name, cell in zip(code.co_freevars, closure or (), strict=False):
            try:
                yield f" variable {name}", cell.cell_contents
            except ValueError:
                continue
        for name in code.co_names:
            if name in value.__globals__:
                yield f" global {name}", value.__globals__[name]
        return
    for name, item in getattr(value, "__dict__", {}).items():
        yield f".{name}", item
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield f".{name}", getattr(value, name)


def _fails(value: Any, serializer: str) -> bool:
    try:
        dumps(value, serializer)
    except Exception:
        return True
    return False


def culprit(value: Any, serializer: str = "cloudpickle", depth: int = 16) -> tuple[str, str]:
    """Find what makes a value unpicklable.

    Returns
    -------
    tuple of str
        The way from the value to the innermost part that cannot be pickled, such as ``".model.lock"`` (empty for the
        value itself), and the name of that part's type.

    Examples
    --------
    >>> import threading
    >>> culprit({"a": 1, "b": [threading.Lock()]})
    ("['b'][0]", '_thread.lock')
    """
    path, seen = "", {id(value)}
    for _ in range(depth):
        for step, child in _children(value):
            if id(child) not in seen and _fails(child, serializer):
                seen.add(id(child))
                path, value = path + step, child
                break
        else:
            break
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return path, name
