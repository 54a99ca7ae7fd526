"""Options of tasks: what they need, how often they are tried, where they may run."""

from __future__ import annotations

import contextlib
import contextvars
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any

Duration = float | int | str | timedelta

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "K": 2**10, "M": 2**20, "G": 2**30}
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


def seconds(duration: Duration, name: str = "duration") -> float:
    """Return a duration in seconds.

    Examples
    --------
    >>> seconds("1.5m"), seconds(2), seconds("250ms")
    (90.0, 2.0, 0.25)
    """
    if isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif isinstance(duration, int | float):
        value = float(duration)
    else:
        match = _NUMBER.fullmatch(duration)
        if match is None or (match[2] or "s") not in _UNITS:
            raise ValueError(f"{name}: {duration!r} is no duration; write seconds, or a text such as '30s' or '5m'")
        value = float(match[1]) * _UNITS[match[2] or "s"]
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, got {duration!r}")
    return value


def patience(timeout: Duration | None) -> float | None:
    """Return a timeout in seconds; ``None`` for ever."""
    return None if timeout is None else seconds(timeout, "timeout")


def byte_size(size: float | str, name: str = "size") -> int:
    """Return a size in bytes.

    Examples
    --------
    >>> byte_size("2GiB"), byte_size("10 MB"), byte_size(7)
    (2147483648, 10000000, 7)
    """
    if isinstance(size, int | float):
        return int(size)
    match = _NUMBER.fullmatch(size)
    if match is None or match[2] not in _SIZES:
        raise ValueError(f"{name}: {size!r} is no size; write bytes, or a text such as '2GiB'")
    return int(float(match[1]) * _SIZES[match[2]])


@dataclass(frozen=True)
class Backoff:
    """The wait before a retry: `initial` seconds, then times `factor` each time, at most `max_delay`."""

    initial: Duration = 0.1
    factor: float = 2.0
    max_delay: Duration = 30.0

    def encoded(self) -> list[Any]:
        """The waits by position, in milliseconds."""
        initial, longest = seconds(self.initial, "backoff"), seconds(self.max_delay, "backoff")
        return [round(initial * 1000), float(self.factor), round(longest * 1000)]


@dataclass(frozen=True)
class TaskOptions:
    """How a task is run.

    Parameters
    ----------
    retries : int
        How often it is tried again after a failure of its own.
    backoff : Backoff, float or None
        The waits between tries; a number is the first wait in seconds.
    timeout : float, str or timedelta, optional
        Longest run, in seconds or as a text such as ``"30s"``; its process is killed after that.
    priority : int
        Higher runs first.
    resources : mapping
        What it takes from its worker while it runs, such as ``{"cpu": 2, "memory": "1GiB", "gpu": 1}``; without
        ``cpu`` it takes one. A task with ``gpu`` sees in ``CUDA_VISIBLE_DEVICES`` devices that no other task has
        meanwhile; tasks with less than one share a device.
    workers : sequence of str
        Names or addresses of the only workers it may run on.
    rerun : bool or str
        ``"never"`` (or ``False``) for side effects that must not happen twice: if its worker is lost after the
        start, it fails instead of running again.
    env : mapping or Environment, optional
        Environment of the process that runs it, in place of the client's; see :class:`millstream.Environment`.
    """

    retries: int = 0
    backoff: Backoff | float | None = None
    timeout: Duration | None = None
    priority: int = 0
    resources: Mapping[str, float | str] = field(default_factory=dict)
    workers: str | Sequence[str] = ()
    rerun: bool | str = "always"
    env: Any = None

    def __post_init__(self) -> None:
        if self.rerun not in (True, False, "always", "never"):
            raise ValueError(f"rerun is 'always' or 'never', got {self.rerun!r}")
        for name in ("retries", "priority"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int):
                raise TypeError(f"{name} is a whole number, got {number!r}")
        if self.retries < 0:
            raise ValueError(f"retries must not be negative, got {self.retries}")

    def encoded(self) -> list[Any]:
        """The options by position, as a graph carries them."""
        backoff = self.backoff if isinstance(self.backoff, Backoff) else Backoff()
        if isinstance(self.backoff, int | float) and not isinstance(self.backoff, bool):
            backoff = Backoff(self.backoff)
        amounts = {
            name: byte_size(amount, f"resource {name!r}") if isinstance(amount, str) else amount
            for name, amount in sorted(self.resources.items())
        }
        timeout = None if self.timeout is None else round(seconds(self.timeout, "timeout") * 1000)
        workers = [self.workers] if isinstance(self.workers, str) else list(self.workers)
        rerun = "never" if self.rerun in (False, "never") else "always"
        return [amounts, self.retries, backoff.encoded(), timeout, self.priority, workers, rerun]

    def identity(self) -> bytes:
        """What makes two options the same on the wire."""
        import msgpack

        identity: bytes = msgpack.packb(self.encoded())
        return identity

    def under(self, own: TaskOptions) -> TaskOptions:
        """These options as defaults: what `own` sets wins."""
        if self is PLAIN or self == own:
            return own
        changed = {
            option.name: getattr(own, option.name)
            for option in fields(own)
            if getattr(own, option.name) != getattr(PLAIN, option.name)
        }
        return replace(self, **changed)

    def merged(self, changes: Mapping[str, Any]) -> TaskOptions:
        """These options with those of `changes` that are given."""
        return replace(self, **changes) if changes else self


OPTION_NAMES = frozenset(option.name for option in fields(TaskOptions))

_annotations: contextvars.ContextVar[TaskOptions | None] = contextvars.ContextVar(
    "millstream_annotations", default=None
)
PLAIN = TaskOptions()


def current_options() -> TaskOptions:
    """Return the options that the surrounding :func:`annotate` blocks give."""
    return _annotations.get() or PLAIN


@contextlib.contextmanager
def annotate(**options: Any) -> Iterator[None]:
    """Give options to everything that is made inside the block.

    Takes the fields of :class:`TaskOptions`. Inner blocks win over outer ones, and options of a single call over
    both.

    Examples
    --------
    >>> import millstream as ms
    >>> with ms.annotate(retries=3):
    ...     x = ms.delayed(sum)([1, 2])
    >>> x.options.retries
    3
    """
    check_option_names(options)
    token = _annotations.set(current_options().merged(options))
    try:
        yield
    finally:
        _annotations.reset(token)


def check_option_names(options: Mapping[str, Any]) -> None:
    """Refuse options that do not exist, naming the nearest that does."""
    for name in options:
        if name not in OPTION_NAMES:
            import difflib

            near = difflib.get_close_matches(name, OPTION_NAMES, 1)
            raise TypeError(
                f"unknown option {name!r}"
                + (f": did you mean {near[0]!r}?" if near else f": there are {sorted(OPTION_NAMES)}")
            )


def split_options(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part the options of a task from the keyword arguments of its function."""
    options = {name: value for name, value in kwargs.items() if name in OPTION_NAMES}
    return options, {name: value for name, value in kwargs.items() if name not in OPTION_NAMES}
