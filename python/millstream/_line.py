"""Short requests to a gateway's queues, on a connection of one thread's own.

A call of an actor is a few of them. A general client of HTTP takes longer for each than everything else in between.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import selectors
import socket
import ssl
import time
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from millstream import _aio, _shared, _turn
from millstream._access import Access
from millstream._errors import ConnectionFailedError, GatewayError

if TYPE_CHECKING:
    from millstream._http import Transport

_MSGPACK = "application/vnd.msgpack"
_CONNECT_TIMEOUT = 10.0
# Longer than any wait on the gateway.
_ANSWER_TIMEOUT = 90.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
# Most items of one answer.
_MOST = 1000

_Answer = tuple[int, str, bytes]


class Line:
    """A connection that is opened at its first use and again whenever it broke. One thread uses it.

    Parameters
    ----------
    access : Access
        The gateway.
    transport : callable
        Returns a client's connections, which are used if a proxy leads to the gateway.
    patience : float
        How many seconds a gateway that is away or busy is asked again.
    """

    def __init__(self, access: Access, transport: Callable[[], Transport], *, patience: float = 10.0) -> None:
        self._parts = urlsplit(access.url)
        self._access = access
        self._transport = transport
        self._patience = patience
        self._connection: http.client.HTTPConnection | None = None
        self._headers = {
            "authorization": f"Bearer {access.token}",
            "accept": _MSGPACK,
            "content-type": _MSGPACK,
        }
        self._is_proxied = _is_proxied(access.url)

    def push(self, queue: str, items: Sequence[bytes]) -> bool:
        """Add items to a queue; false if it has no room for them."""
        try:
            self._call(_shared.path_of("queues", queue), {"items": list(items), "id": str(uuid.uuid4())})
        except GatewayError as error:
            if error.code == "queue_full":
                return False
            raise
        return True

    def take(self, queue: str, wait: float) -> list[bytes]:
        """Take what a queue holds; nothing if it stays empty for so many seconds."""
        body = {"count": _MOST, "id": str(uuid.uuid4())}
        items: list[bytes] = self._call(_shared.path_of("queues", queue, "take"), body, wait)["items"]
        return items

    def close(self) -> None:
        """Close the connection; another request opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(self, path: str, body: Any, wait: float = 0.0) -> Any:
        import msgpack

        content = msgpack.packb(body)
        params = _shared.waiting(wait)
        if self._is_proxied:
            call = self._transport().call("POST", path, params=params, content=content, patient=wait > 0)
            return _aio.wait(call)
        target = self._parts.path.rstrip("/") + path + (f"?wait={params['wait']}" if params else "")
        return msgpack.unpackb(self._until_answered(target, content, waits=wait > 0))

    def _until_answered(self, target: str, content: bytes, *, waits: bool) -> bytes:
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                status, kind, answer = self._exchange(target, content, waits=waits)
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > deadline:
                    raise ConnectionFailedError(
                        f"the gateway at {self._access.url} cannot be reached ({error or type(error).__name__})"
                    ) from error
            else:
                if status < 400:
                    return answer
                if status not in (429, 503) or time.monotonic() > deadline:
                    raise _refusal(status, kind, answer)
            with _turn.waiting():
                time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _exchange(self, target: str, content: bytes, *, waits: bool) -> _Answer:
        was_open = self._connection is not None
        try:
            return self._ask(target, content, waits=waits)
        except (ConnectionError, http.client.RemoteDisconnected):
            self.close()
            if not was_open:
                raise
        except BaseException:
            # Also an interrupt: the rest of the answer would be taken for the next one.
            self.close()
            raise
        # The gateway had closed a connection that was not used for a while.
        try:
            return self._ask(target, content, waits=waits)
        except BaseException:
            self.close()
            raise

    def _ask(self, target: str, content: bytes, *, waits: bool) -> _Answer:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("POST", target, content, self._headers)
        with _while_waiting(self._connection.sock) if waits else contextlib.nullcontext():
            response = self._connection.getresponse()
        return response.status, response.headers.get("content-type", ""), response.read()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            import httpx

            # The certificates that the client's other connections trust.
            context = httpx.create_ssl_context()
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=_CONNECT_TIMEOUT, context=context
            )
        else:
            made = http.client.HTTPConnection(host, port, timeout=_CONNECT_TIMEOUT)
        made.connect()
        made.sock.settimeout(_ANSWER_TIMEOUT)
        made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


def _while_waiting(sock: socket.socket) -> contextlib.AbstractContextManager[Any]:
    """Inside a task, let others have its slot until an answer comes."""
    if isinstance(sock, ssl.SSLSocket):
        # That there is something to read does not mean that it is an answer.
        return _turn.waiting()
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        _turn.patiently(lambda left: bool(selector.select(left)), _ANSWER_TIMEOUT)
    return contextlib.nullcontext()


def _refusal(status: int, kind: str, answer: bytes) -> GatewayError:
    problem: Any = None
    if "json" in kind:
        with contextlib.suppress(ValueError):
            problem = json.loads(answer)
    if not isinstance(problem, dict):
        problem = {"detail": answer[:500].decode(errors="replace"), "code": "not_a_gateway"}
    return GatewayError({"status": status, **problem})


def _is_proxied(url: str) -> bool:
    """Whether the environment names a proxy for an address; one never leads to this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return False
    return parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host)
