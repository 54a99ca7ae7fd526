"""The parts of an executor that need no worker; ``crates/executor/tests`` runs the whole with one."""

from __future__ import annotations

import fcntl
import os
import pickle
import struct
import threading
from collections.abc import Iterator

import pytest

from millstream import _serialize
from millstream._executor import channel, errors, inputs, msgpack, packages, plugins
from millstream._executor.failures import LoadError
from millstream._executor.ops import Op
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


class NamedError(OSError):
    def __init__(self, *, name: str) -> None:
        super().__init__(2, "missing", name)
        self.held = threading.Lock()


def test_an_exception_whose_constructor_is_its_own_keeps_its_type() -> None:
    again = pickle.loads(errors._pickled(NamedError(name="x")))
    assert type(again) is NamedError
    assert again.args == (2, "missing")
    assert not hasattr(again, "held"), "what cannot travel is left out"


def test_long_texts_keep_both_ends() -> None:
    text = errors.describe(ValueError("a" + "x" * 100_000 + "z"), cancelled=False)
    (length,) = struct.unpack_from("<I", text, 1)
    message = text[5 : 5 + length]
    assert length < errors.MESSAGE_LIMIT + 100
    assert message.startswith(b"ValueError: a")
    assert message.endswith(b"z")


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    found: dict[str, str | None] = {"numpy": "1.26.4", "pandas": "2.1.0"}
    monkeypatch.setattr(packages, "_versions", found)
    monkeypatch.setattr(packages, "_warned", set())
    return found


@pytest.mark.usefixtures("versions")
def test_another_major_version_of_an_imported_package_is_refused() -> None:
    packages.check("m:f", {"pandas": ("pandas", "2.9"), "nothing": ("no-such-package", "1.0")})
    with pytest.raises(LoadError, match=r"`m:f` imports `numpy`, which is 2\.1\.0 at the client and 1\.26\.4 here"):
        packages.check("m:f", {"numpy": ("numpy", "2.1.0")})


@pytest.mark.usefixtures("versions")
def test_another_major_version_of_a_loaded_package_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        packages.warn({"numpy": "2.0.0", "pandas": "2.2.0"})
    assert [record.getMessage() for record in caplog.records] == [
        "the client has numpy 2.0.0, this process has 1.26.4; what is passed between them may not fit"
    ]


class Recorder:
    events: list[str] = []  # noqa: RUF012 - shared by the plugin's pickled copies

    def __init__(self, name: str) -> None:
        self.name = name

    def setup(self) -> None:
        self.events.append(f"{self.name} up")

    def teardown(self) -> None:
        self.events.append(f"{self.name} down")


def test_a_plugin_that_is_replaced_is_torn_down_first() -> None:
    first, second = pickle.dumps(Recorder("first")), pickle.dumps(Recorder("second"))
    for code in (first, first, second):
        plugins.prepare({"it": code})
    assert plugins.value_of("it").name == "second"
    plugins.end()
    assert Recorder.events == ["first up", "first down", "second up", "second down"]
    with pytest.raises(KeyError, match="no plugin 'it'"):
        plugins.value_of("it")


def test_a_missing_module_tells_where_the_client_has_it() -> None:
    op = Op("m:f", b"\x80")
    op.origins = {"helpers": "/home/me/helpers.py"}
    error = ModuleNotFoundError("No module named 'helpers.deep'", name="helpers.deep")
    text = errors.describe(error, cancelled=False, op=op)
    assert b"the client has it at /home/me/helpers.py: install `helpers`" in text
    assert error.__notes__[0].startswith("the client has it")
