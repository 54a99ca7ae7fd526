"""What the objects for coordination have in common: a name, a client, and calls that may be awaited."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from millstream import _aio

if TYPE_CHECKING:
    from millstream._async_client import AsyncClient
    from millstream._client import Client
    from millstream._session import Session


class Coordinated:
    """Something that clients and tasks share by its name.

    With an :class:`AsyncClient` its methods return awaitables; else they wait. It can be pickled: inside a task it uses
    the task's client.
    """

    kind = ""

    def __init__(self, name: str | None, client: Client | AsyncClient | None) -> None:
        self.name = str(name) if name is not None else f"{self.kind}-{uuid.uuid4().hex}"
        self._client = client

    @property
    def client(self) -> Client:
        """The client that it speaks through; the current one unless another was given."""
        from millstream._async_client import AsyncClient
        from millstream._client import get_client

        if isinstance(self._client, AsyncClient):
            return self._client.client
        if self._client is None:
            self._client = get_client()
        return self._client

    @property
    def _session(self) -> Session:
        return self.client.session

    @property
    def _is_async(self) -> bool:
        from millstream._async_client import AsyncClient

        return isinstance(self._client, AsyncClient)

    @property
    def _path(self) -> str:
        """The name within the kind of thing that it is made of."""
        return f"{self.kind}.{self.name}"

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        if self._is_async:
            return asyncio.wrap_future(_aio.spawn(work))
        return _aio.wait(work)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name,)
