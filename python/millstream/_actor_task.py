"""The function of the task that an actor lives in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class ActorTask:
    """Makes an object and lets others call its methods until the task is cancelled.

    Travels by value, so that a worker which lacks this package can say so.

    Parameters
    ----------
    make : callable
        The object's class, or a function that returns the object.
    """

    def __init__(self, make: Callable[..., Any]) -> None:
        self.__millstream_inner__ = make

    def __reduce__(self) -> tuple[Any, ...]:
        return ActorTask, (self.__millstream_inner__,)

    def __call__(self, address: Sequence[str], /, *args: Any, **kwargs: Any) -> None:
        """Make the object and serve it."""
        try:
            from millstream._actor_host import Host
        except ImportError as error:
            raise ImportError(
                "an actor needs the package `millstream` where its worker's python runs: install it there, or name it "
                f"in env={{'pip': [...]}} ({error})"
            ) from error
        host = Host(*address)
        host.serve(self.__millstream_inner__(*args, **kwargs))
