"""Letters to the queues of actors and their callers: in order, and as many at once as there are.

What is added while a request is under way goes with the next one, so that requests grow with the load and nobody waits
for a timer.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from millstream._line import Line

if TYPE_CHECKING:
    from millstream._future import Future

_log = logging.getLogger(__name__)

# What a caller asks of an actor …
CALL, READ, FETCHED, ASK = range(4)
# … and what an actor answers; that it is there, to whom made it.
VALUE, ERROR, READY = range(3)

# A queue takes items of 64 KiB, and requests of 2 MiB. What is larger than a letter may be travels as a result.
MAX_CONTENT = 40 << 10
_ITEM_BYTES = 48 << 10
_REQUEST_BYTES = 1 << 20
# What an entry weighs besides its content.
_OVERHEAD = 64
# A thread with nothing to do ends.
_IDLE = 5.0
# How long before another look at a queue that is full, or at a letter that is not ready.
_FULL_PAUSE = 0.05
_READY_PAUSE = 0.003


class Letter:
    """One thing to send.

    Parameters
    ----------
    content : sequence
        What MessagePack takes.
    size : int
        About how many bytes that is.
    futures : sequence of Future
        What it names: their jobs must have reached the cluster before it.
    refused : callable
        Is told why it could not be sent.
    deadline : float
        When, in monotonic seconds, it is given up if its queue has no room.
    """

    __slots__ = ("content", "deadline", "futures", "refused", "size")

    def __init__(
        self,
        content: Sequence[Any],
        size: int,
        futures: Sequence[Future[Any]] = (),
        refused: Callable[[BaseException], None] | None = None,
        deadline: float = float("inf"),
    ) -> None:
        self.content = content
        self.size = size + _OVERHEAD
        self.futures = futures
        self.refused = refused
        self.deadline = deadline

    def is_ready(self) -> bool:
        """Whether everything that it names has reached the cluster, or never will."""
        return all(future._job.state not in ("draft", "sealed") for future in self.futures)

    def is_lost(self) -> bool:
        """Whether something that it names never reached the cluster; its sender is told."""
        error = next((future._job.error for future in self.futures if future._job.error is not None), None)
        if error is not None:
            self.refuse(error)
        return error is not None

    def refuse(self, error: BaseException) -> None:
        """Tell its sender that it was not sent."""
        if self.refused is not None:
            self.refused(error)


class Post:
    """Sends letters from a thread of its own, which is there while there is something to send.

    Parameters
    ----------
    make_line : callable
        Opens the thread's connection.
    sender : str
        What all letters begin with, for those who answer.
    """

    def __init__(self, make_line: Callable[[], Line], sender: str) -> None:
        self._make_line = make_line
        self._sender = sender
        self._queues: dict[str, deque[Letter]] = {}
        self._full_until: dict[str, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, queue: str, letter: Letter) -> None:
        """Send a letter after those that were added for the same queue before."""
        with self._changed:
            self._queues.setdefault(queue, deque()).append(letter)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="millstream-post", daemon=True)
                self._thread.start()
            self._changed.notify()

    def forget(self, queue: str) -> None:
        """Do not send what waits for a queue any more."""
        with self._changed:
            self._queues.pop(queue, None)

    def _run(self) -> None:
        with contextlib.closing(self._make_line()) as line:
            while (batch := self._next()) is not None:
                queue, letters = batch
                letters = [letter for letter in letters if not letter.is_lost()]
                if not letters:
                    continue
                try:
                    has_room = line.push(queue, list(_items(self._sender, letters)))
                except Exception as error:
                    _log.debug("letters to %s were not sent: %s", queue, error)
                    for letter in letters:
                        letter.refuse(error)
                else:
                    if not has_room:
                        self._put_back(queue, letters)

    def _next(self) -> tuple[str, list[Letter]] | None:
        """Wait for letters that can go out together; ``None`` after a while without any."""
        with self._changed:
            while True:
                for queue in list(self._queues):
                    letters = self._take(queue)
                    if letters:
                        return queue, letters
                if self._queues:
                    self._changed.wait(_READY_PAUSE)
                elif not self._changed.wait(_IDLE) and not self._queues:
                    self._thread = None
                    return None

    def _take(self, queue: str) -> list[Letter]:
        if self._full_until.get(queue, 0.0) > time.monotonic():
            return []
        self._full_until.pop(queue, None)
        waiting = self._queues.pop(queue)
        taken: list[Letter] = []
        size = 0
        while waiting and size < _REQUEST_BYTES and waiting[0].is_ready():
            letter = waiting.popleft()
            taken.append(letter)
            size += letter.size
        if waiting:
            # At the end, so that all queues have their turn.
            self._queues[queue] = waiting
        return taken

    def _put_back(self, queue: str, letters: list[Letter]) -> None:
        now = time.monotonic()
        kept = [letter for letter in letters if letter.deadline > now]
        if len(kept) < len(letters):
            _log.warning("%d letter(s) to %s were dropped: nobody takes them", len(letters) - len(kept), queue)
        with self._changed:
            self._full_until[queue] = now + _FULL_PAUSE
            if kept:
                self._queues.setdefault(queue, deque()).extendleft(reversed(kept))


def _items(sender: str, letters: Sequence[Letter]) -> Iterator[bytes]:
    import msgpack

    batch: list[Any] = []
    size = 0
    for letter in letters:
        if batch and size + letter.size > _ITEM_BYTES:
            yield msgpack.packb([sender, batch])
            batch, size = [], 0
        batch.append(letter.content)
        size += letter.size
    yield msgpack.packb([sender, batch])


def opened(item: bytes) -> tuple[str, list[Any]]:
    """Return who sent an item of a queue, and what is in its letters."""
    import msgpack

    sender, contents = msgpack.unpackb(item, strict_map_key=False)
    return sender, contents
