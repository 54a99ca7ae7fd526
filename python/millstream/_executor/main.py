"""The loop of an executor: take tasks from the worker, call their functions, answer."""

from __future__ import annotations

import faulthandler
import gc
import os
import platform
import signal
import socket
import struct
import sys
import traceback
from time import perf_counter_ns
from types import FrameType
from typing import Any

from .. import _serialize
from . import errors, plugins, streams, turn
from .channel import Channel, Closed, sealed
from .inputs import Input, arguments, mapped
from .ops import Op
from .page import Page
from .turn import Turn

# Frames of the worker.
START, OP, RUN, FORGET, FDS = range(1, 6)
# Frames of this process.
READY, DONE, WAITS = range(1, 4)
# What became of a task.
VALUE, MAPPED, FAILED, SKIPPED, TABLE, MAPPED_TABLE = range(6)

_START = struct.Struct("<QQ")
_LENGTH = struct.Struct("<I")
_COUNT = struct.Struct("<I4x")
_TASK = struct.Struct("<QqQIIII16s")
_INPUT = struct.Struct("<BB6xQ")
_DONE = struct.Struct("<QQIIB7x")
_WAITS = struct.Struct("<Q?7x")

# Answers are sent when they are this old or large, at the latest.
FLUSH_NS = 500_000
FLUSH_BYTES = 64 << 10

# The highest score there is: this process goes first.
_OOM_SCORE = "1000"


class Executor:
    """One process that runs tasks one after another."""

    def __init__(self, channel: Channel, page: Page, inband_limit: int) -> None:
        self._channel = channel
        self._page = page
        self._inband_limit = inband_limit
        self._ops: dict[int, Op] = {}
        self._answers: list[bytes] = []
        self._answer_count = 0
        self._answered_bytes = 0
        self._first_answer = 0
        self._in_user_code = False
        self._running = 0
        self._turn = turn.current = Turn(self._tell_waits)

    def serve(self) -> None:
        """Run tasks until the worker closes the channel."""
        while True:
            kind, body = self._channel.receive()
            if kind == RUN:
                self._run_all(body)
                self._flush()
            elif kind == OP:
                number, length = struct.unpack_from("<II", body)
                name = body[8 : 8 + length].decode()
                self._ops[number] = Op(name, body[8 + length :])
            elif kind == FORGET:
                self._ops.pop(_LENGTH.unpack(body)[0], None)

    def on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Stop the task that runs, if it is the one that the worker means."""
        if self._page.is_cancelled():
            raise KeyboardInterrupt("the task was stopped")

    def on_user_signal(self, signum: int, frame: FrameType | None) -> None:
        """Send answers that wait although the task after them turned out to be long."""
        if self._in_user_code:
            self._flush()

    def _run_all(self, body: bytes) -> None:
        (count,) = _COUNT.unpack_from(body)
        at = _COUNT.size
        view = memoryview(body)
        for _ in range(count):
            seq, index, _attempt, number, task, params_len, input_count, job = _TASK.unpack_from(body, at)
            at += _TASK.size
            heads = at
            at += _INPUT.size * input_count
            params = body[at : at + params_len]
            at += params_len
            inputs: list[Input] = []
            for each in range(input_count):
                form, is_mapped, size = _INPUT.unpack_from(body, heads + each * _INPUT.size)
                if is_mapped:
                    inputs.append(Input(form, mapped(self._channel.fds.popleft(), size)))
                else:
                    # A copy of its own, so that arrays in it can be written to.
                    inputs.append(Input(form, memoryview(bytearray(view[at : at + size]))))
                    at += size
            op = self._ops[number]
            if self._answers and not op.is_short():
                self._flush()
            self._page.identify(job, task)
            if self._page.start(seq):
                self._run(seq, op, params, inputs, index)
            else:
                self._answers.append(_DONE.pack(seq, 0, 0, 0, SKIPPED))
                self._answer_count += 1

    def _run(self, seq: int, op: Op, params: bytes, inputs: list[Input], index: int) -> None:
        self._running = seq
        self._turn.begin()
        began = perf_counter_ns()
        fd, status = -1, VALUE
        try:
            try:
                fn = op.function()
                args, kwargs = arguments(params, inputs, index)
                self._in_user_code = True
                value = fn(*args, **kwargs)
                self._in_user_code = False
                del args, kwargs
                if op.gives_table:
                    fd, status, content, length = self._table(memoryview(value))
                else:
                    fd, status, content, length = self._value(self._dump(op, value))
            finally:
                self._in_user_code = False
        except BaseException as error:
            content = errors.describe(error, self._page.is_cancelled(), op)
            status, length = FAILED, len(content)
        ended = perf_counter_ns()
        took = ended - began
        op.ran(took)
        log = self._page.take_log()
        head = _DONE.pack(seq, length, len(log), min(took // 1000, 0xFFFFFFFF), status)
        self._page.finish(seq)
        if fd >= 0:
            self._flush()
            self._channel.send(DONE, (_COUNT.pack(1), head, log), (fd,))
            os.close(fd)
            return
        if not self._answers:
            self._first_answer = ended
        self._answers += (head, log, content) if log else (head, content)
        self._answer_count += 1
        self._answered_bytes += len(log) + len(content)
        if ended - self._first_answer > FLUSH_NS or self._answered_bytes > FLUSH_BYTES:
            self._flush()

    def _value(self, buffers: list[_serialize.Buffer]) -> tuple[int, int, bytes, int]:
        """Descriptor, status, content and length of a pickled value."""
        size = sum(memoryview(buffer).nbytes for buffer in buffers) if buffers[1:] else len(buffers[0])
        if size > self._inband_limit:
            length = _serialize.packed_size(buffers)
            return sealed(_serialize.pieces(buffers), length), MAPPED, b"", length
        content = _serialize.pack(buffers)
        return -1, VALUE, content, len(content)

    def _table(self, stream: memoryview) -> tuple[int, int, bytes, int]:
        """The same of an Arrow IPC stream."""
        if stream.nbytes > self._inband_limit:
            return sealed([stream], stream.nbytes), MAPPED_TABLE, b"", stream.nbytes
        return -1, TABLE, bytes(stream), stream.nbytes

    def _dump(self, op: Op, value: Any) -> list[_serialize.Buffer]:
        try:
            return _serialize.dumps(value, op.serializer)
        except MemoryError:
            raise
        except Exception as error:
            raise errors.unpicklable(op.name, value, op.serializer, error) from None

    def _tell_waits(self, waits: bool) -> None:
        """Say that the task that runs begins to wait for others, or goes on."""
        # A signal must not send another frame in the middle of this one.
        in_user_code, self._in_user_code = self._in_user_code, False
        try:
            self._flush()
            self._channel.send(WAITS, (_WAITS.pack(self._running, waits),))
        finally:
            self._in_user_code = in_user_code

    def _flush(self) -> None:
        if self._answers:
            head, answers = _COUNT.pack(self._answer_count), self._answers
            self._answers, self._answer_count, self._answered_bytes = [], 0, 0
            self._channel.send(DONE, (head, *answers))


def _cloudpickle() -> str:
    try:
        import cloudpickle
    except Exception as error:
        return f"!{type(error).__name__}: {error}"
    return str(cloudpickle.__version__)


def _texts(*texts: str) -> list[bytes]:
    parts = []
    for text in texts:
        data = text.encode()
        parts += [_LENGTH.pack(len(data)), data]
    return parts


def _connect() -> Channel:
    """The socket that the worker gave as standard input, which users' code then finds empty."""
    channel = Channel(socket.socket(fileno=os.dup(0)))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.register_at_fork(after_in_child=channel.close)
    return channel


