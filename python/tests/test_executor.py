"""The parts of an executor that need no worker; ``crates/executor/tests`` runs the whole with one."""

from __future__ import annotations

import fcntl
import os
import pickle
import struct
from collections.abc import Iterator

import pytest

from millstream import _serialize
from millstream._executor import channel, errors, inputs, msgpack
from millstream._executor.ops import LoadError, Op
from millstream._executor.page import HEAD_BYTES, Page

LIMIT = 8


@pytest.fixture
def page() -> Iterator[Page]:
    fd = os.memfd_create("page")
    os.ftruncate(fd, HEAD_BYTES + 2 * LIMIT)
    yield Page(fd, LIMIT)
    os.close(fd)


@pytest.mark.parametrize("pieces", [[b"abc"], [b"abcdefgh"], [b"abcde", b"fghijk"], [b"x" * 100], [b"1234567"] * 9])
def test_a_page_keeps_head_and_tail_of_what_is_written(page: Page, pieces: list[bytes]) -> None:
    for piece in pieces:
        page.write(piece)
    everything = b"".join(pieces)
    log = page.take_log()
    total, head = struct.unpack_from("<QQ", log)
    assert total == len(everything)
    assert log[16 : 16 + head] == everything[:LIMIT]
    assert log[16 + head :] == everything[LIMIT:][-LIMIT:]
    assert page.take_log() == b""


def test_a_revoked_task_does_not_start(page: Page) -> None:
    assert page.start(4)
    page.finish(4)
    struct.pack_into("<Q", page._map, 16, 5 << 32 | 8)
    assert [seq for seq in range(5, 10) if page.start(seq)] == [8, 9]


def test_only_the_task_that_runs_is_interrupted(page: Page) -> None:
    struct.pack_into("<Q", page._map, 24, 3)
    page.start(3)
    assert page.is_cancelled()
    page.finish(3)
    assert not page.is_cancelled()
    page.start(4)
    assert not page.is_cancelled()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x00", 0),
        (b"\xff", -1),
        (b"\xcd\x01\x00", 256),
        (b"\xd3" + (-(1 << 40)).to_bytes(8, "big", signed=True), -(1 << 40)),
        (b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", 1.5),
        (b"\x93\xc0\xc2\xc3", [None, False, True]),
        (b"\xc4\x02hi", b"hi"),
        (b"\xd9\x02\xc3\xa9", "é"),
        (b"\x81\x92\x01\x02\xa1x", {(1, 2): "x"}),
    ],
)
def test_messagepack_is_read(data: bytes, value: object) -> None:
    assert msgpack.loads(data) == value


@pytest.mark.parametrize("data", [b"", b"\x92\x01", b"\xa5abc", b"\xc1", b"\x01\x01", b"\xdd\xff\xff\xff\xff"])
def test_messagepack_that_is_malformed_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="MessagePack"):
        msgpack.loads(data)


def test_sealed_memory_holds_a_value_and_cannot_be_written() -> None:
    buffers = _serialize.dumps({"a": bytearray(5000)})
    size = _serialize.packed_size(buffers)
    fd = channel.sealed(_serialize.pieces(buffers), size)
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    view = inputs.mapped(fd, size)
    assert _serialize.loads(view) == {"a": bytearray(5000)}


def test_parameters_refer_to_inputs_at_any_depth() -> None:
    given = [inputs.Input(inputs.MSGPACK, memoryview(b"\x07")), inputs.Input(inputs.RAW, memoryview(b"raw"))]
    assert inputs.arguments(b"", given, -1) == ((7, b"raw"), {})
    assert inputs.arguments(b"", [], 5) == ((5,), {})
    assert inputs.arguments(b"", [], -1) == ((), {})
    assert inputs.arguments(pickle.dumps(((1,), {"k": 2}), 5), [], -1) == ((1,), {"k": 2})


def test_a_function_whose_module_is_missing_says_how_to_ship_it() -> None:
    code = b"cno_such_module\nf\n."
    op = Op("no_such_module:f", b"\x81\xa2fn\xc4" + bytes([len(code)]) + code)
    with pytest.raises(LoadError) as caught:
        op.function()
    text = errors.describe(caught.value, cancelled=False)
    assert text[0] == errors.ENVIRONMENT
    assert b"No module named 'no_such_module'" in text
    assert b"working_dir" in text


def test_an_exception_without_a_text_is_named_by_its_type() -> None:
    text = errors.describe(KeyboardInterrupt(), cancelled=True)
    (length,) = struct.unpack_from("<I", text, 1)
    assert (text[0], text[5 : 5 + length]) == (errors.CANCELLED, b"KeyboardInterrupt")


def test_long_texts_keep_both_ends() -> None:
    text = errors.describe(ValueError("a" + "x" * 100_000 + "z"), cancelled=False)
    (length,) = struct.unpack_from("<I", text, 1)
    message = text[5 : 5 + length]
    assert length < errors.MESSAGE_LIMIT + 100
    assert message.startswith(b"ValueError: a")
    assert message.endswith(b"z")
