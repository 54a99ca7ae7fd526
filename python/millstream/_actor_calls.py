"""The calling side of actors: one queue for all answers to a client, read by a thread while there is one to come."""

from __future__ import annotations

import contextlib
import itertools
import struct
import threading
import time
import uuid
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from millstream import _aio, _serialize, _shared
from millstream._actor import About, Actor, ActorFuture, own
from millstream._actor_host import fetched, queue_of, scattered
from millstream._errors import ActorEndedError, GatewayError, MillstreamError
from millstream._future import Future
from millstream._jobs import STORED, TERMINAL, Job
from millstream._line import Line
from millstream._post import ASK, ERROR, FETCHED, MAX_CONTENT, READY, Letter, Post, opened
from millstream._presence import Presence
from millstream._results import exception_of
from millstream._task import Literal, Literals, pack, pack_plain

if TYPE_CHECKING:
    from millstream._session import Session

# How long one request waits for answers.
_WAIT = 1.0
# A thread with nothing to wait for ends.
_IDLE = 5.0
# How often it is looked whether an actor that does not answer still runs.
_LOOK = 2.0
# How often an actor that does not answer is asked whether it knows of the calls.
_ASK = 30.0

_LENGTH = struct.Struct("<I")


class _Peer:
    """An actor as it is known here."""

    def __init__(self, about: About) -> None:
        self.about = about
        self.looked = self.asked = time.monotonic()
        # Why it has ended, and what its task raised, if anything.
        self.reason: str | None = None
        self.cause: BaseException | None = None

    def error(self) -> ActorEndedError:
        about = self.about
        error = ActorEndedError(
            f"actor {about.name} (task {about.key!r} of job {about.job_id}) has ended: {self.reason}; its state is "
            "lost, and it is not made again: submit another one"
        )
        error.__cause__ = self.cause
        return error


class _Call:
    """A call that was not answered yet."""

    __slots__ = ("future", "held", "name", "peer")

    def __init__(self, peer: _Peer, name: str, future: ActorFuture[Any], held: list[Any]) -> None:
        self.peer = peer
        self.name = name
        self.future = future
        # Not let go until the answer is here: the actor's job, and what the actor reads.
        self.held = held

    def finish(self, status: int, content: bytes) -> None:
        outcome = self.future._outcome
        try:
            if status == ERROR:
                outcome.set_exception(_error_of(f"{self.peer.about.key}.{self.name}", content))
            else:
                outcome.set_result(_serialize.loads(content))
        except BaseException as error:
            # Also what ends programs, raised as a value is unpickled: it is the caller's.
            outcome.set_exception(error)

    def fail(self, error: BaseException) -> None:
        self.future._outcome.set_exception(error)


