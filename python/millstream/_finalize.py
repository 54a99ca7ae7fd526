"""Collections as one task: for futures of a whole collection, and for collections as arguments of tasks."""

from __future__ import annotations

from typing import Any

from millstream._task import Reference, Task


def final_task(collection: Any) -> Reference | None:
    """Return a lazy value of one task that makes what the collection computes to; ``None`` if it is no collection."""
    from millstream._delayed import Delayed
    from millstream._future import Future

    if isinstance(collection, Future) or not isinstance(collection, Reference):
        return None
    target = collection.__millstream_ref__()
    return Delayed(target) if isinstance(target, Task | Future) else None
