"""Memory shared with the worker: which task runs, and what it has printed.

The worker reads it when the process has died or does not answer, so nothing in it may need a reply.
"""

from __future__ import annotations

import mmap
import struct
import threading

HEAD_BYTES = 4096

_WORD = struct.Struct("<Q")
_TASK = struct.Struct("<16sI")
_STARTED, _FINISHED, _REVOKED, _CANCELLED, _LOGGED, _IDENTITY = 0, 8, 16, 24, 32, 40


class Page:
    """The words and the captured output of one process."""

    def __init__(self, fd: int, log_limit: int) -> None:
        self._map = mmap.mmap(fd, HEAD_BYTES + 2 * log_limit, flags=mmap.MAP_SHARED)
        self._limit = log_limit
        self._lock = threading.Lock()
        self.logged = 0

    def identify(self, job: bytes, task: int) -> None:
        """Note which task begins next."""
        _TASK.pack_into(self._map, _IDENTITY, job, task)

    def start(self, seq: int) -> bool:
        """Note that a task begins; false if the worker took it back."""
        _WORD.pack_into(self._map, _STARTED, seq)
        revoked: int = _WORD.unpack_from(self._map, _REVOKED)[0]
        if revoked and (revoked >> 32) <= seq < (revoked & 0xFFFFFFFF):
            _WORD.pack_into(self._map, _FINISHED, seq)
            return False
        return True

    def finish(self, seq: int) -> None:
        """Note that a task has ended."""
        _WORD.pack_into(self._map, _FINISHED, seq)

    def is_cancelled(self) -> bool:
        """Whether the task that runs now is the one that the worker wants stopped."""
        started: int = _WORD.unpack_from(self._map, _STARTED)[0]
        finished: int = _WORD.unpack_from(self._map, _FINISHED)[0]
        cancelled: int = _WORD.unpack_from(self._map, _CANCELLED)[0]
        return started != finished and started == cancelled

    def write(self, data: bytes) -> None:
        """Keep output: the head of it, and the tail in a ring."""
        if not data:
            return
        limit = self._limit
        with self._lock:
            at, self.logged = self.logged, self.logged + len(data)
            _WORD.pack_into(self._map, _LOGGED, self.logged)
            if at < limit:
                room = limit - at
                head, data = data[:room], data[room:]
                self._map[HEAD_BYTES + at : HEAD_BYTES + at + len(head)] = head
                at += len(head)
            if len(data) > limit:
                at += len(data) - limit
                data = data[len(data) - limit :]
            if data and limit:
                place = (at - limit) % limit
                first = data[: limit - place]
                tail = HEAD_BYTES + limit
                self._map[tail + place : tail + place + len(first)] = first
                rest = data[len(first) :]
                self._map[tail : tail + len(rest)] = rest

    def take_log(self) -> bytes:
        """What was written since the last call: its length in 8 bytes, head, tail. Empty if nothing was."""
        if not self.logged:
            return b""
        limit = self._limit
        with self._lock:
            total, self.logged = self.logged, 0
            head = self._map[HEAD_BYTES : HEAD_BYTES + min(total, limit)]
            tail = HEAD_BYTES + limit
            beyond = max(total - limit, 0)
            if beyond <= limit:
                rest = self._map[tail : tail + beyond]
            else:
                place = beyond % limit
                rest = self._map[tail + place : tail + limit] + self._map[tail : tail + place]
            _WORD.pack_into(self._map, _LOGGED, 0)
        return b"".join((_WORD.pack(total), _WORD.pack(len(head)), head, rest))