def _prefer_me() -> None:
    """Let the system end this process before the worker when memory is short."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(_OOM_SCORE)
    except OSError:
        # A sandbox without it: the system chooses.
        pass


def _serve() -> None:
    channel = _connect()
    kind, body = channel.receive()
    if kind != START:
        raise RuntimeError(f"the worker began with frame {kind}")
    inband_limit, log_limit = _START.unpack_from(body)
    page = Page(channel.fds.popleft(), log_limit)
    # Where the worker reads what the threads do, also of a task that answers nothing.
    faulthandler.register(signal.SIGUSR2, file=channel.fds.popleft(), all_threads=True)
    executor = Executor(channel, page, inband_limit)
    signal.signal(signal.SIGINT, executor.on_interrupt)
    signal.signal(signal.SIGUSR1, executor.on_user_signal)
    signal.siginterrupt(signal.SIGUSR1, False)
    channel.send(READY, _texts(platform.python_version(), _cloudpickle(), sys.executable))
    streams.capture(page)
    # What is there now stays: the collector need not look at it again.
    gc.freeze()
    executor.serve()


def main() -> None:
    """Serve the worker on standard input, which is a socket."""
    # A crash in C code then leaves the Python lines that led to it in the task's log.
    faulthandler.enable(file=2, all_threads=False)
    _prefer_me()
    code = 0
    try:
        _serve()
    except Closed:
        plugins.end()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        code = 70
    # Not by the interpreter's end: threads that users' code left running must not hold it up.
    os._exit(code)