class ActorCalls:
    """All calls of actors that one client makes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.address = f"actor-answers.{uuid.uuid4()}"
        self._post = Post(self._line, self.address)
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._open: dict[int, _Call] = {}
        self._peers: dict[str, _Peer] = {}
        # Those that ended, but may have answered before.
        self._ended: list[_Peer] = []
        self._expected: dict[str, weakref.ref[Job]] = {}
        self._reader: threading.Thread | None = None
        # Actors end with a client that is killed, though its other jobs may go on.
        self.presence = session.presence or Presence(session.transport)

    def _line(self) -> Line:
        return Line(self._session.access, lambda: self._session.transport)

    # ---- actors that are made here

    def expect(self, actor: str, job: Job) -> None:
        """Let the future of an actor's task be over as soon as the actor says that it is there."""
        own(job, self._session)
        with self._changed:
            self._expected[actor] = weakref.ref(job)
            self._start_reader()
        place = _Place(self._session, queue_of(actor))
        self._session.places.add(place)
        job.when_over(partial(self._over, actor))
        weakref.finalize(job, self._forget, actor, place)

    def _forget(self, actor: str, place: _Place) -> None:
        """Nobody holds the actor any more."""
        # Without the lock: objects are collected in any thread at any moment.
        self._peers.pop(actor, None)
        self._expected.pop(actor, None)
        if not self._session.is_closed:
            with contextlib.suppress(RuntimeError):
                _aio.spawn(place.leave())

    def _over(self, actor: str) -> None:
        peer = self._peers.get(actor)
        if peer is not None and not self._session.is_closed:
            _aio.spawn(self._look(peer))

    def _is_there(self, actor: str, content: bytes) -> None:
        import msgpack

        with self._changed:
            reference = self._expected.pop(actor, None)
        job = reference() if reference is not None else None
        if job is None:
            return
        name, methods = msgpack.unpackb(content)
        about = About(actor, job.id, job.key_of(0), name, tuple(methods))
        self._peers[actor] = _Peer(about)
        job.raws[0] = _serialize.pack(_serialize.dumps(Actor(about)))
        job.settle(0, STORED)

    # ---- calls

    def call(
        self, actor: Actor, kind: int, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ActorFuture[Any]:
        """Send a call after those that were made before; return its future."""
        self._session._check_open()
        about = actor._ms_about
        peer = self._peers.setdefault(about.id, _Peer(about))
        future: ActorFuture[Any] = ActorFuture(about.id, f"{about.name}.{name}")
        if peer.reason is not None:
            future._outcome.set_exception(peer.error())
            return future
        params, named = self._packed(f"{about.name}.{name}", args, kwargs)
        large, held = None, list(named)
        if len(params) > MAX_CONTENT:
            held.append(scattered(self._session, params, "actor-arguments"))
            large, params = [held[-1].job_id, held[-1].key], b""
        references = [[each.job_id, each.key] for each in named]
        number = next(self._numbers)
        content = [number, kind, name, params, references, large]
        size = len(params) + len(name) + 100 * len(references)
        letter = Letter(content, size, held, partial(self._refused, number))
        with self._changed:
            self._open[number] = _Call(peer, name, future, [actor, *held])
            self._start_reader()
            # Under the lock, so that letters leave in the order of their numbers.
            self._post.add(queue_of(about.id), letter)
        return future

    def _packed(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, list[Future[Any]]]:
        """Pickled arguments, and what of them is elsewhere on the cluster."""
        if (plain := pack_plain([(args, kwargs)])) is not None:
            return plain[0], []
        packed = pack(_named(name), args, kwargs, Literals())
        futures = []
        for target in packed.references:
            if isinstance(target, Literal):
                futures.append(scattered(self._session, target.value, "actor-argument"))
            elif isinstance(target, Future):
                futures.append(self._passable(target))
            else:
                raise TypeError(f"{name}: an argument is lazy: compute or persist it first")
        if futures:
            self._session.flush()
        return packed.params, futures

    def _passable(self, future: Future[Any]) -> Future[Any]:
        if future._session is not self._session:
            raise ValueError(f"future {future.key!r} belongs to another client: pass its result instead")
        if future._job.is_lasting:
            raise TypeError(f"future {future.key!r} is an actor's: pass the actor, which is its result")
        # Held until the call is answered, also if the user releases theirs.
        return future.twin()

    def _refused(self, number: int, error: BaseException) -> None:
        with self._changed:
            call = self._open.pop(number, None)
        if call is not None:
            call.fail(error)

    # ---- answers

    def _start_reader(self) -> None:
        if self._reader is None:
            self._reader = threading.Thread(target=self._read, name="millstream-answers", daemon=True)
            self._reader.start()
        self._changed.notify()

    def _read(self) -> None:
        with contextlib.closing(self._line()) as line:
            while self._waits():
                with self._changed:
                    ended, self._ended = self._ended, []
                try:
                    items = line.take(self.address, 0.0 if ended else _WAIT)
                    for item in items:
                        self._deliver(item)
                except Exception as error:
                    self._fail(lambda _: True, lambda _, it=error: it)
                    continue
                if items:
                    with self._changed:
                        self._ended += ended
                else:
                    # All that they answered is here.
                    self._fail(lambda call, them=ended: call.peer in them, lambda call: call.peer.error())
                    self._look_at_silent()

    def _waits(self) -> bool:
        """Whether an answer is to come; false, and nobody reads any more, after a while without any."""
        with self._changed:
            while not self._session.is_closed:
                for actor, reference in list(self._expected.items()):
                    job = reference()
                    if job is None or job.is_over:
                        self._expected.pop(actor, None)
                    del job
                if self._open or self._expected:
                    return True
                # What is added as the time ends is seen only after it.
                if not self._changed.wait(_IDLE) and not self._open and not self._expected:
                    break
            self._reader = None
            return False

    def _deliver(self, item: bytes) -> None:
        actor, answers = opened(item)
        for number, status, content, large in answers:
            if status == READY:
                self._is_there(actor, content)
                continue
            with self._changed:
                call = self._open.pop(number, None)
            if call is None:
                continue
            call.peer.looked = call.peer.asked = time.monotonic()
            if large is None:
                call.finish(status, content)
            else:
                _aio.spawn(self._fetch(call, number, status, *large))

    async def _fetch(self, call: _Call, number: int, status: int, job_id: str, key: str) -> None:
        try:
            content = await fetched(self._session, job_id, key)
        except Exception as error:
            call.fail(error)
            return
        call.finish(status, content)
        self._post.add(queue_of(call.peer.about.id), Letter([number, FETCHED, "", b"", [], None], 0))

    def _fail(self, which: Any, why: Any) -> None:
        with self._changed:
            failed = [number for number, call in self._open.items() if which(call)]
            calls = [self._open.pop(number) for number in failed]
        for call in calls:
            call.fail(why(call))

    # ---- whether actors are still there

    def _look_at_silent(self) -> None:
        now = time.monotonic()
        with self._changed:
            silent = {call.peer for call in self._open.values() if call.peer.looked + _LOOK < now}
        for peer in silent:
            peer.looked = now
            _aio.spawn(self._look(peer))
            if peer.asked + _ASK < now:
                peer.asked = now
                self._ask(peer)

    def _ask(self, peer: _Peer) -> None:
        """Find out which calls were lost: queues forget what a Redis that is killed had not written."""
        number = next(self._numbers)
        future: ActorFuture[None] = ActorFuture(peer.about.id, peer.about.name)
        future.add_done_callback(lambda it: None if it.exception() else self._fail_before(number, peer))
        letter = Letter([number, ASK, "", b"", [], None], 0, (), partial(self._refused, number))
        with self._changed:
            self._open[number] = _Call(peer, "", future, [])
            self._post.add(queue_of(peer.about.id), letter)

    def _fail_before(self, number: int, peer: _Peer) -> None:
        """Give up what an actor has not answered although it has answered what came after."""
        with self._changed:
            lost = [each for each, call in self._open.items() if call.peer is peer and each < number]
            calls = [self._open.pop(each) for each in lost]
        for call in calls:
            call.fail(
                MillstreamError(
                    f"{peer.about.name}.{call.name} was lost on its way, as when Redis loses its last seconds: whether "
                    "it ran is not known"
                )
            )

    async def _look(self, peer: _Peer) -> None:
        transport = self._session.transport
        try:
            view = await transport.call("GET", f"/v1/jobs/{peer.about.job_id}")
            if view["state"] not in TERMINAL:
                return
            peer.cause = await self._cause(peer) if view["state"] == "failed" else None
            reason = {"failed": f"it failed ({peer.cause})", "cancelled": "it was cancelled"}.get(view["state"], "")
        except GatewayError as error:
            if error.status not in (404, 410):
                return
            reason = ""
        except (MillstreamError, RuntimeError):
            # It is looked again, unless the client is closed.
            return
        peer.reason = reason or "nobody held it any more"
        with self._changed:
            self._ended.append(peer)
        self._post.forget(queue_of(peer.about.id))
        with contextlib.suppress(Exception):
            await transport.request("DELETE", _shared.path_of("queues", queue_of(peer.about.id)), tries=1)

    async def _cause(self, peer: _Peer) -> BaseException:
        about = peer.about
        path = f"/v1/jobs/{about.job_id}/tasks/{quote(about.key, safe='')}"
        task = await self._session.transport.call("GET", path)
        return exception_of(about.key, task.get("error") or {}, task.get("attempts"))

    async def close(self) -> None:
        """End all calls."""
        with self._changed:
            self._changed.notify_all()
        self._fail(lambda _: True, lambda call: MillstreamError(f"the client was closed before {call.name} was over"))
        with contextlib.suppress(Exception):
            await self._session.transport.request("DELETE", _shared.path_of("queues", self.address), tries=1)
        with contextlib.suppress(Exception):
            await self.presence.end()


class _Place:
    """The queue of an actor, which is removed when the actor has ended."""

    def __init__(self, session: Session, queue: str) -> None:
        self._session = session
        self._queue = queue

    async def leave(self) -> None:
        self._session.places.discard(self)
        with contextlib.suppress(Exception):
            await self._session.transport.request("DELETE", _shared.path_of("queues", self._queue), tries=1)


def _named(name: str) -> Any:
    """Something that errors call by a name."""

    def method() -> None:
        pass

    method.__name__ = name
    return method


def _error_of(key: str, content: bytes) -> BaseException:
    """The exception that the actor's process described."""
    parts, at = [], 1
    while at < len(content):
        (size,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size + size
        parts.append(content[at - size : at])
    message, text, exception = parts
    failure = {"kind": "user", "message": message.decode(), "traceback": text.decode(), "exception": exception}
    return exception_of(key, failure)
