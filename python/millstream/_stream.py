"""Maps over inputs that may be endless: few calls under way, results let go as they are read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream._client import Client
    from millstream._future import Future

# Calls are submitted in blocks: each is one exchange, and lets its results go as one.
_BLOCKS = 4


def map_stream(
    client: Client,
    function: Callable[..., Any],
    calls: Iterator[tuple[Any, ...]],
    window: int,
    *,
    ordered: bool,
    kwargs: dict[str, Any],
) -> Iterator[Any]:
    """Yield the results of calls, at most `window` of which are under way."""
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    size = max(1, window // _BLOCKS)
    blocks: deque[list[Future[Any]]] = deque()
    under_way = 0
    while True:
        while under_way + size <= max(window, size):
            block = _submit(client, function, list(islice(calls, size)), kwargs)
            if not block:
                break
            blocks.append(block)
            under_way += len(block)
        if not blocks:
            return
        block = blocks.popleft() if ordered else _first_done(blocks)
        values = client.session.gather(_waited(client, block))
        under_way -= len(block)
        del block
        yield from values


def _submit(
    client: Client, function: Callable[..., Any], calls: list[tuple[Any, ...]], kwargs: dict[str, Any]
) -> list[Future[Any]]:
    if not calls:
        return []
    futures = client.map(function, *zip(*calls, strict=True), **kwargs)
    # A job of its own: its results go together.
    client.session.flush()
    return futures


def _waited(client: Client, block: list[Future[Any]]) -> list[Future[Any]]:
    client.session.wait_for(block)
    return block


def _first_done(blocks: deque[list[Future[Any]]]) -> list[Future[Any]]:
    for position, block in enumerate(blocks):
        if all(future.done() for future in block):
            del blocks[position]
            return block
    return blocks.popleft()
