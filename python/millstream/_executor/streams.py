"""``print`` and ``logging`` of tasks."""

from __future__ import annotations

import io
import logging
import os
import sys

from .page import Page


class _Bytes(io.RawIOBase):
    """The binary stream below ``sys.stdout``."""

    def __init__(self, page: Page, fd: int) -> None:
        super().__init__()
        self._page = page
        self._fd = fd

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        taken = bytes(data)  # type: ignore[call-overload]
        self._page.write(taken)
        return len(taken)

    def fileno(self) -> int:
        return self._fd


class _Text(io.TextIOBase):
    """Text that goes to the task that runs."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, page: Page, fd: int) -> None:
        super().__init__()
        self._write = page.write
        self._fd = fd
        self.buffer = _Bytes(page, fd)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._write(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._fd


def _plain(fd: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(os.fdopen(fd, "wb", 0, closefd=False), encoding="utf-8", write_through=True)


def capture(page: Page) -> None:
    """Send the standard streams and unconfigured loggers to the page.

    What is written to the file descriptors themselves, by C code and by other processes, reaches the worker by a pipe.
    """
    sys.stdout = sys.__stdout__ = _Text(page, 1)  # type: ignore[misc,assignment]
    sys.stderr = sys.__stderr__ = _Text(page, 2)  # type: ignore[misc,assignment]

    def in_child() -> None:
        # The page belongs to one process.
        sys.stdout = sys.__stdout__ = _plain(1)  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = _plain(2)  # type: ignore[misc]

    os.register_at_fork(after_in_child=in_child)
    # Not a handler of the root logger, which would make `logging.basicConfig` of users' code do nothing.
    last = logging._StderrHandler(logging.INFO)  # type: ignore[attr-defined]
    last.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
    logging.lastResort = last
    logging.getLogger().setLevel(logging.INFO)
