"""A gateway, scheduler and worker in this process, for tests of the SDK alone.

It runs Python and a few native operations in order of their dependencies; functions and arguments are read by the
executor's own code. Shares nothing with the encoder but the packed columns' reader.
"""

from __future__ import annotations

import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgpack
from fake_job import CANCELLED, STORED, FakeJob
from fake_shared import FakeShared, Problem

from millstream._wire.columns import pack as pack_column
from millstream._wire.columns import pack_rows

# What the journal marks besides a task's state.
DELIVERED, GIVEN_UP = 0x80, 0x40


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
            if job.state == "succeeded" and task in job.values and len(job.values[task]) <= self.inline_limit
        ]
        counts = {"total": len(job.tasks), "cancelled": job.states.count(CANCELLED)}
        return {"id": job.id, "state": job.state, "tasks": counts, "results": results}

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
            self._job(self.fake.jobs[path[1]], path[2:], query, body)
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

    def _job(self, job: FakeJob, rest: list[str], query: dict[str, str], body: bytes) -> None:
        if rest in (["release"], ["cancel"]):
            self._change(job, rest[0], msgpack.unpackb(body)["keys"])
        elif self.command == "DELETE":
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
            told = bytes(
                state | (DELIVERED if state == STORED else 0) | (GIVEN_UP if task in job.given_up else 0)
                for task, state in enumerate(job.states)
            )
            self._bytes(200, told, "application/octet-stream", headers)
        elif rest == ["results"]:
            self._send(self.fake.columns(job))
        elif rest[0] == "results":
            task = job.keys.index(rest[1])
            assert task in job.outputs
            job.wait_for(task, _seconds(query.get("wait")))
            if task in job.given_up:
                self._problem(410, "gone", f"the output of task {rest[1]} was released or cancelled")
                return
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
            workers = ["w1"] if task in job.values else []
            self._send(
                {"key": rest[1], "state": state, "deps": deps, "error": job.errors.get(task), "workers": workers}
            )

    def _change(self, job: FakeJob, what: str, keys: list[str]) -> None:
        if not 1 <= len(keys) <= 100_000:
            self._problem(400, "bad_request", f"{len(keys)} keys: 1 to 100000 are taken")
            return
        tasks = {key: task for task, key in enumerate(job.keys)}
        unknown = [key for key in keys if key not in tasks]
        if unknown:
            self._problem(404, "unknown_task", f"no task {unknown[0]}")
            return
        change = job.release if what == "release" else job.cancel
        self._send({"tasks": change(tasks[key] for key in keys)})

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
