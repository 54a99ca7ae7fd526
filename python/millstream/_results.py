"""Reads results and failures as the cluster stores them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

from millstream._errors import CancelledError, RemoteTraceback, TaskError, TaskTimeoutError, WorkerDiedError

_BY_CONTENT_TYPE = {
    "application/vnd.msgpack": "native",
    "application/vnd.millstream.pickle": "python",
    "application/vnd.apache.arrow.stream": "arrow",
}
_ERRORS = {
    "timed_out": TaskTimeoutError,
    "deadline_exceeded": TaskTimeoutError,
    "killed_workers": WorkerDiedError,
    "executor_died": WorkerDiedError,
}


# How pickled values begin, as `millstream._serialize` writes them.
PICKLED = b"MSP5"


def kind_of_content(content_type: str) -> str:
    """Return which kind of operation makes results of this content type."""
    return _BY_CONTENT_TYPE.get(content_type.partition(";")[0].strip(), "command")


def decode_result(kind: str, raw: bytes | bytearray | memoryview) -> Any:
    """Return the value of a stored result.

    Parameters
    ----------
    kind : str
        Kind of the operation that made it: ``python`` values are pickled, ``native`` ones MessagePack, a command's are
        its output.
    raw : bytes-like
        The value as stored.

    Examples
    --------
    >>> decode_result("native", bytes([42])), decode_result("command", b"text")
    (42, b'text')
    """
    if kind == "python":
        from millstream._serialize import loads

        return loads(raw)
    if kind == "native":
        if bytes(raw[:4]) == PICKLED:
            # A value that was uploaded: no MessagePack value begins so.
            return decode_result("python", raw)
        import msgpack

        return msgpack.unpackb(raw, strict_map_key=False)
    if kind == "arrow":
        import pyarrow as pa

        return pa.ipc.open_stream(raw).read_all()
    return bytes(raw)


def exception_of(key: str, error: Mapping[str, Any], attempt: int | None = None) -> BaseException:
    """Return the exception of a failed task: the original one where it could be pickled.

    What is known besides, where and in which attempt it happened and what the task printed last, is in its notes.

    Parameters
    ----------
    key : str
        The task's key.
    error : mapping
        The failure as the gateway tells it.
    attempt : int, optional
        How often the task had run then.
    """
    if error.get("kind") == "cancelled":
        return CancelledError(str(error.get("message") or f"task {key!r} was cancelled"))
    failure = _ERRORS.get(str(error.get("kind")), TaskError)(key, error, attempt)
    original = _original(error.get("exception"))
    if original is None:
        if failure.remote_traceback:
            failure.__cause__ = RemoteTraceback(failure.remote_traceback)
        return failure
    if failure.remote_traceback:
        original.__cause__ = RemoteTraceback(failure.remote_traceback)
    original.add_note(f"raised by task {key!r}{failure.place}")
    if failure.code != "user":
        original.add_note(failure.message)
    if failure.log_tail:
        original.add_note(f"its last output:\n{failure.log_tail.rstrip()}")
    return original


def _original(pickled: Any) -> BaseException | None:
    if not isinstance(pickled, bytes) or not pickled:
        return None
    try:
        # Pickled by the executor; the client trusts its cluster, as it does with results.
        loaded = pickle.loads(pickled)
    except Exception:
        return None
    return loaded if isinstance(loaded, BaseException) else None
