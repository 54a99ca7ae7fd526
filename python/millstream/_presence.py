"""Tells the cluster that this client is still there, for jobs that end with it however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING

from millstream._errors import MillstreamError
from millstream._options import seconds

if TYPE_CHECKING:
    from millstream._http import Transport

# Renewals in the time that a session lasts: some may fail.
_RENEWALS = 6


class Presence:
    """A client's session on the cluster, open from its first use. Used on the background loop only."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._id: str | None = None
        self._opening = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None

    async def id(self) -> str:
        """Return the session's id, opening it first if need be."""
        # Nobody may name it before the cluster knows it.
        async with self._opening:
            if self._id is None:
                made = str(uuid.uuid4())
                lasts = await self._renew(made)
                self._renewing = asyncio.create_task(self._keep(made, lasts / _RENEWALS))
                self._id = made
            return self._id

    @property
    def opened(self) -> str | None:
        """The session's id, if it has been used."""
        return self._id

    async def end(self) -> None:
        """End the session, and with it all that is attached to it."""
        if self._renewing is not None:
            self._renewing.cancel()
        if self._id is not None:
            await self._transport.request("DELETE", f"/v1/sessions/{self._id}", tries=1)

    async def _renew(self, session: str) -> float:
        view = await self._transport.call("PUT", f"/v1/sessions/{session}")
        return seconds(view["ttl"])

    async def _keep(self, session: str, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            # A gateway that is away is asked again before the session runs out.
            with contextlib.suppress(MillstreamError):
                await self._renew(session)
