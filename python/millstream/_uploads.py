"""Large values, which travel once, ahead of the jobs that read them.

A value is pickled without copying its buffers and sent to ``/v1/uploads``; in a job a small task stands for it. The
same content is sent once for all jobs of a client, and the workers forget it with the last of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
import uuid
import weakref
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millstream import _aio
from millstream._errors import MillstreamError
from millstream._http import text_of_id
from millstream._serialize import Buffer, dumps, packed_size, pieces
from millstream._wire import OpSpec

if TYPE_CHECKING:
    from millstream._compile import Group
    from millstream._http import Transport
    from millstream._task import Literal

# Smaller values travel with their job.
LARGE_UPLOAD = 1 << 20
# What a task of this operation makes is the upload whose id is its argument.
UPLOAD_OP = OpSpec("native", "millstream:upload", determinate=True)

_CONTENT_TYPE = "application/vnd.millstream.pickle"
_CHUNK = 1 << 20
_TRIES = 3
# How long an upload is kept for a job that may follow: the same array is often computed with again.
KEPT = 60.0
# Who has it is asked for again after so many seconds.
_TRUSTED = 5.0


@dataclass
class Life:
    """What is to become of an upload; outlives the :class:`Upload`."""

    is_kept: bool = False
    is_over: bool = False


@dataclass(eq=False)
class Upload:
    """A value that workers hold for tasks to read.

    Attributes
    ----------
    id : str
        What it is called.
    workers : list of str
        Ids of the workers that have it.
    life : Life
        What becomes of it when this client is done with it.
    """

    id: str
    workers: list[str]
    life: Life
    seen: float = field(default_factory=time.monotonic)

    def params(self) -> bytes:
        """The parameters of a task that reads it."""
        import msgpack

        packed: bytes = msgpack.packb([{"v": msgpack.packb(self.id)}])
        return packed


class Uploads:
    """What one client has uploaded. Used on the background loop."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._known: weakref.WeakValueDictionary[bytes, Upload] = weakref.WeakValueDictionary()
        # What is held although no job may need it, each until its time is over.
        self._recent: dict[Upload, asyncio.TimerHandle] = {}
        self._under_way: dict[bytes, asyncio.Task[Upload]] = {}

    async def place(self, groups: Sequence[Group]) -> dict[Literal, Upload]:
        """Send the large values among the literals of a job's calls."""
        literals = _literals_of(groups)
        placed = {}
        for literal, is_wanted in literals.items():
            upload = await self._place(literal.value, is_wanted=is_wanted)
            if upload is not None:
                placed[literal] = upload
        return placed

    async def _place(self, value: Any, *, is_wanted: bool) -> Upload | None:
        if not is_wanted and size_of(value) <= LARGE_UPLOAD:
            return None
        buffers = await asyncio.to_thread(dumps, value)
        content = await asyncio.to_thread(_Content, buffers)
        known = self._known.get(content.digest)
        if known is not None and await self._is_there(known):
            self._hold(known)
            return known
        under_way = self._under_way.get(content.digest)
        if under_way is None:
            under_way = self._under_way[content.digest] = asyncio.create_task(self._send(content))
            under_way.add_done_callback(lambda _: self._under_way.pop(content.digest, None))
        upload = await asyncio.shield(under_way)
        self._known[content.digest] = upload
        self._hold(upload)
        return upload

    async def _send(self, content: _Content) -> Upload:
        name = str(uuid.uuid4())
        for left in reversed(range(_TRIES)):
            view = await self._transport.call(
                "PUT",
                f"/v1/uploads/{name}",
                content=content,
                content_type=_CONTENT_TYPE,
                headers={"content-length": str(content.length)},
            )
            if (view["length"], view["crc32"]) == (content.length, content.crc):
                return self._made(name, view["workers"])
            if not left:
                raise MillstreamError(f"a value of {content.length} bytes was changed on its way to the cluster")
        raise AssertionError("the last try returns or raises")

    def _made(self, name: str, workers: list[str]) -> Upload:
        upload = Upload(name, workers, Life())
        weakref.finalize(upload, self._let_go, name, upload.life)
        return upload

    def _let_go(self, name: str, life: Life) -> None:
        if not life.is_kept and not life.is_over:
            with contextlib.suppress(RuntimeError):
                _aio.spawn(self._remove(name))

    def _hold(self, upload: Upload) -> None:
        earlier = self._recent.pop(upload, None)
        if earlier is not None:
            earlier.cancel()
        loop = asyncio.get_running_loop()
        self._recent[upload] = loop.call_later(KEPT, self._recent.pop, upload)

    async def _is_there(self, upload: Upload) -> bool:
        if time.monotonic() - upload.seen < _TRUSTED:
            return True
        view = await self._transport.call("GET", "/v1/workers")
        upload.seen = time.monotonic()
        return any(text_of_id(worker["id"]) in upload.workers for worker in view["workers"])

    def forget(self, uploads: Iterable[Upload]) -> None:
        """Send these once more if they are needed: a task did not find them."""
        lost = {upload.id for upload in uploads}
        for digest, upload in list(self._known.items()):
            if upload.id in lost:
                del self._known[digest]
                self._recent.pop(upload, None)

    async def close(self) -> None:
        """Let the workers forget what no detached job may need."""
        for upload in list(self._known.values()):
            upload.life.is_over = True
            if not upload.life.is_kept:
                await self._remove(upload.id)

    async def _remove(self, name: str) -> None:
        # What cannot be removed now goes when its time is over.
        with contextlib.suppress(MillstreamError):
            await self._transport.request("DELETE", f"/v1/uploads/{name}", tries=1)


class _Content:
    """A pickled value as the body of a request, which can be sent again."""

    def __init__(self, buffers: list[Buffer]) -> None:
        self._buffers = buffers
        self.length = packed_size(buffers)
        self.crc = 0
        digest = hashlib.blake2b(digest_size=20)
        for piece in pieces(buffers):
            digest.update(piece)
            self.crc = zlib.crc32(piece, self.crc)
        self.digest = digest.digest()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in pieces(self._buffers):
            view = memoryview(piece)
            for at in range(0, view.nbytes, _CHUNK):
                yield bytes(view[at : at + _CHUNK])


def size_of(value: Any) -> int:
    """Bytes of a value, as far as that can be told without pickling it."""
    if isinstance(value, bytes | bytearray | str):
        return len(value)
    try:
        if hasattr(value, "memory_usage"):
            usage = value.memory_usage()
            return int(usage if isinstance(usage, int) else usage.sum())
        return int(getattr(value, "nbytes", 0) or 0)
    except Exception:
        # Only a guess is lost: the value then travels with its job.
        return 0


def _literals_of(groups: Sequence[Group]) -> dict[Literal, bool]:
    """The literals that calls refer to, and whether each must be uploaded whatever its size."""
    from millstream._task import Literal

    found: dict[Literal, bool] = {}
    for group in groups:
        for references in group.references or ():
            for target in references:
                if isinstance(target, Literal):
                    found[target] = found.get(target, False) or group.op is UPLOAD_OP
    return found
