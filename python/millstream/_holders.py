"""Who still holds the calls of a job."""

from __future__ import annotations

from collections import deque


class Holders:
    """Counts the futures of a job's calls.

    Each call has one future at first; further ones are announced by :meth:`add`. Futures come and go in any thread, and
    go while memory is collected and locks are held: they only leave a note here, which the background loop reads.

    Attributes
    ----------
    notes : deque of int
        Calls that a future of was given up, and as the complement those that got one more; in order.
    is_noted : bool
        Whether the background loop knows that there are notes.
    """

    __slots__ = ("_more", "is_noted", "notes")

    def __init__(self) -> None:
        self.notes: deque[int] = deque()
        self.is_noted = False
        # Futures besides the first.
        self._more: dict[int, int] = {}

    def ignore(self) -> None:
        """Take no notes: there is nothing to give up."""
        self.notes = deque(maxlen=0)
        self.is_noted = True

    def add(self, number: int) -> None:
        """Count one more future of a call; without ever a note that it was given up, the call is never given up."""
        self.notes.append(~number)

    def gone(self) -> list[int]:
        """Read the notes; return the calls that nobody holds any more. Used on the background loop."""
        gone: dict[int, None] = {}
        while self.notes:
            note = self.notes.popleft()
            if note < 0:
                self._came(~note, gone)
            elif note in self._more:
                self._went(note)
            else:
                gone[note] = None
        return list(gone)

    def _came(self, number: int, gone: dict[int, None]) -> None:
        if number in gone:
            del gone[number]
        else:
            self._more[number] = self._more.get(number, 0) + 1

    def _went(self, number: int) -> None:
        self._more[number] -= 1
        if not self._more[number]:
            del self._more[number]
