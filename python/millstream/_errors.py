"""Every exception that the package raises by itself.

What a task raised on the cluster is raised again with its own type; the classes here are for everything else: a
gateway that refuses, a cluster that cannot be reached, a task that died without an exception of its own.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Mapping
from typing import Any


class MillstreamError(Exception):
    """Base of the exceptions that this package raises by itself."""


class BinaryNotFoundError(MillstreamError, FileNotFoundError):
    """No ``millstream`` program is installed, so that no cluster can be started here."""


class ConnectionFailedError(MillstreamError, ConnectionError):
    """The gateway cannot be reached, or no token for it is known."""


class GatewayError(MillstreamError):
    """The gateway refused a request.

    Attributes
    ----------
    code : str
        Stable code for programs, such as ``"unknown_job"``.
    status : int
        HTTP status.
    detail : str
        What happened.
    hint : str or None
        What to do about it.
    problem : dict
        Everything the gateway said, as RFC 9457 problem details.

    Examples
    --------
    >>> error = GatewayError({"code": "unknown_job", "status": 404, "detail": "no job 7"})
    >>> error.code, str(error)
    ('unknown_job', 'no job 7 (unknown_job)')
    """

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.problem = dict(problem)
        self.code = str(problem.get("code", "unknown"))
        self.status = int(problem.get("status", 0))
        self.detail = str(problem.get("detail") or problem.get("title") or "the gateway refused")
        self.hint: str | None = problem.get("hint")
        super().__init__(self.detail)

    def __str__(self) -> str:
        text = f"{self.detail} ({self.code})"
        return f"{text}; {self.hint}" if self.hint else text


class TaskError(MillstreamError):
    """A task failed without an exception that could be raised again.

    Its process died, it ran out of time or memory, it was no Python function, or its exception could not be pickled.

    Attributes
    ----------
    key : str
        The task's key.
    code : str
        Stable code of the failure, such as ``"timed_out"`` or ``"killed_workers"``.
    message : str
        What happened and what to do.
    host : str or None
        Where it happened.
    attempt : int or None
        How often the task had run then, that time included.
    log_tail : str or None
        The last output of the task.
    remote_traceback : str or None
        The traceback as the task's process wrote it.
    """

    def __init__(self, key: str, error: Mapping[str, Any], attempt: int | None = None) -> None:
        self.key = key
        self.attempt = attempt
        self.code = str(error.get("kind", "internal"))
        self.message = str(error.get("message", "the task failed"))
        self.host: str | None = error.get("host")
        self.log_tail: str | None = error.get("log_tail")
        self.remote_traceback: str | None = error.get("traceback")
        self.exit_code: int | None = error.get("exit_code")
        self.signal: int | None = error.get("signal")
        super().__init__(self.message)

    @property
    def place(self) -> str:
        """Where and when it happened, in words."""
        host = f" on {self.host}" if self.host else ""
        return f"{host} in attempt {self.attempt}" if self.attempt else host

    def __str__(self) -> str:
        text = f"task {self.key!r} failed{self.place}: {self.message} ({self.code})"
        if self.log_tail:
            text += f"\nlast output:\n{self.log_tail.rstrip()}"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        details = {
            "kind": self.code,
            "message": self.message,
            "host": self.host,
            "log_tail": self.log_tail,
            "traceback": self.remote_traceback,
            "exit_code": self.exit_code,
            "signal": self.signal,
        }
        return type(self), (self.key, details, self.attempt)


class TaskTimeoutError(TaskError, TimeoutError):
    """A task ran longer than its ``timeout``."""


class WorkerDiedError(TaskError):
    """The processes that ran a task died, more often than allowed."""


class ActorEndedError(MillstreamError):
    """An actor was cancelled, let go, or lost with its process or worker; whether a call ran is not known."""


class CancelledError(MillstreamError, concurrent.futures.CancelledError):
    """The task or its job was cancelled."""


class ResultLostError(MillstreamError):
    """A result was let go or lost, and cannot be made again."""


class SerializationError(MillstreamError, TypeError):
    """A function or an argument cannot be sent to the cluster."""


class RemoteTraceback(Exception):  # noqa: N818 - it is no error of its own
    """The traceback of a task, as the process that ran it wrote it; the cause of exceptions that are raised again."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"\n{self.text.rstrip()}"
