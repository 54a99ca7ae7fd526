"""Packed columns: integers in one byte string, in the smallest of three forms.

::

    plain     0 | values, little-endian
    sequence  1 | count u32 | first u64 | step i64           (a constant is a sequence of step 0)
    packed    2 | count u32 | least u64 | bits u8 | offsets from the least value, `bits` bits each

This side writes the first two forms and reads all three.
"""

from __future__ import annotations

import operator
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice, pairwise, repeat

_PLAIN = b"\x00"
_SEQUENCE = 1
_PACKED = 2
_MASK = (1 << 64) - 1
# Shorter columns are as small plain.
_SHORTEST_SEQUENCE = 6

_TYPES = {2: "H", 4: "I", 8: "Q"}


def pack(values: Sequence[int], width: int) -> bytes:
    """Pack unsigned integers of `width` bytes.

    Examples
    --------
    >>> pack([1, 2], 2).hex()
    '0001000200'
    >>> len(pack(range(100_000), 4))
    21
    """
    count = len(values)
    if count >= _SHORTEST_SEQUENCE:
        first, step = values[0], values[1] - values[0]
        if all(map(operator.eq, values, _steps(first, step, count))):
            return struct.pack("<BIQQ", _SEQUENCE, count, first, step & _MASK)
    column = array(_TYPES[width], values)
    if sys.byteorder == "big":
        column.byteswap()
    return _PLAIN + column.tobytes()


def _steps(first: int, step: int, count: int) -> Iterable[int]:
    return range(first, first + step * count, step) if step else repeat(first, count)


def unpack(packed: bytes, width: int) -> list[int]:
    """Read a packed column.

    Examples
    --------
    >>> unpack(pack([5, 5, 5, 5, 5, 5, 5], 4), 4)
    [5, 5, 5, 5, 5, 5, 5]
    """
    if not packed:
        return []
    form = packed[0]
    if form == _PLAIN[0]:
        column = array(_TYPES[width])
        column.frombytes(packed[1:])
        if sys.byteorder == "big":
            column.byteswap()
        return column.tolist()
    if form == _SEQUENCE:
        _, count, first, step = struct.unpack("<BIQQ", packed)
        return [(first + step * i) & _MASK for i in range(count)]
    if form == _PACKED:
        _, count, least, bits = struct.unpack_from("<BIQB", packed)
        return list(islice(_offsets(packed[14:], least, bits), count)) if bits else [least] * count
    raise ValueError(f"a column of unknown form {form}")


def _offsets(packed: bytes, least: int, bits: int) -> Iterator[int]:
    """Values of so many bits each; there may be a few more than were packed."""
    mask, shifts = (1 << bits) - 1, range(0, 8 * bits, bits)
    # Eight values are whole bytes. A window over all of them would be shifted as a whole for each value.
    for at in range(0, len(packed), bits):
        window = int.from_bytes(packed[at : at + bits], "little")
        for shift in shifts:
            yield least + (window >> shift & mask)


def pack_rows(rows: Sequence[bytes]) -> list[bytes]:
    r"""Pack byte strings end to end: the column of their offsets, and the bytes.

    Examples
    --------
    >>> unpack_rows(pack_rows([b"one", b""]))
    [b'one', b'']
    """
    content = b"".join(rows)
    if not content:
        return [_PLAIN, b""]
    offsets = list(accumulate(map(len, rows), initial=0))
    return [pack(offsets, 4), content]


def unpack_rows(column: Sequence[bytes] | Mapping[str, bytes]) -> list[bytes]:
    """Read byte strings packed end to end; an empty list where all are empty.

    Parameters
    ----------
    column : sequence or mapping
        Offsets and bytes: in a graph they are a pair, in an answer of the gateway, whose fields have names, a map.
    """
    packed, content = (column["offsets"], column["bytes"]) if isinstance(column, Mapping) else column
    return [content[start:end] for start, end in pairwise(unpack(packed, 4))]
