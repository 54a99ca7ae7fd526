"""Values as bytes, and what is said of those that cannot be."""

from __future__ import annotations

import pickle
import struct
import threading
from typing import Any

import pytest

from millstream import _serialize

np = pytest.importorskip("numpy")


@pytest.mark.parametrize(
    "value",
    [None, True, 7, -1.5, "text", b"bytes", [1, [2]], {"a": (1, {2})}, frozenset({3})],
    ids=repr,
)
def test_plain_values_survive_both_forms(value: Any) -> None:
    buffers = _serialize.dumps(value)
    assert _serialize.loads(buffers) == value
    packed = _serialize.pack(buffers)
    assert _serialize.loads(packed) == value
    assert len(packed) == _serialize.packed_size(buffers)


def test_lambdas_and_classes_of_main_survive() -> None:
    pytest.importorskip("cloudpickle")
    offset = 3
    assert _serialize.loads(_serialize.dumps(lambda x: x + offset))(4) == 7


def test_arrays_share_the_memory_of_what_they_came_from() -> None:
    array = np.arange(10_000.0)
    buffers = _serialize.dumps({"array": array})
    assert len(buffers) == 2
    assert np.shares_memory(np.frombuffer(buffers[1]), array)
    packed = bytearray(_serialize.pack(buffers))
    first, second = (_serialize.loads(packed)["array"] for _ in range(2))
    assert np.shares_memory(first, second)
    assert first.flags.writeable
    np.testing.assert_array_equal(first, array)


def test_every_buffer_lies_at_a_multiple_of_64() -> None:
    arrays = [np.ones(size, dtype=np.uint8) for size in (1025, 2000, 4097)]
    packed = _serialize.pack(_serialize.dumps(arrays))
    magic, count, stream = struct.unpack_from("<4sIQ", packed)
    assert (magic, count) == (b"MSP5", 3)
    offsets = [struct.unpack_from("<QQ", packed, 16 + 16 * i) for i in range(count)]
    assert [length for _, length in offsets] == [1025, 2000, 4097]
    assert all(offset % 64 == 0 for offset, _ in offsets)
    # The stream itself is what pickle reads.
    begin = 16 + 16 * count
    buffers = [packed[offset : offset + length] for offset, length in offsets]
    loaded = pickle.loads(packed[begin : begin + stream], buffers=buffers)
    assert [array.size for array in loaded] == [1025, 2000, 4097]


def test_small_buffers_stay_within_the_stream() -> None:
    assert len(_serialize.dumps(np.ones(10))) == 1


@pytest.mark.parametrize("cut", [0, 15, 40, -1])
def test_truncated_bytes_are_refused(cut: int) -> None:
    packed = _serialize.pack(_serialize.dumps([np.ones(1000), "text"]))
    with pytest.raises(_serialize.SerializationError):
        _serialize.unpack(packed[:cut])


def test_an_unknown_serializer_is_named() -> None:
    with pytest.raises(ValueError, match="'json'"):
        _serialize.dumps(1.0 + 2j, "json")


class _Slotted:
    __slots__ = ("guard",)

    def __init__(self) -> None:
        self.guard = threading.Lock()


class _Holder:
    def __init__(self) -> None:
        self.fine = 1
        self.inner = {"deep": [0, _Slotted()]}


def test_the_culprit_is_named_by_the_way_to_it() -> None:
    pytest.importorskip("cloudpickle")
    assert _serialize.culprit(_Holder()) == (".inner['deep'][1].guard", "_thread.lock")
    assert _serialize.culprit(threading.Lock()) == ("", "_thread.lock")


def test_the_culprit_is_found_in_a_closure() -> None:
    pytest.importorskip("cloudpickle")
    lock = threading.Lock()
    assert _serialize.culprit(lambda: lock) == (" variable lock", "_thread.lock")


def test_the_culprit_of_a_cycle_is_found() -> None:
    pytest.importorskip("cloudpickle")
    cycle: list[Any] = [threading.Lock()]
    cycle.append(cycle)
    assert _serialize.culprit(cycle)[1] == "_thread.lock"
