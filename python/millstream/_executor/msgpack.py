"""Reads MessagePack, so that an interpreter without the ``msgpack`` package can run tasks."""

from __future__ import annotations

import struct
from typing import Any

_NUMBERS = {
    0xCA: struct.Struct(">f"),
    0xCB: struct.Struct(">d"),
    0xCC: struct.Struct(">B"),
    0xCD: struct.Struct(">H"),
    0xCE: struct.Struct(">I"),
    0xCF: struct.Struct(">Q"),
    0xD0: struct.Struct(">b"),
    0xD1: struct.Struct(">h"),
    0xD2: struct.Struct(">i"),
    0xD3: struct.Struct(">q"),
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
# Bytes of the length that follows the marker.
_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_ARRAYS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}


class _Reader:
    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.data = memoryview(data).cast("B")
        self.at = 0

    def take(self, size: int) -> memoryview:
        end = self.at + size
        if end > self.data.nbytes:
            raise ValueError("MessagePack is truncated")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def length(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self, size: int) -> str:
        return str(self.take(size), "utf-8")

    def array(self, size: int) -> list[Any]:
        return [self.value() for _ in range(size)]

    def map(self, size: int) -> dict[Any, Any]:
        pairs = ((self.value(), self.value()) for _ in range(size))
        return {tuple(key) if isinstance(key, list) else key: value for key, value in pairs}

    def value(self) -> Any:
        marker = self.take(1)[0]
        if marker < 0x80:
            return marker
        if marker >= 0xE0:
            return marker - 0x100
        if marker < 0x90:
            return self.map(marker & 0x0F)
        if marker < 0xA0:
            return self.array(marker & 0x0F)
        if marker < 0xC0:
            return self.text(marker & 0x1F)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if number := _NUMBERS.get(marker):
            return number.unpack(self.take(number.size))[0]
        for sizes, read in ((_TEXTS, self.text), (_ARRAYS, self.array), (_MAPS, self.map)):
            if marker in sizes:
                return read(self.length(sizes[marker]))
        if marker in _BYTES:
            return bytes(self.take(self.length(_BYTES[marker])))
        raise ValueError(f"MessagePack marker {marker:#x} has no Python value")


def loads(data: bytes | bytearray | memoryview) -> Any:
    """Decode one value.

    Examples
    --------
    >>> loads(bytes([0x82, 0xA1, 0x61, 0x01, 0xA1, 0x62, 0x92, 0xC0, 0xFF]))
    {'a': 1, 'b': [None, -1]}
    """
    reader = _Reader(data)
    value = reader.value()
    if reader.at != reader.data.nbytes:
        raise ValueError("there are bytes after the MessagePack value")
    return value
