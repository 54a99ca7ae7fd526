"""Requests to a gateway: retried where that is safe, refusals as exceptions."""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from millstream._access import Access
from millstream._errors import ConnectionFailedError, GatewayError

if TYPE_CHECKING:
    import httpx

MSGPACK = "application/vnd.msgpack"
GRAPH = "application/vnd.millstream.graph+msgpack"

# A leader change takes up to ten seconds; the pauses add up to more.
_TRIES = 9
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# Connecting is quick or hopeless; an answer may be waited for by request.
_CONNECT_TIMEOUT = 10.0
_ANSWER_TIMEOUT = 90.0
_CONNECTIONS = 32


class TooLargeError(Exception):
    """An answer has more bytes than are wanted."""

    def __init__(self, length: int) -> None:
        super().__init__(f"the answer has {length} bytes")
        self.length = length


def _keep_logs_clean() -> None:
    """Keep each request of this package out of a task's log, which shows what is logged at level info."""
    logger = logging.getLogger("httpx")
    if "millstream_runtime" in sys.modules and logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


class Transport:
    """The connections to one gateway. Used on the background loop only."""

    def __init__(self, access: Access) -> None:
        _keep_logs_clean()
        self.access = access
        self._http = _connections(access, _CONNECTIONS)
        self._patient: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()
        if self._patient is not None:
            await self._patient.aclose()

    def _for_waiting(self) -> httpx.AsyncClient:
        """Connections of their own for requests that wait for others: what ends their wait must not wait for them."""
        if self._patient is None:
            self._patient = _connections(self.access, None)
        return self._patient

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        content_type: str = MSGPACK,
        headers: Mapping[str, str] | None = None,
        patient: bool = False,
        tries: int = _TRIES,
        largest: int | None = None,
    ) -> httpx.Response:
        """Send a request that may be repeated; wait and repeat it while the cluster is away or busy.

        Raises
        ------
        GatewayError
            If the gateway refuses.
        ConnectionFailedError
            If it cannot be reached for ten seconds.
        TooLargeError
            If the answer has more than `largest` bytes; they are not fetched.
        """
        import httpx

        headers = dict(headers or ()) | ({"content-type": content_type} if content is not None else {})
        http = self._for_waiting() if patient else self._http
        pause = _FIRST_PAUSE
        for left in reversed(range(tries)):
            try:
                asked = http.build_request(method, path, params=params, content=content, headers=headers)
                response = await _send(http, asked, largest)
            except httpx.TransportError as error:
                if not left:
                    raise self._unreachable(error) from error
            else:
                if response.status_code < 400:
                    return response
                if response.status_code not in (429, 503) or not left:
                    raise _refusal(response)
                pause = max(pause, _retry_after(response))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise AssertionError("the last try returns or raises")

    async def call(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and decode its MessagePack answer; ``None`` if it has none."""
        import msgpack

        response = await self.request(method, path, **options)
        if not response.content:
            return None
        if "json" in response.headers.get("content-type", ""):
            return response.json()
        return msgpack.unpackb(response.content, strict_map_key=False)

    def _unreachable(self, error: Exception) -> ConnectionFailedError:
        return ConnectionFailedError(
            f"the gateway at {self.access.url} cannot be reached ({error or type(error).__name__}): "
            "is it running, and is the port open? `Client()` starts a cluster on this machine"
        )


def text_of_id(value: bytes | str) -> str:
    """Return an id as text: MessagePack carries it as its 16 bytes.

    Examples
    --------
    >>> text_of_id(bytes(16))
    '00000000-0000-0000-0000-000000000000'
    """
    return str(uuid.UUID(bytes=value)) if isinstance(value, bytes) else value


async def _send(http: httpx.AsyncClient, asked: httpx.Request, largest: int | None) -> httpx.Response:
    if largest is None:
        return await http.send(asked)
    response = await http.send(asked, stream=True)
    try:
        length = int(response.headers.get("content-length", 0))
        if response.is_success and length > largest:
            raise TooLargeError(length)
        await response.aread()
    finally:
        await response.aclose()
    return response


def _connections(access: Access, most: int | None) -> httpx.AsyncClient:
    import httpx

    host = urlsplit(access.url).hostname or ""
    is_near = host in ("localhost", "::1") or host.startswith("127.")
    return httpx.AsyncClient(
        base_url=access.url,
        headers={"authorization": f"Bearer {access.token}", "accept": MSGPACK},
        timeout=httpx.Timeout(_ANSWER_TIMEOUT, connect=_CONNECT_TIMEOUT),
        limits=httpx.Limits(max_connections=most, max_keepalive_connections=_CONNECTIONS),
        # A proxy of the environment never leads to this machine. Plain HTTP needs no certificates either, whose
        # loading is the slowest part of the start.
        trust_env=not is_near,
        verify=not access.url.startswith("http://") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )


def _refusal(response: httpx.Response) -> GatewayError:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"detail": response.text[:500] or response.reason_phrase, "code": "not_a_gateway"}
    return GatewayError({"status": response.status_code, **problem})


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(float(response.headers.get("retry-after", 0)), _LONGEST_PAUSE)
    except ValueError:
        return 0.0
