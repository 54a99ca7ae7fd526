"""Frames to and from the worker, with file descriptors beside them."""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
from collections import deque
from collections.abc import Iterable, Sequence

from .._serialize import Buffer

HEADER = struct.Struct("<IIQ")
# What the kernel takes in one message (SCM_MAX_FD).
MAX_FDS = 253

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_ANCILLARY = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
_READ = 1 << 18


class Closed(Exception):  # noqa: N818 - the ordinary end
    """The worker is gone or wants this process to end."""


class Channel:
    """One stream socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self.fds: deque[int] = deque()

    def close(self) -> None:
        """Close the socket, in a process that is not the executor."""
        self._socket.close()

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            wanted = max(_READ, size - len(self._buffer))
            data, ancillary, _, _ = self._socket.recvmsg(min(wanted, 1 << 24), _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds = array.array("i")
                    fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
                    self.fds.extend(fds)
            if not data:
                raise Closed
            self._buffer += data

    def receive(self) -> tuple[int, bytes]:
        """Wait for the next frame: its kind and its body."""
        self._fill(HEADER.size)
        kind, _, length = HEADER.unpack_from(self._buffer)
        end = HEADER.size + length
        self._fill(end)
        with memoryview(self._buffer) as view:
            body = bytes(view[HEADER.size : end])
        del self._buffer[:end]
        return kind, body

    def send(self, kind: int, parts: Sequence[Buffer], fds: Sequence[int] = ()) -> None:
        """Send one frame. At most :data:`MAX_FDS` descriptors."""
        body = b"".join(parts)
        frame = HEADER.pack(kind, len(fds), len(body)) + body
        sent = socket.send_fds(self._socket, [frame], list(fds)) if fds else self._socket.send(frame)
        if sent < len(frame):
            self._socket.sendall(memoryview(frame)[sent:])


def sealed(pieces: Iterable[Buffer], size: int) -> int:
    """Write bytes to memory that nobody can change any more, and return its descriptor."""
    fd = os.memfd_create("millstream-value", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        at = 0
        for piece in pieces:
            with memoryview(piece).cast("B") as view:
                done = 0
                while done < view.nbytes:
                    # One call writes less than 2 GiB.
                    done += os.pwrite(fd, view[done : done + (1 << 30)], at + done)
                at += view.nbytes
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd
