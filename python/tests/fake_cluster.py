"""A gateway, scheduler and worker in this process, for tests of the SDK alone.

Decodes what the SDK sends by the protocol's documents and runs Python and a few native operations in order of their
dependencies; functions and arguments are read by the executor's own code. Shares nothing with the encoder but the
packed columns' reader.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import threading
import traceback
import uuid
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import cloudpickle
import msgpack
from fake_shared import FakeShared, Problem

from millstream._executor.inputs import MSGPACK, PICKLE, Input, arguments
from millstream._executor.ops import Op
from millstream._serialize import dumps, pack
from millstream._wire.columns import pack as pack_column
from millstream._wire.columns import pack_rows, unpack, unpack_rows

WHOLE = 0xFFFF_FFFF
DELIVERED = 0x80
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
        self.attempts: dict[int, int] = {}
        self.thread = 0

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

    def interrupt(self) -> None:
        """Stop what runs, as the worker does with a signal, once."""
        if self.state == "cancelling":
            return
        self.state = "cancelling"
        interrupt = ctypes.py_object(KeyboardInterrupt)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread), interrupt)

    def run(self) -> None:
        self.thread = threading.get_ident()
        # Interrupted between two tasks it ends, too.
        with contextlib.suppress(KeyboardInterrupt):
            self._run_tasks()
        self.state = "cancelled" if self.state == "cancelling" else "failed" if 3 in self.states else "succeeded"
        self.over.set()

    def _run_tasks(self) -> None:
        for number, (op, _, params, inputs) in enumerate(self.tasks):
            if self.state == "cancelling":
                break
            if any(self.states[dep] == 3 for dep, _ in inputs):
                self._fail(number, {"kind": "upstream_failed", "message": "an input failed"})
                continue
            if self.ops[op][0] == "import":
                self._import(number, params)
                continue
            self._run_with_retries(number, op, params, [dep for dep, _ in inputs])

    def _import(self, number: int, params: bytes) -> None:
        source, task = self._source(params)
        source.over.wait(30)
        if task in source.values:
            self.values[number] = source.values[task]
            self.states[number] = 1
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
                self.values[number] = self._call(self.ops[op], params, inputs)
                self.states[number] = 1
                return
            except BaseException as error:
                if left:
                    continue
                error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
                text = traceback.format_exc()
                failure = {"kind": "user", "message": repr(error), "host": "fake", "traceback": text}
                self._fail(number, failure | {"exception": cloudpickle.dumps(error)})

    def _fail(self, number: int, error: dict[str, Any]) -> None:
        self.states[number] = 3
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


class FakeCluster:
    """An HTTP server on a free port; `jobs` are what was submitted."""

    token = "fake-token"

    def __init__(self) -> None:
        self.jobs: dict[str, FakeJob] = {}
        self.removed: list[str] = []
        self.uploads: dict[str, bytes] = {}
        self.sessions: dict[str, str] = {}
        self.shared = FakeShared()
        self.inline_limit = 4096
        self.requests: list[str] = []
        cluster = self

        class Handler(_Handler):
            fake = cluster

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def submit(self, body: bytes) -> FakeJob:
        request = msgpack.unpackb(body)
        job = self.jobs.get(request["id"])
        if job is None:
            job = self.jobs[request["id"]] = FakeJob(request, self.jobs, self.uploads)
            threading.Thread(target=job.run, daemon=True).start()
        return job

    def view(self, job: FakeJob) -> dict[str, Any]:
        results = [
            {"key": job.keys[task], "raw": job.values[task], "link": ""}
            for task in job.outputs[:1000]
            if job.state == "succeeded" and len(job.values[task]) <= self.inline_limit
        ]
        return {"id": job.id, "state": job.state, "tasks": {"total": len(job.tasks)}, "results": results}

    def columns(self, job: FakeJob) -> dict[str, Any]:
        kinds = sorted({op[0] for op in job.ops})
        small = [
            job.values[task] if task in job.values and len(job.values[task]) <= self.inline_limit else b""
            for task in job.outputs
        ]
        held = bytes(
            2 if value else 1 if task in job.values else 0 for task, value in zip(job.outputs, small, strict=True)
        )
        return {
            "state": job.state,
            "tasks": pack_column(job.outputs, 4),
            "keys": named_rows([job.keys[task].encode() for task in job.outputs]),
            "kinds": kinds,
            "kind": pack_column([kinds.index(job.ops[job.tasks[task][0]][0]) for task in job.outputs], 2),
            "held": held,
            "values": named_rows(small),
        }


def named_rows(rows: list[bytes]) -> dict[str, bytes]:
    """Rows as answers hold them, where fields have names."""
    offsets, content = pack_rows(rows)
    return {"offsets": offsets, "bytes": content}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may leave at any moment."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is two writes; the second must not wait until the first is acknowledged.
    disable_nagle_algorithm = True
    fake: FakeCluster

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self._answer(body)

    def do_GET(self) -> None:
        self._answer(b"")

    do_DELETE = do_GET  # noqa: N815
    do_PUT = do_POST  # noqa: N815

    def _answer(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.fake.requests.append(f"{self.command} {parts.path}")
        if self.headers["authorization"] != f"Bearer {self.fake.token}":
            self._problem(401, "no_token", "The token is wrong")
            return
        path = [unquote(part) for part in parts.path.split("/")[2:]]
        if path[0] in ("cells", "queues", "semaphores"):
            self._shared(path, query, body)
        elif path[0] == "sessions":
            self.fake.sessions[path[1]] = self.command
            self._send({"id": path[1], "ttl": "60s"})
        elif path == ["workers"]:
            self._send(
                {"workers": [{"id": "w1", "name": "w1", "state": "active", "slots": 1, "memory_limit": 1 << 30}]}
            )
        elif path[0] == "uploads":
            self._upload(path[1], body)
        elif self.command == "POST" and path == ["jobs"]:
            job = self.fake.submit(body)
            job.over.wait(_seconds(query.get("wait")))
            self._send(self.fake.view(job))
        elif path[0] == "jobs" and path[1] in self.fake.jobs:
            self._job(self.fake.jobs[path[1]], path[2:], query)
        else:
            self._problem(404, "unknown_job", f"no job {path[-1]}")

    def _upload(self, name: str, body: bytes) -> None:
        if self.command == "DELETE":
            self.fake.uploads.pop(name, None)
            self._bytes(204, b"", "application/vnd.msgpack")
            return
        self.fake.uploads[name] = body
        self._send({"id": name, "length": len(body), "crc32": zlib.crc32(body), "workers": ["w1"]})

    def _shared(self, path: list[str], query: dict[str, str], body: bytes) -> None:
        # Names stay as they are in the path, as the real gateway keeps escaped slashes.
        raw = urlsplit(self.path).path.split("/")[2:]
        try:
            status, value = self.fake.shared.answer(self.command, raw, query, self.headers, body)
        except Problem as problem:
            self._problem(problem.status, problem.code, f"{self.command} {self.path}")
            return
        content = b"" if value is None else msgpack.packb(value)
        self._bytes(status, content, "application/vnd.msgpack")

    def _job(self, job: FakeJob, rest: list[str], query: dict[str, str]) -> None:
        if self.command == "DELETE":
            if query.get("remove"):
                self.fake.removed.append(job.id)
            elif not job.over.is_set():
                job.interrupt()
                self.fake.shared.wake()
            self._send(self.fake.view(job))
        elif not rest:
            job.over.wait(_seconds(query.get("wait")))
            self._send(self.fake.view(job))
        elif rest == ["states"]:
            headers = {"millstream-job-state": job.state}
            # As the journal has them: what was made is marked once it has been told.
            told = bytes(state | DELIVERED if state == 1 else state for state in job.states)
            self._bytes(200, told, "application/octet-stream", headers)
        elif rest == ["results"]:
            self._send(self.fake.columns(job))
        elif rest[0] == "results":
            task = job.keys.index(rest[1])
            assert task in job.outputs
            job.over.wait(_seconds(query.get("wait")))
            if task not in job.values:
                self._bytes(202, msgpack.packb(self.fake.view(job)), "application/vnd.msgpack")
                return
            kind = job.ops[job.tasks[task][0]][0]
            is_pickled = kind == "python" or job.values[task].startswith(b"MSP5")
            content = "application/vnd.millstream.pickle" if is_pickled else "application/vnd.msgpack"
            self._bytes(200, job.values[task], content)
        elif rest[0] == "tasks":
            task = job.keys.index(rest[1])
            state = ("pending", "stored", "released", "failed", "cancelled")[job.states[task]]
            deps = [job.keys[dep] for dep, _ in job.tasks[task][3]]
            self._send({"key": rest[1], "state": state, "deps": deps, "error": job.errors.get(task)})

    def _send(self, value: Any) -> None:
        self._bytes(200, msgpack.packb(value), "application/vnd.msgpack")

    def _problem(self, status: int, code: str, detail: str) -> None:
        body = json.dumps({"status": status, "code": code, "detail": detail}).encode()
        self._bytes(status, body, "application/problem+json")

    def _bytes(self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _seconds(text: str | None) -> float:
    if not text:
        return 0.0
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text[:-1])
