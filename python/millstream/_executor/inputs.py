"""Inputs and parameters of tasks."""

from __future__ import annotations

import mmap
import os
import pickle
from collections.abc import Sequence
from typing import Any, Protocol

from .. import _serialize
from . import msgpack

RAW, MSGPACK, ARROW, PICKLE = range(4)


class Given(Protocol):
    """Something that an argument can stand for."""

    def value(self) -> Any:
        """The value as a Python object that belongs to the caller."""


class Input:
    """One input: its bytes, decoded when a task asks for it."""

    def __init__(self, form: int, data: memoryview) -> None:
        self._form = form
        self._data = data

    def value(self) -> Any:
        """The value as a Python object that belongs to the caller."""
        if self._form == PICKLE:
            return _serialize.loads(self._data)
        if self._form == MSGPACK:
            return msgpack.loads(self._data)
        if self._form == ARROW:
            return _table(self._data)
        return bytes(self._data)


def _table(data: memoryview) -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError("an input is a table: install `pyarrow` where the task runs, or name it in env=") from error
    with pyarrow.ipc.open_stream(pyarrow.py_buffer(data)) as reader:
        return reader.read_all()


def mapped(fd: int, size: int) -> memoryview:
    """Sealed memory of the worker: this process may write to it, and nobody else sees that."""
    try:
        # A mapping of no bytes is refused.
        return memoryview(mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE) if size else b"")
    finally:
        os.close(fd)


def arguments(params: bytes, inputs: Sequence[Given], index: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call."""
    if not params:
        if inputs:
            return tuple(given.value() for given in inputs), {}
        return (() if index < 0 else (index,)), {}
    if not inputs and b"Q" not in params:
        # Without a BINPERSID opcode: the fast way.
        args, kwargs = pickle.loads(params)
        return args, kwargs
    values: dict[int, Any] = {}

    def one(number: int) -> Any:
        if number not in values:
            values[number] = inputs[number].value()
        return values[number]

    def resolve(pid: Any) -> Any:
        match pid:
            case ("input", number):
                return one(number)
            case ("inputs",):
                return [one(number) for number in range(len(inputs))]
            case ("index",):
                return index
        raise pickle.UnpicklingError(f"unknown reference {pid!r} in a task's parameters")

    args, kwargs = _serialize.loads_params(params, resolve)
    return args, kwargs
