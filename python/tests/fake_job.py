"""Jobs of the fake cluster: decodes what the SDK sends by the protocol's documents, and runs it in order."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import traceback
import uuid
from collections.abc import Iterable
from typing import Any

import cloudpickle
import msgpack

from millstream._executor.inputs import MSGPACK, PICKLE, Input, arguments
from millstream._executor.ops import Op
from millstream._serialize import dumps, pack
from millstream._wire.columns import unpack, unpack_rows

WHOLE = 0xFFFF_FFFF
PENDING, STORED, RELEASED, FAILED, CANCELLED = range(5)
NATIVE = {
    "bench:inc": lambda number: number + 1,
    "bench:sum": lambda *numbers: sum(sum(n) if isinstance(n, list) else n for n in numbers),
}


class FakeJob:
    def __init__(self, body: dict[str, Any], others: dict[str, FakeJob], uploads: dict[str, bytes]) -> None:
        self.others = others
        self.uploads = uploads
        self.id = body["id"]
        self.options = body["options"]
        ops, options, layers, keys, outputs = msgpack.unpackb(body["graph"], strict_map_key=False)
        self.ops, self.task_options = ops, options
        self.tasks: list[tuple[int, int, bytes, list[tuple[int, int]]]] = []
        for layer in layers:
            self._add_layer(layer)
        self.outputs = unpack(outputs, 4)
        self.keys = [str(number) for number in range(len(self.tasks))]
        for key_range in keys:
            self._add_keys(key_range)
        self.states = bytearray(len(self.tasks))
        self.values: dict[int, bytes] = {}
        self.errors: dict[int, dict[str, Any]] = {}
        self.state = "running"
        self.over = threading.Event()
        self.changed = threading.Condition()
        self.attempts: dict[int, int] = {}
        self.thread = 0
        self.current: int | None = None
        self.given_up: set[int] = set()
        self.called_off: set[int] = set()
        # Jobs that import a task's result.
        self.importers: dict[int, list[FakeJob]] = {}
        for op, _, params, _ in self.tasks:
            if self.ops[op][0] == "import":
                source, task = self._source(params)
                source.importers.setdefault(task, []).append(self)

    def _add_layer(self, layer: dict[str, Any]) -> None:
        ((kind, columns),) = layer.items()
        assert kind == "explicit", kind
        count, ops, options, offsets, deps, parts, params = columns
        ops, options = unpack(ops, 2), unpack(options, 2)
        offsets, deps, parts = unpack(offsets, 4), unpack(deps, 4), unpack(parts, 4)
        rows = unpack_rows(params)
        assert len(rows) in (0, count)
        assert len(offsets) in (0, count + 1)
        for number in range(count):
            start, end = (offsets[number], offsets[number + 1]) if offsets else (0, 0)
            inputs = [(deps[at], parts[at] if parts else WHOLE) for at in range(start, end)]
            op = ops[number if len(ops) > 1 else 0]
            option = options[number if len(options) > 1 else 0]
            self.tasks.append((op, option, rows[number] if rows else b"", inputs))

    def _add_keys(self, key_range: dict[str, Any]) -> None:
        ((kind, (tasks, names)),) = key_range.items()
        first, count = tasks
        if kind == "numbered":
            self.keys[first : first + count] = [f"{names}-{number}" for number in range(count)]
        else:
            self.keys[first : first + count] = [name.decode() for name in unpack_rows(names)]

    # ---- what clients ask for

    def wait_for(self, task: int, seconds: float) -> None:
        """Wait until a task is over, or the job."""
        with self.changed:
            self.changed.wait_for(lambda: self.states[task] != PENDING or self.over.is_set(), seconds)

    def interrupt(self) -> None:
        """Stop what runs, as the worker does with a signal, once."""
        if self.state == "cancelling":
            return
        self.state = "cancelling"
        self._interrupt_thread()

    def release(self, tasks: Iterable[int]) -> int:
        """Free results that nothing else needs, now or when it is over; do not run what is only made for them."""
        with self.changed:
            fresh = set(tasks) - self.given_up
            self.given_up |= fresh
            self._let_go()
            return len(fresh)

    def cancel(self, tasks: Iterable[int]) -> int:
        """Stop tasks that are not over, and do not run what reads them."""
        with self.changed:
            doomed = {task for task in tasks if self.states[task] == PENDING}
            for number, (_, _, _, inputs) in enumerate(self.tasks):
                if self.states[number] == PENDING and any(dep in doomed for dep, _ in inputs):
                    doomed.add(number)
            self.called_off |= doomed
            self.given_up |= doomed
            for task in doomed - {self.current}:
                self.states[task] = CANCELLED
            if self.current in doomed:
                self._interrupt_thread()
            self._let_go()
            return len(doomed)

    def _interrupt_thread(self) -> None:
        interrupt = ctypes.py_object(KeyboardInterrupt)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread), interrupt)

    def _let_go(self) -> None:
        """Free what is not needed, and give up what was not run."""
        needed = self._needed() if self.given_up else [True] * len(self.tasks)
        for task, is_needed in enumerate(needed):
            if is_needed or task == self.current:
                continue
            if self.states[task] == PENDING:
                self.states[task] = CANCELLED
            elif self.states[task] == STORED and task in self.given_up:
                del self.values[task]
                self.states[task] = RELEASED
        self.changed.notify_all()

    def _needed(self) -> list[bool]:
        wanted = set(self.outputs) - self.given_up
        wanted |= {task for task, jobs in self.importers.items() if any(not job.over.is_set() for job in jobs)}
        needed = [task in wanted for task in range(len(self.tasks))]
        for task in reversed(range(len(self.tasks))):
            if needed[task] and self.states[task] == PENDING:
                for dep, _ in self.tasks[task][3]:
                    needed[dep] = True
        return needed

    # ---- running

    def run(self) -> None:
        self.thread = threading.get_ident()
        # Interrupted between two tasks it ends, too.
        with contextlib.suppress(KeyboardInterrupt):
            self._run_tasks()
        self.state = "cancelled" if self.state == "cancelling" else "failed" if FAILED in self.states else "succeeded"
        self.over.set()
        with self.changed:
            self.changed.notify_all()
        for source in self.others.values():
            if source.importers:
                source.release(())

    def _run_tasks(self) -> None:
        number = 0
        while number < len(self.tasks) and self.state != "cancelling":
            try:
                self._step(number)
                number += 1
            except KeyboardInterrupt:
                # For a task that has just ended by itself: on with the job, unless it is the job that is to end.
                continue

    def _step(self, number: int) -> None:
        with self.changed:
            if self.states[number] != PENDING:
                return
            self.current = number
        try:
            self._run_task(number)
        finally:
            with self.changed:
                self.current = None
                if self.states[number] == PENDING and number in self.called_off:
                    self.states[number] = CANCELLED
                self._let_go()

    def _run_task(self, number: int) -> None:
        op, _, params, inputs = self.tasks[number]
        if any(self.states[dep] == FAILED for dep, _ in inputs):
            self._fail(number, {"kind": "upstream_failed", "message": "an input failed"})
        elif self.ops[op][0] == "import":
            self._import(number, params)
        else:
            self._run_with_retries(number, op, params, [dep for dep, _ in inputs])

    def _import(self, number: int, params: bytes) -> None:
        source, task = self._source(params)
        source.wait_for(task, 30)
        value = source.values.get(task)
        if value is not None:
            self._store(number, value)
        else:
            self._fail(number, {"kind": "input_lost", "message": f"task {task} of job {source.id} is gone"})

    def _source(self, params: bytes) -> tuple[FakeJob, int]:
        named = msgpack.unpackb(params)["task"]
        return self.others[str(uuid.UUID(bytes=named["job"]))], named["task"]["index"]

    def _run_with_retries(self, number: int, op: int, params: bytes, inputs: list[int]) -> None:
        retries = self.task_options[self.tasks[number][1]][1]
        for left in reversed(range(retries + 1)):
            self.attempts[number] = self.attempts.get(number, 0) + 1
            try:
                self._store(number, self._call(self.ops[op], params, inputs))
                return
            except BaseException as error:
                if number in self.called_off:
                    return
                if left:
                    continue
                error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
                text = traceback.format_exc()
                failure = {"kind": "user", "message": repr(error), "host": "fake", "traceback": text}
                self._fail(number, failure | {"exception": cloudpickle.dumps(error)})

    def _store(self, number: int, value: bytes) -> None:
        self.values[number] = value
        self.states[number] = STORED

    def _fail(self, number: int, error: dict[str, Any]) -> None:
        self.states[number] = FAILED
        self.errors[number] = error

    def _call(self, op: list[Any], params: bytes, inputs: list[int]) -> bytes:
        kind, name, op_params, code, _ = op
        if kind == "native":
            args = [self.input(dep).value() for dep in inputs]
            if name == "millstream:upload":
                (listed,) = msgpack.unpackb(params)
                return self.uploads[msgpack.unpackb(listed["v"])]
            if params:
                listed = msgpack.unpackb(params)
                args = [msgpack.unpackb(a["v"]) if "v" in a else args[a["i"]] for a in listed]
            return msgpack.packb(NATIVE[name](*args))
        assert len(code) == 32
        args, kwargs = arguments(params, [self.input(dep) for dep in inputs], -1)
        return pack(dumps(Op(name, op_params).function()(*args, **kwargs)))

    def input(self, number: int) -> Input:
        op, _, params, _ = self.tasks[number]
        kind = self.ops[op][0]
        if kind == "import":
            source, task = self._source(params)
            return source.input(task)
        is_pickled = kind == "python" or self.values[number].startswith(b"MSP5")
        return Input(PICKLE if is_pickled else MSGPACK, memoryview(self.values[number]))
