"""Calls that were declared pure, and are made already: the same function of the same arguments is not called again."""

from __future__ import annotations

import hashlib
import io
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import cloudpickle

from millstream._functions import NativeFunction
from millstream._options import TaskOptions
from millstream._task import Reference, Task

# What stands for a call: a task, or a future.
C = TypeVar("C")

# Entries after which those are thrown out that nothing is left of.
_FEW = 256


class Known(Generic[C]):
    """Calls by what they compute, as long as somebody holds them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, weakref.WeakSet[Any]] = {}
        self._most = _FEW

    def find(self, token: str, is_good: Callable[[C], bool]) -> C | None:
        """Return a call that is held and good, if there is one."""
        with self._lock:
            for call in self._calls.get(token, ()):
                if is_good(call):
                    found: C = call
                    return found
        return None

    def add(self, token: str, call: C) -> None:
        """Remember a call."""
        with self._lock:
            if len(self._calls) >= self._most:
                self._calls = {token: calls for token, calls in self._calls.items() if len(calls)}
                self._most = max(_FEW, 2 * len(self._calls))
            self._calls.setdefault(token, weakref.WeakSet()).add(call)


def token_of(
    function: Callable[..., Any] | NativeFunction,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    options: TaskOptions,
) -> str | None:
    """Return what is the same for calls that compute the same in the same way; ``None`` if that cannot be told.

    Equal values may have different tokens, such as sets filled in another order: they are computed twice then.
    """
    content = (function, args, dict(kwargs), options)
    for is_fast in (True, False):
        digest = io.BytesIO()
        pickler = _Tokenizer(digest)
        # Without a memory of objects equal values look alike, whether they are one object or two. What refers to
        # itself has no end then.
        pickler.fast = is_fast
        try:
            pickler.dump(content)
        except Exception:
            # What cannot be pickled is told when the call is sent.
            continue
        return hashlib.blake2b(digest.getvalue(), digest_size=20).hexdigest()
    return None


class _Tokenizer(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles names of tasks and futures in their places."""

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, Reference):
            return None
        meant = value.__millstream_ref__()
        if isinstance(meant, Task):
            # Users may give two tasks one key.
            return "task", meant.serial
        return "future", getattr(meant, "job_id", id(meant)), getattr(meant, "key", None)
